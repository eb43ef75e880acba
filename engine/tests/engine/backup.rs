//! Backups and restores: exactly one version, whatever goes on meanwhile, wherever the power fails, whatever is damaged.

use crate::support::{Chance, Contents, HandClock, assert_same, at, brief, dump, options, value};
use crate::workload::{Change, Run, Step, delete, put, put_for, random, small, transaction};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::Disk;
use larder_engine::disk::sim::{Fault, OpKind, SimDisk, Survival, When};
use larder_engine::{
    BackupReport, Condition, Durability, Error, Options, Put, RestoreReport, Result, Store, Transfer, backup,
    backup_on, restore, restore_on,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const TIMES: [When; 3] = [When::Before, When::During, When::After];

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn back_up(store: &Store, target: &SimDisk) -> Result<BackupReport> {
    store.backup_on(&shared(target), |_| ())
}

fn put_back(backup: &SimDisk, target: &SimDisk) -> Result<RestoreReport> {
    restore_on(&shared(backup), &shared(target), |_| ())
}

fn open_existing(disk: &SimDisk, clock: &Arc<HandClock>) -> Result<Store> {
    options(Durable, clock).create(false).open_on(shared(disk))
}

/// A backup that was taken on the way, and the state of the history that it must hold.
struct Taken {
    directory: SimDisk,
    report: BackupReport,
    index: usize,
    answered: u64,
}

fn take(run: &Run, directory: &SimDisk) -> Taken {
    let report = back_up(run.store(), directory).unwrap();
    let (index, answered) = (run.history.last(), run.history.answered);
    Taken { directory: directory.clone(), report, index, answered }
}

/// Restores a backup into `target` and looks whether it is what it should be, and a store that goes on from there.
fn check(run: &Run, taken: &Taken, target: &SimDisk, context: &str) {
    let report = put_back(&taken.directory, target).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!((report.version, report.segments), (taken.report.version, taken.report.segments), "{context}");
    assert_eq!(report.bytes, taken.report.bytes, "{context}");
    let expected = run.history.states[taken.index].live(run.now_ms());
    let store = open_existing(target, &run.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(store.report().clean && store.report().set_aside.is_empty(), "{context}: {:?}", store.report());
    assert_same(&dump(&store).unwrap(), &expected, context);

    // Not even those that the original answered after the cut, which it had reserved before.
    let stamp = store.put(at("probe"), &Put::new(b"probe")).unwrap().unwrap();
    assert!(stamp.version > report.versions_above.max(run.history.answered), "{context}: {}", stamp.version);
    assert!(report.versions_above >= report.version, "{context}");
    let after = dump(&store).unwrap();
    let disk = target.crash(Survival::Nothing);
    drop(store);
    let store = open_existing(&disk, &run.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_same(&dump(&store).unwrap(), &after, &format!("{context}: after a power cut"));
    store.close().unwrap();
}

#[test]
fn a_restored_store_is_the_version_that_was_backed_up() {
    for seed in 0..12 {
        let durability = if seed % 2 == 0 { Durable } else { Buffered };
        let steps = if seed < 2 { small() } else { random(seed, 30) };
        let disk = SimDisk::new(seed);
        let far = SimDisk::new(seed + 1000);
        let mut run = Run::new(&disk, durability);
        run.open().unwrap();
        let mut all = vec![take(&run, &disk.directory("empty"))];
        for (number, step) in steps.iter().enumerate() {
            run.step(step).unwrap();
            if number % 4 == 0 {
                // Linked, and copied to another machine.
                for disk in [&disk, &far] {
                    all.push(take(&run, &disk.directory(&format!("backup{number}"))));
                }
            }
        }
        assert_eq!(run.state(run.history.last(), "backups change nothing"), run.history.last());
        for (number, taken) in all.iter().enumerate() {
            let context = format!("seed {seed}, {durability:?}, backup {number}");
            let (segments, linked) = (taken.report.segments, taken.report.linked);
            assert_eq!(linked, if number % 2 == 1 || number == 0 { segments } else { 0 }, "{context}");
            assert!(taken.report.version >= taken.answered, "{context}");
            // Each onto a machine of its own, which a power cut then ends.
            let target = SimDisk::new(seed + 2000).directory("restored");
            check(&run, taken, &target, &context);
        }
        run.close().unwrap();
    }
}

/// A restored store is backed up and restored again: its segments come from several stores.
#[test]
fn restored_again_and_again() {
    let mut disk = SimDisk::new(1);
    let clock = HandClock::new();
    let mut expected = Contents::new();
    let mut newest = 0;
    for round in 0..5 {
        let home = disk.directory(&format!("home{round}"));
        let mut options = options(Durable, &clock);
        if round > 0 {
            put_back(&disk.directory(&format!("backup{}", round - 1)), &home).unwrap();
            options = options.create(false);
        }
        let store = options.open_on(shared(&home)).unwrap();
        assert_same(&dump(&store).unwrap(), &expected, &format!("round {round}"));
        let key = format!("key{round}");
        for bytes in [900_000, 700_000, 5] {
            let value = value(round, bytes);
            let stamp = store.put(at(&key), &Put::new(&value).description("note").tag(4)).unwrap().unwrap();
            assert!(stamp.version > newest);
            newest = stamp.version;
        }
        if round == 3 {
            store.delete(at("key1"), Condition::Always).unwrap().unwrap();
        }
        expected = dump(&store).unwrap();
        back_up(&store, &disk.directory(&format!("backup{round}"))).unwrap();
        disk = disk.crash(Survival::Nothing);
    }
}

/// What a writer did: for each version, the key and the value that it got.
type Deeds = BTreeMap<u64, (String, Option<Vec<u8>>)>;

fn write_until(store: &Store, name: u64, over: &AtomicBool) -> Deeds {
    let mut deeds = Deeds::new();
    let mut chance = Chance::new(name);
    while !over.load(Ordering::Relaxed) {
        let key = format!("{name}:{}", chance.below(6));
        if chance.below(5) == 0 {
            let deleted = store.delete(at(&key), Condition::Always).unwrap().unwrap();
            deeds.extend(deleted.map(|deleted| (deleted.version, (key, None))));
        } else {
            let (seed, length) = (chance.next(), chance.pick(&[0, 20, 3000, 90_000]));
            let value = value(seed, length);
            let stamp = store.put(at(&key), &Put::new(&value)).unwrap().unwrap();
            deeds.insert(stamp.version, (key, Some(value)));
        }
    }
    deeds
}

/// Each backup is exactly the changes up to its version: none is missing, none is too many.
#[test]
fn a_backup_while_others_write() {
    const BACKUPS: usize = 12;
    for durability in [Durable, Buffered] {
        let (disk, clock) = (SimDisk::new(7), HandClock::new());
        let options = options(durability, &clock).background(true).sync_interval(Duration::from_millis(1));
        let store = options.open_on(shared(&disk)).unwrap();
        let over = AtomicBool::new(false);
        let (deeds, reports) = thread::scope(|scope| {
            let write = |name| {
                let (store, over) = (&store, &over);
                scope.spawn(move || write_until(store, name, over))
            };
            let writers: Vec<_> = (1..=3).map(write).collect();
            let reports: Vec<_> = (0..BACKUPS)
                .map(|number| {
                    let before = store.stats().acknowledged_sequence;
                    // The next one when there is something new in it.
                    while store.stats().acknowledged_sequence < before + 20 {
                        thread::yield_now();
                    }
                    let known = store.stats().acknowledged_sequence;
                    let report = back_up(&store, &disk.directory(&format!("backup{number}"))).unwrap();
                    assert!(report.version >= known, "what was acknowledged before is in it");
                    report
                })
                .collect();
            over.store(true, Ordering::Relaxed);
            let deeds: Deeds = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
            (deeds, reports)
        });
        store.close().unwrap();
        for (number, report) in reports.iter().enumerate() {
            let mut expected = BTreeMap::new();
            for (version, (key, value)) in deeds.range(..=report.version) {
                match value {
                    Some(value) => drop(expected.insert(key.clone(), (*version, value.clone()))),
                    None => drop(expected.remove(key)),
                }
            }
            let target = disk.directory(&format!("restored{number}"));
            put_back(&disk.directory(&format!("backup{number}")), &target).unwrap();
            let found = dump(&open_existing(&target, &clock).unwrap()).unwrap();
            let found: BTreeMap<_, _> =
                found.into_iter().map(|((_, _, key), entry)| (key, (entry.version, entry.value))).collect();
            assert!(found == expected, "{durability:?}, backup {number} of version {}", report.version);
        }
    }
}

/// Several segments, deletes and deadlines; some of it not durable yet at level buffered.
fn history() -> Vec<Step> {
    vec![
        put("a", 30),
        put_for("b", 600, 100_000),
        Step::Reopen,
        delete("a"),
        put("e", 3000),
        Step::Reopen,
        transaction(vec![Change::Put("c", 40, None), Change::Delete("b"), Change::Put("d", 9, Some(70_000))]),
        put("a", 7),
    ]
}

fn run_history(seed: u64, durability: Durability) -> Run {
    run_steps(seed, durability, &history())
}

fn run_steps(seed: u64, durability: Durability, steps: &[Step]) -> Run {
    let mut run = Run::new(&SimDisk::new(seed), durability);
    run.all(steps).unwrap();
    run
}

/// Two segments of more than half a megabyte each.
fn large() -> [Step; 3] {
    [put("a", 30), put("big", 800_000), put("big", 700_000)]
}

/// The changing operations that a backup of the history takes, by number.
fn operations_of_backup(durability: Durability) -> std::ops::Range<u64> {
    let run = run_history(1, durability);
    let before = run.disk.op_count();
    back_up(run.store(), &run.disk.directory("backup")).unwrap();
    before..run.disk.op_count()
}

/// Looks at what there is of a backup after a crash or an error: it is whole, or known not to be.
fn whole_or_refused(run: &Run, disk: &SimDisk, index: usize, must: bool, context: &str) {
    let (backup, target) = (disk.directory("backup"), disk.directory("restored"));
    match put_back(&backup, &target) {
        Ok(_) => {
            let store =
                open_existing(&target, &run.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
            let expected = run.history.states[index].live(run.now_ms());
            assert_same(&dump(&store).unwrap(), &expected, context);
        }
        Err(Error::NotABackup { .. }) if !must => {
            assert_eq!(target.file_names(), [""; 0], "{context}");
            let opened = open_existing(&backup, &run.clock).err();
            let named =
                matches!(opened, Some(Error::Unfinished { what: "backup", .. } | Error::Missing { .. }));
            assert!(named, "{context}: {opened:?}");
        }
        Err(error) => panic!("{context}: {error}"),
    }
}

#[test]
fn a_power_cut_at_any_operation_of_a_backup() {
    for durability in [Durable, Buffered] {
        for number in operations_of_backup(durability) {
            for when in TIMES {
                let mut run = run_history(number, durability);
                let index = run.history.last();
                run.disk.fail_at(number, Fault::Crash(when));
                back_up(run.store(), &run.disk.directory("backup")).unwrap_err();
                run.store = None;
                for policy in Survival::ALL {
                    let context = format!("{durability:?}, {when:?} operation {number}, {policy:?}");
                    let disk = run.disk.crash(policy);
                    whole_or_refused(&run, &disk, index, false, &context);
                    // The store has lost nothing, and the next backup into the same directory works.
                    let mut next = run.goes_on(&disk, index);
                    next.open().unwrap_or_else(|error| panic!("{context}: {error}"));
                    let found = next.state(run.history.floor, &context);
                    match back_up(next.store(), &disk.directory("backup")) {
                        Ok(_) => {
                            next.store = None;
                            let disk = disk.crash(Survival::Nothing);
                            disk.file_names().iter().for_each(|name| assert!(!name.contains("orphan")));
                            let target = disk.directory("second");
                            put_back(&disk.directory("backup"), &target).unwrap();
                            let store = open_existing(&target, &run.clock).unwrap();
                            let expected = run.history.states[found].live(run.now_ms());
                            assert_same(&dump(&store).unwrap(), &expected, &context);
                        }
                        // It was complete.
                        Err(Error::NotEmpty { found, .. })
                            if found == "BACKUP" || found.ends_with(".seg") => {}
                        Err(error) => panic!("{context}: {error}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_backup_that_was_reported_outlasts_a_power_cut() {
    for durability in [Durable, Buffered] {
        for policy in Survival::ALL {
            let mut run = run_history(3, durability);
            back_up(run.store(), &run.disk.directory("backup")).unwrap();
            let index = run.history.last();
            run.step(&put("later", 900_000)).unwrap();
            run.store = None;
            let disk = run.disk.crash(policy);
            whole_or_refused(&run, &disk, index, true, &format!("{durability:?}, {policy:?}"));
            let mut next = run.goes_on(&disk, run.history.last());
            next.open().unwrap();
            next.state(index, "the backup made durable what is in it");
        }
    }
}

#[test]
fn a_fault_at_any_operation_of_a_backup() {
    for durability in [Durable, Buffered] {
        for number in operations_of_backup(durability) {
            for fault in [Fault::Eio, Fault::EioPartly, Fault::Enospc, Fault::Interrupted, Fault::ShortWrite]
            {
                let context = format!("{durability:?}, {fault:?} at operation {number}");
                let mut run = run_history(number, durability);
                let index = run.history.last();
                let backup = run.disk.directory("backup");
                run.disk.fail_at(number, fault);
                let outcome = back_up(run.store(), &backup);
                match &outcome {
                    Ok(_) | Err(Error::Io { .. } | Error::Failed { .. }) => {}
                    Err(Error::NoSpace { .. }) if fault == Fault::Enospc => {}
                    Err(error) => panic!("{context}: {error}"),
                }
                let expected = run.history.states[run.history.acknowledged].live(run.now_ms());
                assert_same(&dump(run.store()).unwrap(), &expected, &context);
                if run.store().stats().failed {
                    // The log was hit, and not the backup of it.
                    let again = back_up(run.store(), &run.disk.directory("other")).unwrap_err();
                    assert!(matches!(again, Error::Failed { .. }), "{context}: {again}");
                    continue;
                }
                if outcome.is_err() {
                    whole_or_refused(&run, &run.disk, index, false, &context);
                    match back_up(run.store(), &backup) {
                        Ok(_) => {}
                        // Not known: the manifest of the store itself may or may not be in force.
                        Err(Error::Failed { .. }) => continue,
                        Err(error) => panic!("{context}: {error}"),
                    }
                }
                run.step(&put("after", 100)).unwrap_or_else(|error| panic!("{context}: {error}"));
                run.store = None;
                whole_or_refused(&run, &run.disk.crash(Survival::Nothing), index, true, &context);
            }
        }
    }
}

/// A machine with a backup of the history, and nothing of the backup pending.
fn backed_up(seed: u64) -> (Run, SimDisk) {
    let mut run = run_history(seed, Durable);
    back_up(run.store(), &run.disk.directory("backup")).unwrap();
    let disk = run.disk.crash(Survival::Nothing);
    run.store = None;
    (run, disk)
}

/// The changing operations of a restore, if files are linked or copied.
fn operations_of_restore(disk: &SimDisk, target: impl Fn(&SimDisk) -> SimDisk) -> u64 {
    let disk = disk.crash(Survival::Nothing);
    let target = target(&disk);
    let before = target.op_count();
    put_back(&disk.directory("backup"), &target).unwrap();
    target.op_count() - before
}

/// What an interrupted restore left is no store, and does not keep another one from coming to its end.
fn again(run: &Run, backup: &SimDisk, target: &SimDisk, context: &str) {
    let expected = run.history.states[run.history.last()].live(run.now_ms());
    match open_existing(target, &run.clock) {
        Ok(store) => assert_same(&dump(&store).unwrap(), &expected, context),
        Err(Error::Missing { .. } | Error::Unfinished { what: "restore", .. }) => {
            put_back(backup, target).unwrap_or_else(|error| panic!("{context}: {error}"));
            let store = open_existing(target, &run.clock).unwrap();
            assert_same(&dump(&store).unwrap(), &expected, context);
        }
        Err(error) => panic!("{context}: {error}"),
    }
}

#[test]
fn a_power_cut_at_any_operation_of_a_restore() {
    let (run, found) = backed_up(1);
    let linked = |disk: &SimDisk| disk.directory("restored");
    let copied = |_: &SimDisk| SimDisk::new(9).directory("restored");
    for number in 0..operations_of_restore(&found, linked) {
        for when in TIMES {
            let disk = found.crash(Survival::Nothing);
            disk.fail_at(number, Fault::Crash(when));
            put_back(&disk.directory("backup"), &linked(&disk)).unwrap_err();
            for policy in Survival::ALL {
                let context = format!("linked, {when:?} operation {number}, {policy:?}");
                let disk = disk.crash(policy);
                again(&run, &disk.directory("backup"), &disk.directory("restored"), &context);
            }
        }
    }
    for number in 0..operations_of_restore(&found, copied) {
        for when in TIMES {
            let target = copied(&found);
            target.fail_at(number, Fault::Crash(when));
            let backup = found.crash(Survival::Nothing).directory("backup");
            put_back(&backup, &target).unwrap_err();
            for policy in Survival::ALL {
                let context = format!("copied, {when:?} operation {number}, {policy:?}");
                again(&run, &backup, &target.crash(policy), &context);
            }
        }
    }
}

#[test]
fn a_fault_at_any_operation_of_a_restore() {
    let (run, found) = backed_up(1);
    for number in 0..operations_of_restore(&found, |disk| disk.directory("restored")) {
        for fault in [Fault::Eio, Fault::EioPartly, Fault::Enospc, Fault::Interrupted, Fault::ShortWrite] {
            let context = format!("{fault:?} at operation {number}");
            let disk = found.crash(Survival::Nothing);
            disk.fail_at(number, fault);
            let (backup, target) = (disk.directory("backup"), disk.directory("restored"));
            match put_back(&backup, &target) {
                Ok(_) | Err(Error::Io { .. }) => {}
                Err(Error::NoSpace { .. }) if fault == Fault::Enospc => {}
                Err(error) => panic!("{context}: {error}"),
            }
            again(&run, &backup, &target, &context);
            let disk = disk.crash(Survival::Nothing);
            again(&run, &disk.directory("backup"), &disk.directory("restored"), &context);
        }
    }
    // A backup that cannot be read.
    for number in 0.. {
        let disk = found.crash(Survival::Nothing);
        disk.fail_read_at(number, Fault::Eio);
        match put_back(&disk.directory("backup"), &disk.directory("restored")) {
            Ok(_) => break,
            Err(Error::Io { .. }) => {}
            Err(error) => panic!("read {number}: {error}"),
        }
        assert_eq!(disk.directory("restored").file_names(), [""; 0], "read {number}");
    }
}

#[test]
fn any_flipped_bit_of_a_backup_is_found() {
    let disk = SimDisk::new(1);
    let mut run = Run::new(&disk, Durable);
    run.all(&[put("a", 9), put("a", 30), delete("a"), put_for("b", 12, 500)]).unwrap();
    back_up(run.store(), &disk.directory("backup")).unwrap();
    run.close().unwrap();
    let backup = disk.directory("backup");
    let names = backup.file_names();
    assert_eq!(names, ["0000000001.seg", "BACKUP"]);
    let damaged = |spoil: &dyn Fn(&SimDisk), name: &str, context: &str| {
        let disk = disk.crash(Survival::Nothing);
        let (backup, target) = (disk.directory("backup"), disk.directory("restored"));
        spoil(&backup);
        match put_back(&backup, &target).unwrap_err() {
            Error::Damaged { file, .. } if file.ends_with(name) => {}
            error => panic!("{context}: {error}"),
        }
        assert_eq!(target.file_names(), [""; 0], "{context}: nothing is left of it");
    };
    for name in &names {
        let length = backup.read_file(name).unwrap().len() as u64;
        for offset in 0..length {
            let bit = u32::try_from(offset % 8).unwrap();
            let flip = |disk: &SimDisk| disk.flip_bit(name, offset, bit).unwrap();
            damaged(&flip, name, &format!("{name}, byte {offset}, bit {bit}"));
        }
        for length in [0, 63, 64, length - 65, length - 1] {
            let cut = |disk: &SimDisk| {
                let bytes = disk.read_file(name).unwrap();
                disk.write_file(name, &bytes[..usize::try_from(length).unwrap()]);
            };
            damaged(&cut, name, &format!("{name} cut to {length}"));
        }
    }
    damaged(&|disk| disk.remove_file(&names[0]).unwrap(), &names[0], "missing");
    // A segment of another store, whole in itself.
    let other = SimDisk::new(2);
    let mut foreign = Run::new(&other, Durable);
    foreign.all(&[put("a", 9), put("a", 30), delete("a"), put_for("b", 12, 500)]).unwrap();
    back_up(foreign.store(), &other.directory("backup")).unwrap();
    let bytes = other.directory("backup").read_file(&names[0]).unwrap();
    damaged(&|disk| disk.write_file(&names[0], &bytes), &names[0], "foreign");
}

#[test]
fn a_full_disk_ends_the_backup_and_not_the_store() {
    let mut run = run_steps(1, Durable, &large());
    let far = SimDisk::new(2);
    for capacity in [0, 4096, 8192, 500_000, 1_000_000, 1_500_000] {
        far.set_capacity(capacity);
        let error = back_up(run.store(), &far).unwrap_err();
        assert!(matches!(&error, Error::NoSpace { location, .. } if *location == far.location()), "{error}");
        assert_eq!((far.file_names(), far.used_bytes()), (vec![], 0), "capacity {capacity}");
        run.step(&put("a", 10)).unwrap();
    }
    far.set_capacity(10_000_000);
    assert!(back_up(run.store(), &far).unwrap().bytes > 1_500_000);
    run.state(run.history.last(), "undisturbed");
}

#[test]
fn progress_goes_from_nothing_to_all() {
    let run = run_steps(1, Durable, &large());
    let far = SimDisk::new(2);
    let steady = |told: &[Transfer]| {
        assert!(told.len() > 1 && told.is_sorted_by_key(|transfer| transfer.bytes), "{told:?}");
        let last = told.last().unwrap();
        assert_eq!(last.bytes, last.bytes_total);
    };
    let mut told = Vec::new();
    run.store().backup_on(&shared(&far.directory("backup")), |transfer| told.push(transfer)).unwrap();
    steady(&told);
    told.clear();
    let (from, to) = (shared(&far.directory("backup")), shared(&far.directory("restored")));
    restore_on(&from, &to, |transfer| told.push(transfer)).unwrap();
    steady(&told);
}

#[test]
fn a_stopped_store_is_backed_up_without_being_changed() {
    for stopped_in_order in [true, false] {
        let mut run = run_steps(1, Durable, &large());
        let disk = if stopped_in_order {
            run.close().unwrap();
            run.disk.crash(Survival::Nothing)
        } else {
            let disk = run.disk.kill();
            run.store = None;
            disk
        };
        let before = disk.read_file("MANIFEST");
        let index = run.history.last();
        let backup = disk.directory("backup");
        backup_on(&shared(&disk), &shared(&backup), |_| ()).unwrap();
        assert_eq!(disk.read_file("MANIFEST") == before, stopped_in_order);
        whole_or_refused(&run, &disk, index, true, "stopped");
        let mut next = run.goes_on(&disk, index);
        next.open().unwrap();
        assert!(next.store().report().clean);
        next.state(index, "after its backup");
        let error = backup_on(&shared(&disk), &shared(&disk.directory("other")), |_| ()).unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error}");
    }
}

#[test]
fn a_store_that_takes_no_writes_is_not_backed_up() {
    let run = run_history(1, Durable);
    run.disk.fail_next(OpKind::Sync, Fault::Eio);
    run.store().put(at("a"), &Put::new(b"1")).unwrap_err();
    let error = back_up(run.store(), &run.disk.directory("backup")).unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
    assert_eq!(run.disk.directory("backup").file_names(), [""; 0]);

    let run = run_history(1, Durable);
    let store = run.store().clone();
    run.store.unwrap().close().unwrap();
    let error = back_up(&store, &run.disk.directory("backup")).unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    assert_eq!(run.disk.directory("backup").file_names(), [""; 0]);
}

/// A second backup into the same directory, while the first is at it, must not take the first one's files away.
#[test]
fn one_backup_at_a_time_into_a_directory() {
    let run = run_history(1, Durable);
    let backup = run.disk.directory("backup");
    let mut refused = 0;
    let progress = |_| {
        let error = back_up(run.store(), &backup).unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error}");
        refused += 1;
    };
    run.store().backup_on(&shared(&backup), progress).unwrap();
    assert!(refused > 0);
    let error = back_up(run.store(), &backup).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
    whole_or_refused(&run, &run.disk, run.history.last(), true, "the first one");
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn on_a_real_disk() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let store = Options::new().segment_bytes(1 << 20).open(path("data")).unwrap();
    for number in 0..30_u8 {
        let key = format!("key{number}");
        store.put(at(&key), &Put::new(&value(number.into(), 100_000))).unwrap().unwrap();
    }
    let expected = dump(&store).unwrap();
    let report = store.backup(path("deep/er/backup")).unwrap();
    assert_eq!((report.linked, report.version), (report.segments, 30));
    store.put(at("later"), &Put::new(b"1")).unwrap().unwrap();

    let inside = |outcome: Result<BackupReport>| {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Inside { .. }), "{error}");
    };
    inside(store.backup(path("data")));
    inside(store.backup(path("data/backup")));
    inside(store.backup(path("deep/../data/x/y")));
    std::os::unix::fs::symlink(path("data"), path("alias")).unwrap();
    inside(store.backup(path("alias/x")));
    assert!(!path("data/x").exists() && !path("data/backup").exists());
    std::fs::create_dir(path("mine")).unwrap();
    std::fs::write(path("mine/letter"), "dear").unwrap();
    let error = store.backup(path("mine")).unwrap_err();
    assert!(matches!(&error, Error::NotEmpty { found, .. } if found == "letter"), "{error}");
    assert_eq!(names_in(&path("mine")), ["letter"]);
    store.close().unwrap();

    let error = Store::open(path("deep/er/backup")).unwrap_err();
    assert!(
        matches!(error, Error::IsBackup { .. }) && error.to_string().contains("larder restore"),
        "{error}"
    );
    let error = restore(path("mine"), path("new"), |_| ()).unwrap_err();
    assert!(matches!(error, Error::NotABackup { .. }), "{error}");
    let error = restore(path("nowhere"), path("new"), |_| ()).unwrap_err();
    assert!(matches!(error, Error::NotABackup { .. }), "{error}");
    let error = restore(path("deep/er/backup"), path("deep/er/backup/new"), |_| ()).unwrap_err();
    assert!(matches!(error, Error::Inside { .. }), "{error}");
    let error = restore(path("deep/er/backup"), path("mine"), |_| ()).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
    let error = backup(path("nowhere"), path("new"), |_| ()).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    assert!(!path("new").exists());

    let report = restore(path("deep/er/backup"), path("new"), |_| ()).unwrap();
    assert_eq!((report.linked, report.version, report.records), (report.segments, 30, 30));
    let store = Options::new().create(false).open(path("new")).unwrap();
    assert!(dump(&store).unwrap() == expected, "{:#?}", brief(&dump(&store).unwrap()));
    let version = store.put(at("later"), &Put::new(b"2")).unwrap().unwrap().version;
    assert!(version > report.versions_above);
    store.close().unwrap();
    let report = backup(path("new"), path("second"), |_| ()).unwrap();
    assert_eq!(report.version, version);

    // Damage: the new directory goes again.
    let segment = path("second").join(names_in(&path("second"))[0].as_str());
    let copy = std::fs::read(&segment).unwrap();
    std::fs::remove_file(&segment).unwrap();
    std::fs::write(&segment, &copy[..copy.len() - 1]).unwrap();
    let error = restore(path("second"), path("third"), |_| ()).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(!path("third").exists());
}
