//! Expiry: when entries end, that each ends once, and by which clock.

use crate::support::{Chance, HandClock, START_MS, assert_same, at, dump, open, options, value};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{Fault, OpKind, SimDisk, Survival};
use larder_engine::log::format::Salt;
use larder_engine::log::frame::{Frame, HEADER_BYTES as FRAME_HEADER_BYTES, Verify};
use larder_engine::log::header::HEADER_BYTES as SEGMENT_HEADER_BYTES;
use larder_engine::log::manifest::{MANIFEST_FILE, Manifest};
use larder_engine::log::record::Kind;
use larder_engine::{Clock, Condition, Error, Expiry, NamespaceScan, Put, Store, Tenant};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;

fn put_for(store: &Store, key: &str, ms: u64) -> u64 {
    let now_ms = store.read(|view| view.now_ms()).wait().unwrap();
    store.put(at(key), &Put::new(b"1").expires_at(now_ms + ms)).unwrap().unwrap().version
}

fn is_there(store: &Store, key: &str) -> bool {
    store.get(at(key)).unwrap().is_some()
}

fn count(store: &Store) -> u64 {
    store.count(Tenant::DEFAULT, "default", "").unwrap()
}

/// Kind, key and sequence of all records in the sealed segments, in the order of the log.
fn records(disk: &SimDisk) -> Vec<(Kind, String, u64)> {
    let manifest = Manifest::decode(&disk.read_file(MANIFEST_FILE).unwrap()).unwrap();
    let mut found = Vec::new();
    for sealed in &manifest.sealed {
        let bytes = disk.read_file(&format!("{:010}.seg", sealed.segment)).unwrap();
        let (mut at, end) = (SEGMENT_HEADER_BYTES, usize::try_from(sealed.end).unwrap());
        while at < end {
            let (salt, position): (Salt, _) = (sealed.salt(), u32::try_from(at).unwrap());
            let frame = Frame::decode(&bytes[at..], salt, position, sealed.kind, Verify::Everything).unwrap();
            for (_, record) in frame.records(salt, Verify::Everything).map(Result::unwrap) {
                found.push((record.kind, record.key.to_owned(), record.sequence));
            }
            at += FRAME_HEADER_BYTES + usize::try_from(frame.header.payload_bytes).unwrap();
        }
    }
    found.sort_by_key(|(.., sequence)| *sequence);
    found
}

fn expired(disk: &SimDisk) -> Vec<String> {
    let expired = records(disk).into_iter().filter(|(kind, ..)| *kind == Kind::Expire);
    expired.map(|(_, key, _)| key).collect()
}

#[test]
fn every_overdue_entry_is_expired_once_in_the_order_of_deadlines_and_leaves_nothing() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    for number in 0..1000 {
        put_for(&store, &format!("k{number:03}"), 1 + (number * 389) % 1000);
    }
    store.put(at("stays"), &Put::new(b"1")).unwrap().unwrap();
    assert_eq!((store.stats().timed_entries, store.stats().overdue_entries), (1000, 0));
    let mut gone = 0;
    for step in [0, 1, 63, 64, 372, 500] {
        clock.pass(step);
        gone += step;
        assert_eq!((store.stats().entries, count(&store)), (1001 - gone + step, 1001 - gone));
        assert_eq!(store.expire_due().unwrap(), step);
        let stats = store.stats();
        assert_eq!((stats.overdue_entries, stats.entries, count(&store)), (0, 1001 - gone, 1001 - gone));
        assert_eq!(stats.expiry_lag_micros_log2.iter().sum::<u64>(), gone);
    }
    assert_eq!((store.expire_due().unwrap(), store.stats().timed_entries), (0, 0));
    store.close().unwrap();
    let deadline = |key: &String| 1 + (key[1..].parse::<u64>().unwrap() * 389) % 1000;
    let expired = expired(&disk);
    assert_eq!(expired.len(), 1000);
    assert!(expired.iter().map(deadline).is_sorted(), "{expired:?}");

    // Expire records go when nothing is left that they cover.
    let store = open(&disk, Durable, &clock).unwrap();
    assert_eq!(store.stats().tombstones, 1000);
    store.compact().unwrap();
    assert_eq!(store.stats().tombstones, 0);
    store.close().unwrap();
    let left = records(&disk);
    assert_eq!(
        left.iter().map(|(kind, key, _)| (*kind, key.as_str())).collect::<Vec<_>>(),
        [(Kind::Put, "stays")]
    );
}

