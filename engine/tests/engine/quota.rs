//! Counts and quotas of tenants, against a naive model: exact to the millisecond, whatever is overdue and not yet
//! reclaimed, in transactions as in single writes, and after a restart.

use crate::support::{HandClock, open};
use larder_engine::Durability::Buffered;
use larder_engine::disk::sim::SimDisk;
use larder_engine::{Address, Condition, Error, Expiry, Put, Quota, Store, Tenant, Writer};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Deadlines by key; `u64::MAX` for none.
type Model = BTreeMap<(u32, u8), u64>;

#[derive(Debug, Clone)]
enum Op {
    Put { tenant: u32, key: u8, ttl_ms: Option<u64> },
    Delete { tenant: u32, key: u8 },
    Touch { tenant: u32, key: u8, ttl_ms: Option<u64> },
}

#[derive(Debug, Clone)]
enum Act {
    /// Under one lock, each by itself.
    Each(Vec<Op>),
    /// All or none.
    Together(Vec<Op>),
    Pass(u64),
    Expire,
    Reopen,
}

const LIMIT: u64 = 4;

fn op() -> impl Strategy<Value = Op> {
    let ttl = prop_oneof![Just(None), (1u64..40).prop_map(Some)];
    (0u32..2, 0u8..8, ttl, 0u8..6).prop_map(|(tenant, key, ttl_ms, which)| match which {
        0 => Op::Delete { tenant, key },
        1 => Op::Touch { tenant, key, ttl_ms },
        _ => Op::Put { tenant, key, ttl_ms },
    })
}

fn act() -> impl Strategy<Value = Act> {
    let ops = || proptest::collection::vec(op(), 1..8);
    prop_oneof![
        6 => ops().prop_map(Act::Each),
        6 => ops().prop_map(Act::Together),
        3 => (1u64..30).prop_map(Act::Pass),
        1 => Just(Act::Expire),
        1 => Just(Act::Reopen),
    ]
}

fn key(number: u8) -> String {
    format!("k{number}")
}

/// Some keys lie in a namespace of their own.
fn at(tenant: u32, number: u8, name: &str) -> Address<'_> {
    let namespace = if number.is_multiple_of(3) { "third" } else { "others" };
    Address::new(Tenant(tenant), namespace, name).unwrap()
}

fn live(model: &Model, tenant: u32, now_ms: u64) -> u64 {
    model.iter().filter(|((owner, _), deadline)| *owner == tenant && now_ms < **deadline).count() as u64
}

/// What should come of an operation. False if it is refused.
fn expect(model: &mut Model, op: &Op, now_ms: u64) -> bool {
    let deadline = |ttl_ms: Option<u64>| ttl_ms.map_or(u64::MAX, |ttl_ms| now_ms + ttl_ms);
    match *op {
        Op::Put { tenant, key, ttl_ms } => {
            let is_there = model.get(&(tenant, key)).is_some_and(|deadline| now_ms < *deadline);
            // Tenant 1 is held to no limit.
            if tenant == 0 && !is_there && live(model, 0, now_ms) >= LIMIT {
                return false;
            }
            model.insert((tenant, key), deadline(ttl_ms));
        }
        Op::Delete { tenant, key } => _ = model.remove(&(tenant, key)),
        Op::Touch { tenant, key, ttl_ms } => {
            if let Some(present) = model.get_mut(&(tenant, key)).filter(|deadline| now_ms < **deadline) {
                *present = deadline(ttl_ms);
            }
        }
    }
    true
}

macro_rules! carry_out {
    ($target:expr, $op:expr, $now_ms:expr) => {{
        let expiry =
            |ttl_ms: Option<u64>| ttl_ms.map_or(Expiry::Never, |ttl_ms| Expiry::At($now_ms + ttl_ms));
        match *$op {
            Op::Put { tenant, key: number, ttl_ms } => {
                let put = Put { expiry: expiry(ttl_ms), ..Put::new(b"1") };
                $target.put(at(tenant, number, &key(number)), &put).map(|decision| _ = decision.unwrap())
            }
            Op::Delete { tenant, key: number } => $target
                .delete(at(tenant, number, &key(number)), Condition::Always)
                .map(|decision| _ = decision.unwrap()),
            Op::Touch { tenant, key: number, ttl_ms } => {
                $target.touch(at(tenant, number, &key(number)), expiry(ttl_ms)).map(|_| ())
            }
        }
    }};
}

