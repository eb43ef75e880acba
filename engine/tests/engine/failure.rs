//! Disks that fail without a crash: at every operation, in every way. Disks that are full: see `space`.

use crate::aftermath::{Tally, operations, seeds};
use crate::support::{Chance, at, dump};
use crate::workload::{Change, Run, Step, backed_up, compacting, put, random, small};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{Fault, OpKind, SimDisk, Survival};
use larder_engine::{Condition, Durability, Error, Put};

const FAULTS: [Fault; 8] = [
    Fault::Eio,
    Fault::EioPartly,
    Fault::Enospc,
    Fault::Edquot,
    Fault::Emfile,
    Fault::Erofs,
    Fault::Interrupted,
    Fault::ShortWrite,
];

/// The store as it is after an error: does it tell the truth?
fn check_after_error(run: &mut Run, error: &Error, context: &str) {
    let failed = run.store().stats().failed;
    match error {
        Error::InDoubt { .. } => assert!(failed, "{context}: {error}"),
        Error::Failed { .. } | Error::NoSpace { .. } | Error::Denied { .. } | Error::Io { .. } => {}
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
fn reopen(tally: &mut Tally, run: &Run, disk: &SimDisk, floor: usize, context: &str) {
    tally.check_backups(run, disk, context);
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
    tally.count(2);
}

/// Runs a workload with one fault. Returns whether anybody noticed.
fn strike(
    tally: &mut Tally,
    seed: u64,
    durability: Durability,
    steps: &[Step],
    number: u64,
    fault: Fault,
) -> bool {
    let context = format!("seed {seed}, {durability:?}, {fault:?} at operation {number}");
    let disk = SimDisk::new(seed);
    disk.keep_trace();
    disk.fail_at(number, fault);
    let mut run = Run::new(&disk, durability);
    let mut noticed = false;
    let mut index = 0;
    if let Err(error) = run.open() {
        assert!(
            matches!(error, Error::Io { .. } | Error::NoSpace { .. } | Error::Denied { .. }),
            "{context}: {error}"
        );
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
        let typed = matches!(
            closed,
            Ok(())
                | Err(Error::Io { .. } | Error::NoSpace { .. } | Error::Denied { .. } | Error::Failed { .. })
        );
        assert!(typed, "{context}: {closed:?}");
        reopen(tally, &run, &disk, acknowledged, &format!("{context}: closed"));
    } else if number % 3 == 1 {
        let disk = disk.kill();
        run.store = None;
        reopen(tally, &run, &disk, acknowledged, &format!("{context}: killed"));
    } else {
        let disk = disk.crash(cut);
        run.store = None;
        reopen(tally, &run, &disk, run.history.floor, &format!("{context}: {cut:?}"));
    }
    noticed
}

/// Has every operation of a workload fail in every way.
fn at_every_operation(name: &str, durability: Durability, steps: &[Step]) {
    let count = operations(1, durability, steps);
    let seeds = 0..seeds(1) * count;
    let what = format!("{name}, {durability:?}, every fault at each of {count} operations, seeds {seeds:?}");
    let mut tally = Tally::of(what);
    let (mut struck, mut noticed) = (0, 0);
    for seed in seeds {
        for fault in FAULTS {
            // What a run ends with varies with the number of the operation.
            noticed += u32::from(strike(&mut tally, seed, durability, steps, seed % count, fault));
            struck += 1;
        }
    }
    assert!(noticed > struck / 4, "{noticed} of {struck} faults had consequences");
}

#[test]
fn any_failing_operation_at_level_durable() {
    at_every_operation("a bit of everything", Durable, &small());
}

#[test]
fn any_failing_operation_at_level_buffered() {
    at_every_operation("a bit of everything", Buffered, &small());
}

#[test]
fn any_failing_operation_of_compaction() {
    at_every_operation("jobs in a row", Durable, &compacting());
}

#[test]
fn any_failing_operation_of_backups_and_compaction() {
    at_every_operation("backups on the way", Buffered, &backed_up());
}

#[test]
fn failing_operations_in_random_workloads() {
    let seeds = 0..seeds(600);
    let mut tally = Tally::of(format!("faults in random workloads, seeds {seeds:?}"));
    for seed in seeds {
        let durability = if seed % 2 == 0 { Durable } else { Buffered };
        let steps = random(seed, 15);
        let mut chance = Chance::new(seed);
        let count = operations(seed, durability, &steps);
        strike(&mut tally, seed, durability, &steps, chance.below(count), chance.pick(&FAULTS));
    }
}

/// A failed sync takes what it should have written for clean: what a later process reads of it is in memory only, and
/// has to be written again before anybody is told.
#[test]
fn what_is_read_after_a_failed_sync_is_written_again() {
    let mut tally = Tally::of("a failed sync, seed 1");
    for durability in [Durable, Buffered] {
        let disk = SimDisk::new(1);
        let mut run = Run::new(&disk, durability);
        run.all(&[put("a", 100), put("b", 300), Step::Sync]).unwrap();
        disk.fail_next(OpKind::Sync, Fault::Eio);
        let error = run.step(&put("a", 2000)).and_then(|()| run.step(&Step::Sync)).unwrap_err();
        assert!(matches!(error, Error::InDoubt { .. } | Error::Failed { .. }), "{error}");
        let disk = disk.kill();
        run.store = None;
        reopen(&mut tally, &run, &disk, run.history.acknowledged, &format!("{durability:?}"));
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

/// Another process may be faster between two opens of this one.
#[test]
fn a_lock_that_somebody_else_has_taken() {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Durable);
    run.all(&[put("a", 10)]).unwrap();
    run.close().unwrap();
    let thief = disk.take_lock();
    let before = disk.op_count();
    let error = run.open().unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert_eq!(disk.op_count(), before, "nothing is touched");
    drop(thief);
    run.open().unwrap();
    assert_eq!(run.state(run.history.last(), "opened again"), run.history.last());
}

/// If nobody knows which manifest is in force, the log could go on until its segment is full. It stops at once instead,
/// and says so.
#[test]
fn a_manifest_in_doubt_stops_the_store_at_once() {
    let mut tally = Tally::of("a manifest in doubt, seed 1");
    // The second one needs another segment.
    let steps = [put("a", 600_000), put("b", 600_000)];
    let probe = SimDisk::new(1);
    probe.keep_trace();
    Run::new(&probe, Durable).all(&steps).unwrap();
    let trace: Vec<_> = probe.trace().into_iter().filter(|op| !op.kind.is_read()).collect();
    let last_put =
        trace.iter().rposition(|op| op.kind == OpKind::Create && op.name.ends_with(".seg")).unwrap();
    for kind in [OpKind::Rename, OpKind::SyncDir] {
        for fault in [Fault::Eio, Fault::EioPartly, Fault::Enospc] {
            let context = format!("{fault:?} of {kind:?}");
            let renamed = (last_put..).find(|at| trace[*at].kind == OpKind::Rename).unwrap();
            let number = (renamed..).find(|at| trace[*at].kind == kind).unwrap();
            let disk = SimDisk::new(1);
            disk.fail_at(number as u64, fault);
            let mut run = Run::new(&disk, Durable);
            let error = run.all(&steps).unwrap_err();
            let failed = run.store().stats().failed;
            if kind == OpKind::Rename && fault == Fault::Enospc {
                // Refused for certain: there is nothing to doubt.
                assert!(!failed && matches!(error, Error::NoSpace { .. }), "{context}: {error}");
                run.step(&steps[1]).unwrap();
                continue;
            }
            assert!(failed && matches!(error, Error::Io { .. }), "{context}: {error}");
            check_after_error(&mut run, &error, &context);
            let acknowledged = run.history.acknowledged;
            let cut = disk.crash(Survival::Random);
            run.store = None;
            reopen(&mut tally, &run, &cut, acknowledged, &context);
        }
    }
}

/// A segment that could not be sealed is still a part of the log, whatever is written and sealed after it.
#[test]
fn a_segment_that_cannot_be_sealed_loses_nothing() {
    let mut tally = Tally::of("a segment that cannot be sealed, seed 1");
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
            reopen(&mut tally, &run, &crashed, acknowledged, &context);
        }
    }
}
