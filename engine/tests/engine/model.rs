//! Random sequences of calls against a naive map, at both levels, with closes, kills and steps of the wall clock.

use crate::support::{
    Contents, HandClock, Model, Place, START_MS, TENANTS, address, assert_same, at, dump, open, options,
    place, value,
};
use larder_engine::disk::sim::SimDisk;
use larder_engine::{
    Clock, Condition, Durability, Error, Expiry, Limits, NamespaceScan, Put, Result, Scan, Stamp, Store,
    Tenant,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use std::sync::Arc;

#[derive(Clone, Debug)]
enum When {
    Always,
    Absent,
    Present,
    Current,
    Old,
}

#[derive(Clone, Debug)]
enum Ends {
    Never,
    In(u64),
    Past,
    Keep,
}

#[derive(Clone, Debug)]
enum Verb {
    Put { size: usize, ends: Ends, when: When, tag: u8, description: Option<String> },
    Delete(When),
    Touch(Ends),
}

#[derive(Clone, Debug)]
enum Action {
    One(usize, Verb),
    Transaction {
        verbs: Vec<(usize, Verb)>,
        commits: bool,
    },
    Scan {
        space: usize,
        prefix: String,
        after: Option<String>,
        reverse: bool,
        limit: usize,
    },
    Namespaces {
        tenant: u32,
        prefix: String,
        limit: usize,
    },
    Pass(u64),
    /// The wall clock is set to so much after (or before) what it said at the beginning.
    Wall(u64),
    /// What is overdue is expired, and the time marked.
    Expire,
    Sync,
    Compact,
    Reopen,
    Kill,
}

const NAMESPACES: [&str; 3] = ["a", "ab", "b"];
const KEYS: [&str; 5] = ["k", "ka", "kab", "l", "\u{10ffff}"];
const VALUE_BYTES_MAX: usize = 200_000;

/// All places: tenants, namespaces, keys.
fn places() -> Vec<Place> {
    let spaces = (0..TENANTS).flat_map(|tenant| NAMESPACES.map(|namespace| (tenant, namespace)));
    spaces.flat_map(|(tenant, space)| KEYS.map(|key| (tenant, space.to_owned(), key.to_owned()))).collect()
}

/// Few places are used a lot, the others now and then.
fn any_place() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..4_usize, 1 => 0..45_usize]
}

fn any_ends() -> impl Strategy<Value = Ends> {
    prop_oneof![
        3 => Just(Ends::Never),
        3 => (1..500_u64).prop_map(Ends::In),
        1 => Just(Ends::Past),
        1 => Just(Ends::Keep),
    ]
}

fn any_when() -> impl Strategy<Value = When> {
    prop_oneof![
        6 => Just(When::Always),
        1 => Just(When::Absent),
        1 => Just(When::Present),
        2 => Just(When::Current),
        1 => Just(When::Old),
    ]
}