#[test]
fn what_was_changed_in_time_is_not_expired_or_at_its_new_time() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    for key in ["deleted", "overwritten", "kept", "persisted", "sooner", "later", "untouched", "again"] {
        put_for(&store, key, 100);
    }
    store.delete(at("deleted"), Condition::Always).unwrap().unwrap();
    store.put(at("overwritten"), &Put::new(b"2")).unwrap().unwrap();
    store.put(at("kept"), &Put::new(b"2").keep_expiry()).unwrap().unwrap();
    store.touch(at("persisted"), Expiry::Never).unwrap();
    store.touch(at("sooner"), Expiry::At(START_MS + 50)).unwrap();
    store.touch(at("later"), Expiry::At(START_MS + 150)).unwrap();
    store.delete(at("again"), Condition::Always).unwrap().unwrap();
    put_for(&store, "again", 120);
    for (pass, gone) in [(49, 0), (1, 1), (49, 0), (1, 2), (19, 0), (1, 1), (29, 0), (1, 1), (DAY_MS, 0)] {
        clock.pass(pass);
        assert_eq!(store.expire_due().unwrap(), gone);
    }
    let keys: Vec<_> = dump(&store).unwrap().into_keys().map(|place| place.2).collect();
    assert_eq!(keys, ["overwritten", "persisted"]);
    store.close().unwrap();
    assert_eq!(expired(&disk), ["sooner", "kept", "untouched", "again", "later"]);
}

/// Also those that a write has ended: in the same frame, before itself.
#[test]
fn a_write_ends_an_overdue_entry_and_the_expirer_leaves_it_alone() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    for key in ["put", "deleted", "left"] {
        put_for(&store, key, 10);
    }
    clock.pass(10);
    store.put(at("put"), &Put::new(b"2").condition(Condition::Absent)).unwrap().unwrap();
    assert!(store.delete(at("deleted"), Condition::Always).unwrap().unwrap().is_none());
    assert_eq!((store.stats().entries, count(&store)), (3, 1));
    assert_eq!(store.expire_due().unwrap(), 2);
    store.close().unwrap();
    let mut expired = expired(&disk);
    assert_eq!(expired.remove(0), "put");
    assert_eq!(expired, ["deleted", "left"]);
}

#[test]
fn counts_are_exact_by_namespace_however_far_the_timers_are_behind() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    let mut chance = Chance::new(7);
    let mut deadlines = Vec::new();
    for number in 0..600u64 {
        let bits = 1 + chance.below(20);
        let (space, deadline) = (number % 7, START_MS + 1 + chance.below(1 << bits));
        let (name, key) =
            (format!("n{space}"), format!("{}{number}", ["a", "b"][usize::from(number % 3 == 0)]));
        let address = larder_engine::Address::new(Tenant::DEFAULT, &name, &key).unwrap();
        store.put(address, &Put::new(b"1").expires_at(deadline)).unwrap().unwrap();
        deadlines.push((name, key, deadline));
    }
    for round in 0..40 {
        let now_ms = store.read(|view| view.now_ms()).wait().unwrap();
        let live = |name: &str, prefix: &str| {
            let is_counted = |(space, key, deadline): &&(String, String, u64)| {
                space == name && key.starts_with(prefix) && *deadline > now_ms
            };
            deadlines.iter().filter(is_counted).count() as u64
        };
        for name in (0..8).map(|space| format!("n{space}")) {
            for prefix in ["", "a", "b1"] {
                let found = store.count(Tenant::DEFAULT, &name, prefix).unwrap();
                assert_eq!(found, live(&name, prefix), "{name} {prefix}, round {round}");
            }
        }
        let all = NamespaceScan { prefix: "", after: None, limit: 100 };
        for (name, found) in store.namespaces(Tenant::DEFAULT, &all).unwrap().items {
            assert_eq!(found, live(&name, ""), "{name}, round {round}");
        }
        if round % 3 == 2 {
            store.expire_due().unwrap();
        }
        clock.pass(1 << (round / 2));
    }
}

