//! Requests, as the parser yields them: everything checked that can be checked without a clock and without a store.

mod line;
mod manage;
mod parse;
mod transaction;

use std::borrow::Cow;
use std::fmt;

use crate::json::Pointer;
use crate::table::Verb;
use crate::ttl::Ttl;
use crate::value_type::ValueType;

pub use manage::{Key, Limit, NewKey, Org, Settings};
pub use parse::{check_backup_name, parse};
pub use transaction::{CHECKS_MAX, Check, OPERATIONS_MAX, Operation, Transaction, Write};

/// Most keys of one `MGET` or `EXISTS`.
pub const KEYS_MAX: usize = 1_000;
/// Largest page of a listing.
pub const PAGE_MAX: usize = 10_000;
/// The page of a `LIST` that names no limit.
pub const LIST_PAGE_DEFAULT: usize = 100;
/// The page of a `NAMESPACES` that names no limit.
pub const NAMESPACES_PAGE_DEFAULT: usize = 1_000;

/// Longest name of a backup, in bytes.
pub const BACKUP_NAME_BYTES_MAX: usize = 128;

/// One request, borrowing from its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The namespace named with `ns=`, for this command alone; `None` means the connection's.
    pub ns: Option<Cow<'a, str>>,
    /// What is to be done.
    pub command: Command<'a>,
}