fn any_verb() -> impl Strategy<Value = Verb> {
    let size = prop_oneof![
        8 => 0..100_usize,
        1 => Just(150_000),
        1 => VALUE_BYTES_MAX - 1..VALUE_BYTES_MAX + 2,
    ];
    let description = proptest::option::of("[a-zé]{0,6}");
    prop_oneof![
        6 => (size, any_ends(), any_when(), any::<u8>(), description)
            .prop_map(|(size, ends, when, tag, description)| Verb::Put { size, ends, when, tag, description }),
        2 => any_when().prop_map(Verb::Delete),
        2 => any_ends().prop_map(Verb::Touch),
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    let verbs = proptest::collection::vec((any_place(), any_verb()), 0..12);
    let scan =
        (0..9_usize, "[kl]{0,1}[ab]{0,1}", proptest::option::of("[kl][ab]{0,2}"), any::<bool>(), 0..4_usize);
    prop_oneof![
        16 => (any_place(), any_verb()).prop_map(|(place, verb)| Action::One(place, verb)),
        4 => (verbs, proptest::bool::weighted(0.8)).prop_map(|(verbs, commits)| Action::Transaction { verbs, commits }),
        3 => scan.prop_map(|(space, prefix, after, reverse, limit)| Action::Scan { space, prefix, after, reverse, limit }),
        1 => (0..TENANTS, "[ab]{0,2}", 0..3_usize)
            .prop_map(|(tenant, prefix, limit)| Action::Namespaces { tenant, prefix, limit }),
        4 => (0..300_u64).prop_map(Action::Pass),
        1 => (0..2_000_000_u64).prop_map(Action::Wall),
        3 => Just(Action::Expire),
        1 => Just(Action::Sync),
        2 => Just(Action::Compact),
        1 => Just(Action::Reopen),
        1 => Just(Action::Kill),
    ]
}

/// The store and the model, side by side.
struct Pair {
    disk: SimDisk,
    clock: Arc<HandClock>,
    durability: Durability,
    store: Option<Store>,
    model: Model,
    places: Vec<Place>,
    /// Highest version seen: all later ones must be above.
    version: u64,
    /// A time that the log has certainly marked.
    mark_ms: u64,
    values: u64,
}

impl Pair {
    fn new(durability: Durability) -> Pair {
        let mut pair = Pair {
            disk: SimDisk::new(1),
            clock: HandClock::new(),
            durability,
            store: None,
            model: Model::default(),
            places: places(),
            version: 0,
            mark_ms: 0,
            values: 0,
        };
        pair.open();
        pair
    }

    fn open(&mut self) {
        let limits = Limits { value_bytes: VALUE_BYTES_MAX, ..Limits::default() };
        let options = options(self.durability, &self.clock).limits(limits);
        self.store = Some(options.open_on(Arc::new(self.disk.clone())).unwrap());
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn now_ms(&self) -> u64 {
        self.store().read(|view| view.now_ms()).wait().unwrap()
    }

    /// Time goes on from the mark, or from the wall clock if that is later; it cannot have been invented, but for the two
    /// seconds that a store may have run on after the mark before it was killed.
    fn check_time(&self, before_ms: u64) {
        let (now_ms, wall_ms) = (self.now_ms(), self.clock.wall_ms());
        assert!(now_ms >= self.mark_ms.max(wall_ms) && now_ms <= (before_ms + 2000).max(wall_ms));
    }

    fn condition(&self, place: &Place, when: &When, now_ms: u64) -> Condition {
        match when {
            When::Always => Condition::Always,
            When::Absent => Condition::Absent,
            When::Present => Condition::Present,
            When::Current => {
                Condition::Version(self.model.get(place, now_ms).map_or(1, |entry| entry.version))
            }
            When::Old => Condition::Version(self.version / 2),
        }
    }

    fn run(&mut self, action: &Action) {
        match action {
            Action::One(place, verb) => self.write(&[(*place, verb.clone())], None),
            Action::Transaction { verbs, commits } => self.write(verbs, Some(*commits)),
            Action::Scan { space, prefix, after, reverse, limit } => {
                let (tenant, namespace) = (u32::try_from(space / 3).unwrap(), NAMESPACES[space % 3]);
                let scan =
                    Scan { namespace, prefix, after: after.as_deref(), reverse: *reverse, limit: *limit };
                self.scan(tenant, &scan);
            }
            Action::Namespaces { tenant, prefix, limit } => self.namespaces(*tenant, prefix, *limit),
            Action::Pass(ms) => self.clock.pass(*ms),
            Action::Wall(ms) => {
                let before = self.now_ms();
                self.clock.set_wall(START_MS / 2 + ms);
                assert_eq!(self.now_ms(), before, "a step of the wall clock has no effect on an open store");
            }
            Action::Expire => {
                let (before, live) = (self.store().stats(), self.model.live(self.now_ms()).len() as u64);
                let expired = self.store().expire_due().unwrap();
                let after = self.store().stats();
                assert_eq!((expired, after.overdue_entries), (before.entries - live, 0));
                assert_eq!(after.entries, live);
                assert_eq!(
                    (after.expired, after.sequence),
                    (before.expired + expired, before.sequence + expired)
                );
                self.store().mark_time().unwrap();
                self.mark_ms = self.now_ms();
            }
            Action::Sync => {
                let newest = self.store().sync().wait().unwrap();
                assert!(newest >= self.version);
            }
            Action::Compact => {
                let report = self.store().compact().unwrap();
                assert!(report.damaged.is_empty(), "{report:?}");
                let stats = self.store().stats();
                assert_eq!((stats.tombstones, stats.tombstone_bytes), (0, 0));
                let dead: u64 = stats.segments.iter().map(|segment| segment.dead_bytes).sum();
                assert_eq!(dead, 0, "{:?}", stats.segments);
            }
            Action::Reopen => {
                let before_ms = self.now_ms();
                self.store.take().unwrap().close().unwrap();
                self.mark_ms = before_ms;
                self.open();
                assert!(self.store().report().clean);
                assert_eq!(self.now_ms(), before_ms.max(self.clock.wall_ms()));
            }
            Action::Kill => {
                let before_ms = self.now_ms();
                self.disk = self.disk.kill();
                self.open();
                assert!(!self.store().report().clean);
                assert_eq!(self.store().report().cut_bytes, 0);
                self.check_time(before_ms);
            }
        }
    }

    /// One verb by itself, or several as a transaction.
    fn write(&mut self, verbs: &[(usize, Verb)], commits: Option<bool>) {
        let now_ms = self.now_ms();
        let before = self.model.clone();
        let mut version = self.version;
        let mut values = self.values;
        let mut model = self.model.clone();
        let mut grows = |new: u64| {
            assert!(new > version, "version {new} after {version}");
            version = new;
        };
        let pending = match commits {
            None => {
                let (number, verb) = &verbs[0];
                let place = &self.places[*number];
                let at = address(place);
                self.store().write(|writer| match verb {
                    Verb::Put { size, ends, when, tag, description } => {
                        values += 1;
                        let value = value(values, *size);
                        let condition = self.condition(place, when, now_ms);
                        let put =
                            put_of(&value, ends, *tag, description.as_deref(), now_ms).condition(condition);
                        let outcome = writer.put(at, &put);
                        outcome.iter().flatten().for_each(|stamp| grows(stamp.version));
                        model.put(place, &put, now_ms, &outcome);
                    }
                    Verb::Delete(when) => {
                        let condition = self.condition(place, when, now_ms);
                        let outcome = writer.delete(at, condition).unwrap();
                        let outcome =
                            outcome.map(|done| done.map(|done| (done.version, done.found.version())));
                        outcome.iter().flatten().for_each(|(version, _)| grows(*version));
                        model.delete(place, condition, now_ms, &outcome);
                    }
                    Verb::Touch(ends) => {
                        let outcome = writer.touch(at, expiry(ends, now_ms));
                        outcome.iter().flatten().for_each(|stamp| grows(stamp.version));
                        model.touch(place, expiry(ends, now_ms), now_ms, &outcome);
                    }
                })
            }
            Some(commits) => self.store().write(|writer| {
                let done: Result<(), Error> = writer.transaction(|batch| {
                    assert_eq!(batch.now_ms(), now_ms);
                    for (number, verb) in verbs {
                        let place = &self.places[*number];
                        let at = address(place);
                        let current = |model: &Model, when: &When| match when {
                            When::Current => {
                                Condition::Version(model.get(place, now_ms).map_or(1, |entry| entry.version))
                            }
                            when => self.condition(place, when, now_ms),
                        };
                        match verb {
                            Verb::Put { size, ends, when, tag, description } => {
                                values += 1;
                                let value = value(values, *size);
                                let put = put_of(&value, ends, *tag, description.as_deref(), now_ms)
                                    .condition(current(&model, when));
                                // What is refused leaves no trace, whatever becomes of the rest.
                                let outcome = batch.put(at, &put);
                                outcome.iter().flatten().for_each(|stamp: &Stamp| grows(stamp.version));
                                model.put(place, &put, now_ms, &outcome);
                            }
                            Verb::Delete(when) => {
                                let condition = current(&model, when);
                                let outcome = batch.delete(at, condition).unwrap();
                                let outcome =
                                    outcome.map(|done| done.map(|done| (done.version, done.found.version())));
                                outcome.iter().flatten().for_each(|(version, _)| grows(*version));
                                model.delete(place, condition, now_ms, &outcome);
                            }
                            Verb::Touch(ends) => {
                                let outcome = batch.touch(at, expiry(ends, now_ms));
                                outcome.iter().flatten().for_each(|stamp| grows(stamp.version));
                                model.touch(place, expiry(ends, now_ms), now_ms, &outcome);
                            }
                        }
                        // It reads what it has written, and no more.
                        let expected = model.get(place, now_ms);
                        assert_eq!(batch.entry(at).unwrap().as_ref(), expected);
                        let found = batch.get(at);
                        assert_eq!(
                            found.as_ref().map(|found| found.stamp().version),
                            expected.map(|entry| entry.version)
                        );
                        assert!(
                            found.is_none_or(|found| found.stored_bytes() > expected.unwrap().value.len())
                        );
                    }
                    if commits { Ok(()) } else { Err(Error::Closed) }
                });
                assert_eq!(done.is_ok(), commits);
            }),
        };
        pending.wait().unwrap();
        self.values = values;
        if commits == Some(false) {
            self.model = before;
            return;
        }
        self.model = model;
        if version > self.version {
            // A frame was closed at this time.
            (self.version, self.mark_ms) = (version, now_ms);
        }
    }

    fn expected(&self, tenant: u32, namespace: &str, prefix: &str) -> Contents {
        let mut contents = self.model.live(self.now_ms());
        contents.retain(|place, _| place.0 == tenant && place.1 == namespace && place.2.starts_with(prefix));
        contents
    }

    fn scan(&self, tenant: u32, scan: &Scan<'_>) {
        let all = self.expected(tenant, scan.namespace, scan.prefix);
        assert_eq!(
            self.store().count(Tenant(tenant), scan.namespace, scan.prefix).unwrap(),
            all.len() as u64
        );
        let beyond =
            |key: &str| scan.after.is_none_or(|after| if scan.reverse { key < after } else { key > after });
        let mut expected: Vec<&str> = all.keys().map(|place| &*place.2).filter(|key| beyond(key)).collect();
        if scan.reverse {
            expected.reverse();
        }
        let page = self.store().scan(Tenant(tenant), scan).unwrap();
        let keys: Vec<&str> = page.items.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, expected[..scan.limit.min(expected.len())]);
        assert_eq!(page.more, expected.len() > scan.limit);

        // Page by page it is the same.
        let (mut walked, mut after) = (Vec::new(), scan.after.map(str::to_owned));
        loop {
            let page = self
                .store()
                .scan(Tenant(tenant), &Scan { after: after.as_deref(), limit: 2, ..*scan })
                .unwrap();
            walked.extend(page.items.iter().map(|(key, _)| key.to_string()));
            after = walked.last().cloned().or(after);
            if !page.more {
                break;
            }
        }
        assert_eq!(walked, expected);

        // Passed over in portions, as many are counted.
        let (mut live, mut after) = (0, scan.after.map(str::to_owned));
        loop {
            let portion = Scan { after: after.as_deref(), limit: 3, ..*scan };
            let pass = self.store().read(|view| view.pass(Tenant(tenant), &portion, 2));
            let passed = pass.wait().unwrap();
            assert!(passed.live <= passed.looked && passed.looked <= 2);
            live += passed.live;
            after = passed.last.map(|key| key.to_string()).or(after);
            if !passed.more {
                break;
            }
        }
        assert_eq!(live, expected.len());
    }

    fn namespaces(&self, tenant: u32, prefix: &str, limit: usize) {
        let mut expected: Vec<(String, u64)> = Vec::new();
        for namespace in NAMESPACES.iter().filter(|namespace| namespace.starts_with(prefix)) {
            let count = self.expected(tenant, namespace, "").len() as u64;
            if count > 0 {
                expected.push(((*namespace).to_owned(), count));
            }
        }
        let page =
            self.store().namespaces(Tenant(tenant), &NamespaceScan { prefix, after: None, limit }).unwrap();
        assert_eq!(page.items, expected[..limit.min(expected.len())]);
        assert_eq!(page.more, expected.len() > limit);
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let scan = NamespaceScan { prefix, after: after.as_deref(), limit: 1 };
            let page = self.store().namespaces(Tenant(tenant), &scan).unwrap();
            walked.extend(page.items);
            after = walked.last().map(|(name, _)| name.clone());
            if !page.more {
                break;
            }
        }
        assert_eq!(walked, expected);
    }

    /// Everything, looked at in every way.
    fn check(&self) {
        let now_ms = self.now_ms();
        let live = self.model.live(now_ms);
        assert_same(&dump(self.store()).unwrap(), &live, "the whole store");
        for place in &self.places {
            assert_eq!(self.store().get(address(place)).unwrap().as_ref(), live.get(place));
        }
        let stats = self.store().stats();
        assert!(stats.entries - stats.overdue_entries >= live.len() as u64);
        assert!(!stats.failed);
    }
}

