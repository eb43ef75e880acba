//! The change feed: everything committed, once, in order, as soon as it is durable and not before.

use crate::aftermath::{TIMES, seeds};
use crate::journal::{Journal, Logged, Look, Session, logged};
use crate::support::{Chance, HandClock, at, options, value};
use larder_engine::Durability::{Buffered, Durable};
use larder_engine::disk::sim::{Fault, OpKind, SimDisk};
use larder_engine::{
    Address, ChangeKind, Compaction, Condition, Durability, Error, Feed, Options, Put, Store, Tenant, Watch,
};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

fn open(disk: &SimDisk, clock: &Arc<HandClock>) -> Store {
    small(Durable, clock).open_on(Arc::new(disk.clone())).unwrap()
}

fn small(durability: Durability, clock: &Arc<HandClock>) -> Options {
    options(durability, clock).segment_bytes(4096)
}

fn put(store: &Store, key: &str, bytes: &[u8]) -> u64 {
    store.put(at(key), &Put::new(bytes)).unwrap().unwrap().version
}

fn delete(store: &Store, key: &str) -> u64 {
    store.delete(at(key), Condition::Always).unwrap().unwrap().unwrap().version
}

/// All that there is to read now.
fn rest(feed: &mut Feed) -> Vec<Logged> {
    let mut all = Vec::new();
    loop {
        let changes = feed.read(1000).unwrap();
        all.extend(changes.iter().map(|change| logged(&change)));
        if !changes.more() {
            return all;
        }
    }
}

fn versions(logged: &[Logged]) -> Vec<u64> {
    logged.iter().map(|logged| logged.version).collect()
}

fn from(version: u64) -> Watch<'static> {
    Watch { from: Some(version), values: true, ..Watch::default() }
}

#[test]
fn every_change_is_told_once_with_all_that_it_is() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    let mut feed = store.watch(&from(0)).unwrap();
    assert_eq!((feed.version(), rest(&mut feed)), (0, vec![]));
    let soon = store.read(|view| view.now_ms()).wait().unwrap() + 50;
    let full = Put::new(b"1").tag(7).description("a note").expires_at(soon);
    store.put(at("a"), &full).unwrap().unwrap();
    put(&store, "b", b"");
    delete(&store, "b");
    clock.pass(60);
    // An overdue entry expires before it is written to, in the same frame.
    assert_eq!(put(&store, "a", b"2"), 5);

    let changes = feed.read(usize::MAX).unwrap();
    assert_eq!((changes.len(), changes.more(), feed.version()), (5, false, 5));
    let all: Vec<_> = changes.iter().collect();
    let kinds: Vec<_> = all.iter().map(|change| (change.version, change.kind, change.key)).collect();
    let (set, del) = (ChangeKind::Set, ChangeKind::Delete);
    assert_eq!(
        kinds,
        [(1, set, "a"), (2, set, "b"), (3, del, "b"), (4, ChangeKind::Expire, "a"), (5, set, "a")]
    );
    let first = all[0];
    assert_eq!((first.tag, first.description, first.value), (7, Some("a note"), &b"1"[..]));
    assert_eq!((first.expires_at, first.creation, first.namespace), (Some(soon), 1, "default"));
    assert_eq!((all[3].expires_at, all[3].creation, all[3].tag), (Some(soon), 1, 0));
    assert_eq!((all[2].expires_at, all[2].creation), (None, 2));
    assert!(feed.read(usize::MAX).unwrap().is_empty());
}

#[test]
fn tenant_namespace_and_prefix_are_what_is_watched() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    let mut expected = Vec::new();
    for tenant in 0..3 {
        for namespace in ["a", "b", "ab"] {
            for key in ["k", "k1", "k2", "l"] {
                let at = Address::new(Tenant(tenant), namespace, key).unwrap();
                let version = store.put(at, &Put::new(b"secret")).unwrap().unwrap().version;
                expected.push((tenant, namespace, key, version));
            }
        }
    }
    for tenant in [None, Some(1)] {
        for namespace in [None, Some("a"), Some("nobody")] {
            for prefix in ["", "k", "k2", "x"] {
                let watch = Watch {
                    tenant: tenant.map(Tenant),
                    namespace,
                    prefix,
                    from: Some(0),
                    ..Watch::default()
                };
                let found = rest(&mut store.watch(&watch).unwrap());
                let is_watched = |(of, within, key, _): &&(u32, &str, &str, u64)| {
                    tenant.is_none_or(|tenant| tenant == *of)
                        && namespace.is_none_or(|namespace| namespace == *within)
                        && key.starts_with(prefix)
                };
                let expected: Vec<_> =
                    expected.iter().filter(is_watched).map(|(.., version)| *version).collect();
                assert_eq!(versions(&found), expected, "{watch:?}");
                assert!(found.iter().all(|logged| logged.value.is_empty()), "values were not asked for");
            }
        }
    }
}

