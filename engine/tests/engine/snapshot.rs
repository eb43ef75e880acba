//! Snapshots: as it was, whatever happens meanwhile, and ended where a limit says so.

use crate::support::{Chance, Contents, HandClock, Model, TENANTS, assert_same, at, options, value};
use crate::workload::{Run, Step, random};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{OpKind, SimDisk};
use larder_engine::{
    Compaction, Error, NamespaceScan, Put, Result, Scan, Snapshot, SnapshotLimits, Store, Tenant,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn take(store: &Store) -> Snapshot {
    store.snapshot(SnapshotLimits::default()).wait().unwrap()
}

/// Reads all of a snapshot, in pages, in both directions.
fn dump(snapshot: &Snapshot) -> Result<Contents> {
    let mut contents = Contents::new();
    for tenant in (0..TENANTS).map(Tenant) {
        let all = NamespaceScan { prefix: "", after: None, limit: usize::MAX };
        for (namespace, count) in snapshot.namespaces(tenant, &all)?.items {
            let pages = |reverse: bool| -> Result<Vec<_>> {
                let (mut items, mut after) = (Vec::new(), None::<String>);
                loop {
                    let after_key = after.as_deref();
                    let scan =
                        Scan { namespace: &namespace, prefix: "", after: after_key, reverse, limit: 2 };
                    let page = snapshot.scan(tenant, &scan)?;
                    after = page.items.last().map(|(key, _)| key.to_string());
                    items.extend(page.items);
                    if !page.more {
                        return Ok(items);
                    }
                }
            };
            let (forward, mut backward) = (pages(false)?, pages(true)?);
            backward.reverse();
            assert_eq!(forward, backward, "{namespace}");
            assert_eq!(forward.len() as u64, count, "{namespace}");
            assert_eq!(snapshot.count(tenant, &namespace, "")?, count);
            for (key, entry) in forward {
                let place = (tenant.0, namespace.clone(), key.to_string());
                assert_eq!(snapshot.get(crate::support::address(&place))?.as_ref(), Some(&entry));
                contents.insert(place, entry);
            }
        }
    }
    Ok(contents)
}

#[test]
fn snapshots_stay_what_they_were() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let mut run = Run::new(&disk, if seed % 2 == 0 { Durable } else { Buffered });
        let mut chance = Chance::new(seed);
        let mut snapshots: Vec<(Snapshot, Arc<Model>)> = Vec::new();
        run.open().unwrap();
        for (number, step) in random(seed, 40).iter().enumerate() {
            if matches!(step, Step::Reopen) {
                let closed = std::mem::take(&mut snapshots);
                run.step(step).unwrap();
                for (snapshot, _) in closed {
                    assert!(matches!(dump(&snapshot), Err(Error::Closed)));
                }
                continue;
            }
            run.step(step).unwrap();
            if chance.below(3) == 0 {
                let state = Arc::clone(&run.history.states[run.history.last()]);
                snapshots.push((take(run.store()), state));
            }
            if chance.below(6) == 0 && !snapshots.is_empty() {
                snapshots.swap_remove(usize::try_from(chance.below(snapshots.len() as u64)).unwrap());
            }
            for (snapshot, model) in &snapshots {
                let context = format!("seed {seed}, step {number}, version {}", snapshot.version());
                assert_same(&dump(snapshot).unwrap(), &model.live(snapshot.now_ms()), &context);
            }
        }
        drop(snapshots);
        assert_eq!((run.store().stats().snapshots, run.store().stats().pinned_bytes), (0, 0), "seed {seed}");
        run.close().unwrap();
    }
}

