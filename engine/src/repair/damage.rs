//! What is told while a store is looked through.

use crate::log::record::Record;
use std::fmt::{self, Display, Formatter};

/// Something told while a store is looked through or salvaged.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// So many bytes of that many are read. The total is an estimate while it grows.
    Progress {
        /// Bytes read so far.
        done: u64,
        /// Bytes to be read in all.
        total: u64,
    },
    /// A damaged place.
    Damage(&'a Damage),
    /// An entry that could not be saved, or not in its newest version. Told by a salvage only.
    Lost(&'a LostEntry),
}

/// A damaged place: bytes that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Position in the file, in bytes.
    pub offset: u64,
    /// How many bytes cannot be used; `None` if that is not known, 0 if something is missing between two bytes.
    pub length: Option<u64>,
    /// What is wrong.
    pub what: &'static str,
    /// The record that stood there, where its head is intact.
    pub record: Option<EntryName>,
    /// Where the versions of the records that stood there lie, if there were any and they are not known by name.
    pub versions: Option<Versions>,
}

/// A range of versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// None of them is below this.
    pub first: u64,
    /// None of them is above this; `None` if that is not known.
    pub last: Option<u64>,
}

/// A version of an entry, by its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryName {
    /// The tenant's number.
    pub tenant: u32,
    /// Namespace.
    pub namespace: String,
    /// Key.
    pub key: String,
    /// Version.
    pub version: u64,
}

/// An entry whose newest known version is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostEntry {
    /// Its name, and the version that is lost.
    pub entry: EntryName,
    /// The older version that was saved in its place, as [`SalvageOptions::keep_older`](crate::SalvageOptions) asks for.
    pub kept: Option<u64>,
}

impl EntryName {
    pub(super) fn of(record: &Record<'_>) -> EntryName {
        EntryName {
            tenant: record.tenant.0,
            namespace: record.namespace.to_owned(),
            key: record.key.to_owned(),
            version: record.sequence,
        }
    }
}

impl Display for EntryName {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.tenant != 0 {
            write!(formatter, "tenant {}, ", self.tenant)?;
        }
        write!(formatter, "namespace {:?}, key {:?}, version {}", self.namespace, self.key, self.version)
    }
}

impl Display for Versions {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) if last == self.first => write!(formatter, "version {last}"),
            Some(last) => write!(formatter, "versions {} to {last}", self.first),
            None => write!(formatter, "versions from {} on", self.first),
        }
    }
}

impl Display for Damage {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at byte {}: {}", self.file, self.offset, self.what)?;
        match self.length {
            Some(length) if length > 0 => write!(formatter, "; {length} bytes")?,
            _ => {}
        }
        if let Some(record) = &self.record {
            write!(formatter, "; it held {record}")?;
        }
        if let Some(versions) = &self.versions {
            write!(formatter, "; missing here: records with {versions}")?;
        }
        Ok(())
    }
}

impl Display for LostEntry {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "lost: {}", self.entry)?;
        match self.kept {
            Some(kept) => write!(formatter, "; the older version {kept} was kept"),
            None => Ok(()),
        }
    }
}
