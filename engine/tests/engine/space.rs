//! Disks, quotas and limits that are reached: what goes on all the same, and that everything goes on by itself once
//! there is room again.

use crate::support::{Chance, HandClock, RESERVE_BYTES, assert_same, at, dump, open, options, value};
use crate::workload::{Change, Run, Step, small};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{Fault, Limits, OpKind, SimDisk, Survival};
use larder_engine::log::manifest::Manifest;
use larder_engine::{Compaction, Condition, Error, Put, Shortage, Store};
use std::sync::Arc;

const SEGMENT_BYTES: u64 = 1 << 20;
const RESERVE: &str = "RESERVE";

/// Puts values until one is refused.
fn fill(store: &Store, prefix: &str) -> (u64, Error) {
    let value = value(1, 300_000);
    for number in 0.. {
        if let Err(error) = store.put(at(&format!("{prefix}{number}")), &Put::new(&value)) {
            return (number, error);
        }
    }
    unreachable!("it fills up")
}

fn is_short_of(error: &Error, expected: Shortage) -> bool {
    matches!(error, Error::NoSpace { shortage, .. } if *shortage == expected)
}

fn reserve_bytes(disk: &SimDisk) -> Option<u64> {
    disk.read_file(RESERVE).map(|bytes| bytes.len() as u64)
}

/// At every size that the disk can have when it gets full: the error is typed, nothing is lost, and writing resumes by
/// itself, whichever step it was that wanted room.
#[test]
fn a_full_disk_refuses_puts_until_there_is_room() {
    for durability in [Durable, Buffered] {
        for blocks in (0..12).chain(254..275).chain(512..530) {
            let context = format!("{durability:?}, {blocks} blocks");
            let (disk, clock) = (SimDisk::new(1), HandClock::new());
            let store = open(&disk, durability, &clock).unwrap();
            store.put(at("first"), &Put::new(b"1")).unwrap().unwrap();
            disk.set_capacity(disk.used_bytes() + blocks * 4096);

            let (count, error) = fill(&store, "k");
            assert!(is_short_of(&error, Shortage::Space), "{context}: {error}");
            let stats = store.stats();
            assert!(!stats.failed && stats.short_of_space, "{context}");
            assert_eq!(dump(&store).unwrap().len() as u64, count + 1, "{context}");
            let (again, error) = fill(&store, "x");
            assert!(again == 0 && matches!(error, Error::NoSpace { .. }), "{context}: {error}");
            // What still fits into the segment is taken.
            store.put(at("first"), &Put::new(b"2")).unwrap().unwrap();
            store.sync().wait().unwrap();

            disk.set_capacity(disk.used_bytes() + 3 * SEGMENT_BYTES);
            let (more, error) = fill(&store, "m");
            assert!(more > 3 && matches!(error, Error::NoSpace { .. }), "{context}: {more}, {error}");
            let mut expected = dump(&store).unwrap();
            assert_eq!(expected.len() as u64, 1 + count + more, "{context}");

            // The end of the process, while there is no room.
            let disk = if blocks % 2 == 0 { disk.kill() } else { disk.clone() };
            let closed = store.close();
            assert!(closed.is_ok() || blocks % 2 == 0, "{context}: {closed:?}");
            // Whatever that gave back, others have taken.
            disk.set_capacity(disk.used_bytes());
            let store = open(&disk, durability, &clock).unwrap();
            assert_same(&dump(&store).unwrap(), &expected, &context);
            // What a killed process had allocated may do for a segment.
            let (_, error) = fill(&store, "y");
            assert!(is_short_of(&error, Shortage::Space), "{context}: {error}");
            store.delete(at("first"), Condition::Always).unwrap().unwrap();
            expected = dump(&store).unwrap();

            disk.set_capacity(disk.used_bytes() + 2 * SEGMENT_BYTES);
            let (more, error) = fill(&store, "z");
            assert!(more >= 3 && matches!(error, Error::NoSpace { .. }), "{context}: {more}, {error}");
            assert_eq!(dump(&store).unwrap().len() as u64, expected.len() as u64 + more, "{context}");
        }
    }
}

