//! Disks that fail without a crash: at every operation, in every way; and disks that are full.

use crate::support::{HandClock, at, dump, open, value};
use crate::workload::{Change, Run, Step, put, random, small};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{Fault, OpKind, SimDisk, Survival};
use larder_engine::{Condition, Durability, Error, Put, Store};

const FAULTS: [Fault; 5] =
    [Fault::Eio, Fault::EioPartly, Fault::Enospc, Fault::Interrupted, Fault::ShortWrite];

/// The store as it is after an error: does it tell the truth?
fn check_after_error(run: &mut Run, error: &Error, context: &str) {
    let failed = run.store().stats().failed;
    match error {
        Error::InDoubt { .. } => assert!(failed, "{context}: {error}"),
        Error::Failed { .. } | Error::NoSpace { .. } | Error::Io { .. } => {}
        other => panic!("{context}: {other}"),
    }
    let acknowledged = run.history.acknowledged;
    let found = dump(run.store()).unwrap_or_else(|error| panic!("{context}: {error}"));
    let expected = run.history.states[acknowledged].live(run.now_ms());
    crate::support::assert_same(&found, &expected, &format!("{context}: reads after the failure"));
    if failed {
        let refused = run.store().put(at("later"), &Put::new(b"1")).unwrap_err();
        assert!(matches!(refused, Error::Failed { .. }), "{context}: {refused}");
        let refused = run.store().delete(at("a"), Condition::Always).unwrap_err();
        assert!(matches!(refused, Error::Failed { .. }), "{context}: {refused}");
        let refused = run.store().sync().wait().unwrap_err();
        assert!(matches!(refused, Error::Failed { .. }), "{context}: {refused}");
    } else {
        // What was in doubt has not happened.
        assert_eq!(run.history.last(), acknowledged, "{context}");
    }
    crate::support::assert_same(
        &dump(run.store()).unwrap(),
        &expected,
        &format!("{context}: reads, once more"),
    );
}

/// Opens `disk`, which must be in a state of the history from `floor` on, and looks whether what it then tells lasts.
fn reopen(run: &Run, disk: &SimDisk, floor: usize, context: &str) {
    let mut next = run.goes_on(disk, run.history.last());
    next.open().unwrap_or_else(|error| panic!("{context}: {error}"));
    let index = next.state(floor, context);
    let stamp = next.store().put(at("probe"), &Put::new(b"1")).unwrap().unwrap();
    assert!(stamp.version > run.history.answered, "{context}: version {} was answered before", stamp.version);
    next.store().delete(at("probe"), Condition::Always).unwrap().unwrap();
    next.store().sync().wait().unwrap();
    let disk = disk.crash(Survival::Nothing);
    let mut last = run.goes_on(&disk, run.history.last());
    last.open().unwrap_or_else(|error| panic!("{context}: after a power cut: {error}"));
    assert_eq!(last.state(index, &format!("{context}: after a power cut")), index);
}

/// Runs a workload with one fault. Returns whether anybody noticed.
fn strike(seed: u64, durability: Durability, steps: &[Step], number: u64, fault: Fault) -> bool {
    let context = format!("seed {seed}, {durability:?}, {fault:?} at operation {number}");
    let disk = SimDisk::new(seed);
    disk.keep_trace();
    disk.fail_at(number, fault);
    let mut run = Run::new(&disk, durability);
    let mut noticed = false;
    let mut index = 0;
    if let Err(error) = run.open() {
        assert!(matches!(error, Error::Io { .. } | Error::NoSpace { .. }), "{context}: {error}");
        noticed = true;
        run.open().unwrap_or_else(|error| panic!("{context}: open again: {error}"));
    }
    // After a failure that is not the log's, the rest of the workload runs.
    while let Some(step) = steps.get(index) {
        index += 1;
        let Err(error) = run.step(step) else { continue };
        noticed = true;
        if run.store.is_none() {
            // Closing or opening failed.
            run.open().unwrap_or_else(|error| panic!("{context}: open again: {error}"));
            run.history.floor = run.state(run.history.acknowledged, &context);
            run.history.acknowledged = run.history.floor;
            run.history.states.truncate(run.history.floor + 1);
            continue;
        }
        check_after_error(&mut run, &error, &context);
        if run.store().stats().failed {
            break;
        }
    }
    let kind = disk.trace().iter().find(|op| op.fault.is_some()).map(|op| op.kind);
    let harmless = kind.is_none()
        || fault == Fault::ShortWrite
        || (fault == Fault::Interrupted && kind == Some(OpKind::Write));
    if harmless {
        assert!(!noticed, "{context}: {kind:?} should have been gone on with");
    }

    // The same disk for the next process, and what a power cut makes of it.
    let acknowledged = run.history.acknowledged;
    let cut = [Survival::Nothing, Survival::Random][usize::try_from(number % 2).unwrap()];
    if number.is_multiple_of(3) {
        let closed = run.store.take().unwrap().close();
        let typed =
            matches!(closed, Ok(()) | Err(Error::Io { .. } | Error::NoSpace { .. } | Error::Failed { .. }));
        assert!(typed, "{context}: {closed:?}");
        reopen(&run, &disk, acknowledged, &format!("{context}: closed"));
    } else if number % 3 == 1 {
        let disk = disk.kill();
        run.store = None;
        reopen(&run, &disk, acknowledged, &format!("{context}: killed"));
    } else {
        let disk = disk.crash(cut);
        run.store = None;
        reopen(&run, &disk, run.history.floor, &format!("{context}: {cut:?}"));
    }
    noticed
}