/// Two entries always have the same value, in every snapshot, with writers and compaction at work in threads.
#[test]
fn snapshots_are_consistent_under_load() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let options = options(Buffered, &clock).background(true).segment_bytes(16 << 10);
    let compaction = Compaction { space_amplification: 1.1, bytes_per_second: 0, ..Compaction::default() };
    let store = options.compaction(compaction).open_on(Arc::new(disk)).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..2_u64 {
            let (store, over) = (&store, &over);
            scope.spawn(move || {
                let names = [format!("left{writer}"), format!("right{writer}")];
                for round in 0.. {
                    let value = value(round * 2 + writer, 700);
                    let both: Result<()> = store.transaction(|batch| {
                        names.iter().try_for_each(|name| batch.put(at(name), &Put::new(&value)).map(drop))
                    });
                    both.unwrap();
                    if round > 100 && over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for _ in 0..150 {
            let snapshot = take(&store);
            let pair = |writer: u64| {
                ["left", "right"].map(|side| snapshot.get(at(&format!("{side}{writer}"))).unwrap())
            };
            let first: Vec<_> = (0..2).map(pair).collect();
            for [left, right] in &first {
                assert_eq!(left.as_ref().map(|entry| &entry.value), right.as_ref().map(|entry| &entry.value));
            }
            assert_eq!((0..2).map(pair).collect::<Vec<_>>(), first);
        }
        over.store(true, Ordering::Relaxed);
    });
    store.compact().unwrap();
    assert!(store.stats().compaction.segments_in > 0);
    // Until it has ended, the store's thread may be reading a segment to write its hint.
    store.clone().close().unwrap();
    assert_eq!(store.stats().pinned_bytes, 0);
}

/// A snapshot that goes beyond its limits says so, and costs nothing any more.
#[test]
fn snapshots_end_at_their_limits() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = options(Durable, &clock).segment_bytes(4096).open_on(Arc::new(disk.clone())).unwrap();
    let put_all = |size| {
        for number in 0..20 {
            store.put(at(&format!("k{number}")), &Put::new(&value(1, size))).unwrap().unwrap();
        }
    };
    put_all(500);
    let limits = |limits: SnapshotLimits| store.snapshot(limits).wait().unwrap();
    let small = limits(SnapshotLimits { overlay_bytes: 1000, ..SnapshotLimits::default() });
    let pinning = limits(SnapshotLimits { pinned_bytes: 5000, ..SnapshotLimits::default() });
    let old = limits(SnapshotLimits { age: Duration::ZERO, ..SnapshotLimits::default() });
    let whole = take(&store);
    let version = whole.version();
    let expected = dump(&whole).unwrap();

    let ended = |snapshot: &Snapshot| match snapshot.get(at("k1")) {
        Err(Error::SnapshotEnded { version: ended, .. }) => ended == version,
        Err(error) => panic!("{error}"),
        Ok(_) => false,
    };
    assert!(ended(&old) && !ended(&small) && !ended(&pinning));
    put_all(400);
    assert!(ended(&small) && !ended(&pinning));
    store.compact().unwrap();
    assert!(ended(&pinning) && !ended(&whole));
    assert_eq!(dump(&whole).unwrap(), expected);

    // What a snapshot keeps is off the disk as soon as it is let go of.
    assert!(store.stats().pinned_bytes > 5000);
    let before = disk.used_bytes();
    drop((small, pinning, old, whole));
    assert_eq!((store.stats().pinned_bytes, store.stats().snapshots), (0, 0));
    assert!(disk.used_bytes() + 5000 < before, "{} of {before}", disk.used_bytes());
    store.close().unwrap();
}

/// In the background a snapshot that is too old lets go of what it keeps, also if nobody reads or drops it.
#[test]
fn an_old_snapshot_keeps_nothing() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let options = options(Durable, &clock).segment_bytes(4096);
    let options = options.background(true).sync_interval(Duration::from_millis(1));
    let store = options.open_on(Arc::new(disk)).unwrap();
    for number in 0..40 {
        store.put(at(&format!("k{}", number % 20)), &Put::new(&value(1, 500))).unwrap().unwrap();
    }
    // Old enough for this, unless the machine is very slow.
    let age = Duration::from_millis(300);
    let snapshot = store.snapshot(SnapshotLimits { age, ..SnapshotLimits::default() }).wait().unwrap();
    store.compact().unwrap();
    // It is waited for, however long it takes: there is no other end to it.
    while store.stats().pinned_bytes > 0 || snapshot.get(at("k1")).is_ok() {
        thread::yield_now();
    }
    assert!(matches!(snapshot.get(at("k1")), Err(Error::SnapshotEnded { .. })));
    assert_eq!(store.stats().snapshots, 1, "it is there, and empty");
}

/// A snapshot is given out once everything in it is durable, and stays when the log fails after that.
#[test]
fn snapshots_and_failures() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = options(Durable, &clock).open_on(Arc::new(disk.clone())).unwrap();
    store.put(at("a"), &Put::new(b"1")).unwrap().unwrap();
    let before = take(&store);
    disk.fail_next(OpKind::Sync, larder_engine::disk::sim::Fault::Eio);
    let write = store.write(|writer| writer.put(at("a"), &Put::new(b"2")).map(drop));
    let during = store.snapshot(SnapshotLimits::default());
    assert!(write.wait().is_err() && during.wait().is_err());
    let value = |snapshot: &Snapshot| snapshot.get(at("a")).unwrap().unwrap().value;
    assert_eq!(value(&before), b"1");
    assert_eq!(value(&take(&store)), b"1", "of the acknowledged state");
}
