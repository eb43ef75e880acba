//! Compaction: what it reclaims, what it leaves alone, and what it gives back.

use crate::support::{Chance, HandClock, RESERVE_BYTES, assert_same, at, dump, options, value};
use crate::workload::Run;
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{Fault, SimDisk, Survival};
use larder_engine::log::header::{HEADER_BYTES, SegmentHeader, SegmentKind};
use larder_engine::{Compaction, Condition, Error, Options, Put, Store};
use std::sync::Arc;

const SEGMENT_BYTES: u64 = 4096;

fn small(clock: &Arc<HandClock>) -> Options {
    options(Buffered, clock).segment_bytes(SEGMENT_BYTES)
}

fn open(disk: &SimDisk, clock: &Arc<HandClock>) -> Store {
    small(clock).open_on(Arc::new(disk.clone())).unwrap()
}

fn put(store: &Store, key: &str, seed: u64, size: usize) {
    store.put(at(key), &Put::new(&value(seed, size))).unwrap().unwrap();
}

fn delete(store: &Store, key: &str) {
    store.delete(at(key), Condition::Always).unwrap().unwrap().unwrap();
}

fn segments(disk: &SimDisk) -> Vec<String> {
    disk.file_names().into_iter().filter(|name| name.ends_with(".seg")).collect()
}

fn dead_bytes(store: &Store) -> u64 {
    store.stats().segments.iter().map(|segment| segment.dead_bytes).sum()
}

#[test]
fn everything_dead_is_reclaimed_and_nothing_else() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    for round in 0..10 {
        (0..20).for_each(|key| put(&store, &format!("k{key}"), round, 300));
    }
    (0..10).for_each(|key| delete(&store, &format!("k{key}")));
    let expected = dump(&store).unwrap();
    assert_eq!(store.stats().tombstones, 10);

    let report = store.compact().unwrap();
    assert_eq!((report.records_dropped, report.tombstones_dropped), (190, 10));
    assert!(report.bytes_in > report.bytes_out && report.segments_out <= 2, "{report:?}");
    let stats = store.stats();
    assert_eq!((stats.tombstones, stats.tombstone_bytes, dead_bytes(&store)), (0, 0, 0));
    assert_same(&dump(&store).unwrap(), &expected, "afterwards");
    // The outputs, and the segment in use.
    assert_eq!(segments(&disk).len(), report.segments_out + 1, "{:?}", disk.file_names());

    // There is nothing more to do.
    let again = store.compact().unwrap();
    assert_eq!((again.segments_in, again.bytes_out), (0, 0));
    store.close().unwrap();
    let store = open(&disk, &clock);
    assert_same(&dump(&store).unwrap(), &expected, "after opening");
    assert_eq!(store.stats().tombstones, 0);
}

/// With nothing left, nothing is left.
#[test]
fn a_store_whose_entries_are_all_deleted_takes_no_space() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    for key in 0..100 {
        put(&store, &format!("k{key}"), key, 300);
        delete(&store, &format!("k{key}"));
    }
    store.compact().unwrap();
    store.close().unwrap();
    assert_eq!(disk.file_names(), ["MANIFEST", "RESERVE"]);
    assert_eq!(open(&disk, &clock).stats().entries, 0);
}

/// An overdue entry without its expire record is live: it ends when somebody says so.
#[test]
fn what_is_overdue_stays_until_its_expiry_is_logged() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    let soon = store.read(|view| view.now_ms()).wait().unwrap() + 50;
    for key in 0..10 {
        let value = value(key, 300);
        store.put(at(&format!("k{key}")), &Put::new(&value).expires_at(soon)).unwrap().unwrap();
    }
    clock.pass(100);
    assert!(store.get(at("k1")).unwrap().is_none());
    assert_eq!(store.compact().unwrap().records_dropped, 0);
    assert_eq!(store.stats().entries, 10);
    (0..10).for_each(|key| put(&store, &format!("k{key}"), key, 10));
    let report = store.compact().unwrap();
    assert_eq!((report.records_dropped, report.tombstones_dropped), (20, 0), "put and expire record of each");
    assert_eq!(store.stats().entries, 10);
}

/// Entries that expire together are put together, those that never do last.
#[test]
fn outputs_are_ordered_by_the_hour_of_the_deadline() {
    const HOUR_MS: u64 = 3_600_000;
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    let now = store.read(|view| view.now_ms()).wait().unwrap();
    for step in [1, 5] {
        for key in (0..60_u64).step_by(step) {
            let value = value(key, 250);
            let put = Put::new(&value);
            let put = if key % 4 == 0 { put } else { put.expires_at(now + HOUR_MS * (key % 4) * 10) };
            store.put(at(&format!("k{key}")), &put).unwrap().unwrap();
        }
    }
    store.compact().unwrap();
    store.close().unwrap();
    let mut hours = Vec::new();
    for name in segments(&disk) {
        let bytes = disk.read_file(&name).unwrap();
        let header = SegmentHeader::decode(&bytes).unwrap();
        if header.kind == SegmentKind::Log {
            // Nothing in it was dead.
            continue;
        }
        let keys = (0..60_u64).filter(|key| is_in(&bytes, *key));
        hours.push((header.segment, keys.map(|key| (key % 4 + 3) % 4).collect::<Vec<_>>()));
    }
    hours.sort_unstable();
    for pair in hours.windows(2) {
        let (last, first) = (pair[0].1.iter().max(), pair[1].1.iter().min());
        assert!(last <= first, "{hours:?}");
    }
    assert!(hours.len() > 3);
}