fn expiry(ends: &Ends, now_ms: u64) -> Expiry {
    match ends {
        Ends::Never => Expiry::Never,
        Ends::In(ms) => Expiry::At(now_ms + ms),
        Ends::Past => Expiry::At(now_ms),
        Ends::Keep => Expiry::Keep,
    }
}

fn put_of<'a>(value: &'a [u8], ends: &Ends, tag: u8, description: Option<&'a str>, now_ms: u64) -> Put<'a> {
    Put { tag, description, expiry: expiry(ends, now_ms), ..Put::new(value) }
}

proptest! {
    #![proptest_config(Config {
        rng_seed: RngSeed::Fixed(0x1a4de4), failure_persistence: None, cases: 256, max_shrink_iters: 2000,
        ..Config::default()
    })]

    #[test]
    fn agrees_with_a_map(actions in proptest::collection::vec(any_action(), 1..70), durable: bool) {
        let mut pair = Pair::new(if durable { Durability::Durable } else { Durability::Buffered });
        for action in &actions {
            pair.run(action);
            pair.check();
        }
    }
}

#[test]
fn limits_are_told_and_leave_nothing_behind() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let limits = Limits {
        value_bytes: 1000,
        description_characters: 5,
        transaction_operations: 3,
        transaction_bytes: 2000,
    };
    let store = options(Durability::Durable, &clock).limits(limits).open_on(Arc::new(disk)).unwrap();
    let long = vec![1; 1001];
    assert!(matches!(
        store.put(at("a"), &Put::new(&long)),
        Err(Error::ValueTooLarge { length: 1001, limit: 1000 })
    ));
    let put = Put::new(&long[..1000]).description("äöüßéx");
    assert!(matches!(store.put(at("a"), &put), Err(Error::DescriptionTooLong { characters: 6, limit: 5 })));
    store.put(at("a"), &Put { description: Some("äöüßé"), ..put }).unwrap().unwrap();

    // The fourth operation is one too many: alone it is not done, and the closure decides about the rest.
    let put = Put::new(b"1");
    let done: Result<()> = store.transaction(|batch| {
        for key in ["b", "c", "d"] {
            batch.put(at(key), &put)?.unwrap();
        }
        assert!(
            batch.delete(at("nothing"), Condition::Always)?.unwrap().is_none(),
            "no change, no operation"
        );
        assert!(matches!(
            batch.put(at("e"), &put),
            Err(Error::TransactionTooLarge { operations: 4, operations_max: 3, .. })
        ));
        assert!(matches!(batch.delete(at("a"), Condition::Always), Err(Error::TransactionTooLarge { .. })));
        assert!(matches!(batch.touch(at("a"), Expiry::Never), Err(Error::TransactionTooLarge { .. })));
        assert!(batch.get(at("e")).is_none() && batch.get(at("a")).is_some());
        Ok(())
    });
    done.unwrap();
    let keys: Vec<String> = dump(&store).unwrap().into_keys().map(|place| place.2).collect();
    assert_eq!(keys, ["a", "b", "c", "d"]);

    let done: Result<()> = store.transaction(|batch| {
        batch.put(at("b"), &Put::new(&long[..1000]))?.unwrap();
        batch.put(at("c"), &Put::new(&long[..1000])).map(drop)
    });
    assert!(matches!(done, Err(Error::TransactionTooLarge { operations: 2, bytes_max: 2000, .. })));
    assert_eq!(store.get(at("b")).unwrap().unwrap().value, b"1");
}

