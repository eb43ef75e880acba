//! What a read of the feed gives.

use crate::address::Tenant;
use crate::clock::NEVER;
use crate::log::record::{Kind, Record};

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was created, or changed in any of its parts.
    Set,
    /// Somebody deleted it.
    Delete,
    /// It came to its deadline.
    Expire,
}

/// One change to one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'c> {
    /// Version of the change.
    pub version: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The entry's tenant.
    pub tenant: Tenant,
    /// The entry's namespace.
    pub namespace: &'c str,
    /// The entry's key.
    pub key: &'c str,
    /// When the entry expires, in milliseconds since the Unix epoch; of one that is gone, when it would have or has.
    pub expires_at: Option<u64>,
    /// When the entry was created, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// When it was changed, in milliseconds since the Unix epoch.
    pub changed_at: u64,
    /// Version of the write that created the entry: the same for its whole life.
    pub creation: u64,
    /// The value's type, of the caller's own numbering; 0 where the entry is gone.
    pub tag: u8,
    /// The note that was kept with it, if it is watched with values.
    pub description: Option<&'c str>,
    /// The value; empty where the entry is gone, or is watched without values.
    pub value: &'c [u8],
}

/// Changes in commit order, as one read gave them.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Records, as they are encoded but for their checksums.
    bytes: Vec<u8>,
    count: usize,
    pub(super) more: bool,
}

impl Changes {
    /// The changes, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let record = Record::trusted(rest)?;
            rest = &rest[record.encoded_len()..];
            Some(Change::of(&record))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the read has ended before the end of what is durable, because there was enough to give, or a megabyte of
    /// the log was looked through. The next one then goes on at once.
    pub fn more(&self) -> bool {
        self.more
    }

    /// Adds a record, if it is the first or there are no more than so many bytes then. Returns whether it did.
    pub(super) fn take(&mut self, record: &Record<'_>, bytes_max: usize) -> bool {
        let has_room = self.is_empty() || self.bytes.len() + record.encoded_len() <= bytes_max;
        if has_room {
            record.encode(&mut self.bytes);
            self.count += 1;
        }
        has_room
    }
}

impl<'c> Change<'c> {
    fn of(record: &Record<'c>) -> Change<'c> {
        Change {
            version: record.sequence,
            kind: match record.kind {
                Kind::Put => ChangeKind::Set,
                Kind::Delete => ChangeKind::Delete,
                Kind::Expire => ChangeKind::Expire,
            },
            tenant: record.tenant,
            namespace: record.namespace,
            key: record.key,
            expires_at: (record.deadline != NEVER).then_some(record.deadline),
            created_at: record.created_at,
            changed_at: record.updated_at,
            creation: record.creation,
            tag: record.tag,
            description: (!record.description.is_empty()).then_some(record.description),
            value: record.value,
        }
    }
}