/// Also within a transaction, and however small the reads are.
#[test]
fn a_feed_can_be_resumed_after_every_version() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = options(Durable, &clock).segment_bytes(1 << 20).open_on(Arc::new(disk)).unwrap();
    let mut last = 0;
    // Some segments of many frames, and a frame that is longer than what is looked through at a time.
    while last < 6000 {
        store
            .transaction(|batch| {
                for key in 0..40 {
                    let size = if last == 3000 { 40_000 } else { 300 };
                    last = batch.put(at(&format!("k{key}")), &Put::new(&value(last, size)))?.unwrap().version;
                }
                Ok::<_, Error>(())
            })
            .unwrap();
        last = put(&store, "single", b"1");
    }
    for version in (0..last).step_by(37).chain([last - 1, last]) {
        let mut feed = store.watch(&from(version)).unwrap();
        let mut expected = version + 1;
        for _ in 0..3 {
            let changes = feed.read(2000).unwrap();
            for change in changes.iter() {
                assert_eq!(change.version, expected);
                expected += 1;
            }
            assert_eq!(feed.version(), expected - 1);
            assert!(!changes.is_empty() || feed.version() == last);
        }
    }
    let mut feed = store.watch(&from(0)).unwrap();
    assert!(rest(&mut feed).iter().map(|logged| logged.version).eq(1..=last));
}

#[test]
fn a_read_is_bounded_by_what_it_gives_and_by_what_it_looks_through() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = options(Durable, &clock).segment_bytes(1 << 20).open_on(Arc::new(disk)).unwrap();
    for key in 0..30 {
        put(&store, &format!("k{key}"), &vec![0; 100_000]);
    }
    let mut feed = store.watch(&from(0)).unwrap();
    for (bytes, count) in [(0, 1), (150_000, 1), (250_000, 2), (usize::MAX, 11)] {
        assert_eq!(feed.read(bytes).unwrap().len(), count);
    }
    assert!(feed.lag_bytes().unwrap() > 1_500_000);
    let mut feed = store.watch(&Watch { prefix: "nothing", from: Some(0), ..Watch::default() }).unwrap();
    let mut reads = 0;
    while feed.read(usize::MAX).unwrap().more() {
        reads += 1;
    }
    assert_eq!((reads, feed.version(), feed.lag_bytes().unwrap()), (2, 30, 0));
}

#[test]
fn versions_that_cannot_be_resumed_are_refused() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    for round in 0..30 {
        put(&store, "k", &value(round, 500));
    }
    assert_eq!(store.stats().feed_floor, 0);
    let mut behind = store.watch(&from(3)).unwrap();
    store.compact().unwrap();
    let floor = store.stats().feed_floor;
    assert!(floor > 3);
    let refused = store.watch(&from(floor - 1)).unwrap_err();
    assert!(
        matches!(refused, Error::Compacted { version, floor: lowest } if version == floor - 1 && lowest == floor)
    );
    let cut = behind.read(1000).unwrap_err();
    assert!(matches!(cut, Error::Compacted { version: 3, floor: lowest } if lowest == floor), "{cut}");
    assert!(behind.read(1000).is_err() && behind.version() == 3);
    assert_eq!(
        versions(&rest(&mut store.watch(&from(floor)).unwrap())),
        (floor + 1..=30).collect::<Vec<_>>()
    );
    assert!(store.watch(&from(30)).is_ok());
    let ahead = store.watch(&from(31)).unwrap_err();
    assert!(matches!(ahead, Error::VersionAhead { version: 31, newest: 30 }), "{ahead}");
    assert!(matches!(store.watch(&from(u64::MAX)), Err(Error::VersionAhead { .. })));
}