/// A store of many small entries, and `more` bytes of large ones, on a disk without a byte left, its segment full.
fn full_of_small_entries(entries: usize, more: u64) -> (SimDisk, Arc<HandClock>, Store) {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    let put = |writer: &mut larder_engine::Writer<'_>| {
        for number in 0..entries {
            writer.put(at(&format!("k{number:05}")), &Put::new(b"1")).unwrap().unwrap();
        }
    };
    store.write(put).wait().unwrap();
    disk.set_capacity(disk.used_bytes() + more);
    fill(&store, "large");
    // Smaller and smaller, until not even one byte more is taken.
    for length in (0..18).rev().map(|power| (1 << power) - 1) {
        while store.put(at("filler"), &Put::new(&value(1, length))).is_ok() {}
    }
    (disk, clock, store)
}

#[test]
fn deletes_go_on_from_the_reserve_and_no_put_ever_uses_it() {
    let entries = 12_000;
    let (disk, clock, store) = full_of_small_entries(entries, 0);
    assert_eq!(reserve_bytes(&disk), Some(RESERVE_BYTES));
    let mut deleted = 0;
    let error = loop {
        match store.delete(at(&format!("k{deleted:05}")), Condition::Always) {
            Ok(done) => assert!(done.unwrap().is_some(), "{deleted}"),
            Err(error) => break error,
        }
        deleted += 1;
        // However small: it would take what was given back for deletes.
        if deleted % 10 == 1 {
            let refused = store.put(at("new"), &Put::new(b"")).unwrap_err();
            assert!(is_short_of(&refused, Shortage::Space), "{deleted}: {refused}");
            let refused = store.transaction(|batch| {
                batch.delete(at("k11999"), Condition::Always)?.unwrap();
                batch.put(at("new"), &Put::new(b""))
            });
            assert!(matches!(refused, Err(Error::NoSpace { .. })), "{deleted}: {refused:?}");
        }
        // Others on the machine take whatever there is for the taking.
        disk.set_capacity(disk.used_bytes());
    };
    assert!(is_short_of(&error, Shortage::Space), "{error}");
    assert!((1000..entries).contains(&deleted), "{deleted} deletes");
    // The rest is for compaction, which can follow.
    assert_eq!(reserve_bytes(&disk), Some(RESERVE_BYTES / 4));
    let expected = dump(&store).unwrap();
    assert_eq!(expected.keys().filter(|place| place.2.starts_with('k')).count(), entries - deleted);
    assert!(!store.stats().failed);

    // Neither is all of it there again, nor may puts have what is.
    disk.set_capacity(disk.used_bytes() + SEGMENT_BYTES + RESERVE_BYTES / 2);
    let refused = store.put(at("new"), &Put::new(b"")).unwrap_err();
    assert!(is_short_of(&refused, Shortage::Space), "{refused}");
    store.delete(at(&format!("k{deleted:05}")), Condition::Always).unwrap().unwrap();
    disk.set_capacity(disk.used_bytes() + 2 * SEGMENT_BYTES + RESERVE_BYTES);
    store.put(at("new"), &Put::new(b"")).unwrap().unwrap();
    assert_eq!(reserve_bytes(&disk), Some(RESERVE_BYTES));
    assert!(!store.stats().short_of_space);

    let expected = dump(&store).unwrap();
    let disk = disk.crash(Survival::Nothing);
    assert_same(&dump(&open(&disk, Durable, &clock).unwrap()).unwrap(), &expected, "after a power cut");
}

#[test]
fn a_store_closes_in_order_on_a_full_disk() {
    let (disk, clock, store) = full_of_small_entries(100, 0);
    for number in 0..50 {
        store.delete(at(&format!("k{number:05}")), Condition::Always).unwrap().unwrap();
        disk.set_capacity(disk.used_bytes());
    }
    let expected = dump(&store).unwrap();
    store.close().unwrap();
    disk.set_capacity(disk.used_bytes());
    let store = open(&disk, Durable, &clock).unwrap();
    assert!(store.report().clean);
    assert_same(&dump(&store).unwrap(), &expected, "opened again");
}

