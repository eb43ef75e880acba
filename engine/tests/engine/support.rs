//! What the tests share: time set by hand, chance from a seed, the naive store that the real one is compared with.

use larder_engine::disk::sim::SimDisk;
use larder_engine::{
    Address, Clock, Condition, Decision, Durability, Entry, Error, Expiry, NamespaceScan, Options, Put,
    Refusal, Result, Scan, Stamp, Store, Tenant,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that moves only when a test says so.
#[derive(Debug)]
pub(crate) struct HandClock {
    wall_ms: AtomicU64,
    boot_ms: AtomicU64,
}

/// Where tests' time begins.
pub(crate) const START_MS: u64 = 1_000_000;

impl HandClock {
    pub(crate) fn new() -> Arc<HandClock> {
        Arc::new(HandClock { wall_ms: START_MS.into(), boot_ms: 5.into() })
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        self.boot_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the wall clock.
    pub(crate) fn set_wall(&self, ms: u64) {
        self.wall_ms.store(ms, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn boot_ms(&self) -> u64 {
        self.boot_ms.load(Ordering::SeqCst)
    }
}

/// SplitMix64.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// Bytes that look like no others.
pub(crate) fn value(seed: u64, length: usize) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    let mut bytes: Vec<u8> =
        std::iter::repeat_with(|| chance.next().to_le_bytes()).take(length / 8 + 1).flatten().collect();
    bytes.truncate(length);
    bytes
}

/// An address of the default tenant.
pub(crate) fn at(key: &str) -> Address<'_> {
    Address::new(Tenant::DEFAULT, "default", key).unwrap()
}

/// The reserve of the tests' stores.
pub(crate) const RESERVE_BYTES: u64 = 512 << 10;

/// A store without threads, with the smallest segments and a small reserve.
pub(crate) fn options(durability: Durability, clock: &Arc<HandClock>) -> Options {
    let clock: Arc<dyn Clock> = Arc::<HandClock>::clone(clock);
    Options::new()
        .durability(durability)
        .segment_bytes(1 << 20)
        .reserve_bytes(RESERVE_BYTES)
        .feed_retention_bytes(0)
        .background(false)
        .clock(clock)
}

pub(crate) fn open(disk: &SimDisk, durability: Durability, clock: &Arc<HandClock>) -> Result<Store> {
    options(durability, clock).open_on(Arc::new(disk.clone()))
}

/// Tenant, namespace, key.
pub(crate) type Place = (u32, String, String);

pub(crate) fn address(place: &Place) -> Address<'_> {
    Address::new(Tenant(place.0), &place.1, &place.2).unwrap()
}

pub(crate) fn place(key: &str) -> Place {
    (0, "default".to_owned(), key.to_owned())
}

/// Every live entry of some tenants.
pub(crate) type Contents = BTreeMap<Place, Entry>;

/// The tenants that tests use.
pub(crate) const TENANTS: u32 = 3;

/// Reads the whole store.
pub(crate) fn dump(store: &Store) -> Result<Contents> {
    let mut contents = Contents::new();
    for tenant in 0..TENANTS {
        let all = NamespaceScan { prefix: "", after: None, limit: usize::MAX };
        for (namespace, count) in store.namespaces(Tenant(tenant), &all)?.items {
            let scan =
                Scan { namespace: &namespace, prefix: "", after: None, reverse: false, limit: usize::MAX };
            let entries = store
                .read(|view| view.scan(Tenant(tenant), &scan))
                .map(|page, values| {
                    assert!(!page.more);
                    let entry =
                        |(key, found): &(larder_engine::Key, _)| Ok((key.to_string(), values.entry(found)?));
                    page.items.iter().map(entry).collect::<Result<Vec<_>>>()
                })
                .wait()??;
            assert_eq!(count, entries.len() as u64, "{namespace}");
            contents
                .extend(entries.into_iter().map(|(key, entry)| ((tenant, namespace.clone(), key), entry)));
        }
    }
    Ok(contents)
}

/// What an entry looks like in a message: values can be long.
pub(crate) fn brief(contents: &Contents) -> Vec<String> {
    let line = |(place, entry): (&Place, &Entry)| {
        let sum = crc32fast::hash(&entry.value);
        format!(
            "{}/{}/{} v{} c{}@{} x{:?} {}B {sum:08x}",
            place.0,
            place.1,
            place.2,
            entry.version,
            entry.creation,
            entry.created_at,
            entry.expires_at,
            entry.value.len()
        )
    };
    contents.iter().map(line).collect()
}

#[track_caller]
pub(crate) fn assert_same(found: &Contents, expected: &Contents, context: &str) {
    assert!(found == expected, "{context}\nfound:    {:#?}\nexpected: {:#?}", brief(found), brief(expected));
}

/// The store as a naive map, overdue entries included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) entries: Contents,
}

