//! The reply to `STATS`: counters of the server and figures of its store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_engine::{SegmentStats, Stats};
use serde::Serialize;

use crate::shared::{Shared, durability_name};

/// Units come last in the names; what has none is a number of things.
#[derive(Serialize)]
struct Object {
    version: &'static str,
    uptime_ms: u64,
    durability: &'static str,
    connections: usize,
    connections_max: u32,
    connections_accepted: u64,
    connections_refused: u64,
    watchers: u64,
    watchers_cut: u64,
    commands: u64,
    errors: u64,
    entries: u64,
    timed_entries: u64,
    overdue_entries: u64,
    index_bytes: u64,
    tombstones: u64,
    tombstone_bytes: u64,
    segments: usize,
    log_bytes: u64,
    live_bytes: u64,
    dead_bytes: u64,
    snapshots: usize,
    pinned_bytes: u64,
    feed_floor: u64,
    compaction_segments_in: usize,
    compaction_bytes_in: u64,
    compaction_segments_out: usize,
    compaction_bytes_out: u64,
    compaction_records_dropped: u64,
    compaction_tombstones_dropped: u64,
    compaction_damaged: usize,
    compaction_ms: u64,
    recovery_ms: u64,
    pending_bytes: u64,
    newest_version: u64,
    acknowledged_version: u64,
    durable_version: u64,
    syncs: u64,
    /// Syncs that took less than 2^i microseconds, and at least half of that, by i.
    sync_micros_log2: Vec<u64>,
    expired: u64,
    /// From the deadline to the record in the log, in the same way.
    expiry_lag_micros_log2: Vec<u64>,
    failed: bool,
    short_of_space: bool,
}

/// The JSON after `OK`.
pub(crate) fn object(shared: &Shared) -> Vec<u8> {
    let Stats {
        entries,
        index_bytes,
        tombstones,
        tombstone_bytes,
        segments,
        log_bytes,
        snapshots,
        pinned_bytes,
        feeds: _,
        feed_floor,
        compaction,
        pending_bytes,
        sequence,
        acknowledged_sequence,
        durable_sequence,
        syncs,
        sync_micros_log2,
        timed_entries,
        overdue_entries,
        expired,
        expiry_lag_micros_log2,
        recovery_time,
        failed,
        short_of_space,
    } = shared.store.stats();
    let of_segments = |bytes: fn(&SegmentStats) -> u64| segments.iter().map(bytes).sum();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &shared.counters;
    let object = Object {
        version: env!("CARGO_PKG_VERSION"),
        uptime_ms: millis(shared.started.elapsed()),
        durability: durability_name(shared.durability),
        connections: shared.connections(),
        connections_max: shared.terms.connections_max,
        connections_accepted: count(&counters.accepted),
        connections_refused: count(&counters.refused),
        watchers: shared.watchers.count(),
        watchers_cut: shared.watchers.cut_count(),
        commands: count(&counters.commands),
        errors: count(&counters.errors),
        entries,
        timed_entries,
        overdue_entries,
        index_bytes,
        tombstones,
        tombstone_bytes,
        segments: segments.len(),
        log_bytes,
        live_bytes: of_segments(|segment| segment.live_bytes),
        dead_bytes: of_segments(|segment| segment.dead_bytes),
        snapshots,
        pinned_bytes,
        feed_floor,
        compaction_segments_in: compaction.segments_in,
        compaction_bytes_in: compaction.bytes_in,
        compaction_segments_out: compaction.segments_out,
        compaction_bytes_out: compaction.bytes_out,
        compaction_records_dropped: compaction.records_dropped,
        compaction_tombstones_dropped: compaction.tombstones_dropped,
        compaction_damaged: compaction.damaged.len(),
        compaction_ms: millis(compaction.duration),
        recovery_ms: millis(recovery_time),
        pending_bytes,
        newest_version: sequence,
        acknowledged_version: acknowledged_sequence,
        durable_version: durable_sequence,
        syncs,
        sync_micros_log2: sync_micros_log2.to_vec(),
        expired,
        expiry_lag_micros_log2: expiry_lag_micros_log2.to_vec(),
        failed,
        short_of_space,
    };
    // Numbers and fixed texts: there is nothing in it that could fail to be written.
    serde_json::to_vec(&object).unwrap_or_default()
}