/// A restored store has a history of its own, and a salvaged one too.
#[test]
fn a_restored_store_cannot_be_followed_in_the_versions_of_the_original() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    for round in 0..10 {
        put(&store, "k", &value(round, 500));
    }
    let (backup, target) = (disk.directory("backup"), disk.directory("target"));
    store.backup_on(&(Arc::new(backup.clone()) as Arc<_>), |_| ()).unwrap();
    larder_engine::restore_on(&(Arc::new(backup) as Arc<_>), &(Arc::new(target.clone()) as Arc<_>), |_| ())
        .unwrap();
    let restored = open(&target, &clock);
    let floor = restored.stats().feed_floor;
    assert!(matches!(restored.watch(&from(10)), Err(Error::Compacted { version: 10, .. })));
    let mut feed = restored.watch(&Watch::default()).unwrap();
    assert_eq!(feed.version(), floor);
    let version = put(&restored, "k", b"new");
    assert_eq!(versions(&rest(&mut feed)), [version]);
    assert_eq!(versions(&rest(&mut restored.watch(&from(floor)).unwrap())), [version]);
}

#[test]
fn only_what_is_durable_is_told() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = small(Buffered, &clock).open_on(Arc::new(disk)).unwrap();
    put(&store, "a", b"1");
    // From now on: after what is durable, which this is not.
    let mut feed = store.watch(&Watch::default()).unwrap();
    assert_eq!((feed.version(), rest(&mut feed)), (0, vec![]));
    let waiting = AtomicUsize::new(0);
    let counted = Arc::new(Count(waiting));
    let waker = Waker::from(Arc::clone(&counted));
    let mut news = feed.news();
    let mut poll = || Pin::new(&mut news).poll(&mut Context::from_waker(&waker));
    assert_eq!(poll(), Poll::Pending);
    put(&store, "b", b"2");
    assert_eq!((poll(), counted.0.load(Ordering::SeqCst)), (Poll::Pending, 0));
    store.sync().wait().unwrap();
    assert_eq!((poll(), counted.0.load(Ordering::SeqCst)), (Poll::Ready(()), 1));
    drop(news);
    assert_eq!(versions(&rest(&mut feed)), [1, 2]);
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Everything durable is given, and then the failure told.
#[test]
fn a_failed_log_ends_the_feed_after_what_was_durable() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = small(Buffered, &clock).open_on(Arc::new(disk.clone())).unwrap();
    put(&store, "a", b"1");
    store.sync().wait().unwrap();
    put(&store, "b", b"2");
    let mut feed = store.watch(&from(0)).unwrap();
    let waiting = store.watch(&from(1)).unwrap().news();
    disk.fail_next(OpKind::Sync, Fault::Eio);
    assert!(store.sync().wait().is_err());
    waiting.wait();
    // The second write was acknowledged, but what a power cut leaves of it nobody knows.
    assert!(store.get(at("b")).unwrap().is_some());
    assert_eq!(
        versions(&feed.read(1000).unwrap().iter().map(|change| logged(&change)).collect::<Vec<_>>()),
        [1]
    );
    assert!(matches!(feed.read(1000), Err(Error::Failed { .. })));
    assert!(matches!(feed.next(1000), Err(Error::Failed { .. })));
    let mut late = store.watch(&from(0)).unwrap();
    assert_eq!(late.next(1000).unwrap().len(), 1);
    assert!(matches!(late.next(1000), Err(Error::Failed { .. })));
}

#[test]
fn closing_ends_all_feeds_and_wakes_who_waits() {
    let clock = HandClock::new();
    let store = small(Durable, &clock).background(true).open_on(Arc::new(SimDisk::new(1))).unwrap();
    let mut feed = store.watch(&Watch::default()).unwrap();
    let waiting = store.watch(&Watch::default()).unwrap();
    assert_eq!(store.stats().feeds, 2);
    put(&store, "a", b"1");
    let news = waiting.news();
    news.wait();
    thread::scope(|scope| {
        let news = store.watch(&Watch::default()).unwrap().news();
        let waits = scope.spawn(move || news.wait());
        store.clone().close().unwrap();
        waits.join().unwrap();
    });
    assert!(matches!(feed.read(1000), Err(Error::Closed)));
    assert!(matches!(feed.next(1000), Err(Error::Closed)));
    assert!(matches!(feed.lag_bytes(), Err(Error::Closed)));
    assert!(matches!(store.watch(&Watch::default()), Err(Error::Closed)));
    feed.news().wait();
    drop((feed, waiting));
    assert_eq!(store.stats().feeds, 0);
}