/// What expires in the same hour goes as whole segments, of which not a byte is copied again.
#[test]
fn segments_that_have_expired_as_a_whole_are_unlinked() {
    const HOUR_MS: u64 = 3_600_000;
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    let now = store.read(|view| view.now_ms()).wait().unwrap();
    // Something dies in each segment, so that all of them are compacted.
    for step in [1, 5] {
        for key in (0..120_u64).step_by(step) {
            let value = value(key, 250);
            let put = Put::new(&value).expires_at(now + HOUR_MS * (key % 2 * 10 + 1));
            store.put(at(&format!("k{key}")), &put).unwrap().unwrap();
        }
    }
    let copied = store.compact().unwrap();
    assert!(copied.bytes_out > 7 * SEGMENT_BYTES, "{copied:?}");
    clock.pass(2 * HOUR_MS);
    assert_eq!(store.expire_due().unwrap(), 60);
    let expected = dump(&store).unwrap();
    store.compact_as_needed().unwrap();
    let done = store.stats().compaction;
    let (gone, copied_again) = (done.bytes_in - copied.bytes_in, done.bytes_out - copied.bytes_out);
    assert!(gone > 3 * SEGMENT_BYTES && copied_again == 0, "{gone}, {copied_again}");
    assert_same(&dump(&store).unwrap(), &expected, "afterwards");
}

/// Whether a segment holds a record of the key.
fn is_in(bytes: &[u8], key: u64) -> bool {
    let name = format!("defaultk{key}");
    let ends = |at: usize| bytes.get(at + name.len()).is_none_or(|byte| !byte.is_ascii_digit());
    bytes.windows(name.len()).enumerate().any(|(at, window)| window == name.as_bytes() && ends(at))
}

/// On a doubt about an input the input stays: nothing of it is lost, and the rest is compacted.
#[test]
fn a_damaged_segment_stays_as_it_is() {
    for seed in 0..20 {
        let (disk, clock) = (SimDisk::new(seed), HandClock::new());
        let store = open(&disk, &clock);
        for round in 0..4 {
            (0..12).for_each(|key| put(&store, &format!("k{key}"), round, 700));
        }
        let expected = dump(&store).unwrap();
        let names = segments(&disk);
        let mut chance = Chance::new(seed);
        let name = names[usize::try_from(chance.below(names.len() as u64 - 1)).unwrap()].clone();
        let before = disk.read_file(&name).unwrap();
        let used = before.iter().rposition(|byte| *byte != 0).unwrap() as u64;
        let offset = HEADER_BYTES as u64 + chance.below(used - HEADER_BYTES as u64);
        disk.flip_bit(&name, offset, u32::try_from(chance.below(8)).unwrap()).unwrap();
        let damaged = disk.read_file(&name).unwrap();

        let report = store.compact().unwrap();
        let context = format!("seed {seed}, {name} at {offset}: {report:?}");
        let in_footer = report.damaged.is_empty();
        if !in_footer {
            assert!(
                matches!(&report.damaged[..], [Error::Damaged { file, .. }] if *file == name),
                "{context}"
            );
            let after = disk.read_file(&name).unwrap();
            let used = usize::try_from(used).unwrap();
            assert!(after[..=used] == damaged[..=used], "{context}");
            assert!(!segments(&disk).contains(&names[0]) || name == names[0], "{context}");
        }
        // It is not tried again and again.
        assert!(store.compact().unwrap().damaged.is_empty(), "{context}");
        for (place, entry) in &expected {
            match store.get(at(&place.2)) {
                Ok(found) => assert_eq!(found.as_ref(), Some(entry), "{context}"),
                Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{context}: {error}"),
            }
        }
    }
}

