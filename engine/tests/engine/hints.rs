//! Hint files change nothing but time: whatever becomes of them, the store is the same.

use crate::support::{Chance, HandClock, at, dump, open};
use crate::workload::{Run, random, small};
use larder_engine::Durability::Durable;
use larder_engine::disk::sim::{SimDisk, Survival};
use larder_engine::{Error, Put, Store};
use std::sync::Arc;

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
