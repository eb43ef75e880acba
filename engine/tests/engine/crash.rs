//! Power cuts at every operation of the disk, and the death of the process at every step.
//!
//! Whatever a crash leaves, the store must open (a crash alone is never damage), in a state that was one of the
//! history's, with everything that was promised to last; and it must go on from there.

use crate::support::{HandClock, at, dump, open, options};
use crate::workload::{Change, Run, Step, put, random, small, transaction};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{Fault, SimDisk, Survival, When};
use larder_engine::{Durability, Put};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const TIMES: [When; 3] = [When::Before, When::During, When::After];

/// Opens what a crash left: in which state is it?
fn look(crashed: &Run, disk: &SimDisk, context: &str) -> (Run, usize) {
    let mut run = crashed.goes_on(disk, crashed.history.last());
    run.open().unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(run.store().report().set_aside, [""; 0], "{context}: every file is accounted for");
    let index = run.state(crashed.history.floor, context);
    (run, index)
}

/// Opens what a crash left, several times in a row, and goes on writing.
fn recover(crashed: &Run, disk: &SimDisk, context: &str) {
    let (run, index) = look(crashed, disk, context);
    let entries = dump(run.store()).unwrap();

    // What was once told must last, whatever happens next.
    let disk = run.disk.kill();
    drop(run);
    let disk = disk.crash(Survival::Nothing);
    let mut run = crashed.goes_on(&disk, index);
    run.open().unwrap_or_else(|error| panic!("{context}: second open: {error}"));
    assert_eq!(run.state(index, &format!("{context}: second open")), index);

    // No version that was answered is ever given out again.
    let stamp = run.store().put(at("probe"), &Put::new(b"probe")).unwrap().unwrap();
    let visible = entries.values().map(|entry| entry.version).max().unwrap_or(0);
    let taken = crashed.history.answered.max(visible);
    assert!(stamp.version > taken, "{context}: version {} after {taken}", stamp.version);
    run.store().sync().wait().unwrap();
    let expected = dump(run.store()).unwrap();

    let disk = run.disk.kill();
    drop(run);
    let disk = disk.crash(Survival::Nothing);
    let mut run = crashed.goes_on(&disk, index);
    run.open().unwrap_or_else(|error| panic!("{context}: third open: {error}"));
    assert!(dump(run.store()).unwrap() == expected, "{context}: third open");
    assert_eq!(run.store().report().cut_bytes, 0, "{context}: a synced log has no loose end");
    run.close().unwrap_or_else(|error| panic!("{context}: close: {error}"));
    run.open().unwrap_or_else(|error| panic!("{context}: fourth open: {error}"));
    assert!(run.store().report().clean, "{context}");
    assert!(dump(run.store()).unwrap() == expected, "{context}: fourth open");
}

/// How many operations the workload takes without a crash.
fn operations(seed: u64, durability: Durability, steps: &[Step]) -> u64 {
    let disk = SimDisk::new(seed);
    let mut run = Run::new(&disk, durability);
    run.all(steps).unwrap();
    run.state(run.history.last(), "without a crash");
    run.close().unwrap();
    disk.op_count()
}

/// Runs the workload with the power cut at operation `number`.
fn cut(seed: u64, durability: Durability, steps: &[Step], number: u64, when: When) -> Run {
    let disk = SimDisk::new(seed);
    disk.fail_at(number, Fault::Crash(when));
    let mut run = Run::new(&disk, durability);
    let ended = run.all(steps).and_then(|()| run.close());
    assert!(ended.is_err() || disk.is_crashed(), "operation {number} is part of the workload");
    run.store = None;
    run
}

fn survivors(seed: u64, run: &Run, randoms: usize, mut check: impl FnMut(&SimDisk, &str)) {
    let policies = [Survival::Nothing, Survival::Everything, Survival::Prefix];
    for policy in policies.into_iter().chain(std::iter::repeat_n(Survival::Random, randoms)) {
        check(&run.disk.crash(policy), &format!("seed {seed}, {policy:?}"));
    }
}