impl Model {
    pub(crate) fn get(&self, place: &Place, now_ms: u64) -> Option<&Entry> {
        self.entries.get(place).filter(|entry| entry.expires_at.is_none_or(|deadline| now_ms < deadline))
    }

    /// The newest put of an entry, by place and version.
    pub(crate) fn record(&self, place: &Place) -> Option<((Place, u64), Entry)> {
        self.entries.get(place).map(|entry| ((place.clone(), entry.version), entry.clone()))
    }

    pub(crate) fn live(&self, now_ms: u64) -> Contents {
        let live = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.expires_at.is_none_or(|deadline| now_ms < deadline));
        live.map(|(place, entry)| (place.clone(), entry.clone())).collect()
    }

    /// Whether a condition holds.
    pub(crate) fn check(&self, place: &Place, condition: Condition, now_ms: u64) -> Decision<()> {
        let version = self.get(place, now_ms).map(|entry| entry.version);
        match condition {
            Condition::Always => Ok(()),
            Condition::Absent => version.map_or(Ok(()), |version| Err(Refusal::Exists { version })),
            Condition::Present => version.map(drop).ok_or(Refusal::Absent),
            Condition::Version(wanted) => match version {
                None => Err(Refusal::Absent),
                Some(version) if version != wanted => Err(Refusal::Version { version }),
                Some(_) => Ok(()),
            },
        }
    }

    fn deadline(&self, place: &Place, expiry: Expiry, now_ms: u64) -> Option<u64> {
        match expiry {
            Expiry::Never => None,
            Expiry::At(deadline) => Some(deadline),
            Expiry::Keep => self.get(place, now_ms).and_then(|entry| entry.expires_at),
        }
    }

    /// What a put must answer; `outcome` is what it did answer, and tells the version.
    #[track_caller]
    pub(crate) fn put(
        &mut self,
        place: &Place,
        put: &Put<'_>,
        now_ms: u64,
        outcome: &Result<Decision<Stamp>>,
    ) {
        let decision = match outcome {
            Ok(decision) => decision,
            Err(Error::DeadlinePassed { .. }) => {
                assert!(matches!(put.expiry, Expiry::At(deadline) if deadline <= now_ms), "{outcome:?}");
                return;
            }
            Err(Error::ValueTooLarge { length, limit }) => {
                assert!(put.value.len() == *length && length > limit, "{outcome:?}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(decision.as_ref().err(), self.check(place, put.condition, now_ms).as_ref().err());
        let Ok(stamp) = decision else { return };
        assert!(
            !matches!(put.expiry, Expiry::At(deadline) if deadline <= now_ms),
            "a passed deadline was taken"
        );
        let expires_at = self.deadline(place, put.expiry, now_ms);
        assert_eq!(stamp.expires_at, expires_at);
        let before = self.get(place, now_ms);
        let entry = Entry {
            version: stamp.version,
            expires_at,
            created_at: before.map_or(now_ms, |entry| entry.created_at),
            updated_at: now_ms,
            creation: before.map_or(stamp.version, |entry| entry.creation),
            tag: put.tag,
            description: put.description.filter(|text| !text.is_empty()).map(str::to_owned),
            value: put.value.to_owned(),
        };
        self.entries.insert(place.clone(), entry);
    }

    /// What a delete must answer.
    #[track_caller]
    pub(crate) fn delete(
        &mut self,
        place: &Place,
        condition: Condition,
        now_ms: u64,
        deleted: &Decision<Option<(u64, u64)>>,
    ) {
        assert_eq!(deleted.as_ref().err(), self.check(place, condition, now_ms).as_ref().err());
        let Ok(deleted) = deleted else { return };
        let version = self.get(place, now_ms).map(|entry| entry.version);
        assert_eq!(deleted.map(|(_, found)| found), version);
        if let Some((own, found)) = deleted {
            assert!(own > found);
            self.entries.remove(place);
        }
    }

    /// What a touch must answer.
    #[track_caller]
    pub(crate) fn touch(
        &mut self,
        place: &Place,
        expiry: Expiry,
        now_ms: u64,
        outcome: &Result<Option<Stamp>>,
    ) {
        let stamp = match outcome {
            Ok(stamp) => stamp,
            Err(Error::DeadlinePassed { .. }) => {
                assert!(matches!(expiry, Expiry::At(deadline) if deadline <= now_ms), "{outcome:?}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(stamp.is_some(), self.get(place, now_ms).is_some());
        let Some(stamp) = stamp else { return };
        let expires_at = self.deadline(place, expiry, now_ms);
        assert_eq!(stamp.expires_at, expires_at);
        let entry = self.entries.get_mut(place).unwrap();
        (entry.version, entry.expires_at, entry.updated_at) = (stamp.version, expires_at, now_ms);
    }
}
