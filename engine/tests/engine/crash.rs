//! Power cuts at every operation of the disk, and the death of the process at every step.
//!
//! Whatever a crash leaves, the store must open (a crash alone is never damage), in a state that was one of the
//! history's, with everything that was promised to last; and it must go on from there.

use crate::aftermath::{TIMES, Tally, cut, operations, seeds};
use crate::support::{Chance, HandClock, at, open, options, value};
use crate::workload::{Change, Run, Step, backed_up, churn, compacting, put, random, small, transaction};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{Fault, SimDisk, Survival, When};
use larder_engine::{Durability, Put};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Cuts the power at every operation of a workload, before, in the middle of and after it, and follows whatever may be
/// found then.
fn at_every_operation(name: &str, first_seed: u64, durability: Durability, steps: &[Step]) {
    let count = operations(first_seed, durability, steps);
    let rounds = seeds(1);
    let end = first_seed + rounds * count;
    let mut tally =
        Tally::of(format!("{name}, {durability:?}, {count} operations, seeds {first_seed}..{end}"));
    for seed in first_seed..end {
        let number = (seed - first_seed) % count;
        for when in TIMES {
            let run = cut(seed, durability, steps, number, when);
            tally.survivors(&run, 8, |tally, disk, turn, policy| {
                let context =
                    format!("{name}, seed {seed}, {durability:?}, {when:?} operation {number}, {policy}");
                tally.follow(&run, disk, number + when as u64 + turn, &context);
            });
        }
    }
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_durable() {
    at_every_operation("a bit of everything", 100, Durable, &small());
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_synced() {
    at_every_operation("a bit of everything", 300, Buffered, &small());
}

#[test]
fn a_power_cut_at_any_operation_of_compaction() {
    at_every_operation("jobs in a row", 1000, Durable, &compacting());
}

#[test]
fn a_power_cut_at_any_operation_of_compaction_with_unsynced_writes() {
    at_every_operation("jobs in a row", 2000, Buffered, &compacting());
}

#[test]
fn a_power_cut_at_any_operation_of_backups_and_compaction() {
    at_every_operation("backups on the way", 3000, Buffered, &backed_up());
}

#[test]
fn power_cuts_in_random_workloads() {
    let seeds = 0..seeds(120);
    let mut tally = Tally::of(format!("random workloads, seeds {seeds:?}"));
    for seed in seeds {
        let durability = if seed % 3 == 0 { Durable } else { Buffered };
        let steps = if seed % 2 == 0 { random(seed, 25) } else { churn(seed, 40) };
        let count = operations(seed, durability, &steps);
        let mut chance = Chance::new(seed);
        for _ in 0..4 {
            let (number, when) = (chance.below(count), chance.pick(&TIMES));
            let run = cut(seed, durability, &steps, number, when);
            tally.survivors(&run, 8, |tally, disk, turn, policy| {
                let context = format!("seed {seed}, {durability:?}, {when:?} operation {number}, {policy}");
                tally.follow(&run, disk, turn + number, &context);
            });
        }
    }
}

/// Segments of which zeroes are written ahead in several stretches: whichever write is the last before the power cut, and
/// wherever it lies in a stretch, beyond the end of one, or where none was worth it, it is there.
#[test]
fn a_durable_write_lasts_wherever_the_zeroes_end() {
    const SIZES: [usize; 6] = [60_000, 300, 110_000, 200_000, 9_000, 75_000];
    let clock = HandClock::new();
    let open = |disk: &SimDisk| {
        let options = options(Durable, &clock).segment_bytes(4 << 20);
        options.open_on(Arc::new(disk.clone())).unwrap()
    };
    for count in 1..=60 {
        let disk = SimDisk::new(count as u64);
        let store = open(&disk);
        for (number, size) in SIZES.into_iter().cycle().take(count).enumerate() {
            let value = value(number as u64, size);
            store.put(at(&format!("k{number:02}")), &Put::new(&value)).unwrap().unwrap();
        }
        let disk = disk.crash(Survival::Nothing);
        drop(store);
        let store = open(&disk);
        assert_eq!(store.stats().entries, count as u64, "after {count} writes");
    }
}

/// One store through crash after crash: what one recovery gets wrong the next may be the first to show.
#[test]
fn crash_after_crash() {
    const CRASHES: usize = 12;
    let seeds = 0..seeds(600);
    let mut tally = Tally::of(format!("crash after crash, seeds {seeds:?}"));
    for seed in seeds {
        let durability = if seed % 3 == 0 { Durable } else { Buffered };
        let mut chance = Chance::new(seed);
        let mut run = Run::new(&SimDisk::new(seed), durability);
        for crash in 0..CRASHES {
            let (number, when) = (1 + chance.below(90), chance.pick(&TIMES));
            run.disk.fail_at(run.disk.op_count() + number, Fault::Crash(when));
            let steps = churn(chance.next(), 40);
            // The first open may be cut too.
            let opened = if run.store.is_none() { run.open() } else { Ok(()) };
            let _ = opened.and_then(|()| steps.iter().try_for_each(|step| run.step(step)));
            run.store = None;
            let policy = chance.pick(&Survival::ALL);
            let context = format!("seed {seed}, {durability:?}, crash {crash}, {policy:?}");
            let found = run.disk.crash(policy);
            run = tally.look(&run, &found, &context);
        }
        let disk = run.disk.kill();
        run.store = None;
        tally.follow(&run, &disk, seed, &format!("seed {seed}, in the end"));
    }
}

/// A crash, and then recovery itself is cut at every operation.
#[test]
fn a_power_cut_during_recovery_changes_nothing() {
    let burst = |key| vec![Change::Put(key, 1953, None)];
    // Several open segments with loose ends.
    let open_ended = vec![
        put("a", 100),
        put("b", 100),
        Step::Sync,
        put("a", 2000),
        Step::Write(vec![burst("c"), burst("d"), burst("e"), vec![Change::Delete("b")], burst("f")]),
        transaction(vec![Change::Put("a", 2734, None), Change::Put("g", 2734, None)]),
        put("h", 5000),
    ];
    let seeds = 0..seeds(40);
    let mut tally = Tally::of(format!("recovery cut at every operation, seeds {seeds:?}"));
    for seed in seeds {
        let mut chance = Chance::new(seed);
        let steps = vec![open_ended.clone(), compacting(), backed_up()]
            .swap_remove(usize::try_from(seed % 3).unwrap());
        let run = if seed % 3 == 0 {
            let mut run = Run::new(&SimDisk::new(seed), Buffered);
            run.all(&steps).unwrap();
            run
        } else {
            let number = chance.below(operations(seed, Buffered, &steps));
            cut(seed, Buffered, &steps, number, chance.pick(&TIMES))
        };
        let found = run.disk.crash(chance.pick(&[Survival::Prefix, Survival::Random, Survival::Everything]));

        // Everything on the disk that was found is durable: each recovery of it must come to the same state.
        let disk = found.crash(Survival::Nothing);
        let first = tally.look(&run, &disk, &format!("seed {seed}"));
        let (index, count) = (first.history.last(), disk.op_count());
        let known = run.goes_on(&found, index);
        for number in 0..count {
            for when in TIMES {
                let disk = found.crash(Survival::Nothing);
                disk.fail_at(number, Fault::Crash(when));
                let mut second = known.goes_on(&disk, index);
                let opened = second.open();
                assert!(opened.is_err() || disk.is_crashed());
                second.store = None;
                tally.survivors(&second, 8, |tally, disk, turn, policy| {
                    let context = format!("seed {seed}, {when:?} operation {number} of recovery, {policy}");
                    let third = tally.look(&known, disk, &context);
                    assert_eq!(third.history.last(), index, "{context}");
                    if (turn + number).is_multiple_of(4) {
                        let disk = third.disk.kill();
                        tally.follow(&known, &disk, turn + number, &context);
                    }
                });
            }
        }
    }
}

/// A killed process has handed all it acknowledged to the system, at level buffered too; and what the next one shows
/// of it, no power cut may take away any more.
#[test]
fn a_kill_loses_nothing_acknowledged_and_what_is_told_after_it_is_durable() {
    let mut tally = Tally::of("killed after every step, seeds 0..6");
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
                tally.follow(&run, &disk.crash(Survival::Nothing), seed, &context);
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
        // The manifest and the reserve.
        assert_eq!(names.len(), segments + hints + 2, "round {round}: {names:?}");
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
    let mut tally = Tally::of("segments left empty, seed 5");
    for number in 0..operations(5, Durable, &steps) {
        let run = cut(5, Durable, &steps, number, When::During);
        tally.survivors(&run, 1, |tally, disk, _, policy| {
            drop(tally.look(&run, disk, &format!("operation {number}, {policy}")));
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
