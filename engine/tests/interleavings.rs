//! Writers, readers, snapshots, compaction, backups, a close and a failure, interleaved in many ways, each from a seed.
//!
//! With `--cfg shuttle` the engine's locks, conditions and atomics are those of shuttle (`engine/src/sync.rs`), which
//! chooses at each of them the thread that goes on; a state in which none can is a deadlock, and fails the test. What it does
//! not show is what weakly ordered memory may do. `./check` runs this. `LARDER_SCHEDULES` says how many schedules each test
//! tries; a failure prints its schedule, which `LARDER_SCHEDULE` has run again.

#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use larder_engine::disk::Disk;
use larder_engine::disk::sim::{Fault, SimDisk, Survival};
use larder_engine::{
    Address, ChangeKind, Clock, Compaction, Condition, Durability, Error, Expiry, Options, Put, Result, Scan,
    SnapshotLimits, Store, Tenant, Watch, restore_on,
};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, Runner, thread};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Time stands still.
#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn wall_ms(&self) -> u64 {
        1_000_000
    }

    fn boot_ms(&self) -> u64 {
        0
    }
}

/// Small segments, and a compaction that takes whatever it may.
fn options(durability: Durability) -> Options {
    Options::new()
        .durability(durability)
        .segment_bytes(4096)
        .feed_retention_bytes(0)
        .compaction(Compaction { space_amplification: 1.05, bytes_per_second: 0, ..Compaction::default() })
        .background(false)
        .clock(Arc::new(StoppedClock))
}

fn open(disk: &SimDisk, options: Options) -> Result<Store> {
    options.open_on(Arc::new(disk.clone()))
}

fn at(key: &str) -> Address<'_> {
    Address::new(Tenant::DEFAULT, "default", key).unwrap()
}

/// Each is overwritten with greater and greater numbers by one writer.
const KEYS: [&str; 2] = ["a", "b"];
/// Each is put with the same numbers, and deleted again, by the same writer.
const PASSING: [&str; 2] = ["x", "y"];

/// The value that stands for a number. Some fill a segment.
fn value(number: u8) -> Vec<u8> {
    vec![number; 700]
}

fn number(value: &[u8]) -> u8 {
    assert!(value.len() == 700 && value.iter().all(|byte| *byte == value[0]));
    value[0]
}

/// What anybody knows, by key. Without threads meeting here: they are to be interleaved by the store alone.
#[derive(Debug, Default)]
struct Board {
    /// The number that its writer has begun to write…
    begun: [AtomicU8; 2],
    /// …that of the last write that was answered…
    answered: [AtomicU8; 2],
    /// …the highest that anybody has read…
    seen: [AtomicU8; 2],
    /// …and of the passing key, the number under which it was last deleted, as answered.
    deleted: [AtomicU8; 2],
}

impl Board {
    /// No answer that is asked for from now on may be older.
    fn floor(&self, key: usize) -> u8 {
        load(&self.answered[key]).max(load(&self.seen[key]))
    }

    /// Somebody has read `found`, having known of `floor` before.
    fn saw(&self, key: usize, found: u8, floor: u8) {
        let begun = load(&self.begun[key]);
        assert!((floor..=begun).contains(&found), "{} is {found}, not {floor} to {begun}", KEYS[key]);
        self.seen[key].fetch_max(found, Ordering::SeqCst);
    }
}

fn load(number: &AtomicU8) -> u8 {
    number.load(Ordering::SeqCst)
}

/// Writes three numbers to its keys, until that fails.
fn write(store: &Store, board: &Board, key: usize) {
    let first = load(&board.begun[key]) + 1;
    for number in first..first + 3 {
        if let Err(error) = write_number(store, board, key, number) {
            return assert_is_end(&error);
        }
    }
}

fn write_number(store: &Store, board: &Board, key: usize, number: u8) -> Result<()> {
    board.begun[key].store(number, Ordering::SeqCst);
    let value = value(number);
    store.put(at(KEYS[key]), &Put::new(&value))?.unwrap();
    board.answered[key].store(number, Ordering::SeqCst);
    store.put(at(PASSING[key]), &Put::new(&value))?.unwrap();
    store.delete(at(PASSING[key]), Condition::Always)?.unwrap();
    board.deleted[key].store(number, Ordering::SeqCst);
    Ok(())
}