fn limit(writer: &mut Writer<'_>) {
    writer.set_quota(Tenant(0), Quota { entries: Some(LIMIT), value_bytes: None });
}

proptest! {
    #[test]
    fn counts_and_quotas_are_exact(acts in proptest::collection::vec(act(), 1..40)) {
        let (disk, clock) = (SimDisk::new(7), HandClock::new());
        let mut store = open(&disk, Buffered, &clock).unwrap();
        let mut model = Model::new();
        for act in acts {
            let now_ms = store.now_ms();
            match act {
                Act::Each(ops) => {
                    let results = store.write(|writer| {
                        limit(writer);
                        ops.iter().map(|op| carry_out!(writer, op, now_ms)).collect::<Vec<_>>()
                    }).wait().unwrap();
                    for (op, result) in ops.iter().zip(results) {
                        match result {
                            Ok(()) => prop_assert!(expect(&mut model, op, now_ms), "{op:?} was let through"),
                            Err(Error::QuotaReached { limit: LIMIT }) => {
                                prop_assert!(!expect(&mut model, op, now_ms), "{op:?} was refused");
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
                Act::Together(ops) => {
                    let mut tried = model.clone();
                    let should_pass = ops.iter().all(|op| expect(&mut tried, op, now_ms));
                    let result = store.write(|writer| {
                        limit(writer);
                        writer.transaction(|batch| ops.iter().try_for_each(|op| carry_out!(batch, op, now_ms)))
                    }).wait().unwrap();
                    match result {
                        Ok(()) => {
                            prop_assert!(should_pass, "{ops:?} were let through");
                            model = tried;
                        }
                        Err(Error::QuotaReached { limit: LIMIT }) => prop_assert!(!should_pass, "{ops:?} were refused"),
                        Err(error) => panic!("{error}"),
                    }
                }
                Act::Pass(ms) => clock.pass(ms),
                Act::Expire => _ = store.expire_due().unwrap(),
                Act::Reopen => {
                    store.close().unwrap();
                    store = open(&disk, Buffered, &clock).unwrap();
                }
            }
            let counts = counts(&store);
            let now_ms = store.now_ms();
            prop_assert_eq!(counts, [live(&model, 0, now_ms), live(&model, 1, now_ms)]);
        }
    }
}

fn counts(store: &Store) -> [u64; 2] {
    store.read(|view| [view.entries(Tenant(0)), view.entries(Tenant(1))]).wait().unwrap()
}

#[test]
fn a_value_is_held_to_the_lower_of_two_limits() {
    let (disk, clock) = (SimDisk::new(7), HandClock::new());
    let store = open(&disk, Buffered, &clock).unwrap();
    let put = |tenant, length, value_bytes| {
        let value = vec![b'x'; length];
        let result = store.write(|writer| {
            writer.set_quota(Tenant(0), Quota { entries: None, value_bytes: Some(value_bytes) });
            writer.put(at(tenant, 1, "k"), &Put::new(&value))
        });
        result.wait().unwrap().map(|decision| decision.is_ok())
    };
    assert!(matches!(put(0, 10, 10), Ok(true)));
    assert!(matches!(put(0, 11, 10), Err(Error::ValueTooLarge { length: 11, limit: 10 })));
    assert!(matches!(put(1, 11, 10), Ok(true)), "another tenant's values are not held to it");
    let own = larder_engine::Limits::default().value_bytes;
    let over = put(0, own + 1, usize::MAX);
    assert!(matches!(over, Err(Error::ValueTooLarge { limit, .. }) if limit == own), "{over:?}");
}