#[test]
fn a_put_on_an_overdue_entry_is_one_operation() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let limits = Limits { transaction_operations: 2, ..Limits::default() };
    let store = options(Durability::Durable, &clock).limits(limits).open_on(Arc::new(disk)).unwrap();
    for key in ["a", "b"] {
        store.put(at(key), &Put::new(b"old").expires_at(START_MS + 1)).unwrap().unwrap();
    }
    clock.pass(1);
    let done: Result<()> = store.transaction(|batch| {
        batch.put(at("a"), &Put::new(b"new").condition(Condition::Absent))?.unwrap();
        batch.put(at("b"), &Put::new(b"new"))?.unwrap();
        Ok(())
    });
    done.unwrap();
    let entries = dump(&store).unwrap();
    assert!(
        entries.values().all(|entry| entry.creation == entry.version && entry.created_at == START_MS + 1)
    );
}

/// Values of full length in segments that cannot hold one, and frames that fill a segment to the last byte.
#[test]
fn frames_of_every_size_around_a_segments() {
    const SEGMENT: usize = 1 << 20;
    // Headers of segment, frame and record, namespace and key, footer.
    const AROUND: usize = 64 + 56 + 64 + 8 + 64;
    let (mut disk, clock) = (SimDisk::new(1), HandClock::new());
    let mut model = Model::default();
    let sizes =
        [SEGMENT, SEGMENT - AROUND, SEGMENT - AROUND - 1, SEGMENT - AROUND + 1, 0, SEGMENT - 1, SEGMENT / 2];
    for round in 0..sizes.len() {
        let store = open(&disk, Durability::Durable, &clock).unwrap();
        assert_same(&dump(&store).unwrap(), &model.live(START_MS), "after reopening");
        for (number, size) in sizes.iter().cycle().skip(round).take(3).enumerate() {
            let key = ["x", "y", "z"][number];
            // The key has one byte, "default" seven.
            let value = value(number as u64, *size);
            let put = Put::new(&value);
            let outcome = store.put(at(key), &put);
            model.put(&place(key), &put, START_MS, &outcome);
        }
        if round % 2 == 0 {
            store.close().unwrap();
        } else {
            disk = disk.kill();
        }
    }
    let segments = disk.file_names().into_iter().filter(|name| name.ends_with(".seg"));
    let full = segments.filter(|name| disk.read_file(name).unwrap().len() == SEGMENT);
    assert!(full.count() > 1, "some frames fill their segment exactly");
}