/// Writes three numbers more to both keys at once.
fn write_both(store: &Store, board: &Board) {
    for number in 2..5 {
        board.begun.iter().for_each(|begun| begun.store(number, Ordering::SeqCst));
        let value = value(number);
        let wrote = store.transaction(|batch| {
            KEYS.into_iter().try_for_each(|key| batch.put(at(key), &Put::new(&value)).map(|_| ()))
        });
        wrote.unwrap();
        board.answered.iter().for_each(|answered| answered.store(number, Ordering::SeqCst));
    }
}

fn assert_is_end(error: &Error) {
    assert!(
        matches!(error, Error::InDoubt { .. } | Error::Failed { .. } | Error::Closed | Error::Io { .. }),
        "{error}"
    );
}

/// Reads everything, entry by entry and in a listing: no answer may be older than what anybody was told before. Ends
/// with the store.
fn read(store: &Store, board: &Board) {
    for is_listing in [false, true, false] {
        let floors = [board.floor(0), board.floor(1)];
        let found =
            if is_listing { list(store) } else { get(store, 0).and_then(|a| Ok([a, get(store, 1)?])) };
        match found {
            Ok(found) => (0..2).for_each(|key| board.saw(key, found[key], floors[key])),
            Err(Error::Closed) => return,
            // No failure ends reads, though it may end a listing under way.
            Err(error) => assert!(is_listing && matches!(error, Error::Failed { .. }), "{error}"),
        }
        for (key, name) in PASSING.into_iter().enumerate() {
            let deleted = load(&board.deleted[key]);
            match store.get(at(name)) {
                Ok(found) => assert_not_back(name, found.map(|entry| number(&entry.value)), deleted),
                Err(error) => return assert!(matches!(error, Error::Closed), "{error}"),
            }
        }
    }
}

fn assert_not_back(name: &str, found: Option<u8>, deleted: u8) {
    assert!(found.is_none_or(|found| found > deleted), "{name} is back: {found:?}, deleted was {deleted}");
}

fn get(store: &Store, key: usize) -> Result<u8> {
    Ok(number(&store.get(at(KEYS[key]))?.unwrap().value))
}

/// Both keys at one instant.
fn list(store: &Store) -> Result<[u8; 2]> {
    let scan = Scan { namespace: "default", prefix: "", after: None, reverse: false, limit: 10 };
    let listed = store.read(|view| view.scan(Tenant::DEFAULT, &scan)).map(|page, values| {
        KEYS.map(|key| {
            let (_, found) = page.items.iter().find(|(name, _)| &**name == key).unwrap();
            values.entry(found).map(|entry| number(&entry.value))
        })
    });
    let [a, b] = listed.wait()?;
    Ok([a?, b?])
}

/// A store with both keys, and something to compact.
fn filled(disk: &SimDisk, durability: Durability, background: bool) -> (Store, Arc<Board>) {
    let store = open(disk, options(durability).background(background)).unwrap();
    let board = Arc::new(Board::default());
    (0..KEYS.len()).for_each(|key| write_number(&store, &board, key, 1).unwrap());
    (store, board)
}

/// What a power cut leaves in the end: everything that was answered or read at level durable, nothing that was deleted, and
/// no file too many. Compaction and a close (which recounts) go through.
fn check_end(disk: &SimDisk, board: &Board) {
    let store = open(&disk.crash(Survival::Nothing), options(Durability::Durable)).unwrap();
    assert_eq!(store.report().set_aside, [""; 0]);
    for _ in 0..2 {
        for (key, name) in PASSING.into_iter().enumerate() {
            board.saw(key, get(&store, key).unwrap(), board.floor(key));
            let found = store.get(at(name)).unwrap().map(|entry| number(&entry.value));
            assert_not_back(name, found, load(&board.deleted[key]));
        }
        store.compact().unwrap();
    }
    store.close().unwrap();
}

type Thread = thread::JoinHandle<()>;

fn spawn(store: &Store, board: &Arc<Board>, work: impl FnOnce(&Store, &Board) + Send + 'static) -> Thread {
    let (store, board) = (store.clone(), Arc::clone(board));
    thread::spawn(move || work(&store, &board))
}