fn waits_for(mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(120), "it does not happen");
        thread::yield_now();
    }
}

#[test]
fn the_thread_expires_what_is_due_also_what_is_due_before_the_rest_or_was_at_open() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let open = || options(Durable, &clock).background(true).open_on(Arc::new(disk.clone())).unwrap();
    let store = open();
    put_for(&store, "in an hour", HOUR_MS);
    put_for(&store, "soon", 40);
    put_for(&store, "sooner", 20);
    clock.pass(20);
    waits_for(|| store.stats().expired == 1);
    clock.pass(20);
    waits_for(|| store.stats().expired == 2);
    put_for(&store, "after the next open", 1);
    drop(store);
    clock.pass(1);
    let store = open();
    waits_for(|| store.stats().timed_entries == 1);
    waits_for(|| store.stats().acknowledged_sequence == store.stats().sequence);
    assert_eq!(dump(&store).unwrap().into_keys().map(|place| place.2).collect::<Vec<_>>(), ["in an hour"]);
    store.close().unwrap();
    assert_eq!(expired(&disk), ["sooner", "soon", "after the next open"]);
}

#[test]
fn at_a_full_disk_reads_stay_exact_and_expiry_goes_on_from_the_reserve_and_when_there_is_room() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    let entries = 12_000;
    let fill = |writer: &mut larder_engine::Writer<'_>| {
        for number in 0..entries {
            let put = Put::new(b"1").expires_at(START_MS + 1000);
            writer.put(at(&format!("k{number:05}")), &put).unwrap().unwrap();
        }
    };
    store.write(fill).wait().unwrap();
    store.put(at("stays"), &Put::new(b"1")).unwrap().unwrap();
    disk.set_capacity(disk.used_bytes());
    // Smaller and smaller, until not even one byte more is taken.
    for length in (0..18).rev().map(|power| (1 << power) - 1) {
        while store.put(at("filler"), &Put::new(&value(1, length))).is_ok() {}
    }
    clock.pass(1000);
    let expected = dump(&store).unwrap();
    assert_eq!(expected.len(), 2);
    // Others on the machine take whatever there is for the taking.
    let mut tried = 0;
    let error = loop {
        disk.set_capacity(disk.used_bytes());
        match store.expire_due() {
            Ok(expired) => assert_eq!(expired, 0, "the reserve is not for all of them"),
            Err(error) => break error,
        }
        tried += 1;
        assert!(tried < 3);
    };
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    let before = store.stats();
    assert!(before.expired > 1000 && before.overdue_entries > 1000, "{before:?}");
    assert_eq!(before.expired + before.overdue_entries, entries);
    assert_same(&dump(&store).unwrap(), &expected, "without room");
    assert_eq!(count(&store), 2);
    assert!(!is_there(&store, "k11999") && !before.failed);
    assert!(matches!(store.expire_due(), Err(Error::NoSpace { .. })));

    disk.set_capacity(disk.used_bytes() + (8 << 20));
    assert_eq!(store.expire_due().unwrap(), before.overdue_entries);
    assert_same(&dump(&store).unwrap(), &expected, "with room");
    store.close().unwrap();
    let mut expired = expired(&disk);
    expired.sort();
    let all = (0..entries).map(|number| format!("k{number:05}"));
    assert!(expired.into_iter().eq(all), "each of them once");
}

