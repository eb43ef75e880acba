//! Replies. All of them own what they hold, so that the connection can go on while they are looked at.

mod backup;
mod compaction;
mod entry;
mod event;
mod hello;
mod object;

pub use backup::Backup;
pub use compaction::Compaction;
pub use entry::Entry;
pub use event::{Change, Event, EventKind};
pub use hello::Hello;

/// A value as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The entry's version.
    pub version: u64,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// The value: compact JSON.
    pub json: String,
}

/// A value as a type of the application.
#[cfg(feature = "serde")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typed<T> {
    /// The value.
    pub value: T,
    /// The entry's version.
    pub version: u64,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: Option<u64>,
}

/// What a read of one place of a value found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtPath {
    /// This.
    Value(Value),
    /// An entry with nothing at that place.
    Nothing,
    /// No such live entry.
    Absent,
}

/// What a write left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The entry's new version.
    pub version: u64,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: Option<u64>,
}

/// What became of a write under a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a write that was refused did not happen"]
pub enum Outcome<T> {
    /// It was done.
    Done(T),
    /// The condition did not hold; nothing changed.
    Refused(Refusal),
}

/// Why a condition did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The entry should have been absent.
    Exists {
        /// Its version.
        version: u64,
    },
    /// The entry has another version than the one asked for.
    Version {
        /// Its version.
        version: u64,
    },
    /// The entry should have been there.
    Absent,
}

/// What became of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a delete that was refused did not happen"]
pub enum Deletion<T> {
    /// It was done: the version of the delete, or the value that is gone.
    Deleted(T),
    /// There was no such live entry.
    Absent,
    /// The entry has another version than the one asked for; nothing changed.
    Refused {
        /// Its version.
        version: u64,
    },
}

/// What an increment made of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The entry's new version.
    pub version: u64,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// The sum.
    pub number: i64,
}

/// What became of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a patch that was refused did not happen"]
pub enum Patched {
    /// It was done: this is the value now.
    Done(Value),
    /// There is no such live entry.
    Absent,
    /// The entry has another version than the one asked for; nothing changed.
    Refused {
        /// Its version.
        version: u64,
    },
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a transaction that was refused did not happen"]
pub enum Commit {
    /// All checks held, and all operations were done.
    Done {
        /// The version of the last change; none if nothing was to be changed.
        version: Option<u64>,
    },
    /// This check, counted from 0, did not hold; nothing changed.
    Refused {
        /// Which.
        check: u64,
    },
}

/// How long an entry still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLeft {
    /// It does not expire.
    Unlimited,
    /// So many milliseconds.
    Ms(u64),
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The cursor of the next page, while more follows.
    pub next: Option<String>,
}

/// An entry in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: u64,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// Its value in compact JSON, where values were asked for.
    pub json: Option<String>,
}

/// A namespace in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceItem {
    /// Its name.
    pub name: String,
    /// How many live entries it holds.
    pub entries: u64,
}

impl<T> Outcome<T> {
    /// What was done, if it was.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(done) => Some(done),
            Self::Refused(_) => None,
        }
    }
}

impl From<(u64, Option<u64>)> for Stamp {
    fn from((version, expires_ms): (u64, Option<u64>)) -> Self {
        Self { version, expires_ms }
    }
}