/// A feed that nobody reads keeps nothing: neither segments nor descriptors.
#[test]
fn a_feed_pins_nothing() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    put(&store, "k", b"1");
    let mut feed = store.watch(&from(0)).unwrap();
    assert_eq!(feed.read(1).unwrap().len(), 1);
    for round in 0..30 {
        put(&store, "k", &value(round, 500));
    }
    let open_before = disk.open_count();
    assert!(store.compact().unwrap().segments_in > 1);
    assert_eq!(store.stats().pinned_bytes, 0);
    assert!(disk.open_count() < open_before);
    drop(feed);
}

/// Damage is told, and no change is wrong, missing or out of order on its account.
#[test]
fn damage_at_any_byte_is_told_or_harmless() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, &clock);
    for round in 0..4 {
        put(&store, "a", &value(round, 60));
        put(&store, "b", &value(round, 700));
        delete(&store, "a");
    }
    for values in [true, false] {
        let watch = Watch { from: Some(0), values, ..Watch::default() };
        let expected = rest(&mut store.watch(&watch).unwrap());
        assert_eq!(expected.len(), 12);
        let mut told = 0;
        for name in disk.file_names().iter().filter(|name| name.ends_with(".seg")) {
            let bytes = disk.read_file(name).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
            for offset in 0..used {
                let bit = u32::try_from(offset % 8).unwrap();
                disk.flip_bit(name, offset, bit).unwrap();
                let mut feed = match store.watch(&watch) {
                    Ok(feed) => feed,
                    Err(error) => panic!("{error}"),
                };
                let mut found = Vec::new();
                let end = loop {
                    match feed.read(500) {
                        Ok(changes) => {
                            found.extend(changes.iter().map(|change| logged(&change)));
                            if !changes.more() {
                                break None;
                            }
                        }
                        Err(error) => break Some(error),
                    }
                };
                assert_eq!(found, expected[..found.len()], "{name} at {offset}");
                match end {
                    None => assert_eq!(found.len(), expected.len(), "{name} at {offset}"),
                    Some(Error::Damaged { file, .. }) => {
                        assert_eq!(&file, name);
                        told += 1;
                    }
                    Some(error) => panic!("{name} at {offset}: {error}"),
                }
                disk.flip_bit(name, offset, bit).unwrap();
            }
        }
        assert!(told > 500, "{told}");
    }
}

/// Feeds with filters and resume points by chance, over all that can happen to a log.
#[test]
fn feeds_see_the_history_and_nothing_else() {
    let seeds = 0..seeds(300);
    let mut totals = Look::default();
    for seed in seeds.clone() {
        let mut session = Session::new(seed);
        for _ in 0..4 {
            session.steps(60);
            session.crash();
        }
        totals.add(&session.look);
    }
    println!("seeds {seeds:?}: {totals:?}");
    assert!(totals.changes > 1000 && totals.cut > 10 && totals.resumed > 100, "{totals:?}");
}

/// What a feed has given, no power cut takes away.
#[test]
fn what_was_given_survives_a_power_cut_at_any_operation() {
    for seed in 0..seeds(3) {
        let count = {
            let mut session = Session::new(seed);
            session.steps(40);
            session.disk.op_count()
        };
        for number in 0..count {
            let mut session = Session::cut_at(seed, number, TIMES[usize::try_from(number % 3).unwrap()]);
            session.steps(40);
            session.crash();
            session.steps(5);
            session.crash();
        }
    }
}

