//! The storage engine of Larder: a durable, ordered key-value store with expiry, to embed in a program.
//!
//! It is log-structured: every change is appended to a log of segments, an ordered index in memory knows where each
//! entry's newest record is. Values are bytes with a type tag. The engine has no runtime and no sockets; a write can
//! be blocked on or awaited.
//!
//! ```
//! use larder_engine::{Address, Condition, Put, Refusal, Store, Tenant};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let store = Store::open(directory)?;
//! let ada = Address::new(Tenant::DEFAULT, "users", "ada")?;
//!
//! // Durable when the call returns: this survives a power cut.
//! let written = store.put(ada, &Put::new(br#"{"born":1815}"#).description("countess"))?;
//! let version = written.expect("there was no condition").version;
//! assert_eq!(store.get(ada)?.expect("it was just set").value, br#"{"born":1815}"#);
//!
//! // Of all who hold the same version, one wins.
//! let swap = Put::new(br#"{"born":1815,"died":1852}"#).condition(Condition::Version(version));
//! let newer = store.put(ada, &swap)?.expect("nobody was faster").version;
//! assert_eq!(store.put(ada, &swap)?, Err(Refusal::Version { version: newer }));
//!
//! // Several changes, all or none.
//! store.transaction(|batch| {
//!     let entry = batch.entry(ada)?.expect("it is there");
//!     let copy = Address::new(Tenant::DEFAULT, "archive", "ada")?;
//!     batch.put(copy, &Put::new(&entry.value))?.expect("there was no condition");
//!     batch.delete(ada, Condition::Always)
//! })?;
//! assert_eq!(store.get(ada)?, None);
//! store.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Waiting
//! [`Store::read`] and [`Store::write`] do any number of operations at once and give a [`Pending`]: a future that needs
//! no particular runtime, and that can be waited for with [`Pending::wait`] as well. It is the only way to the result,
//! so that no answer gets out before what it depends on is as safe as [`Durability`] asks for. The verbs of [`Store`]
//! are these two with the waiting done.

pub mod disk;
pub mod log;
pub mod wheel;

mod address;
mod backup;
mod clock;
mod commit;
mod compaction;
mod draft;
mod entry;
mod error;
mod expiry;
mod feed;
mod flush;
mod index;
mod inspect;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod options;
mod plan;
mod recovery;
mod repair;
mod report;
mod restore;
mod shortage;
mod snapshot;
mod state;
mod store;
mod sync;
mod tail;
mod threads;
mod view;
mod writer;

pub use address::{Address, AddressError, KEY_BYTES_MAX, NAMESPACE_BYTES_MAX, Tenant, check_namespace};
pub use backup::{BackupReport, backup, backup_on};
pub use clock::{Clock, SystemClock};
pub use commit::{Admission, Pending};
pub use compaction::Compaction;
pub use draft::Transfer;
pub use entry::{Condition, Decision, Entry, Expiry, Put, Quota, Refusal, Stamp};
pub use error::{Error, Result};
pub use feed::{Change, ChangeKind, Changes, Feed, News, Watch};
pub use index::Key;
pub use inspect::{Inspection, inspect};
pub use options::{Durability, Limits, Options};
pub use repair::{
    Damage, EntryName, Event, LostEntry, SalvageOptions, SalvageReport, VerifyReport, Versions, salvage,
    salvage_on, verify, verify_on,
};
pub use report::{CompactionReport, OpenProgress, OpenReport, SYNC_BUCKETS, SegmentStats, Stats};
pub use restore::{RestoreReport, restore, restore_on};
pub use shortage::Shortage;
pub use snapshot::{Snapshot, SnapshotLimits, SnapshotPage};
pub use state::{Found, NamespacePage, NamespaceScan, Page, Passed, Scan, Values};
pub use store::Store;
pub use view::View;
pub use writer::{Cleared, Deleted, Transaction, Writer};
