//! A store, the changes that it committed, and feeds of it that are compared with those.

use crate::support::{Chance, HandClock, Place, START_MS, address, options, value};
use larder_engine::disk::sim::{Fault, SimDisk, Survival, When};
use larder_engine::{
    Change, ChangeKind, Compaction, Condition, Durability, Error, Feed, Put, Result, Store, Tenant, Watch,
    Writer,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A change as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) version: u64,
    pub(crate) kind: ChangeKind,
    pub(crate) place: Place,
    pub(crate) expires_at: Option<u64>,
    pub(crate) value: Vec<u8>,
}

/// A change as it was told.
pub(crate) fn logged(change: &Change<'_>) -> Logged {
    Logged {
        version: change.version,
        kind: change.kind,
        place: (change.tenant.0, change.namespace.to_owned(), change.key.to_owned()),
        expires_at: change.expires_at,
        value: change.value.to_owned(),
    }
}

/// All changes in commit order.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    all: Vec<Logged>,
}

impl Journal {
    /// Checks what a follower saw within its spans of versions, each after the first and up to the second.
    #[track_caller]
    pub(crate) fn check(
        journal: &[Logged],
        (prefix, seen): &(String, Vec<Logged>),
        spans: &[(u64, u64)],
        last: u64,
        context: &str,
    ) {
        let within = |version: u64| spans.iter().any(|(after, to)| version > *after && version <= *to);
        let expected: Vec<&Logged> = journal
            .iter()
            .filter(|logged| logged.place.2.starts_with(prefix) && within(logged.version))
            .collect();
        let seen: Vec<&Logged> =
            seen.iter().filter(|logged| logged.place.2 != "last" && logged.version < last).collect();
        let versions = |all: &[&Logged]| all.iter().map(|logged| logged.version).collect::<Vec<_>>();
        assert_eq!(versions(&seen), versions(&expected), "{context}, {prefix:?}, {spans:?}");
        assert!(seen == expected, "{context}");
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{context}: {spans:?}");
    }

    /// What each entry is after all of it: version and deadline, also of one that is overdue.
    fn entries(&self) -> BTreeMap<Place, Option<u64>> {
        let mut entries = BTreeMap::new();
        for logged in &self.all {
            match logged.kind {
                ChangeKind::Set => entries.insert(logged.place.clone(), logged.expires_at),
                ChangeKind::Delete | ChangeKind::Expire => entries.remove(&logged.place),
            };
        }
        entries
    }
}

/// What was looked at.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) changes: u64,
    pub(crate) cut: u64,
    pub(crate) resumed: u64,
}

impl Look {
    pub(crate) fn add(&mut self, other: &Look) {
        self.changes += other.changes;
        self.cut += other.cut;
        self.resumed += other.resumed;
    }
}

/// Who follows the store.
struct Follower {
    feed: Option<Feed>,
    tenant: Option<u32>,
    namespace: Option<&'static str>,
    prefix: &'static str,
    values: bool,
    /// Where it is, also without a feed.
    version: u64,
}

impl Follower {
    fn watches(&self, place: &Place) -> bool {
        self.tenant.is_none_or(|tenant| tenant == place.0)
            && self.namespace.is_none_or(|namespace| namespace == place.1)
            && place.2.starts_with(self.prefix)
    }

    fn watch(&self) -> Watch<'_> {
        Watch {
            tenant: self.tenant.map(Tenant),
            namespace: self.namespace,
            prefix: self.prefix,
            from: Some(self.version),
            values: self.values,
        }
    }
}

/// A store at work, and those who follow it.
pub(crate) struct Session {
    pub(crate) disk: SimDisk,
    pub(crate) look: Look,
    chance: Chance,
    clock: Arc<HandClock>,
    durability: Durability,
    retention: u64,
    store: Option<Store>,
    journal: Journal,
    followers: Vec<Follower>,
    /// Up to here somebody was told of everything.
    told: u64,
    seed: u64,
}

const SEGMENT_BYTES: u64 = 4096;
const NAMESPACES: [&str; 2] = ["n", "m"];
const KEYS: [&str; 5] = ["a", "a1", "a2", "b", "c"];