/// Several threads write, one compacts, and others follow: history first, and then what happens, without a seam.
#[test]
fn following_while_others_write_and_compact() {
    for seed in 0..seeds(8) {
        let clock = HandClock::new();
        let durability = if seed % 2 == 0 { Durable } else { Buffered };
        let compaction = Compaction {
            space_amplification: 1.05,
            bytes_per_second: 0,
            background: true,
            ..Compaction::default()
        };
        let store = options(durability, &clock)
            .segment_bytes(16 << 10)
            .feed_retention_bytes(200_000)
            .compaction(compaction)
            .background(true)
            .sync_interval(std::time::Duration::from_millis(1))
            .open_on(Arc::new(SimDisk::new(seed)))
            .unwrap();
        let ended = AtomicU64::new(0);
        let journal = thread::scope(|scope| {
            let writers: Vec<_> =
                (0..3).map(|number| scope.spawn(write(&store, seed * 3 + number))).collect();
            let followers: Vec<_> =
                (0..4).map(|number| scope.spawn(follow(&store, seed * 4 + number, &ended))).collect();
            let mut journal: Vec<Logged> =
                writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
            journal.sort_by_key(|logged| logged.version);
            store.compact().unwrap();
            let last = put(&store, "last", b"1");
            ended.store(last, Ordering::SeqCst);
            // For those who are waiting already.
            put(&store, "past the last", b"1");
            for (number, follower) in followers.into_iter().enumerate() {
                let (watched, spans) = follower.join().unwrap();
                Journal::check(&journal, &watched, &spans, last, &format!("seed {seed}, follower {number}"));
            }
            journal
        });
        assert!(store.stats().compaction.segments_in > 5, "{:?}", store.stats().compaction);
        assert_eq!(journal.len(), 3 * 700);
        store.close().unwrap();
    }
}

/// A writer's changes, each as it was answered.
fn write(store: &Store, seed: u64) -> impl FnOnce() -> Vec<Logged> + Send + '_ {
    move || {
        let mut chance = Chance::new(seed);
        let mut all = Vec::new();
        let mut mine: Vec<String> = Vec::new();
        while all.len() < 700 {
            let key = format!("{seed}/{}", chance.below(40));
            let place = (0, "default".to_owned(), key.clone());
            if mine.contains(&key) && chance.below(4) == 0 {
                mine.retain(|other| *other != key);
                let version = delete(store, &key);
                let (kind, value) = (ChangeKind::Delete, Vec::new());
                all.push(Logged { version, kind, place, expires_at: None, value });
            } else {
                let value = value(chance.next(), usize::try_from(chance.below(600)).unwrap());
                let version = put(store, &key, &value);
                mine.retain(|other| *other != key);
                mine.push(key);
                all.push(Logged { version, kind: ChangeKind::Set, place, expires_at: None, value });
            }
        }
        all
    }
}

/// What a follower saw, and in which spans of versions (after the first, up to the second) it had all.
type Seen = (String, Vec<Logged>);

/// Follows from the beginning, or from wherever the log still goes back to, until the last write.
fn follow<'s>(
    store: &'s Store,
    seed: u64,
    ended: &'s AtomicU64,
) -> impl FnOnce() -> (Seen, Vec<(u64, u64)>) + Send + 's {
    move || {
        let mut chance = Chance::new(seed);
        let prefix = if chance.below(2) == 0 { String::new() } else { format!("{}/", seed / 4 * 3) };
        let (mut version, mut seen, mut spans) = (0, Vec::new(), Vec::new());
        loop {
            let watch = Watch { prefix: &prefix, values: true, from: Some(version), ..Watch::default() };
            let mut feed = match store.watch(&watch) {
                Err(Error::Compacted { floor, .. }) => {
                    version = floor;
                    continue;
                }
                feed => feed.unwrap(),
            };
            let end = read_until(&mut feed, &mut chance, ended, &mut seen);
            spans.push((version, feed.version()));
            version = feed.version();
            if end {
                return ((prefix, seen), spans);
            }
        }
    }
}

/// Reads until the end, or until the feed is cut or given up to be resumed. Whether that was the end.
fn read_until(feed: &mut Feed, chance: &mut Chance, ended: &AtomicU64, seen: &mut Vec<Logged>) -> bool {
    while chance.below(200) > 0 {
        match feed.read(usize::try_from(chance.below(5000)).unwrap()) {
            Ok(changes) => {
                seen.extend(changes.iter().map(|change| logged(&change)));
                let last = ended.load(Ordering::SeqCst);
                if last > 0 && feed.version() >= last {
                    return true;
                }
                if !changes.more() {
                    feed.news().wait();
                }
            }
            Err(Error::Compacted { .. }) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    false
}