#[test]
fn a_log_that_fails_while_entries_expire_takes_that_back_and_the_next_open_makes_up_for_it() {
    for kind in [OpKind::Write, OpKind::Sync] {
        let (disk, clock) = (SimDisk::new(1), HandClock::new());
        let store = open(&disk, Durable, &clock).unwrap();
        for number in 0..300 {
            put_for(&store, &format!("k{number}"), 10);
        }
        put_for(&store, "stays", 100);
        clock.pass(10);
        disk.fail_next(kind, Fault::Eio);
        assert!(matches!(store.expire_due(), Err(Error::InDoubt { .. })));
        assert!(matches!(store.expire_due(), Err(Error::Failed { .. })));
        let stats = store.stats();
        assert_eq!((stats.entries, stats.overdue_entries, count(&store)), (301, 300, 1));
        assert!(!is_there(&store, "k7") && is_there(&store, "stays"));
        clock.pass(90);
        assert_eq!((store.stats().entries, count(&store)), (301, 0));
        drop(store);
        for survival in Survival::ALL {
            let disk = disk.crash(survival);
            let store = open(&disk, Durable, &clock).unwrap();
            assert_eq!(count(&store), 0);
            store.expire_due().unwrap();
            assert_eq!(store.stats().entries, 0);
            store.close().unwrap();
            let mut expired = expired(&disk);
            expired.sort();
            expired.dedup();
            assert_eq!(expired.len(), 301, "{kind:?}, {survival:?}");
            assert_eq!(records(&disk).len(), 602, "{kind:?}, {survival:?}");
        }
    }
}

/// Which entry a record is of stands in it alone. If that has rotted, the others do not wait.
#[test]
fn an_entry_whose_record_has_rotted_stays_expired_and_a_write_ends_it() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    for key in ["first", "rotten", "last"] {
        put_for(&store, key, 10);
    }
    store.close().unwrap();
    let name = "0000000001.seg";
    let bytes = disk.read_file(name).unwrap();
    let place = bytes.windows(6).position(|bytes| bytes == b"rotten").unwrap();
    disk.flip_bit(name, place as u64, 0).unwrap();

    let store = open(&disk, Durable, &clock).unwrap();
    clock.pass(10);
    assert_eq!(store.expire_due().unwrap(), 2);
    for _ in 0..2 {
        let stats = store.stats();
        assert_eq!((stats.entries, stats.overdue_entries, count(&store)), (1, 1, 0));
        assert!(!is_there(&store, "rotten"));
        assert_eq!(store.expire_due().unwrap(), 0);
    }
    store.put(at("rotten"), &Put::new(b"2")).unwrap().unwrap();
    assert_eq!((store.stats().overdue_entries, count(&store)), (0, 1));
    store.close().unwrap();
}

#[test]
fn steps_of_the_wall_clock_while_it_runs_expire_nothing_early_or_late() {
    for step in [HOUR_MS, 1000 * DAY_MS] {
        for back in [true, false] {
            let (disk, clock) = (SimDisk::new(1), HandClock::new());
            clock.set_wall(5000 * DAY_MS);
            let store = open(&disk, Durable, &clock).unwrap();
            put_for(&store, "a", 2 * HOUR_MS);
            clock.set_wall(if back { 5000 * DAY_MS - step } else { 5000 * DAY_MS + step });
            put_for(&store, "b", 2 * HOUR_MS);
            clock.pass(2 * HOUR_MS - 1);
            assert_eq!((store.expire_due().unwrap(), count(&store)), (0, 2));
            clock.pass(1);
            assert_eq!((count(&store), store.expire_due().unwrap()), (0, 2));
        }
    }
}