/// Nothing left, not even a reserve: it can still be read, and written as soon as there is room.
#[test]
fn a_store_opens_without_a_byte_to_spare() {
    for kill in [false, true] {
        let (mut disk, clock, store) = full_of_small_entries(100, 0);
        let expected = dump(&store).unwrap();
        if kill {
            disk = disk.kill();
        } else {
            store.close().unwrap();
        }
        disk.remove_file(RESERVE).unwrap();
        disk.set_capacity(disk.used_bytes());
        let before = disk.file_names();
        for round in 0..3 {
            let store = open(&disk, Durable, &clock).unwrap();
            assert!(store.stats().short_of_space);
            assert_same(&dump(&store).unwrap(), &expected, &format!("kill {kill}, round {round}"));
            for error in [
                store.put(at("new"), &Put::new(b"1")).unwrap_err(),
                store.delete(at("k00001"), Condition::Always).unwrap_err(),
            ] {
                assert!(is_short_of(&error, Shortage::Space), "{error}");
            }
            store.sync().wait().unwrap();
            let closed = store.close();
            assert!(matches!(closed, Ok(()) | Err(Error::NoSpace { .. })), "{closed:?}");
        }
        let segments = |names: Vec<String>| names.into_iter().filter(|name| name.ends_with(".seg"));
        assert!(segments(disk.file_names()).eq(segments(before)));

        let store = open(&disk, Durable, &clock).unwrap();
        disk.set_capacity(disk.used_bytes() + 2 * SEGMENT_BYTES);
        let version = store.put(at("new"), &Put::new(b"1")).unwrap().unwrap().version;
        store.close().unwrap();
        let store = open(&disk, Durable, &clock).unwrap();
        assert_eq!(store.get(at("new")).unwrap().unwrap().version, version);
        assert_eq!(dump(&store).unwrap().len(), expected.len() + 1);
    }
}

/// What a killed process had allocated ahead is given back before anything new is allocated.
#[test]
fn a_killed_store_needs_no_more_room_to_open_than_it_had() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = options(Durable, &clock).background(true).open_on(Arc::new(disk.clone())).unwrap();
    store.put(at("a"), &Put::new(&value(1, 1000))).unwrap().unwrap();
    // Until the segment that is prepared ahead is in the manifest, too.
    let open_segments = || {
        let manifest = disk.read_file("MANIFEST").and_then(|bytes| Manifest::decode(&bytes).ok());
        manifest.map_or(0, |manifest| manifest.open.len())
    };
    while open_segments() < 2 || disk.file_names().iter().any(|name| name == "MANIFEST.new") {
        std::thread::yield_now();
    }
    let killed = disk.kill();
    drop(store);
    killed.set_capacity(killed.used_bytes());
    let store = open(&killed, Durable, &clock).unwrap();
    store.put(at("b"), &Put::new(b"1")).unwrap().unwrap();
    assert!(!store.stats().short_of_space);
}

/// Each limit is told as what it is, has no further consequence, and can be raised under the running store.
#[test]
fn every_shortage_is_told_and_passes() {
    type Limit = fn(&SimDisk) -> Limits;
    let limits: [(Shortage, Limit); 4] = [
        (Shortage::Space, |disk| Limits { capacity_bytes: disk.used_bytes(), ..Limits::default() }),
        (Shortage::Space, |disk| Limits { files: disk.file_count(), ..Limits::default() }),
        (Shortage::FileSize, |_| Limits { file_bytes: SEGMENT_BYTES - 1, ..Limits::default() }),
        (Shortage::Descriptors, |disk| Limits { descriptors: disk.open_count(), ..Limits::default() }),
    ];
    for (number, (shortage, limit)) in limits.into_iter().enumerate() {
        let context = format!("limit {number}, {shortage}");
        let (disk, clock) = (SimDisk::new(1), HandClock::new());
        let store = open(&disk, Durable, &clock).unwrap();
        store.put(at("first"), &Put::new(b"1")).unwrap().unwrap();
        disk.set_limits(limit(&disk));
        let (count, error) = fill(&store, "k");
        assert!(is_short_of(&error, shortage), "{context}: {error}");
        assert!(error.to_string().contains("resumes by itself"), "{context}: {error}");
        assert!(store.stats().short_of_space && !store.stats().failed, "{context}");
        assert_eq!(dump(&store).unwrap().len() as u64, 1 + count, "{context}");
        store.delete(at("first"), Condition::Always).unwrap().unwrap();
        disk.set_limits(Limits::default());
        store.put(at("first"), &Put::new(&value(1, 900_000))).unwrap().unwrap();
        assert!(!store.stats().short_of_space, "{context}");
        store.close().unwrap();
        assert_eq!(
            dump(&open(&disk, Durable, &clock).unwrap()).unwrap().len() as u64,
            1 + count,
            "{context}"
        );
    }

    // A quota is not simulated, but what it answers is.
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    disk.fail_next(OpKind::Allocate, Fault::Edquot);
    let (_, error) = fill(&store, "k");
    assert!(is_short_of(&error, Shortage::Quota), "{error}");
    store.put(at("k"), &Put::new(&value(1, 900_000))).unwrap().unwrap();
}

