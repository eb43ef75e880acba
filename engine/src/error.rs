//! What can go wrong, in kinds that a caller can tell apart.

use crate::address::AddressError;
use crate::clock::utc;
use crate::shortage::Shortage;
use std::io;
use std::sync::Arc;
use thiserror::Error;

/// An error of the engine. Unless it says otherwise, nothing was changed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// Namespace or key are not acceptable.
    #[error(transparent)]
    Address(#[from] AddressError),

    /// The value is longer than [`Limits::value_bytes`](crate::Limits::value_bytes).
    #[error("the value has {length} bytes; at most {limit} are allowed")]
    ValueTooLarge {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },

    /// The tenant has as many entries as its [`Quota`](crate::Quota) allows; replacing one goes on.
    #[error("all {limit} entries are taken; delete some, or raise the limit")]
    QuotaReached {
        /// The limit.
        limit: u64,
    },

    /// The description is longer than [`Limits::description_characters`](crate::Limits::description_characters).
    #[error("the description has {characters} characters; at most {limit} are allowed")]
    DescriptionTooLong {
        /// Its length in characters.
        characters: usize,
        /// The limit in characters.
        limit: usize,
    },

    /// A transaction has more operations, or more bytes, than one atomic write may have.
    #[error(
        "the transaction has {operations} operations of {bytes} bytes; at most {operations_max} of {bytes_max} are allowed"
    )]
    TransactionTooLarge {
        /// Operations so far.
        operations: usize,
        /// Bytes so far.
        bytes: usize,
        /// Most operations.
        operations_max: usize,
        /// Most bytes.
        bytes_max: usize,
    },

    /// A deadline that is not in the future.
    #[error("the expiry time {deadline_ms} is not in the future; now is {now_ms} (Unix milliseconds)")]
    DeadlinePassed {
        /// The deadline asked for.
        deadline_ms: u64,
        /// The engine's time.
        now_ms: u64,
    },

    /// Another process, or another handle of this one, has the store open.
    #[error(
        "the store in {location} is in use by another process; stop that one, or choose another directory"
    )]
    InUse {
        /// The directory.
        location: String,
    },

    /// The directory holds something, but no store.
    #[error(
        "{location} is not a Larder store: it has no MANIFEST but holds {found:?}; choose an empty or a new directory"
    )]
    NotAStore {
        /// The directory.
        location: String,
        /// A file found there.
        found: String,
    },

    /// The directory holds a backup, which is not to be opened itself: it must stay what it is.
    #[error(
        "{location} holds a backup, no store; put it into a new directory with `larder restore` and open that"
    )]
    IsBackup {
        /// The directory.
        location: String,
    },

    /// There is no complete backup to restore.
    #[error(
        "there is no complete backup in {location}: it has no BACKUP file; name the directory of another one"
    )]
    NotABackup {
        /// The directory.
        location: String,
    },

    /// A backup or a restore into the directory was interrupted.
    #[error("{location} holds what an interrupted {what} left; do that again, or remove the directory")]
    Unfinished {
        /// The directory.
        location: String,
        /// Which of the two.
        what: &'static str,
    },

    /// A backup, or a restored store, needs a directory of its own.
    #[error("{location} is not empty, it holds {found:?}; name an empty or a new directory")]
    NotEmpty {
        /// The directory.
        location: String,
        /// A file found there.
        found: String,
    },

    /// A backup in the directory of its store, or a store in that of a backup, would be lost with it.
    #[error("{location} lies within {within}; name a directory outside of it")]
    Inside {
        /// The directory to be written.
        location: String,
        /// The one that is read.
        within: String,
    },

    /// There is no store, and none was to be created.
    #[error("there is no store in {location}")]
    Missing {
        /// The directory.
        location: String,
    },

    /// The machine's clock is further ahead of the last time that the store knows of than
    /// [`Options::max_clock_jump`](crate::Options::max_clock_jump) allows.
    #[error(
        "the machine's clock says {}, more than {} days after {}, the last time that the store knows of: if it is wrong, \
         set it right; if it is right, open the store once with --accept-clock (Options::accept_clock), whereupon all \
         entries expire whose deadline has passed by then",
        utc(*wall_ms), jump_max_ms / 86_400_000, utc(*mark_ms)
    )]
    ClockAhead {
        /// What the clock says, in milliseconds since the Unix epoch.
        wall_ms: u64,
        /// The last time that the store knows of, likewise.
        mark_ms: u64,
        /// How far ahead it may be, in milliseconds.
        jump_max_ms: u64,
    },

    /// The store was written by a newer version.
    #[error(
        "{file} has format version {version} with features {features:#x}, which this release does not know; use the release that wrote it, or a newer one"
    )]
    Unsupported {
        /// The file.
        file: String,
        /// Its format version.
        version: u16,
        /// Its feature bits.
        features: u32,
    },

    /// Stored bytes are not what was written.
    #[error("{file} is damaged at byte {offset}: {what}; restore a backup or salvage what is intact")]
    Damaged {
        /// The file.
        file: String,
        /// Position in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },

    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// Its answer.
        source: Arc<io::Error>,
    },

    /// The disk is full, or a limit is reached, so that the log cannot grow. Reads go on, deletes too as far as the
    /// [reserve](crate::Options::reserve_bytes) goes, and writes resume by themselves once there is room; a backup or
    /// restore has to be done again.
    #[error(
        "{shortage} in {location}; {}: writing resumes by itself, a backup or restore is to be repeated",
        shortage.remedy()
    )]
    NoSpace {
        /// The directory.
        location: String,
        /// What there is not enough of.
        shortage: Shortage,
    },

    /// The directory, or a file in it, cannot be read and written by this user.
    #[error(
        "cannot {what}: {source}; {location} and the files in it must be readable and writable for this user"
    )]
    Denied {
        /// What was attempted.
        what: String,
        /// The directory.
        location: String,
        /// The operating system's answer.
        source: Arc<io::Error>,
    },

    /// The index has reached [`Options::max_index_bytes`](crate::Options::max_index_bytes): no new keys.
    #[error(
        "the index holds about {bytes} bytes, its limit is {limit}: new keys are refused until some are deleted"
    )]
    IndexFull {
        /// Estimated size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },

    /// The log failed while this write was under way: it may or may not be there after a restart.
    #[error(
        "the log failed while this was under way ({cause}): it may or may not have happened; restart to find out"
    )]
    InDoubt {
        /// The first failure.
        cause: Arc<str>,
    },

    /// The log failed earlier: the store answers reads at the last acknowledged state, and no writes.
    #[error("the store stopped writing after a failure ({cause}); mend the cause and restart")]
    Failed {
        /// The first failure.
        cause: Arc<str>,
    },

    /// The snapshot has gone beyond one of its [limits](crate::SnapshotLimits).
    #[error(
        "the snapshot of version {version} has ended: {why}; take another one, with higher limits if need be"
    )]
    SnapshotEnded {
        /// Its version.
        version: u64,
        /// Which limit.
        why: &'static str,
    },

    /// The change feed cannot go on after this version: compaction has dropped changes above it.
    #[error(
        "the log no longer has every change after version {version}; the lowest to go on after is {floor}"
    )]
    Compacted {
        /// The version after which changes were asked for.
        version: u64,
        /// The lowest version after which they can be had.
        floor: u64,
    },

    /// The change feed cannot begin after a version that this store has not reached.
    #[error("version {version} is above {newest}, the newest of this store: it is not one of this store's")]
    VersionAhead {
        /// The version after which changes were asked for.
        version: u64,
        /// The newest version.
        newest: u64,
    },

    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// The engine's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Error {
        Error::Io { what: what.into(), source: Arc::new(source) }
    }

    /// As [`Error::io`], with those told apart that are about the directory at `location` as a whole.
    pub(crate) fn of_disk(what: impl Into<String>, location: String, source: io::Error) -> Error {
        if let Some(shortage) = Shortage::of(&source) {
            return Error::NoSpace { location, shortage };
        }
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Error::Denied { what: what.into(), location, source: Arc::new(source) }
            }
            _ => Error::io(what, source),
        }
    }

    pub(crate) fn damaged(file: impl Into<String>, offset: u64, what: &'static str) -> Error {
        Error::Damaged { file: file.into(), offset, what }
    }
}