fn operations(seed: u64, durability: Durability, steps: &[Step]) -> u64 {
    let disk = SimDisk::new(seed);
    let mut run = Run::new(&disk, durability);
    run.all(steps).unwrap();
    run.close().unwrap();
    disk.op_count()
}

fn at_every_operation(durability: Durability) {
    let steps = small();
    let (mut struck, mut noticed) = (0, 0);
    for number in 0..operations(1, durability, &steps) {
        for fault in FAULTS {
            // Three seeds, for the three ends of a run.
            noticed += u32::from(strike(number, durability, &steps, number, fault));
            struck += 1;
        }
    }
    assert!(noticed > struck / 4, "{noticed} of {struck} faults had consequences");
}

#[test]
fn any_failing_operation_at_level_durable() {
    at_every_operation(Durable);
}

#[test]
fn any_failing_operation_at_level_buffered() {
    at_every_operation(Buffered);
}

#[test]
fn failing_operations_in_random_workloads() {
    for seed in 0..150 {
        let durability = if seed % 2 == 0 { Durable } else { Buffered };
        let steps = random(seed, 15);
        let mut chance = crate::support::Chance::new(seed);
        let count = operations(seed, durability, &steps);
        strike(seed, durability, &steps, chance.below(count), chance.pick(&FAULTS));
    }
}

/// A failed sync takes what it should have written for clean: what a later process reads of it is in memory only, and
/// has to be written again before anybody is told.
#[test]
fn what_is_read_after_a_failed_sync_is_written_again() {
    for durability in [Durable, Buffered] {
        let disk = SimDisk::new(1);
        let mut run = Run::new(&disk, durability);
        run.all(&[put("a", 100), put("b", 300), Step::Sync]).unwrap();
        disk.fail_next(OpKind::Sync, Fault::Eio);
        let error = run.step(&put("a", 2000)).and_then(|()| run.step(&Step::Sync)).unwrap_err();
        assert!(matches!(error, Error::InDoubt { .. } | Error::Failed { .. }), "{error}");
        let disk = disk.kill();
        run.store = None;
        reopen(&run, &disk, run.history.acknowledged, &format!("{durability:?}"));
    }
}

#[test]
fn a_read_that_fails_is_told_and_the_next_one_succeeds() {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Durable);
    run.all(&small()).unwrap();
    let expected = dump(run.store()).unwrap();
    disk.fail_read_at(disk.read_count(), Fault::Eio);
    assert!(matches!(dump(run.store()), Err(Error::Io { .. })));
    assert!(dump(run.store()).unwrap() == expected);
    let disk = disk.kill();
    let clean = disk.crash(Survival::Everything);
    run.store = None;
    let count = {
        let mut run = run.goes_on(&clean, run.history.last());
        run.open().unwrap();
        clean.read_count()
    };
    assert!(count > 5);
    let mut undisturbed = 0;
    for number in 0..count {
        let disk = disk.crash(Survival::Everything);
        disk.fail_read_at(number, Fault::Eio);
        let mut run = run.goes_on(&disk, run.history.last());
        match run.open() {
            Err(Error::Io { .. }) => run.open().unwrap(),
            // A hint that cannot be read is done without.
            Ok(()) => undisturbed += 1,
            Err(error) => panic!("read {number}: {error}"),
        }
        assert!(dump(run.store()).unwrap() == expected, "read {number}");
    }
    assert!(undisturbed > 0, "there are hints");
}

fn fill(store: &Store, prefix: &str) -> (u64, Error) {
    let value = value(1, 300_000);
    for number in 0.. {
        if let Err(error) = store.put(at(&format!("{prefix}{number}")), &Put::new(&value)) {
            return (number, error);
        }
    }
    unreachable!("it fills up")
}