#[test]
fn a_store_that_cannot_be_read_for_want_of_descriptors_says_so() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    for key in ["a", "b", "c"] {
        store.put(at(key), &Put::new(&value(1, 900_000))).unwrap().unwrap();
    }
    store.close().unwrap();
    disk.set_limits(Limits { descriptors: 2, ..Limits::default() });
    let error = open(&disk, Durable, &clock).unwrap_err();
    assert!(is_short_of(&error, Shortage::Descriptors) && error.to_string().contains("ulimit -n"), "{error}");
    disk.set_limits(Limits::default());
    assert_eq!(dump(&open(&disk, Durable, &clock).unwrap()).unwrap().len(), 3);
}

#[test]
fn a_directory_that_cannot_be_written_is_told_with_what_to_do() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    open(&disk, Durable, &clock).unwrap().close().unwrap();
    disk.fail_next(OpKind::Create, Fault::Erofs);
    let error = open(&disk, Durable, &clock).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    assert!(error.to_string().contains("must be readable and writable for this user"), "{error}");
    open(&disk, Durable, &clock).unwrap();
}

/// The disk gets full at any operation: nothing is refused but for want of room, removals go on, and so does everything
/// once there is room, without the store being opened again.
#[test]
fn a_disk_that_gets_full_at_any_operation() {
    let steps = small();
    let removes = |step: &Step| {
        let only = |group: &Vec<Change>| group.iter().all(|change| matches!(change, Change::Delete(_)));
        matches!(step, Step::Write(groups) if groups.iter().all(only))
    };
    for durability in [Durable, Buffered] {
        let count = {
            let disk = SimDisk::new(1);
            let mut run = Run::new(&disk, durability);
            run.all(&steps).unwrap();
            run.close().unwrap();
            disk.op_count()
        };
        let mut refused = 0;
        for number in 0..count {
            let context = format!("{durability:?}, full at operation {number}");
            let disk = SimDisk::new(1);
            disk.fail_at(number, Fault::DiskFull);
            let mut run = Run::new(&disk, durability);
            if let Err(error) = run.open() {
                // There is no store yet.
                assert!(is_short_of(&error, Shortage::Space), "{context}: {error}");
                disk.set_capacity(1 << 40);
                run.open().unwrap();
            }
            let reserved = reserve_bytes(&disk) == Some(RESERVE_BYTES);
            for step in &steps {
                let Err(error) = run.step(step) else { continue };
                refused += 1;
                assert!(is_short_of(&error, Shortage::Space), "{context}: {step:?}: {error}");
                if run.store.is_none() {
                    // It was closed, without a byte for saying that it was in order.
                    assert!(!reserved, "{context}: {step:?}");
                    run.open().unwrap_or_else(|error| panic!("{context}: {error}"));
                    continue;
                }
                assert!(!(reserved && removes(step)), "{context}: {step:?} was refused");
                assert!(!run.store().stats().failed, "{context}");
                assert_eq!(run.history.last(), run.history.acknowledged, "{context}");
                run.state(run.history.acknowledged, &context);
            }
            let full = disk.crash(Survival::Nothing);
            let mut copy = run.goes_on(&full, run.history.last());
            copy.open().unwrap_or_else(|error| panic!("{context}: {error}"));
            copy.state(run.history.floor, &context);
        }
        assert!(refused > count / 10, "{refused} steps refused at {count} operations");
    }
}

