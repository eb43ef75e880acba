//! Statistics: that each figure is what it says.

use crate::support::{HandClock, at, options, value};
use larder_engine::disk::sim::SimDisk;
use larder_engine::{Condition, Durability, Put, SegmentStats, Stats, Store};
use std::sync::Arc;

fn open(disk: &SimDisk, clock: &Arc<HandClock>) -> Store {
    let options = options(Durability::Buffered, clock).segment_bytes(4096);
    options.open_on(Arc::new(disk.clone())).unwrap()
}

fn put(store: &Store, key: &str, size: usize) {
    store.put(at(key), &Put::new(&value(1, size))).unwrap().unwrap();
}

fn sum(stats: &Stats, of: fn(&SegmentStats) -> u64) -> u64 {
    stats.segments.iter().map(of).sum()
}

#[test]
fn how_far_the_log_has_got() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    let marks = || {
        let stats = store.stats();
        (stats.sequence, stats.acknowledged_sequence, stats.durable_sequence)
    };
    assert_eq!((marks(), store.stats().syncs), ((0, 0, 0), 0));
    let pending = store.write(|writer| {
        for key in ["a", "b", "c"] {
            writer.put(at(key), &Put::new(b"1")).unwrap().unwrap();
        }
    });
    assert_eq!(marks(), (3, 0, 0));
    let waiting_bytes = store.stats().pending_bytes;
    assert!(waiting_bytes > 0);
    pending.wait().unwrap();
    assert_eq!((marks(), store.stats().syncs), ((3, 3, 0), 0));
    store.sync().wait().unwrap();
    let stats = store.stats();
    assert_eq!((marks(), stats.syncs), ((3, 3, 3), 1));
    assert_eq!(stats.sync_micros_log2.iter().sum::<u64>(), 1);
    assert!(stats.log_bytes >= waiting_bytes && !stats.failed);
}

#[test]
fn what_is_live_and_dead_and_what_compaction_did() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    (0..20).for_each(|key| put(&store, &format!("k{key:02}"), 500));
    let full = store.stats();
    let (bytes, live) = (sum(&full, |segment| segment.bytes), sum(&full, |segment| segment.live_bytes));
    assert_eq!((full.entries, full.tombstones, sum(&full, |segment| segment.dead_bytes)), (20, 0, 0));
    assert!(bytes == live && live > 20 * 500 && full.index_bytes > 0 && full.segments.len() > 2);

    (0..10).for_each(|key| put(&store, &format!("k{key:02}"), 500));
    store.delete(at("k19"), Condition::Always).unwrap().unwrap().unwrap();
    let stats = store.stats();
    assert_eq!((stats.entries, stats.tombstones), (19, 1));
    // A tombstone that covers something is neither live nor dead.
    assert_eq!(sum(&stats, |segment| segment.live_bytes), live / 20 * 19);
    assert_eq!(sum(&stats, |segment| segment.dead_bytes), live / 20 * 11);
    let all = sum(&stats, |segment| segment.bytes);
    assert_eq!(all, live / 20 * 30 + stats.tombstone_bytes);

    let found = store.read(|view| view.get(at("k00")).unwrap());
    let report = store.compact().unwrap();
    let stats = store.stats();
    let done = (stats.compaction.segments_in, stats.compaction.bytes_in, stats.compaction.bytes_out);
    assert_eq!(done, (report.segments_in, report.bytes_in, report.bytes_out));
    assert!(report.bytes_in > live / 2 && report.bytes_out > 0 && report.bytes_out < report.bytes_in);
    assert_eq!((stats.pinned_bytes, stats.tombstones), (report.bytes_in, 0));
    drop(found);
    assert_eq!(store.stats().pinned_bytes, 0);
    let after = store.stats();
    let sizes = (sum(&after, |segment| segment.bytes), sum(&after, |segment| segment.dead_bytes));
    assert_eq!(sizes, (live / 20 * 19, 0));

    store.close().unwrap();
    let store = open(&disk, &clock);
    let stats = store.stats();
    assert_eq!((stats.entries, sum(&stats, |segment| segment.live_bytes)), (19, live / 20 * 19));
    assert!(stats.recovery_time == store.report().duration && !stats.recovery_time.is_zero());
}