impl Session {
    pub(crate) fn new(seed: u64) -> Session {
        let mut chance = Chance::new(seed);
        let mut session = Session {
            disk: SimDisk::new(seed),
            look: Look::default(),
            clock: HandClock::new(),
            durability: chance.pick(&[Durability::Durable, Durability::Buffered]),
            retention: chance.pick(&[0, 0, 6_000, 20_000]),
            store: None,
            journal: Journal::default(),
            followers: Vec::new(),
            told: 0,
            seed,
            chance,
        };
        session.open();
        session
    }

    /// With the power cut at an operation of the disk, not counting those of the first open.
    pub(crate) fn cut_at(seed: u64, number: u64, when: When) -> Session {
        let session = Session::new(seed);
        if number >= session.disk.op_count() {
            session.disk.fail_at(number, Fault::Crash(when));
        }
        session
    }

    fn open(&mut self) {
        let compaction = Compaction {
            space_amplification: 1.05,
            bytes_per_second: 0,
            background: false,
            ..Compaction::default()
        };
        let options = options(self.durability, &self.clock)
            .segment_bytes(SEGMENT_BYTES)
            .feed_retention_bytes(self.retention)
            .compaction(compaction);
        self.store = options.open_on(Arc::new(self.disk.clone())).ok();
        assert!(self.store.is_some() || self.disk.is_crashed(), "seed {}", self.seed);
    }

    /// Does things by chance, until the power is cut.
    pub(crate) fn steps(&mut self, count: usize) {
        for _ in 0..count {
            let Some(store) = self.store.clone() else { return };
            let failed = match self.chance.below(24) {
                0..=8 => self.write(&store).is_err(),
                9 => store.sync().wait().is_err(),
                10 => {
                    self.clock.pass(self.chance.below(900));
                    false
                }
                11 => store.compact().is_err(),
                12 => store.compact_as_needed().is_err(),
                13 if self.chance.below(3) == 0 => {
                    self.reopen(store);
                    false
                }
                13..=15 => {
                    self.follow(&store);
                    false
                }
                _ => {
                    self.read(&store);
                    false
                }
            };
            if failed {
                assert!(self.disk.is_crashed(), "seed {}", self.seed);
                return;
            }
        }
    }

    fn now_ms(&self) -> u64 {
        larder_engine::Clock::wall_ms(&*self.clock)
    }

    /// Some changes, in one frame or several, waited for or not.
    fn write(&mut self, store: &Store) -> Result<()> {
        let now_ms = self.now_ms();
        assert!(now_ms >= START_MS);
        let mut entries = self.journal.entries();
        let mut chance = Chance::new(self.chance.next());
        let mut logged = Vec::new();
        let as_one = chance.below(3) == 0;
        let changes = 1 + chance.below(3);
        let pending = store.write(|writer| {
            if as_one {
                let mut planned = Vec::new();
                let done = writer.transaction(|batch| {
                    for _ in 0..changes {
                        change(&mut chance, now_ms, &mut entries, &mut planned, |at, put| match put {
                            Some(put) => Ok(Some(batch.put(at, put)?.unwrap().version)),
                            None => {
                                Ok(batch.delete(at, Condition::Always)?.unwrap().map(|gone| gone.version))
                            }
                        })?;
                    }
                    Ok::<_, Error>(())
                });
                done.inspect(|()| logged.append(&mut planned))
            } else {
                (0..changes).try_for_each(|_| single(&mut chance, writer, now_ms, &mut entries, &mut logged))
            }
        });
        self.journal.all.append(&mut logged);
        if self.chance.below(4) > 0 { pending.wait()? } else { Ok(()) }
    }

    /// Closes in order and opens again. Feeds end, and are resumed.
    fn reopen(&mut self, store: Store) {
        self.store = None;
        let mut feeds: Vec<Feed> =
            self.followers.iter_mut().filter_map(|follower| follower.feed.take()).collect();
        if store.close().is_err() {
            assert!(self.disk.is_crashed());
            return;
        }
        for feed in &mut feeds {
            assert!(matches!(feed.read(100), Err(Error::Closed)));
        }
        self.open();
        self.resume();
    }