/// At every size that the disk can have when it gets full: the error is typed, nothing is lost, and writing resumes by
/// itself, whichever step it was that wanted room.
#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let segment = 1 << 20;
    for durability in [Durable, Buffered] {
        for blocks in (0..12).chain(254..275).chain(512..530) {
            let context = format!("{durability:?}, {blocks} blocks");
            let (disk, clock) = (SimDisk::new(1), HandClock::new());
            let store = open(&disk, durability, &clock).unwrap();
            store.put(at("first"), &Put::new(b"1")).unwrap().unwrap();
            disk.set_capacity(disk.used_bytes() + blocks * 4096);

            let (count, error) = fill(&store, "k");
            assert!(matches!(error, Error::NoSpace { .. }), "{context}: {error}");
            assert!(!store.stats().failed, "{context}");
            assert_eq!(dump(&store).unwrap().len() as u64, count + 1, "{context}");
            let (again, error) = fill(&store, "x");
            assert!(again == 0 && matches!(error, Error::NoSpace { .. }), "{context}: {error}");
            // What still fits into the segment is taken.
            store.put(at("first"), &Put::new(b"2")).unwrap().unwrap();
            store.sync().wait().unwrap();

            disk.set_capacity(disk.used_bytes() + 3 * segment);
            let (more, error) = fill(&store, "m");
            assert!(more > 3 && matches!(error, Error::NoSpace { .. }), "{context}: {more}, {error}");
            let expected = dump(&store).unwrap();
            assert_eq!(expected.len() as u64, 1 + count + more, "{context}");

            // The end of the process, while there is no room.
            let disk = if blocks % 2 == 0 { disk.kill() } else { disk.clone() };
            let closed = store.close();
            assert!(
                closed.is_ok() || blocks % 2 == 0 || matches!(closed, Err(Error::NoSpace { .. })),
                "{context}: {closed:?}"
            );
            disk.set_capacity(disk.used_bytes());
            if let Err(error) = open(&disk, durability, &clock) {
                assert!(matches!(error, Error::NoSpace { .. }), "{context}: {error}");
            }
            disk.set_capacity(disk.used_bytes() + 2 * segment);
            let store = open(&disk, durability, &clock).unwrap();
            assert!(dump(&store).unwrap() == expected, "{context}");
            let (_, error) = fill(&store, "z");
            assert!(matches!(error, Error::NoSpace { .. }), "{context}: {error}");
        }
    }
}

/// A segment that could not be sealed is still a part of the log, whatever is written and sealed after it.
#[test]
fn a_segment_that_cannot_be_sealed_loses_nothing() {
    for fault in [Fault::Eio, Fault::Enospc] {
        for kind in
            [OpKind::SetLen, OpKind::Write, OpKind::Sync, OpKind::Create, OpKind::Rename, OpKind::SyncDir]
        {
            let context = format!("{fault:?} of {kind:?}");
            let disk = SimDisk::new(1);
            let mut run = Run::new(&disk, Durable);
            run.all(&[put("a", 1600), put("b", 1600)]).unwrap();
            // One write fills the first segment, and finds the second ready: sealing comes after its sync.
            let mut write = vec![vec![Change::Put("c", 100, None)]];
            for key in ["d", "e", "f"] {
                write.push(vec![Change::Put(key, 1600, None)]);
            }
            disk.keep_trace();
            let number = {
                let probe = SimDisk::new(1);
                probe.keep_trace();
                let mut run = Run::new(&probe, Durable);
                run.all(&[put("a", 1600), put("b", 1600), Step::Write(write.clone())]).unwrap();
                let trace: Vec<_> = probe.trace().into_iter().filter(|op| !op.kind.is_read()).collect();
                let cut = trace.iter().rposition(|op| op.kind == OpKind::SetLen).unwrap();
                (cut..trace.len()).find(|index| trace[*index].kind == kind).unwrap()
            };
            disk.fail_at(number as u64, fault);
            run.step(&Step::Write(write)).unwrap();
            assert!(disk.trace().iter().any(|op| op.fault.is_some()), "{context}");
            for key in ["a", "b", "c", "d", "e", "f", "g"] {
                let written = run.step(&put(key, 1200));
                assert!(matches!(written, Ok(()) | Err(Error::Failed { .. })), "{context}: {written:?}");
            }
            let acknowledged = run.history.acknowledged;
            let crashed = disk.crash(Survival::Nothing);
            run.store = None;
            reopen(&run, &crashed, acknowledged, &context);
        }
    }
}