/// However the store ended, and however far the wall clock was set back meanwhile: what was told to be expired stays so.
#[test]
fn what_was_seen_expired_stays_expired_across_a_restart() {
    for (step, killed, expires) in [HOUR_MS, 1000 * DAY_MS]
        .iter()
        .flat_map(|step| (0..4).map(move |how| (*step, how & 1 == 1, how & 2 == 2)))
    {
        let context = format!("{step} ms back, killed: {killed}, expirer: {expires}");
        let (disk, clock) = (SimDisk::new(1), HandClock::new());
        clock.set_wall(5000 * DAY_MS);
        let store = open(&disk, Buffered, &clock).unwrap();
        put_for(&store, "gone", 10_000);
        put_for(&store, "still there", 30_000);
        store.sync().wait().unwrap();
        // Nothing is written any more; every second somebody looks, and the time is marked.
        for _ in 0..10 {
            clock.pass(1000);
            is_there(&store, "gone");
            store.mark_time().unwrap();
        }
        clock.pass(999);
        assert!(!is_there(&store, "gone"), "{context}");
        if expires {
            store.expire_due().unwrap();
        }
        let told_ms = store.read(|view| view.now_ms()).wait().unwrap();
        let disk = if killed {
            disk.crash(Survival::Nothing)
        } else {
            store.close().unwrap();
            disk
        };
        clock.set_wall(5000 * DAY_MS - step);
        let store = open(&disk, Buffered, &clock).unwrap_or_else(|error| panic!("{context}: {error}"));
        let now_ms = store.read(|view| view.now_ms()).wait().unwrap();
        assert!((told_ms..=told_ms + 2000).contains(&now_ms), "{context}: {now_ms} after {told_ms}");
        assert!(!is_there(&store, "gone") && is_there(&store, "still there"), "{context}");
        // From there on time passes as it always does.
        clock.pass(5000 * DAY_MS + 30_000 - now_ms - 1);
        assert!(is_there(&store, "still there"), "{context}");
        clock.pass(1);
        assert!(!is_there(&store, "still there"), "{context}");
    }
}

/// An entry that has expired can be told from one that was deleted or never was: overdue, reclaimed, and after a restart.
#[test]
fn what_has_expired_is_told_from_what_was_deleted_for_as_long_as_the_log_knows() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    for key in ["overdue", "reclaimed", "deleted", "back"] {
        put_for(&store, key, 1000);
    }
    store.delete(at("deleted"), Condition::Always).unwrap().unwrap();
    let told = |store: &Store| {
        let keys = ["overdue", "reclaimed", "deleted", "back", "never"];
        let look = |view: &mut larder_engine::View<'_>| keys.map(|key| view.has_expired(at(key)));
        let read = store.read(look).wait().unwrap();
        let written = store.write(|writer| keys.map(|key| writer.has_expired(at(key)))).wait().unwrap();
        assert_eq!(read, written);
        read
    };
    assert_eq!(told(&store), [false; 5]);
    clock.pass(1000);
    assert_eq!(told(&store), [true, true, false, true, false]);
    assert_eq!(store.expire_due().unwrap(), 3);
    put_for(&store, "back", 10_000);
    put_for(&store, "overdue", 500);
    clock.pass(500);
    assert_eq!(told(&store), [true, true, false, false, false]);
    store.close().unwrap();
    let store = open(&disk, Durable, &clock).unwrap();
    assert_eq!(told(&store), [true, true, false, false, false]);
}