fn join(threads: impl IntoIterator<Item = Thread>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Runs `scenario` under many schedules: half of them are wholly by chance, the others change the thread only at few places,
/// which finds what takes one thread to rest while others go far. Each gets a number by chance, which is part of it.
fn explore(name: &str, scenario: impl Fn(u64) + Copy + Send + Sync + 'static) {
    const SEED: u64 = 1;
    const SWITCHES: usize = 4;
    let schedules = std::env::var("LARDER_SCHEDULES").map_or(1000, |number| number.parse().unwrap());
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.silence_warnings = true;
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        Runner::new(scheduler, config.clone()).run(move || scenario(thread_rng().r#gen()))
    };
    if let Ok(schedule) = std::env::var("LARDER_SCHEDULE") {
        run(Box::new(ReplayScheduler::new_from_encoded(&schedule)));
        return;
    }
    run(Box::new(RandomScheduler::new_from_seed(SEED, schedules / 2)));
    run(Box::new(PctScheduler::new_from_seed(SEED, SWITCHES, schedules - schedules / 2)));
    // Past the capture of what tests print; it is no reason to fail if nobody can be told.
    let _ = writeln!(std::io::stderr(), "{name}: {schedules} schedules, seed {SEED}");
}

#[test]
fn nothing_goes_back_while_segments_are_compacted() {
    explore("compaction", |seed| {
        let durability = if seed.is_multiple_of(2) { Durability::Durable } else { Durability::Buffered };
        let disk = SimDisk::new(seed);
        let (store, board) = filled(&disk, durability, false);
        join([
            spawn(&store, &board, |store, board| write(store, board, 0)),
            spawn(&store, &board, |store, board| write(store, board, 1)),
            spawn(&store, &board, read),
            spawn(&store, &board, |store, _| {
                store.compact_as_needed().unwrap();
                assert!(store.compact().unwrap().damaged.is_empty());
            }),
        ]);
        assert_eq!(list(&store).unwrap(), [4, 4]);
        if durability == Durability::Buffered {
            store.close().unwrap();
        }
        check_end(&disk, &board);
    });
}

/// A batch is seen whole or not at all; and a snapshot stays what it was, whatever is written and compacted under it.
#[test]
fn a_snapshot_is_one_state_for_as_long_as_it_lives() {
    explore("snapshots", |seed| {
        let disk = SimDisk::new(seed);
        let (store, board) = filled(&disk, Durability::Durable, false);
        join([
            spawn(&store, &board, write_both),
            spawn(&store, &board, |store, board| {
                for _ in 0..2 {
                    let floor = board.floor(0);
                    let [a, b] = list(store).unwrap();
                    assert_eq!(a, b, "half a batch");
                    board.saw(0, a, floor);
                }
            }),
            spawn(&store, &board, |store, board| {
                let floor = board.floor(0);
                let snapshot = store.snapshot(SnapshotLimits::default()).wait().unwrap();
                let look = |key: &str| number(&snapshot.get(at(key)).unwrap().unwrap().value);
                let first = look(KEYS[0]);
                board.saw(0, first, floor);
                for key in [KEYS[1], KEYS[0], KEYS[1]] {
                    assert_eq!(look(key), first, "{key} at version {}", snapshot.version());
                }
                assert_eq!(snapshot.count(Tenant::DEFAULT, "default", "").unwrap(), 2);
            }),
            spawn(&store, &board, |store, _| {
                store.compact_as_needed().unwrap();
                assert!(store.compact().unwrap().damaged.is_empty());
            }),
        ]);
        assert_eq!((store.stats().snapshots, store.stats().pinned_bytes), (0, 0));
        check_end(&disk, &board);
    });
}

/// Follows everything after `version` up to `last`, or to the end of the store, waiting as `wait` does. Versions have no gaps
/// here, and so the feed has none, nor anything twice; where it is cut it goes on at the floor.
fn follow(store: &Store, mut version: u64, last: u64, is_async: bool) {
    while version < last {
        let watch = Watch { from: Some(version), values: true, ..Watch::default() };
        let mut feed = match store.watch(&watch) {
            Ok(feed) => feed,
            Err(Error::Compacted { floor, .. }) => {
                assert!(floor > version);
                version = floor;
                continue;
            }
            Err(error) => return assert!(matches!(error, Error::Closed), "{error}"),
        };
        while version < last {
            match feed.read(2000) {
                Ok(changes) => {
                    for change in changes.iter() {
                        assert_eq!(change.version, version + 1);
                        assert_eq!(change.value.is_empty(), change.kind != ChangeKind::Set);
                        version = change.version;
                    }
                    assert_eq!(feed.version(), version);
                }
                Err(Error::Compacted { floor, .. }) => {
                    assert!(floor > version);
                    break;
                }
                Err(error) => {
                    return assert!(matches!(error, Error::Closed | Error::Failed { .. }), "{error}");
                }
            }
            match is_async {
                _ if version >= last => {}
                true => shuttle::future::block_on(feed.news()),
                false => feed.news().wait(),
            }
        }
    }
}

/// History and what happens while it is read are one, whatever is rotated and compacted in the meantime; and whoever waits
/// is woken.
#[test]
fn a_feed_has_no_gap_and_tells_nothing_twice() {
    explore("feed", |seed| {
        let disk = SimDisk::new(seed);
        let (store, board) = filled(&disk, Durability::Durable, false);
        let first = store.stats().sequence;
        // Each writer puts, puts and deletes three times.
        let last = first + 18;
        join([
            spawn(&store, &board, |store, board| write(store, board, 0)),
            spawn(&store, &board, |store, board| write(store, board, 1)),
            spawn(&store, &board, move |store, _| follow(store, 0, last, seed.is_multiple_of(2))),
            spawn(&store, &board, move |store, _| follow(store, first, last, true)),
            spawn(&store, &board, |store, _| {
                store.compact_as_needed().unwrap();
                store.compact().unwrap();
            }),
        ]);
        assert_eq!((store.stats().sequence, store.stats().feeds), (last, 0));
        check_end(&disk, &board);
    });
}

/// Whoever waits for changes is woken by a close, and by a failure.
#[test]
fn a_feed_ends_with_the_store_and_with_its_log() {
    explore("feed's end", |seed| {
        let disk = SimDisk::new(seed);
        let (store, board) = filled(&disk, Durability::Durable, !seed.is_multiple_of(3));
        if seed.is_multiple_of(2) {
            disk.fail_at(disk.op_count() + seed / 2 % 40, Fault::EioPartly);
        }
        join([
            spawn(&store, &board, |store, board| write(store, board, 0)),
            spawn(&store, &board, |store, _| follow(store, 0, u64::MAX, false)),
            spawn(&store, &board, |store, _| follow(store, 0, u64::MAX, true)),
            spawn(&store, &board, |store, _| {
                let _ = store.compact();
                let _ = store.clone().close();
            }),
        ]);
        drop(store);
        check_end(&disk, &board);
    });
}

/// A write or a sync fails: what was told stays true, before and after opening again.
#[test]
fn nothing_that_was_told_is_taken_back_by_a_failure() {
    explore("failure", |seed| {
        let disk = SimDisk::new(seed);
        let (store, board) = filled(&disk, Durability::Durable, false);
        // Little work, and a failure most probably within the first job of compaction; or more of both.
        let is_little = seed.is_multiple_of(2);
        let operations = if is_little { 40 } else { 160 };
        disk.fail_at(disk.op_count() + seed / 2 % operations, Fault::EioPartly);
        join([
            spawn(&store, &board, |store, board| write(store, board, 0)),
            spawn(&store, &board, move |store, board| {
                if !is_little {
                    write(store, board, 1);
                }
            }),
            spawn(&store, &board, read),
            spawn(&store, &board, |store, _| {
                if let Err(error) = store.compact_as_needed() {
                    assert_is_end(&error);
                }
            }),
        ]);
        // Reads go on after a failure, at what was acknowledged.
        read(&store, &board);
        drop(store);
        check_end(&disk, &board);
    });
}

/// The store's own threads, callers that await, and a close: in the midst of it all, or when all have been answered.
#[test]
fn a_close_ends_everything_under_way() {
    explore("close", |seed| {
        let disk = SimDisk::new(seed);
        let (store, board) = filled(&disk, Durability::Durable, true);
        join([
            spawn(&store, &board, |store, board| write(store, board, 0)),
            spawn(&store, &board, read),
            spawn(&store, &board, |store, board| {
                board.begun[1].store(2, Ordering::SeqCst);
                let wrote = store.write(|writer| writer.put(at(KEYS[1]), &Put::new(&value(2))));
                match shuttle::future::block_on(wrote) {
                    Ok(decision) => {
                        decision.unwrap().unwrap();
                        board.answered[1].store(2, Ordering::SeqCst);
                    }
                    Err(error) => assert_is_end(&error),
                }
            }),
            spawn(&store, &board, move |store, _| {
                if seed.is_multiple_of(2) {
                    store.clone().close().unwrap();
                }
            }),
        ]);
        store.close().unwrap();
        check_end(&disk, &board);
    });
}

/// A clock that is set, so that a deadline passes while everything is under way.
#[derive(Debug, Default)]
struct SetClock(AtomicU8);

impl Clock for SetClock {
    fn wall_ms(&self) -> u64 {
        1_000_000
    }

    fn boot_ms(&self) -> u64 {
        load(&self.0).into()
    }
}

/// Two who expire, writers that come before or after them, a reader, compaction; or the store's own threads. Each life
/// ends once, and what was seen to have ended stays so.
#[test]
fn entries_expire_once_while_they_are_read_and_written() {
    explore("expiry", |seed| {
        let (disk, clock) = (SimDisk::new(seed), Arc::new(SetClock::default()));
        let background = seed.is_multiple_of(3);
        let options = options(Durability::Durable).background(background);
        let store = open(&disk, options.clock(Arc::<SetClock>::clone(&clock))).unwrap();
        for key in ["a", "b", "c"] {
            store.put(at(key), &Put::new(b"1").expires_at(1_000_010)).unwrap().unwrap();
        }
        let board = Arc::new(Board::default());
        let expire = |store: &Store, _: &Board| {
            store.expire_due().unwrap();
        };
        join([
            spawn(&store, &board, move |_, _| clock.0.store(10, Ordering::SeqCst)),
            spawn(&store, &board, expire),
            spawn(&store, &board, expire),
            spawn(&store, &board, |store, _| {
                let put = Put::new(b"2").condition(Condition::Absent);
                while store.put(at("a"), &put).unwrap().is_err() {
                    thread::yield_now();
                }
                store.compact().unwrap();
            }),
            spawn(&store, &board, |store, _| {
                let mut gone = false;
                for _ in 0..3 {
                    let is_there = store.get(at("b")).unwrap().is_some();
                    assert!(!is_there || !gone, "it came back");
                    gone = !is_there;
                    let count = store.count(Tenant::DEFAULT, "default", "").unwrap();
                    assert!(if gone { count <= 1 } else { count <= 3 }, "{count}");
                }
            }),
        ]);
        store.expire_due().unwrap();
        // Three puts, an expire record each, and the put that found one expired.
        let stats = store.stats();
        assert_eq!((stats.sequence, stats.entries, stats.overdue_entries), (7, 1, 0));
        assert_eq!(store.get(at("a")).unwrap().unwrap().value, b"2");
        store.close().unwrap();
    });
}

/// An entry that is there all the time is in every snapshot, though its deadline is moved just before it passes: version and
/// time of a snapshot are those of one instant.
#[test]
fn a_snapshot_is_of_one_instant() {
    explore("instant", |seed| {
        let (disk, clock) = (SimDisk::new(seed), Arc::new(SetClock::default()));
        let options = options(Durability::Durable).clock(Arc::<SetClock>::clone(&clock));
        let store = open(&disk, options).unwrap();
        store.put(at("a"), &Put::new(b"1").expires_at(1_000_010)).unwrap().unwrap();
        let board = Arc::new(Board::default());
        join([
            spawn(&store, &board, move |store, _| {
                store.touch(at("a"), Expiry::Never).unwrap().unwrap();
                clock.0.store(10, Ordering::SeqCst);
            }),
            spawn(&store, &board, |store, _| {
                let snapshot = store.snapshot(SnapshotLimits::default()).wait().unwrap();
                assert!(snapshot.get(at("a")).unwrap().is_some(), "at {}", snapshot.version());
            }),
        ]);
        store.close().unwrap();
    });
}

/// A backup holds what was answered before it began, and nothing that was not begun by its end.
#[test]
fn a_backup_is_one_state_while_segments_are_compacted() {
    explore("backup", |seed| {
        let disk = SimDisk::new(seed);
        let (store, board) = filled(&disk, Durability::Durable, false);
        let backup: Arc<dyn Disk> = Arc::new(disk.directory("backup"));
        join([
            spawn(&store, &board, write_both),
            spawn(&store, &board, |store, _| assert!(store.compact().unwrap().damaged.is_empty())),
            spawn(&store, &board, move |store, board| {
                let floor = load(&board.answered[0]);
                store.backup_on(&backup, |_| ()).unwrap();
                let restored = SimDisk::new(0);
                let restored_disk: Arc<dyn Disk> = Arc::new(restored.clone());
                restore_on(&backup, &restored_disk, |_| ()).unwrap();
                let restored = open(&restored, options(Durability::Durable)).unwrap();
                let [a, b] = list(&restored).unwrap();
                assert_eq!(a, b, "half a batch");
                assert!((floor..=load(&board.begun[0])).contains(&a), "{a} after {floor}");
                restored.close().unwrap();
            }),
        ]);
        store.close().unwrap();
        check_end(&disk, &board);
    });
}
