//! How a store is opened, with every limit, its unit and its default.

use crate::clock::{Clock, SystemClock};
use crate::compaction::Compaction;
use crate::disk::{Disk, RealDisk};
use crate::error::{Error, Result};
use crate::log::format::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::report::OpenProgress;
use crate::store::Store;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on stable storage: neither a crash of the process nor a power cut loses it.
    Durable,
    /// Once the operating system has it: a crash of the process loses nothing, a power cut at most what was written
    /// since the last sync, see [`Options::sync_interval`].
    Buffered,
}

/// Limits on what is stored. Crossing one is an error, and nothing is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest value, in bytes. Default 1 MiB, at most 16 MiB.
    pub value_bytes: usize,
    /// Longest description, in characters. Default 1,000, at most 16,000.
    pub description_characters: usize,
    /// Most operations in one transaction. Default 1,000.
    pub transaction_operations: usize,
    /// Most bytes of one transaction, as logged. Default 16 MiB, at most 64 MiB.
    pub transaction_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            value_bytes: 1 << 20,
            description_characters: 1000,
            transaction_operations: 1000,
            transaction_bytes: 16 << 20,
        }
    }
}

impl Limits {
    /// The limits, none of them beyond what the log format can hold.
    fn clamped(self) -> Limits {
        Limits {
            value_bytes: self.value_bytes.min(16 << 20),
            description_characters: self.description_characters.min(16_000),
            transaction_operations: self.transaction_operations,
            transaction_bytes: self.transaction_bytes.min(64 << 20),
        }
    }
}

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) sync_interval: Duration,
    pub(crate) segment_bytes: u64,
    pub(crate) reserve_bytes: u64,
    pub(crate) feed_retention_bytes: u64,
    pub(crate) pending_bytes_max: u64,
    pub(crate) max_index_bytes: u64,
    pub(crate) limits: Limits,
    pub(crate) compaction: Compaction,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) max_clock_jump: Duration,
    pub(crate) accept_clock: bool,
    pub(crate) create: bool,
    pub(crate) background: bool,
    pub(crate) on_progress: Option<Arc<OnProgress>>,
}

/// What is called as an open gets on.
pub(crate) type OnProgress = dyn Fn(OpenProgress) + Send + Sync;

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("durability", &self.durability)
            .field("sync_interval", &self.sync_interval)
            .field("segment_bytes", &self.segment_bytes)
            .field("feed_retention_bytes", &self.feed_retention_bytes)
            .field("pending_bytes_max", &self.pending_bytes_max)
            .field("max_index_bytes", &self.max_index_bytes)
            .field("limits", &self.limits)
            .field("compaction", &self.compaction)
            .field("clock", &self.clock)
            .field("max_clock_jump", &self.max_clock_jump)
            .field("accept_clock", &self.accept_clock)
            .field("create", &self.create)
            .field("background", &self.background)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            durability: Durability::Durable,
            sync_interval: Duration::from_secs(1),
            segment_bytes: 256 << 20,
            reserve_bytes: 8 << 20,
            feed_retention_bytes: 64 << 20,
            pending_bytes_max: 32 << 20,
            max_index_bytes: u64::MAX,
            limits: Limits::default(),
            compaction: Compaction::default(),
            clock: Arc::new(SystemClock),
            max_clock_jump: Duration::from_secs(366 * 86_400),
            accept_clock: false,
            create: true,
            background: true,
            on_progress: None,
        }
    }
}

impl Options {
    /// The defaults: durable, segments of 256 MiB, created if missing.
    pub fn new() -> Options {
        Options::default()
    }

    /// When a write is acknowledged. Default [`Durability::Durable`].
    pub fn durability(mut self, durability: Durability) -> Options {
        self.durability = durability;
        self
    }