#[test]
fn a_step_forward_across_a_restart_counts_unless_it_is_absurd() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    clock.set_wall(5000 * DAY_MS);
    let store = open(&disk, Durable, &clock).unwrap();
    put_for(&store, "an hour", HOUR_MS);
    put_for(&store, "a year", 365 * DAY_MS);
    put_for(&store, "a century", 36_500 * DAY_MS);
    let disk = disk.kill();
    clock.set_wall(5000 * DAY_MS + HOUR_MS);
    let store = open(&disk, Durable, &clock).unwrap();
    assert_eq!(count(&store), 2);
    store.close().unwrap();

    // A thousand days ahead: nothing is changed, and the error says what to do.
    clock.set_wall(6000 * DAY_MS);
    let before: Vec<_> = disk.file_names().iter().map(|name| disk.read_file(name)).collect();
    let refused = open(&disk, Durable, &clock).unwrap_err();
    assert!(matches!(refused, Error::ClockAhead { .. }), "{refused}");
    assert!(refused.to_string().contains("--accept-clock"), "{refused}");
    let after: Vec<_> = disk.file_names().iter().map(|name| disk.read_file(name)).collect();
    assert!(before == after, "a refused open changes nothing");
    // With the clock set right it opens.
    clock.set_wall(5001 * DAY_MS);
    open(&disk, Durable, &clock).unwrap().close().unwrap();
    // With the wrong one accepted too, and that is remembered.
    clock.set_wall(6000 * DAY_MS);
    let accepting = options(Durable, &clock).accept_clock(true);
    let store = accepting.open_on(Arc::new(disk.clone())).unwrap();
    assert_eq!((store.expire_due().unwrap(), count(&store)), (2, 1));
    drop(store);
    clock.set_wall(5001 * DAY_MS);
    let store = open(&disk, Durable, &clock).unwrap();
    assert!(store.read(|view| view.now_ms()).wait().unwrap() >= 6000 * DAY_MS);
    assert_eq!(count(&store), 1);
    drop(store);
    clock.set_wall(6300 * DAY_MS);
    open(&disk, Durable, &clock).unwrap().close().unwrap();
    // The limit can be set.
    clock.set_wall(6302 * DAY_MS);
    let within = options(Durable, &clock).max_clock_jump(Duration::from_secs(86_400));
    assert!(matches!(within.open_on(Arc::new(disk.clone())), Err(Error::ClockAhead { .. })));
    clock.set_wall(9000 * DAY_MS);
    let any = options(Durable, &clock).max_clock_jump(Duration::MAX);
    any.open_on(Arc::new(disk)).unwrap().close().unwrap();
}

/// Nothing is written for the time's sake while nobody asks, or no answer depends on it.
#[test]
fn an_idle_store_does_not_mark_the_time() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    store.put(at("a"), &Put::new(b"1")).unwrap().unwrap();
    let marks = |how_often: u64, look: &dyn Fn()| {
        let before = disk.op_count();
        for _ in 0..how_often {
            clock.pass(1000);
            look();
            store.mark_time().unwrap();
        }
        disk.op_count() - before
    };
    let look: &dyn Fn() = &|| assert!(is_there(&store, "a"));
    assert_eq!(marks(5, look), 0, "without a deadline nobody sees the time");
    put_for(&store, "b", DAY_MS);
    assert_eq!(marks(1, look), 5, "the file is made");
    assert_eq!(marks(5, &|| ()), 0, "nobody looked");
    assert_eq!(marks(5, look), 10, "a write and a sync each");
    store.close().unwrap();
}

#[test]
fn a_mark_that_cannot_be_written_is_tried_again_and_a_closed_store_writes_none() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durable, &clock).unwrap();
    put_for(&store, "a", DAY_MS);
    assert!(is_there(&store, "a"));
    disk.fail_next(OpKind::Create, Fault::Enospc);
    assert!(matches!(store.mark_time(), Err(Error::NoSpace { .. })));
    store.mark_time().unwrap();
    clock.pass(10);
    assert!(is_there(&store, "a"));
    disk.fail_next(OpKind::Sync, Fault::Eio);
    assert!(matches!(store.mark_time(), Err(Error::Io { .. })));
    assert!(!store.stats().failed);
    store.put(at("b"), &Put::new(b"1")).unwrap().unwrap();
    let other = store.clone();
    store.close().unwrap();
    let before = disk.op_count();
    other.mark_time().unwrap();
    assert_eq!(disk.op_count(), before);
    assert!(matches!(other.expire_due(), Err(Error::Closed)));
    assert_eq!(Clock::wall_ms(&*clock), START_MS + 10);
}