/// As above, but there is room again before the end.
#[test]
fn writing_resumes_by_itself_after_any_operation() {
    let steps = small();
    for number in 0..400 {
        let context = format!("full at operation {number}");
        let disk = SimDisk::new(1);
        let mut run = Run::new(&disk, Durable);
        run.open().unwrap();
        disk.fail_at(number, Fault::DiskFull);
        let mut refused = false;
        for step in &steps {
            if let Err(error) = run.step(step) {
                assert!(!refused, "{context}: {step:?} was refused though there is room: {error}");
                refused = true;
                disk.set_capacity(1 << 40);
                run.step(step).unwrap_or_else(|error| panic!("{context}: {step:?}: {error}"));
            }
        }
        run.close().unwrap();
        let mut next = run.goes_on(&disk, run.history.last());
        next.open().unwrap();
        assert_eq!(next.state(run.history.last(), &context), run.history.last());
        assert!(number < disk.op_count() || !refused);
    }
}

/// Overwrites a few values in turn until that is refused. Returns how often it was not.
fn overwrite(store: &Store, seed: u64) -> u64 {
    for round in 0.. {
        let key = format!("k{}", round % 8);
        match store.put(at(&key), &Put::new(&value(seed + round, 60_000))) {
            Ok(stamp) => drop(stamp.unwrap()),
            Err(error) => {
                assert!(is_short_of(&error, Shortage::Space), "{error}");
                return round;
            }
        }
    }
    unreachable!("it fills up")
}

/// However much room the last puts have left: compaction needs no more than the reserve, and puts resume in what it gives
/// back. Others take whatever is for the taking.
#[test]
fn compaction_gives_room_back_on_a_full_disk() {
    for seed in 0..12 {
        let (mut disk, clock) = (SimDisk::new(seed), HandClock::new());
        let mut store = open(&disk, Durable, &clock).unwrap();
        let mut chance = Chance::new(seed);
        disk.set_capacity(5 * SEGMENT_BYTES + chance.below(SEGMENT_BYTES));
        for round in 0..6 {
            let context = format!("seed {seed}, round {round}");
            assert!(overwrite(&store, seed * 1000 + round * 100) > 5, "{context}");
            assert!(store.stats().short_of_space, "{context}");
            let mut expected = dump(&store).unwrap();
            if round % 3 == 1 {
                // Found as full as it was left.
                drop(store);
                let found = disk.used_bytes();
                store = open(&disk, Durable, &clock).unwrap();
                assert!(disk.used_bytes() <= found, "{context}");
            }
            let report = store.compact().unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(report.bytes_in > report.bytes_out + SEGMENT_BYTES, "{context}: {report:?}");
            assert_same(&dump(&store).unwrap(), &expected, &context);
            assert_eq!(reserve_bytes(&disk), Some(RESERVE_BYTES), "{context}");
            let stats = store.stats();
            assert!(!stats.short_of_space && !stats.failed, "{context}");
            store.put(at("resumed"), &Put::new(&value(round, 1000))).unwrap().unwrap();
            expected = dump(&store).unwrap();
            disk = disk.crash(Survival::Nothing);
            store = open(&disk, Durable, &clock).unwrap();
            assert_same(&dump(&store).unwrap(), &expected, &context);
        }
    }
}