    /// At level [`Durability::Buffered`], the time between two syncs, which is what a power cut can lose. Default 1 s.
    pub fn sync_interval(mut self, interval: Duration) -> Options {
        self.sync_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Size of a segment of the log, in bytes: 4 KiB to 2 GiB, default 256 MiB. A frame that does not fit gets a
    /// larger segment of its own.
    pub fn segment_bytes(mut self, bytes: u64) -> Options {
        self.segment_bytes = bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        self
    }

    /// Disk space that is kept so that deletes and compaction go on when the disk is full, in bytes: a file of that size
    /// is allocated beside the log, and made whole again before the log grows. Default 8 MiB, which is good for some
    /// 40,000 single deletes, and for compaction of segments with no more than that in use; 0 for none. With a reserve as
    /// large as a segment, whatever is dead can be reclaimed.
    pub fn reserve_bytes(mut self, bytes: u64) -> Options {
        self.reserve_bytes = bytes.min(SEGMENT_BYTES_MAX);
        self
    }

    /// How much of the newest log the change feed can be resumed from, in bytes. Default 64 MiB.
    pub fn feed_retention_bytes(mut self, bytes: u64) -> Options {
        self.feed_retention_bytes = bytes;
        self
    }

    /// How many bytes of the log may wait in memory for the disk before [`Store::admission`] holds back; as much again is taken
    /// if all of it is read meanwhile. Default 32 MiB.
    pub fn pending_bytes_max(mut self, bytes: u64) -> Options {
        self.pending_bytes_max = bytes.max(1);
        self
    }

    /// Estimated memory at which the index turns away new keys, in bytes. Default: no limit.
    pub fn max_index_bytes(mut self, bytes: u64) -> Options {
        self.max_index_bytes = bytes;
        self
    }

    /// Limits on what is stored.
    pub fn limits(mut self, limits: Limits) -> Options {
        self.limits = limits.clamped();
        self
    }

    /// When the log is compacted, and how fast.
    pub fn compaction(mut self, compaction: Compaction) -> Options {
        self.compaction = compaction.clamped();
        self
    }

    /// Where time comes from. Default [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Options {
        self.clock = clock;
        self
    }

    /// How far the wall clock may be ahead of the last time that the store knows of when it is opened: a clock that is
    /// absurdly far ahead would end every entry that has a deadline. Default 366 days; [`Duration::MAX`] for no limit.
    pub fn max_clock_jump(mut self, jump: Duration) -> Options {
        self.max_clock_jump = jump;
        self
    }

    /// Takes the wall clock as it is, however far ahead. For one open after [`Error::ClockAhead`], if the clock is right: the
    /// store's time never goes back behind it. Default false.
    pub fn accept_clock(mut self, accept: bool) -> Options {
        self.accept_clock = accept;
        self
    }

    /// Whether a store is created where there is none. Default true.
    pub fn create(mut self, create: bool) -> Options {
        self.create = create;
        self
    }

    /// Whether the store runs threads of its own. Without them (for tests that must be deterministic) every write has
    /// to be waited for with [`Pending::wait`](crate::Pending::wait), which then does the work itself. Default true.
    pub fn background(mut self, background: bool) -> Options {
        self.background = background;
        self
    }

    /// Has `tell` called as the open gets on, after each segment of the log, by any of the threads that load them.
    pub fn on_progress(mut self, tell: impl Fn(OpenProgress) + Send + Sync + 'static) -> Options {
        self.on_progress = Some(Arc::new(tell));
        self
    }

    /// Opens the store in `directory`.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotAStore`], [`Error::Missing`], [`Error::Damaged`], [`Error::Unsupported`],
    /// [`Error::ClockAhead`], [`Error::Denied`] or [`Error::Io`]; [`Error::NoSpace`] where there is not even room to create a store, or no
    /// descriptor left to read one. A store that is there opens on a full disk.
    pub fn open(self, directory: impl AsRef<Path>) -> Result<Store> {
        let directory = directory.as_ref();
        if !self.create && !directory.exists() {
            return Err(Error::Missing { location: directory.display().to_string() });
        }
        let disk = RealDisk::open(directory, self.create).map_err(|error| {
            let location = directory.display().to_string();
            Error::of_disk(format!("open the directory {location}"), location, error)
        })?;
        self.open_on(Arc::new(disk))
    }

    /// Opens the store on a disk, which may be a simulated one.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open_on(self, disk: Arc<dyn Disk>) -> Result<Store> {
        Store::open_with(self, disk)
    }
}