/// A command with its arguments and options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Introduces the client.
    Hello {
        /// The key to authenticate with.
        token: Option<Secret<'a>>,
        /// What the client calls itself.
        name: Option<Cow<'a, str>>,
    },
    /// Authenticates the connection.
    Auth(Secret<'a>),
    /// Sets the connection's namespace, or shows it.
    Ns(Option<Cow<'a, str>>),
    /// Answers `OK`.
    Ping,
    /// Answers `OK` and closes.
    Quit,
    /// Lists the commands, or explains one.
    Help(Option<Verb>),
    /// Reads a value, or the place of it that `path` points at.
    Get {
        /// The key.
        key: Cow<'a, str>,
        /// The place within the value.
        path: Option<Pointer<'a>>,
    },
    /// Creates or replaces an entry.
    Set(Set<'a>),
    /// Reads an entry with all fields.
    Entry {
        /// The key.
        key: Cow<'a, str>,
    },
    /// Reads several values; 1 to [`KEYS_MAX`] keys.
    Mget {
        /// The keys, in order.
        keys: Vec<Cow<'a, str>>,
    },
    /// Deletes an entry.
    Del {
        /// The key.
        key: Cow<'a, str>,
        /// Delete only this version.
        version: Option<u64>,
        /// Answer with what was deleted.
        get: bool,
    },
    /// Counts live keys; 1 to [`KEYS_MAX`] of them.
    Exists {
        /// The keys; one named twice counts twice.
        keys: Vec<Cow<'a, str>>,
    },
    /// Tells the time left.
    Ttl {
        /// The key.
        key: Cow<'a, str>,
    },
    /// Gives a new expiry.
    Touch {
        /// The key.
        key: Cow<'a, str>,
        /// The new expiry.
        ttl: Ttl,
    },
    /// Takes the expiry away.
    Persist {
        /// The key.
        key: Cow<'a, str>,
    },
    /// Adds to a number.
    Incr(Incr<'a>),
    /// Merges into a value.
    Patch(Patch<'a>),
    /// Lists entries.
    List(List<'a>),
    /// Counts entries.
    Count {
        /// Only keys that begin so; empty for all.
        prefix: Cow<'a, str>,
    },
    /// Lists namespaces.
    Namespaces {
        /// Only namespaces that begin so; empty for all.
        prefix: Cow<'a, str>,
        /// Most lines to answer with, 1 to [`PAGE_MAX`].
        limit: usize,
        /// The namespace after which to go on.
        after: Option<String>,
    },
    /// Deletes entries.
    Delprefix {
        /// Those whose keys begin so; empty for all of the namespace.
        prefix: Cow<'a, str>,
        /// Only count them.
        dry: bool,
    },
    /// Checks versions and writes, all or nothing.
    Txn(Transaction<'a>),
    /// Follows changes. Only `QUIT` may come after it.
    Watch(Watch<'a>),
    /// Waits until everything before is durable.
    Sync,
    /// Tells counters.
    Stats,
    /// Reclaims disk space.
    Compact,
    /// Writes a backup.
    Backup {
        /// Its name, which is that of a directory: letters, digits, `.`, `_` and `-`, without a leading dot.
        name: Cow<'a, str>,
    },
    /// Manages organizations.
    Org(Org<'a>),
    /// Manages access keys.
    Key(Key<'a>),
}

/// The arguments of `SET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// The value: valid, compact, within its limits.
    pub json: Cow<'a, str>,
    /// The type, named and checked, or else derived from the value.
    pub value_type: ValueType,
    /// What becomes of the expiry.
    pub expiry: Expiry,
    /// What must hold for the set to happen.
    pub condition: Option<Condition>,
    /// The note; a set without one leaves the entry without one.
    pub description: Option<Cow<'a, str>>,
}

/// The arguments of `INCR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incr<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// What is added.
    pub by: i64,
    /// What an absent entry counts as.
    pub init: i64,
    /// The expiry of an entry that is created by this.
    pub ttl: Option<Ttl>,
}

/// The arguments of `PATCH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// The merge patch: valid, compact, within the limits of a value.
    pub json: Cow<'a, str>,
    /// Patch only this version.
    pub version: Option<u64>,
}

/// The arguments of `LIST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<'a> {
    /// Only keys that begin so; empty for all.
    pub prefix: Cow<'a, str>,
    /// Most entries to answer with, 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// The key after which to go on (before which, in reverse).
    pub after: Option<String>,
    /// From the last key to the first.
    pub reverse: bool,
    /// With the values.
    pub values: bool,
}

/// The arguments of `WATCH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch<'a> {
    /// Only keys that begin so; empty for all.
    pub prefix: Cow<'a, str>,
    /// In all namespaces of the organization.
    pub all: bool,
    /// Every change after this version; without, every change from now on.
    pub from: Option<u64>,
    /// With the values.
    pub values: bool,
}

/// What a set does to the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The entry will not expire: a set that says nothing.
    Clear,
    /// It keeps the expiry that it has.
    Keep,
    /// It gets this one.
    Set(Ttl),
}

/// What must hold of an entry for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No such live entry.
    Absent,
    /// A live entry, of any version.
    Present,
    /// A live entry of exactly this version.
    Version(u64),
}

/// A text that is not to be logged: its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<'a>(pub Cow<'a, str>);

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Command<'_> {
    /// The key, where the command is about one entry.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Set(set) => Some(&set.key),
            Self::Incr(incr) => Some(&incr.key),
            Self::Patch(patch) => Some(&patch.key),
            Self::Get { key, .. }
            | Self::Entry { key }
            | Self::Del { key, .. }
            | Self::Ttl { key }
            | Self::Touch { key, .. }
            | Self::Persist { key } => Some(key),
            _ => None,
        }
    }

    /// Whether the command may change the store.
    #[must_use]
    #[inline]
    pub fn writes(&self) -> bool {
        match self {
            Self::Delprefix { dry, .. } => !dry,
            command => command.verb().row().writes,
        }
    }

    /// The verb, and by it the row of the table.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Hello { .. } => Verb::Hello,
            Self::Auth(_) => Verb::Auth,
            Self::Ns(_) => Verb::Ns,
            Self::Ping => Verb::Ping,
            Self::Quit => Verb::Quit,
            Self::Help(_) => Verb::Help,
            Self::Get { .. } => Verb::Get,
            Self::Set(_) => Verb::Set,
            Self::Entry { .. } => Verb::Entry,
            Self::Mget { .. } => Verb::Mget,
            Self::Del { .. } => Verb::Del,
            Self::Exists { .. } => Verb::Exists,
            Self::Ttl { .. } => Verb::Ttl,
            Self::Touch { .. } => Verb::Touch,
            Self::Persist { .. } => Verb::Persist,
            Self::Incr(_) => Verb::Incr,
            Self::Patch(_) => Verb::Patch,
            Self::List(_) => Verb::List,
            Self::Count { .. } => Verb::Count,
            Self::Namespaces { .. } => Verb::Namespaces,
            Self::Delprefix { .. } => Verb::Delprefix,
            Self::Txn(_) => Verb::Txn,
            Self::Watch(_) => Verb::Watch,
            Self::Sync => Verb::Sync,
            Self::Stats => Verb::Stats,
            Self::Compact => Verb::Compact,
            Self::Backup { .. } => Verb::Backup,
            Self::Org(_) => Verb::Org,
            Self::Key(_) => Verb::Key,
        }
    }
}