#[test]
fn the_index_limit_turns_new_keys_away_and_lets_old_ones_be_changed() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = options(Durability::Durable, &clock).max_index_bytes(3000).open_on(Arc::new(disk)).unwrap();
    let mut taken = 0;
    let refused = loop {
        let key = format!("key {taken}");
        match store.put(at(&key), &Put::new(b"1")) {
            Ok(done) => done.unwrap(),
            Err(error) => break error,
        };
        taken += 1;
    };
    assert!(matches!(refused, Error::IndexFull { limit: 3000, .. }) && taken > 3, "{refused}");
    store.put(at("key 0"), &Put::new(b"2")).unwrap().unwrap();
    for key in ["key 1", "key 2"] {
        store.delete(at(key), Condition::Always).unwrap().unwrap();
    }
    store.put(at("other"), &Put::new(b"3")).unwrap().unwrap();
    assert_eq!(store.count(Tenant::DEFAULT, "default", "").unwrap(), taken - 1);
}

#[test]
fn a_panic_in_a_callers_closure_leaves_the_store_whole() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let store = open(&disk, Durability::Durable, &clock).unwrap();
    store.put(at("a"), &Put::new(b"1")).unwrap().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let pending = store.write(|writer| {
            writer.put(at("whole"), &Put::new(b"2")).unwrap().unwrap();
            let done: Result<()> = writer.transaction(|batch| {
                batch.put(at("a"), &Put::new(&[3; 100_000]))?.unwrap();
                std::panic::panic_any("by order");
            });
            done
        });
        drop(pending);
    }));
    assert!(panicked.is_err());
    assert_eq!(store.get(at("a")).unwrap().unwrap().value, b"1");
    store.put(at("b"), &Put::new(b"4")).unwrap().unwrap();
    store.close().unwrap();
    let keys: Vec<String> = dump(&open(&disk, Durability::Durable, &clock).unwrap())
        .unwrap()
        .into_keys()
        .map(|place| place.2)
        .collect();
    assert_eq!(keys, ["a", "b", "whole"]);
}
