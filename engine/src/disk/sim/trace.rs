//! What was asked of the disk, as a running hash and, if wanted, as a list.

use super::fault::Fault;
use super::random::mix;
use std::sync::Arc;

/// A kind of operation, one for each call of the traits that touches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpKind {
    /// `DiskFile::read_at`
    Read,
    /// `DiskFile::len`
    Len,
    /// `Disk::open`
    Open,
    /// `Disk::list`
    List,
    /// `Disk::free_bytes`
    FreeBytes,
    /// `DiskFile::write_at`
    Write,
    /// `DiskFile::set_len`
    SetLen,
    /// `DiskFile::allocate`
    Allocate,
    /// `DiskFile::sync`
    Sync,
    /// `Disk::create`
    Create,
    /// `Disk::rename`
    Rename,
    /// `Disk::remove`
    Remove,
    /// `Disk::link_from`
    Link,
    /// `Disk::sync_dir`
    SyncDir,
}

impl OpKind {
    /// Whether it changes nothing, and so is counted apart from those that do.
    pub fn is_read(self) -> bool {
        matches!(self, OpKind::Read | OpKind::Len | OpKind::Open | OpKind::List | OpKind::FreeBytes)
    }
}

/// One operation, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// What was done.
    pub kind: OpKind,
    /// The file's name, after that of its directory and a slash if it is not in the first one; the directory's alone for
    /// the directory as a whole; the old name for a rename or a link.
    pub name: Arc<str>,
    /// The new name, for a rename or a link.
    pub to: Option<Arc<str>>,
    /// Where in the file a read or write starts.
    pub offset: u64,
    /// How many bytes were to be read or written, or the length that was set or allocated.
    pub length: u64,
    /// CRC-32 of the bytes to write.
    pub checksum: u32,
    /// What went wrong by order.
    pub fault: Option<Fault>,
}

impl Op {
    pub(super) fn new(kind: OpKind, name: Arc<str>) -> Op {
        Op { kind, name, to: None, offset: 0, length: 0, checksum: 0, fault: None }
    }

    fn hash(&self, seed: u64) -> u64 {
        let names = [Some(&self.name), self.to.as_ref()];
        let names = names.map(|name| name.map_or(0, |name| u64::from(crc32fast::hash(name.as_bytes()))));
        [self.kind as u64, names[0], names[1], self.offset, self.length, u64::from(self.checksum)]
            .into_iter()
            .fold(seed, |hash, field| mix(hash.wrapping_mul(31) ^ field))
    }
}

/// The record of all operations so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    list: Option<Vec<Op>>,
}

impl Trace {
    /// One that goes on from this one on the disk that a crash leaves; the list starts anew.
    pub(super) fn after_crash(&self, policy: u64) -> Trace {
        Trace { hash: mix(self.hash ^ policy), list: self.list.as_ref().map(|_| Vec::new()) }
    }

    pub(super) fn record(&mut self, op: Op) {
        self.hash = op.hash(self.hash);
        if let Some(list) = &mut self.list {
            list.push(op);
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn keep_list(&mut self) {
        self.list.get_or_insert_default();
    }

    pub(super) fn list(&self) -> &[Op] {
        self.list.as_deref().unwrap_or_default()
    }
}
