//! Hint files change nothing but time: whatever becomes of them, the store is the same.

use crate::support::{Chance, HandClock, at, dump, open, options};
use crate::workload::{Run, random, small};
use larder_engine::Durability::Durable;
use larder_engine::disk::sim::{SimDisk, Survival};
use larder_engine::{Error, Put, Store};
use std::sync::{Arc, Mutex};

/// A store that was closed in order, with hints beside all its segments.
fn closed(seed: u64) -> (SimDisk, Arc<HandClock>) {
    let disk = SimDisk::new(seed);
    let mut run = Run::new(&disk, Durable);
    run.all(&if seed == 0 { small() } else { random(seed, 25) }).unwrap();
    run.close().unwrap();
    (disk, run.clock)
}

fn hints(disk: &SimDisk) -> Vec<String> {
    disk.file_names().into_iter().filter(|name| name.ends_with(".hint")).collect()
}

#[test]
fn without_them_and_with_damaged_ones_the_store_is_the_same() {
    for seed in 0..12 {
        let (disk, clock) = closed(seed);
        let names = hints(&disk);
        let segments = disk.file_names().into_iter().filter(|name| name.ends_with(".seg")).count();
        assert_eq!(names.len(), segments, "one for each segment: {names:?}");
        let look = |spoil: &dyn Fn(&SimDisk), what: &str| {
            let disk = disk.crash(Survival::Everything);
            spoil(&disk);
            let store =
                open(&disk, Durable, &clock).unwrap_or_else(|error| panic!("seed {seed}, {what}: {error}"));
            let stats = |store: &Store| (store.stats().entries, store.stats().index_bytes);
            let found = (dump(&store).unwrap(), stats(&store));
            store.close().unwrap();
            assert_eq!(hints(&disk).len(), names.len(), "seed {seed}, {what}: the close has made up for it");
            found
        };
        let expected = look(&|_| {}, "as it was");
        assert!(
            look(&|disk| names.iter().for_each(|name| disk.remove_file(name).unwrap()), "none") == expected
        );
        let mut chance = Chance::new(seed);
        for name in &names {
            let bytes = disk.read_file(name).unwrap();
            for round in 0..30 {
                let mut bad = bytes.clone();
                let at = usize::try_from(chance.below(bytes.len() as u64)).unwrap();
                match round % 3 {
                    0 => bad.truncate(at),
                    1 => bad[at] ^= 1 << chance.below(8),
                    _ => bad.push(0),
                }
                let what = format!("{name}, round {round} at {at}");
                assert!(look(&|disk| disk.write_file(name, &bad), &what) == expected, "seed {seed}, {what}");
            }
            // The hint of another segment, intact in itself.
            for other in names.iter().filter(|other| *other != name) {
                let other = disk.read_file(other).unwrap();
                assert!(look(&|disk| disk.write_file(name, &other), "another's") == expected, "seed {seed}");
            }
        }
    }
}

/// An open tells how far it is: once a segment, never back, and in the end that all is done.
#[test]
fn the_progress_of_an_open_is_told() {
    let (disk, clock) = closed(0);
    let segments = disk.file_names().into_iter().filter(|name| name.ends_with(".seg")).count();
    for with_hints in [true, false] {
        if !with_hints {
            hints(&disk).iter().for_each(|name| disk.remove_file(name).unwrap());
        }
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = Arc::clone(&told);
        let options =
            options(Durable, &clock).on_progress(move |progress| teller.lock().unwrap().push(progress));
        let store = options.open_on(Arc::new(disk.clone())).unwrap();
        let total = store.report().log_bytes;
        let told = std::mem::take(&mut *told.lock().unwrap());
        assert_eq!(told.len(), segments);
        assert!(told.iter().all(|progress| progress.bytes_total == total), "{told:?} of {total}");
        assert!(told.is_sorted_by(|one, next| one.bytes_done < next.bytes_done), "{told:?}");
        assert_eq!(told.last().map(|progress| progress.bytes_done), Some(total));
    }
}

/// With its hint a damaged segment opens; but no read of it gives a wrong value.
#[test]
fn a_damaged_segment_with_a_hint_gives_no_wrong_value() {
    let (disk, clock) = closed(0);
    let expected = dump(&open(&disk.crash(Survival::Everything), Durable, &clock).unwrap()).unwrap();
    let segments: Vec<_> = disk.file_names().into_iter().filter(|name| name.ends_with(".seg")).collect();
    let mut refused = 0;
    for name in segments {
        let bytes = disk.read_file(&name).unwrap();
        let mut chance = Chance::new(1);
        for _ in 0..200 {
            let at = usize::try_from(chance.below(bytes.len() as u64)).unwrap();
            let bad = disk.crash(Survival::Everything);
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << chance.below(8);
            bad.write_file(&name, &damaged);
            let found = open(&bad, Durable, &clock).and_then(|store| dump(&store));
            match found {
                Ok(found) => assert!(found == expected, "{name} at {at}"),
                Err(Error::Damaged { .. }) => refused += 1,
                Err(error) => panic!("{name} at {at}: {error}"),
            }
        }
    }
    assert!(refused > 0);
}