    /// Cuts the power, and opens what is found then. It must hold all that was told of.
    pub(crate) fn crash(&mut self) {
        // Of a store whose open was cut nothing more is known.
        let durable = self.store.as_ref().map_or(0, |store| store.stats().durable_sequence);
        let told = self.told.max(durable);
        self.followers.iter_mut().for_each(|follower| follower.feed = None);
        let disk = self.disk.crash(self.chance.pick(&Survival::ALL));
        self.store = None;
        self.disk = disk;
        self.open();
        let Some(store) = self.store.clone() else { panic!("seed {}: it does not open", self.seed) };
        let floor = store.stats().feed_floor;
        let mut feed = store.watch(&Watch { from: Some(floor), values: true, ..Watch::default() }).unwrap();
        let mut found = Vec::new();
        loop {
            let changes = feed.read(100_000).unwrap();
            found.extend(changes.iter().map(|change| logged(&change)));
            if !changes.more() {
                break;
            }
        }
        let last = found.last().map_or(floor, |logged| logged.version);
        let context = format!("seed {}, floor {floor}, last {last}", self.seed);
        let lost = self.journal.all.iter().map(|logged| logged.version).find(|version| *version > last);
        assert!(
            lost.is_none_or(|version| version > told),
            "{context}: {lost:?} is lost, up to {told} was told"
        );
        self.journal.all.retain(|logged| logged.version <= last);
        let above: Vec<&Logged> = self.journal.all.iter().filter(|logged| logged.version > floor).collect();
        assert!(found.iter().collect::<Vec<_>>() == above, "{context}");
        self.resume();
    }

    /// Takes all followers up again where they were; those that are cut start at the floor.
    fn resume(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let floor = store.stats().feed_floor;
        for follower in &mut self.followers {
            self.look.resumed += 1;
            follower.feed = match store.watch(&follower.watch()) {
                Err(Error::Compacted { version, floor: lowest }) => {
                    assert!(version == follower.version && version < floor && lowest == floor);
                    self.look.cut += 1;
                    follower.version = floor;
                    Some(store.watch(&follower.watch()).unwrap())
                }
                feed => Some(feed.unwrap()),
            };
        }
    }

    /// A follower more, from now or from some version on.
    fn follow(&mut self, store: &Store) {
        let chance = &mut self.chance;
        let newest = store.stats().sequence;
        let from = chance.below(3) > 0;
        let mut follower = Follower {
            feed: None,
            tenant: chance.pick(&[None, Some(0), Some(1)]),
            namespace: chance.pick(&[None, Some("n"), Some("m")]),
            prefix: chance.pick(&["", "", "a", "b"]),
            values: chance.below(2) == 0,
            version: if from { chance.below(newest + 1) } else { 0 },
        };
        let mut watch = follower.watch();
        watch.from = watch.from.filter(|_| from);
        match store.watch(&watch) {
            Ok(feed) => {
                assert!(!from || feed.version() == follower.version);
                assert!(from || feed.version() == store.stats().durable_sequence);
                follower.version = feed.version();
                follower.feed = Some(feed);
                if self.followers.len() == 6 {
                    self.followers.remove(0);
                }
                self.followers.push(follower);
            }
            Err(Error::Compacted { version, floor }) => {
                assert!(version == follower.version && version < floor, "seed {}", self.seed);
                assert_eq!(floor, store.stats().feed_floor);
            }
            Err(error) => panic!("seed {}: {error}", self.seed),
        }
    }