#[test]
fn what_was_deleted_on_a_full_disk_gives_room_once_it_is_compacted() {
    for seed in 0..8 {
        let (disk, clock) = (SimDisk::new(seed), HandClock::new());
        let store = open(&disk, Durable, &clock).unwrap();
        disk.set_capacity(5 * SEGMENT_BYTES + Chance::new(seed).below(SEGMENT_BYTES));
        let value = value(seed, 60_000);
        let put = |number: u64| store.put(at(&format!("k{number}")), &Put::new(&value));
        let count = (0..).find(|number| put(*number).is_err()).unwrap();
        for number in (0..count).filter(|number| number % 4 != 0) {
            store.delete(at(&format!("k{number}")), Condition::Always).unwrap().unwrap();
        }
        disk.set_capacity(disk.used_bytes());
        let expected = dump(&store).unwrap();
        store.compact().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let again = (count..).find(|number| put(*number).is_err()).unwrap() - count;
        assert!(again > count / 3, "seed {seed}: {again} of {count}");
        let found = dump(&store).unwrap();
        assert_eq!(found.len() as u64, expected.len() as u64 + again, "seed {seed}");
        assert!(expected.iter().all(|(place, entry)| found.get(place) == Some(entry)), "seed {seed}");
        let disk = disk.crash(Survival::Nothing);
        assert_same(&dump(&open(&disk, Durable, &clock).unwrap()).unwrap(), &found, "after a power cut");
    }
}

/// Deletes up to the last that the reserve has room for: there is some left for compaction.
#[test]
fn deletes_do_not_take_what_compaction_needs() {
    let (disk, clock, store) = full_of_small_entries(12_000, 3 * SEGMENT_BYTES);
    for number in 0..9 {
        store.delete(at(&format!("large{number}")), Condition::Always).unwrap().unwrap();
    }
    disk.set_capacity(disk.used_bytes());
    let delete = |number: &usize| store.delete(at(&format!("k{number:05}")), Condition::Always);
    let is_refused = |number: &usize| {
        let refused = delete(number).is_err();
        disk.set_capacity(disk.used_bytes());
        refused
    };
    let refused = (0..12_000).find(is_refused).unwrap();
    let (used, expected) = (disk.used_bytes(), dump(&store).unwrap());
    // That of the small entries has too much in it to be copied, or not.
    let compacted = store.compact();
    assert!(matches!(compacted, Ok(_) | Err(Error::NoSpace { .. })), "{compacted:?}");
    assert!(disk.used_bytes() + SEGMENT_BYTES < used, "{used}, {}", disk.used_bytes());
    assert_same(&dump(&store).unwrap(), &expected, "compacted");
    delete(&refused).unwrap().unwrap();
    store.put(at("new"), &Put::new(&value(1, 900_000))).unwrap().unwrap();
    let expected = dump(&store).unwrap();
    let found = disk.crash(Survival::Nothing);
    assert_same(&dump(&open(&found, Durable, &clock).unwrap()).unwrap(), &expected, "after a power cut");
}

/// In the background too, and nobody has to ask for it.
#[test]
fn puts_resume_once_the_background_has_compacted() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    disk.set_capacity(5 * SEGMENT_BYTES);
    let store = options(Durable, &clock)
        .background(true)
        .compaction(Compaction { space_amplification: 100.0, ..Compaction::default() })
        .open_on(Arc::new(disk.clone()))
        .unwrap();
    for round in 0..150 {
        // What stays keeps every segment from being wholly dead, which would be seen to before there is need.
        for (key, size) in [(format!("k{}", round % 8), 60_000), (format!("stays{round}"), 10)] {
            let value = value(round, size);
            while let Err(error) = store.put(at(&key), &Put::new(&value)) {
                assert!(is_short_of(&error, Shortage::Space), "{error}");
                std::thread::yield_now();
            }
        }
    }
    // More was written than there is room for. Upkeep may have seen that before any put was refused.
    assert!(store.stats().compaction.segments_in > 0);
    assert_eq!(dump(&store).unwrap().len(), 158);
    store.close().unwrap();
    assert_eq!(dump(&open(&disk, Durable, &clock).unwrap()).unwrap().len(), 158);
}

/// A backup to elsewhere is what one wants of a disk that is full.
#[test]
fn a_store_on_a_full_disk_is_backed_up() {
    let (disk, _, store) = full_of_small_entries(100, 0);
    let report =
        store.backup_on(&(Arc::new(SimDisk::new(2)) as Arc<dyn larder_engine::disk::Disk>), |_| ()).unwrap();
    assert!(report.version > 100 && report.segments > 0, "{report:?}");
    disk.set_capacity(disk.used_bytes());
    store.delete(at("k00001"), Condition::Always).unwrap().unwrap();
    assert!(!store.stats().failed);
}