/// A failure at any operation of a job leaves the store as it was, or as it is meant to be; the next job makes up for it.
#[test]
fn a_job_that_fails_is_done_the_next_time() {
    let prepare = || {
        let disk = SimDisk::new(3);
        let mut run = Run::new(&disk, Durable);
        run.all(&crate::workload::random(11, 30)).unwrap();
        (disk, run)
    };
    let count = {
        let (disk, run) = prepare();
        let before = disk.op_count();
        run.store().compact().unwrap();
        disk.op_count() - before
    };
    for number in 0..count {
        for fault in [Fault::Eio, Fault::Enospc] {
            let (disk, run) = prepare();
            let expected = dump(run.store()).unwrap();
            disk.fail_at(disk.op_count() + number, fault);
            let context = format!("{fault:?} at operation {number}");
            let result = run.store().compact();
            assert_same(&dump(run.store()).unwrap(), &expected, &context);
            if result.is_err() && !run.store().stats().failed {
                match run.store().compact() {
                    Ok(_) => assert_eq!(dead_bytes(run.store()), 0, "{context}"),
                    // The manifest is in doubt: nothing more is changed until the next open.
                    Err(error) => assert!(matches!(error, Error::Failed { .. }), "{context}: {error}"),
                }
            }
            let disk = disk.kill();
            drop(run.store);
            for survival in [Survival::Everything, Survival::Nothing] {
                let opened = open(&disk.crash(survival), &run.clock);
                assert_same(&dump(&opened).unwrap(), &expected, &context);
                opened.compact().unwrap();
                assert_same(&dump(&opened).unwrap(), &expected, &context);
                assert_eq!((dead_bytes(&opened), opened.stats().tombstones), (0, 0), "{context}");
                opened.close().unwrap();
            }
        }
    }
}

/// What the change feed retains is left alone, superseded values included.
#[test]
fn the_newest_log_is_retained() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = small(&clock).feed_retention_bytes(20_000).open_on(Arc::new(disk)).unwrap();
    for round in 0..200 {
        put(&store, "k", round, 500);
    }
    store.compact().unwrap();
    let bytes: u64 = store.stats().segments.iter().map(|segment| segment.bytes).sum();
    assert!((20_000..20_000 + 2 * SEGMENT_BYTES).contains(&bytes), "{bytes}");
    assert!(dead_bytes(&store) > 19_000);
}

/// On the real disk: what readers hold stays readable, and when they let go, its space, descriptors and mappings are gone.
#[test]
fn readers_keep_what_they_read_and_nothing_longer() {
    let directory = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = small(&clock).segment_bytes(64 << 10).open(directory.path()).unwrap();
    for round in 0..20 {
        (0..50).for_each(|key| put(&store, &format!("k{key}"), round, 500));
    }
    let own = directory.path().to_str().unwrap();
    let is_deleted = |file: &str| file.contains(own) && file.ends_with(" (deleted)");
    // Descriptors, and mappings.
    let deleted = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap();
        let target = |link: std::io::Result<std::fs::DirEntry>| std::fs::read_link(link.ok()?.path()).ok();
        let open = links.filter_map(target).filter(|path| is_deleted(&path.to_string_lossy())).count();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        (open, maps.lines().filter(|line| is_deleted(line)).count())
    };
    let expected = dump(&store).unwrap();
    let found = store.read(|view| view.get(at("k7")).unwrap());
    assert!(store.compact().unwrap().segments_in > 3);
    let (open, mapped) = deleted();
    assert!(open > 0 && mapped > 0 && store.stats().pinned_bytes > 0, "{open}, {mapped}");
    let entry = found.map(|found, values| values.entry(&found)).wait().unwrap().unwrap();
    assert_eq!(&entry, &expected[&crate::support::place("k7")]);
    assert_eq!((deleted(), store.stats().pinned_bytes), ((0, 0), 0));
    let on_disk: u64 = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(on_disk < RESERVE_BYTES + 3 * (64 << 10), "{on_disk}");
    assert_same(&dump(&store).unwrap(), &expected, "afterwards");
}

/// In the background nothing is done below the aim, and wholly dead segments go without a copy.
#[test]
fn the_background_keeps_to_its_aim() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let compaction = Compaction {
        space_amplification: 2.0,
        bytes_per_second: 0,
        background: true,
        ..Compaction::default()
    };
    let store =
        small(&clock).background(true).compaction(compaction).open_on(Arc::new(disk.clone())).unwrap();
    for round in 0..60 {
        (0..30).for_each(|key| put(&store, &format!("k{key}"), round, 300));
    }
    let sizes = || {
        let stats = store.stats();
        let sum = |of: fn(&larder_engine::SegmentStats) -> u64| stats.segments.iter().map(of).sum::<u64>();
        (sum(|segment| segment.bytes), sum(|segment| segment.live_bytes))
    };
    // It is waited for, however long it takes: there is no other end to it.
    while sizes().0 > 2 * sizes().1 + 3 * SEGMENT_BYTES || store.stats().compaction.segments_in == 0 {
        std::thread::yield_now();
    }
    let done = store.stats().compaction;
    assert!(done.bytes_out < done.bytes_in, "{done:?}");
    store.close().unwrap();
    let store = open(&disk.crash(Survival::Nothing), &clock);
    assert_eq!(store.stats().entries, 30);
}