    /// One of the followers reads, and gets what comes next in the journal and nothing else.
    fn read(&mut self, store: &Store) {
        if self.followers.is_empty() {
            return;
        }
        let number = usize::try_from(self.chance.below(self.followers.len() as u64)).unwrap();
        let bytes = usize::try_from(self.chance.below(3000)).unwrap();
        let stats = store.stats();
        let follower = &mut self.followers[number];
        let context = format!("seed {}, after {}, {stats:?}", self.seed, follower.version);
        let Some(feed) = &mut follower.feed else { return };
        let changes = match feed.read(bytes) {
            Ok(changes) => changes,
            Err(Error::Compacted { version, floor }) => {
                assert!(version == follower.version && version < floor, "{context}");
                assert_eq!(floor, stats.feed_floor, "{context}");
                self.look.cut += 1;
                self.followers.remove(number);
                return;
            }
            Err(error) => {
                assert!(self.disk.is_crashed(), "{context}: {error}");
                return;
            }
        };
        let reached = feed.version();
        assert!(follower.version >= stats.feed_floor && reached >= follower.version, "{context}");
        assert!(reached <= stats.durable_sequence.max(follower.version), "{context}");
        assert!(changes.more() || reached >= stats.durable_sequence, "{context}");
        let follower = &self.followers[number];
        let expected = self.journal.all.iter().filter(|logged| {
            (follower.version + 1..=reached).contains(&logged.version) && follower.watches(&logged.place)
        });
        let cut = |logged: &Logged| Logged {
            value: if follower.values { logged.value.clone() } else { Vec::new() },
            ..logged.clone()
        };
        let expected: Vec<Logged> = expected.map(cut).collect();
        let found: Vec<Logged> = changes.iter().map(|change| logged(&change)).collect();
        assert!(found == expected, "{context}: up to {reached}\n{found:?}\n{expected:?}");
        assert_eq!(found.len(), changes.len());
        self.look.changes += found.len() as u64;
        self.followers[number].version = reached;
        self.told = self.told.max(reached.min(stats.durable_sequence));
    }
}

fn single(
    chance: &mut Chance,
    writer: &mut Writer<'_>,
    now_ms: u64,
    entries: &mut BTreeMap<Place, Option<u64>>,
    logged: &mut Vec<Logged>,
) -> Result<()> {
    change(chance, now_ms, entries, logged, |at, put| match put {
        Some(put) => Ok(Some(writer.put(at, put)?.unwrap().version)),
        None => Ok(writer.delete(at, Condition::Always)?.unwrap().map(|gone| gone.version)),
    })
}

/// One change by chance, carried out by `write`, and what is logged of it: an overdue entry expires before it is set.
fn change(
    chance: &mut Chance,
    now_ms: u64,
    entries: &mut BTreeMap<Place, Option<u64>>,
    logged: &mut Vec<Logged>,
    write: impl FnOnce(larder_engine::Address<'_>, Option<&Put<'_>>) -> Result<Option<u64>>,
) -> Result<()> {
    let place: Place = (
        u32::try_from(chance.below(2)).unwrap(),
        chance.pick(&NAMESPACES).to_owned(),
        chance.pick(&KEYS).to_owned(),
    );
    let entry = entries.get(&place).copied();
    let overdue = entry.flatten().filter(|deadline| *deadline <= now_ms);
    if chance.below(4) == 0 {
        let version = write(address(&place), None)?;
        assert_eq!(version.is_some(), entry.is_some() && overdue.is_none());
        if let Some(version) = version {
            let expires_at = entry.flatten();
            entries.remove(&place);
            logged.push(Logged { version, kind: ChangeKind::Delete, place, expires_at, value: Vec::new() });
        }
        return Ok(());
    }
    let value = value(chance.next(), chance.pick(&[0, 5, 60, 500, 1500]));
    let expires_at = (chance.below(3) == 0).then(|| now_ms + 1 + chance.below(1500));
    let put = Put::new(&value);
    let put = expires_at.map_or(put, |deadline| put.expires_at(deadline));
    let version = write(address(&place), Some(&put))?.unwrap();
    if overdue.is_some() {
        logged.push(Logged {
            version: version - 1,
            kind: ChangeKind::Expire,
            place: place.clone(),
            expires_at: overdue,
            value: Vec::new(),
        });
    }
    entries.insert(place.clone(), expires_at);
    logged.push(Logged { version, kind: ChangeKind::Set, place, expires_at, value });
    Ok(())
}