/// A hint of a segment with the same number, store, length and number of records, which holds others: as where a store
/// was copied, and both copies went on.
#[test]
fn the_hint_of_another_log_is_not_taken() {
    let (disk, clock) = closed(0);
    let go_on = |key: &str| {
        let disk = disk.crash(Survival::Everything);
        let store = open(&disk, Durable, &clock).unwrap();
        store.put(at(key), &Put::new(b"value")).unwrap().unwrap();
        let contents = dump(&store).unwrap();
        store.close().unwrap();
        (disk, contents)
    };
    let ((one, _), (other, expected)) = (go_on("one"), go_on("two"));
    let name = hints(&one).pop().unwrap();
    let [stale, own] = [&one, &other].map(|disk| disk.read_file(&name).unwrap());
    assert!(stale.len() == own.len() && stale != own);
    other.write_file(&name, &stale);
    let store = open(&other, Durable, &clock).unwrap();
    assert!(dump(&store).unwrap() == expected);
}

/// Gives a hint another key than its segment holds, and checksums that fit: an intact one, made up.
fn make_up(disk: &SimDisk, name: &str, key: &[u8], other: &[u8]) {
    const HEADER_BYTES: usize = 64;
    let mut hint = disk.read_file(name).unwrap();
    let at = hint.windows(key.len()).position(|bytes| bytes == key).unwrap();
    hint[at..at + key.len()].copy_from_slice(other);
    let body = crc32fast::hash(&hint[HEADER_BYTES..]).to_le_bytes();
    hint[52..56].copy_from_slice(&body);
    let header = crc32fast::hash(&hint[..60]).to_le_bytes();
    hint[60..HEADER_BYTES].copy_from_slice(&header);
    disk.write_file(name, &hint);
}

/// A made-up hint cannot bring in a name that no entry could have: whoever lists it may not be prepared for that.
#[test]
fn a_hint_with_an_impossible_name_is_not_taken() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    store.put(at("one"), &Put::new(b"1")).unwrap().unwrap();
    store.close().unwrap();
    let name = hints(&disk).pop().unwrap();
    make_up(&disk, &name, b"one", b"o\ne");
    let store = open(&disk, Durable, &clock).unwrap();
    assert_eq!(*store.get(at("one")).unwrap().unwrap().value, *b"1");
    assert_eq!(dump(&store).unwrap().len(), 1);
    store.close().unwrap();
}

/// Compaction leaves a segment alone whose records are not those that the index knows: a copy of them would count as dead,
/// and be copied again, and again. Everything else is compacted.
#[test]
fn a_segment_that_is_not_the_one_indexed_is_left_alone() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let session = |puts: &[(&str, &[u8])]| {
        let store = open(&disk, Durable, &clock).unwrap();
        for (key, value) in puts {
            store.put(at(key), &Put::new(value)).unwrap().unwrap();
        }
        store.close().unwrap();
    };
    session(&[("one", b"1"), ("two", b"2"), ("two", b"3")]);
    let (name, segment) = (hints(&disk).pop().unwrap(), "0000000001.seg");
    let bytes = disk.read_file(segment).unwrap();
    session(&[("more", b"4"), ("more", b"5")]);
    make_up(&disk, &name, b"one", b"ONE");

    let store = open(&disk, Durable, &clock).unwrap();
    let report = store.compact().unwrap();
    assert!(
        matches!(&report.damaged[..], [Error::Damaged { file, .. }] if file.contains(segment)),
        "{report:?}"
    );
    assert_eq!((report.segments_in, report.records_dropped), (1, 1), "{report:?}");
    let again = store.compact().unwrap();
    assert_eq!((again.segments_in, again.segments_out, again.damaged.len()), (0, 0, 0), "{again:?}");
    assert_eq!(store.stats().compaction.damaged.len(), 1);
    store.close().unwrap();
    assert!(disk.read_file(segment).unwrap() == bytes);

    // Without that hint all is as it was.
    disk.remove_file(&name).unwrap();
    let store = open(&disk, Durable, &clock).unwrap();
    let report = store.compact().unwrap();
    assert_eq!((report.segments_in, report.records_dropped, report.damaged.len()), (1, 1, 0), "{report:?}");
    for (key, value) in [("one", b"1"), ("two", b"3"), ("more", b"5")] {
        assert_eq!(*store.get(at(key)).unwrap().unwrap().value, *value, "{key}");
    }
    store.close().unwrap();
}
