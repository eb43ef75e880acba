//! Deleting a page of entries: all of them or none, in the order of their keys, and nothing that has expired.

use crate::support::{HandClock, at, options};
use larder_engine::disk::sim::{Fault, OpKind, SimDisk};
use larder_engine::{
    Address, ChangeKind, Cleared, Durability, Error, Limits, Put, Scan, Store, Tenant, Watch,
};
use std::sync::Arc;

fn page<'a>(prefix: &'a str, after: Option<&'a str>, limit: usize) -> Scan<'a> {
    Scan { namespace: "default", prefix, after, reverse: false, limit }
}

fn delete(store: &Store, page: &Scan<'_>) -> Result<Cleared, Error> {
    store.write(|writer| writer.delete_page(Tenant::DEFAULT, page)).wait()?
}

/// How many there were, the last of them, and whether more follow.
fn cleared(store: &Store, page: &Scan<'_>) -> (u64, Option<String>, bool) {
    let Cleared { count, last, more } = delete(store, page).unwrap();
    (count, last.map(|key| key.as_str().to_owned()), more)
}

fn keys(store: &Store) -> Vec<String> {
    let scan = page("", None, 1_000);
    let items = store.scan(Tenant::DEFAULT, &scan).unwrap().items;
    items.into_iter().map(|(key, _)| key.as_str().to_owned()).collect()
}

#[test]
fn pages_go_in_order_and_end() {
    let (disk, clock) = (SimDisk::new(1), HandClock::new());
    let open = || options(Durability::Durable, &clock).open_on(Arc::new(disk.clone())).unwrap();
    let store = open();
    for key in ["a", "u1", "u2", "u3", "v"] {
        store.put(at(key), &Put::new(b"1")).unwrap().unwrap();
    }
    let elsewhere = Address::new(Tenant::DEFAULT, "elsewhere", "u1").unwrap();
    store.put(elsewhere, &Put::new(b"1")).unwrap().unwrap();
    assert_eq!(cleared(&store, &page("u", None, 2)), (2, Some("u2".into()), true));
    assert_eq!(cleared(&store, &page("u", Some("u2"), 2)), (1, Some("u3".into()), false));
    assert_eq!(cleared(&store, &page("u", Some("u3"), 2)), (0, None, false));
    assert_eq!(cleared(&store, &Scan { namespace: "nowhere", ..page("", None, 9) }), (0, None, false));
    assert_eq!(keys(&store), ["a", "v"]);
    assert!(store.get(elsewhere).unwrap().is_some());

    let watch =
        Watch { tenant: Some(Tenant::DEFAULT), namespace: None, prefix: "", from: Some(6), values: false };
    let mut feed = store.watch(&watch).unwrap();
    let changes = feed.read(1 << 20).unwrap();
    let seen: Vec<_> =
        changes.iter().map(|change| (change.version, change.key.to_owned(), change.kind)).collect();
    let deleted = |version, key: &str| (version, key.to_owned(), ChangeKind::Delete);
    assert_eq!(seen, [deleted(7, "u1"), deleted(8, "u2"), deleted(9, "u3")]);
    drop(feed);

    drop(store);
    let store = open();
    assert_eq!(keys(&store), ["a", "v"]);
    assert_eq!(cleared(&store, &page("", None, 9)), (2, Some("v".into()), false));
    assert_eq!(keys(&store), Vec::<String>::new());
}

#[test]
fn what_has_expired_is_left_to_expire() {
    let (disk, clock) = (SimDisk::new(2), HandClock::new());
    let store = options(Durability::Durable, &clock).open_on(Arc::new(disk)).unwrap();
    let now_ms = store.write(|writer| writer.now_ms()).wait().unwrap();
    for key in ["a", "b", "c"] {
        let put = Put::new(b"1");
        let put = if key == "b" { put.expires_at(now_ms + 10) } else { put };
        store.put(at(key), &put).unwrap().unwrap();
    }
    clock.pass(10);
    assert_eq!(cleared(&store, &page("", None, 9)), (2, Some("c".into()), false));
    assert_eq!(store.expire_due().unwrap(), 1);
}

#[test]
fn a_page_is_no_larger_than_a_transaction_and_happens_as_one() {
    let (disk, clock) = (SimDisk::new(3), HandClock::new());
    let limits = Limits { transaction_operations: 3, ..Limits::default() };
    let open = || options(Durability::Durable, &clock).limits(limits).open_on(Arc::new(disk.clone()));
    let store = open().unwrap();
    for key in ["a", "b", "c", "d"] {
        store.put(at(key), &Put::new(b"1")).unwrap().unwrap();
    }
    disk.fail_next(OpKind::Sync, Fault::Eio);
    assert!(matches!(delete(&store, &page("", None, 9)), Err(Error::InDoubt { .. })));
    assert_eq!(keys(&store), ["a", "b", "c", "d"], "what was not acknowledged is taken back");
    drop(store);
    let store = open().unwrap();
    let left = keys(&store);
    assert!(left == ["a", "b", "c", "d"] || left == ["d"], "all or nothing: {left:?}");
    assert_eq!(cleared(&store, &page("", None, 9)).0, left.len().min(3) as u64);
}
