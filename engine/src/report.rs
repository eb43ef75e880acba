//! What the store tells about itself.

use crate::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What opening a store found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Entries, those past their deadline included.
    pub entries: u64,
    /// Segments read.
    pub segments: usize,
    /// Bytes of log read.
    pub log_bytes: u64,
    /// Whether the store was new.
    pub created: bool,
    /// Whether the store was closed in order the last time.
    pub clean: bool,
    /// Bytes at the end of the log that an interrupted write left, and that were cut off.
    pub cut_bytes: u64,
    /// Files found that are not part of the store, and were renamed to end in `.orphan`.
    pub set_aside: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

/// How far an open has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenProgress {
    /// Bytes of sealed log that were loaded.
    pub bytes_done: u64,
    /// Bytes of sealed log that there are.
    pub bytes_total: u64,
}

/// Figures about a store at work.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Entries, those past their deadline but not yet reclaimed included.
    pub entries: u64,
    /// Estimated memory of the index, in bytes.
    pub index_bytes: u64,
    /// Delete and expire records that are the newest of their address.
    pub tombstones: u64,
    /// Their bytes in the log.
    pub tombstone_bytes: u64,
    /// The segments of the log, by number.
    pub segments: Vec<SegmentStats>,
    /// Bytes of log written.
    pub log_bytes: u64,
    /// Snapshots that live.
    pub snapshots: usize,
    /// Bytes of segments that are no longer part of the log, but still being read.
    pub pinned_bytes: u64,
    /// Change feeds that are open.
    pub feeds: u64,
    /// The lowest version after which the change feed can be resumed.
    pub feed_floor: u64,
    /// What compaction has done since the store was opened.
    pub compaction: CompactionReport,
    /// Bytes of log in memory, not yet acknowledged.
    pub pending_bytes: u64,
    /// Version of the newest change, acknowledged or not.
    pub sequence: u64,
    /// Version up to which changes are acknowledged.
    pub acknowledged_sequence: u64,
    /// Version up to which changes are on stable storage.
    pub durable_sequence: u64,
    /// Syncs of the log since the store was opened.
    pub syncs: u64,
    /// How many of them took less than 2^i microseconds, and at least half of that, by i; the last also counts longer
    /// ones.
    pub sync_micros_log2: [u64; SYNC_BUCKETS],
    /// Entries that have a deadline, those past it but not yet reclaimed included.
    pub timed_entries: u64,
    /// Entries that are past their deadline and not yet reclaimed, as far as the expirer has come across them: how far it is
    /// behind.
    pub overdue_entries: u64,
    /// Entries that were expired since the store was opened, but for those that were written to before.
    pub expired: u64,
    /// How long after their deadline that was logged, in the manner of `sync_micros_log2`.
    pub expiry_lag_micros_log2: [u64; SYNC_BUCKETS],
    /// How long opening the store took, recovery included.
    pub recovery_time: Duration,
    /// Whether the log has failed.
    pub failed: bool,
    /// Whether there was no room for the log to grow when that was last tried: puts are refused with
    /// [`Error::NoSpace`](crate::Error::NoSpace) once its last segment is full.
    pub short_of_space: bool,
}

/// Figures about a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// Its number.
    pub segment: u32,
    /// Bytes of its records.
    pub bytes: u64,
    /// Bytes of records that are the newest of their entry.
    pub live_bytes: u64,
    /// Bytes that compaction would win: all but those, and but tombstones that still cover an older record.
    pub dead_bytes: u64,
}

/// What compaction did.
#[derive(Debug, Clone, Default)]
pub struct CompactionReport {
    /// Segments that it has replaced.
    pub segments_in: usize,
    /// Their bytes.
    pub bytes_in: u64,
    /// Segments that it has made of them.
    pub segments_out: usize,
    /// Their bytes.
    pub bytes_out: u64,
    /// Records dropped because a newer one of their address exists.
    pub records_dropped: u64,
    /// Delete and expire records dropped because they covered nothing any more.
    pub tombstones_dropped: u64,
    /// Damaged places met; their segments stay as they are.
    pub damaged: Vec<Error>,
    /// How long it took.
    pub duration: Duration,
}

impl CompactionReport {
    pub(crate) fn add(&mut self, other: &CompactionReport) {
        self.segments_in += other.segments_in;
        self.bytes_in += other.bytes_in;
        self.segments_out += other.segments_out;
        self.bytes_out += other.bytes_out;
        self.records_dropped += other.records_dropped;
        self.tombstones_dropped += other.tombstones_dropped;
        self.damaged.extend_from_slice(&other.damaged);
        self.duration += other.duration;
    }
}

/// Buckets of a histogram of times: the last begins at about 8 s.
pub const SYNC_BUCKETS: usize = 25;

/// Histogram of times.
#[derive(Debug, Default)]
pub(crate) struct Times([AtomicU64; SYNC_BUCKETS]);

impl Times {
    pub(crate) fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.0[bucket.min(SYNC_BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> [u64; SYNC_BUCKETS] {
        std::array::from_fn(|bucket| self.0[bucket].load(Ordering::Relaxed))
    }
}