fn at_every_operation(seed: u64, durability: Durability) {
    let steps = small();
    for number in 0..operations(seed, durability, &steps) {
        for when in TIMES {
            let run = cut(seed + number, durability, &steps, number, when);
            let mut turn = number + when as u64;
            survivors(seed + number, &run, 2, |disk, context| {
                let context = format!("{durability:?}, {when:?} operation {number}, {context}");
                // In turn, one of the outcomes is followed further.
                turn += 1;
                if turn.is_multiple_of(5) {
                    recover(&run, disk, &context);
                } else {
                    look(&run, disk, &context);
                }
            });
        }
    }
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_durable() {
    at_every_operation(100, Durable);
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_synced() {
    at_every_operation(300, Buffered);
}

#[test]
fn power_cuts_in_random_workloads() {
    for seed in 0..40 {
        let durability = if seed % 3 == 0 { Durable } else { Buffered };
        let steps = random(seed, 25);
        let count = operations(seed, durability, &steps);
        let mut chance = crate::support::Chance::new(seed);
        for _ in 0..4 {
            let (number, when) = (chance.below(count), chance.pick(&TIMES));
            let run = cut(seed, durability, &steps, number, when);
            survivors(seed, &run, 3, |disk, context| {
                recover(
                    &run,
                    disk,
                    &format!("random, {durability:?}, {when:?} operation {number}, {context}"),
                );
            });
        }
    }
}

/// The first crash leaves several open segments with loose ends; then recovery itself is cut at every operation.
#[test]
fn a_power_cut_during_recovery_changes_nothing() {
    let burst = |key| vec![Change::Put(key, 1953, None)];
    let steps = [
        put("a", 100),
        put("b", 100),
        Step::Sync,
        put("a", 2000),
        Step::Write(vec![burst("c"), burst("d"), burst("e"), vec![Change::Delete("b")], burst("f")]),
        transaction(vec![Change::Put("a", 2734, None), Change::Put("g", 2734, None)]),
        put("h", 5000),
    ];
    for seed in 0..6 {
        let disk = SimDisk::new(seed);
        let mut run = Run::new(&disk, Buffered);
        run.all(&steps).unwrap();
        let policy =
            [Survival::Prefix, Survival::Random, Survival::Everything][usize::try_from(seed % 3).unwrap()];
        let found = disk.crash(policy);
        run.store = None;

        // Everything on the disk that was found is durable: each recovery of it must come to the same state.
        let mut first = run.goes_on(&found.crash(Survival::Nothing), run.history.last());
        let count = {
            first.open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            first.disk.op_count()
        };
        let index = first.state(run.history.floor, &format!("seed {seed}"));
        for number in 0..count {
            for when in TIMES {
                let disk = found.crash(Survival::Nothing);
                disk.fail_at(number, Fault::Crash(when));
                let mut second = run.goes_on(&disk, run.history.last());
                let opened = second.open();
                assert!(opened.is_err() || disk.is_crashed());
                second.store = None;
                for policy in Survival::ALL {
                    let context = format!("seed {seed}, {when:?} operation {number} of recovery, {policy:?}");
                    let mut third = run.goes_on(&disk.crash(policy), run.history.last());
                    third.open().unwrap_or_else(|error| panic!("{context}: {error}"));
                    assert_eq!(third.state(index, &context), index, "{context}");
                }
            }
        }
    }
}

/// A killed process has handed all it acknowledged to the system, at level buffered too; and what the next one shows
/// of it, no power cut may take away any more.
#[test]
fn a_kill_loses_nothing_acknowledged_and_what_is_told_after_it_is_durable() {
    for durability in [Durable, Buffered] {
        for seed in 0..6 {
            let steps = if seed == 0 { small() } else { random(seed, 20) };
            for killed_after in 0..=steps.len() {
                let context = format!("{durability:?}, seed {seed}, killed after step {killed_after}");
                let disk = SimDisk::new(seed);
                let mut run = Run::new(&disk, durability);
                run.all(&steps[..killed_after]).unwrap();
                let disk = disk.kill();
                run.store = None;
                run.disk = disk;
                run.open().unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(run.state(run.history.last(), &context), run.history.last());
                if durability == Durable {
                    assert_eq!(run.store().report().cut_bytes, 0, "{context}");
                }
                let disk = run.disk.kill();
                run.store = None;
                run.history.floor = run.history.last();
                recover(&run, &disk.crash(Survival::Nothing), &context);
            }
        }
    }
}

/// Opening again and again without a write, by crash and by close, leaves no heap of files.
#[test]
fn files_do_not_pile_up() {
    let mut disk = SimDisk::new(7);
    let mut run = Run::new(&disk, Durable);
    run.all(&[put("a", 10)]).unwrap();
    for round in 0..40 {
        match round % 5 {
            0 => disk = run.disk.crash(Survival::Everything),
            1 => disk = run.disk.crash(Survival::Nothing),
            2 => disk = run.disk.kill(),
            3 => run.close().unwrap(),
            _ => {
                run.close().unwrap();
                disk = run.disk.crash(Survival::Random);
            }
        }
        run.store = None;
        run.disk = disk.clone();
        run.open().unwrap();
        let names = disk.file_names();
        let segments = names.iter().filter(|name| name.ends_with(".seg")).count();
        let hints = names.iter().filter(|name| name.ends_with(".hint")).count();
        assert!(segments <= 2 && hints <= 1, "round {round}: {names:?}");
        assert_eq!(names.len(), segments + hints + 1, "round {round}: {names:?}");
        assert_eq!(run.store().report().set_aside, [""; 0], "round {round}");
    }
}

/// A first write that is too long for the segment leaves it empty: then it is none, also after a crash.
#[test]
fn a_segment_that_was_left_empty_is_dropped() {
    let steps = [put("long", 4096), put("a", 1), put("long", 4095), put("a", 2), Step::Reopen];
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Durable);
    for round in 0..4 {
        run.all(&steps).unwrap();
        run.close().unwrap();
        let segments = disk.file_names().iter().filter(|name| name.ends_with(".seg")).count();
        // One for each write: none of them leaves room for the next.
        assert_eq!(segments, 4 * (round + 1), "{:?}", disk.file_names());
    }
    for number in 0..operations(5, Durable, &steps) {
        let run = cut(5, Durable, &steps, number, When::During);
        survivors(5, &run, 1, |disk, context| {
            drop(look(&run, disk, &format!("operation {number}, {context}")));
        });
    }
}

/// With the store's threads at work there is a spare segment, and sealing goes on behind the writers' backs. Each thread
/// writes to its own entry; what it was told of must be there, and nothing that it did not write.
#[test]
fn a_power_cut_with_threads_at_work() {
    for number in (8..130).step_by(2) {
        let durability = if number % 4 == 0 { Durable } else { Buffered };
        let when = TIMES[usize::try_from(number % 3).unwrap()];
        let (disk, clock) = (SimDisk::new(number), HandClock::new());
        disk.fail_at(number, Fault::Crash(when));
        let options = options(durability, &clock).background(true).sync_interval(Duration::from_millis(1));
        let mut acknowledged = [0; 3];
        let mut synced = [0; 3];
        let mut answered = 0;
        if let Ok(store) = options.open_on(Arc::new(disk.clone())) {
            let told: Vec<(u8, u8, u64)> = thread::scope(|scope| {
                let write = |name: usize| {
                    let store = &store;
                    scope.spawn(move || {
                        let (mut told, mut synced, mut version) = (0, 0, 0);
                        for count in 1..=30 {
                            let value = vec![count; 50_000 + name];
                            let Ok(stamp) = store.put(at(["a", "b", "c"][name]), &Put::new(&value)) else {
                                break;
                            };
                            (told, version) = (count, stamp.unwrap().version);
                            if count % 8 == 0 && store.sync().wait().is_ok() {
                                synced = count;
                            }
                        }
                        (told, synced, version)
                    })
                };
                let threads: Vec<_> = (0..3).map(write).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            acknowledged = std::array::from_fn(|name| told[name].0);
            synced = std::array::from_fn(|name| told[name].1);
            answered = told.iter().map(|told| told.2).max().unwrap_or(0);
        }
        let floor = if durability == Durable { acknowledged } else { synced };
        for policy in Survival::ALL {
            let context = format!("{durability:?}, {when:?} operation {number}, {policy:?}");
            let store = open(&disk.crash(policy), durability, &clock)
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            for (name, key) in ["a", "b", "c"].into_iter().enumerate() {
                let entry = store.get(at(key)).unwrap();
                let count = entry.as_ref().map_or(0, |entry| entry.value[0]);
                assert!(
                    count >= floor[name] && count <= acknowledged[name] + 1,
                    "{context}: {key} is {count}, {floor:?}"
                );
                assert!(entry.is_none_or(|entry| entry.value == vec![count; 50_000 + name]), "{context}");
            }
            let stamp = store.put(at("a"), &Put::new(b"0")).unwrap().unwrap();
            assert!(stamp.version > answered, "{context}");
        }
    }
}
