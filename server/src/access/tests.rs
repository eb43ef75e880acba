//! The registry on a simulated disk: what was answered is there after a crash, what was not is there as a whole or not at
//! all, and a purge goes on where it was.

use std::sync::Arc;

use larder_engine::disk::sim::{Fault, SimDisk, Survival, When};
use larder_engine::{Address, Durability, Options, Put, Store, Tenant};
use serde_json::Value;

use super::registry::{NewKey, Registry};
use super::scope::Scope;
use super::session::Session;
use super::{AccessError, Change, Plan, TermsChange};

fn open(disk: &SimDisk) -> (Store, Arc<Registry>) {
    let options = Options::new().segment_bytes(1 << 20).reserve_bytes(0).background(false);
    let store = options.open_on(Arc::new(disk.clone())).unwrap();
    let registry = Arc::new(Registry::open(store.clone()).unwrap());
    (store, registry)
}

fn new_key(organization: &str, scope: Scope) -> NewKey {
    NewKey { organization: organization.to_owned(), scope, namespaces: None, name: None, expires_at: None }
}

fn field(json: &str, name: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap();
    value[name].as_str().unwrap().to_owned()
}

/// What a registry has, less what differs from one run to the next.
fn shown(registry: &Registry) -> Vec<String> {
    let objects = [registry.organizations().unwrap(), registry.keys(None).unwrap()].concat();
    let mut shown: Vec<String> = objects
        .iter()
        .map(|json| {
            let mut value: Value = serde_json::from_str(json).unwrap();
            let object = value.as_object_mut().unwrap();
            object.remove("id");
            object.remove("created_at");
            value.to_string()
        })
        .collect();
    shown.sort();
    shown
}

/// What came of some changes.
#[derive(Default)]
struct Run {
    /// What was shown before and after each change that was acknowledged.
    states: Vec<Vec<String>>,
    /// Tokens, and whether each counts.
    tokens: Vec<(String, bool)>,
}

/// Makes one change after another, as far as the disk goes along.
fn changes(registry: &Registry) -> Run {
    let plan = |plan| TermsChange { plan: Some(plan), ..TermsChange::default() };
    let mut run = Run { states: vec![shown(registry)], ..Run::default() };
    for step in 0..9 {
        let done = match step {
            0 => registry.create_organization("a", plan(Plan::Team)),
            1 => registry.create_key(new_key("a", Scope::Admin)),
            2 => registry.create_key(new_key("a", Scope::ReadOnly)),
            3 => registry.create_organization("b", plan(Plan::Free)),
            4 => registry
                .set_organization("a", TermsChange { rate: Some(Change::To(5)), ..TermsChange::default() }),
            5 => registry.create_key(new_key("b", Scope::FullAccess)),
            6 => registry.revoke_key(&run.tokens[1].0[3..19]),
            7 => registry.delete_organization("b"),
            _ => registry.create_organization("b", plan(Plan::Scale)),
        };
        let Ok(json) = done else { return run };
        match step {
            1 | 2 | 5 => run.tokens.push((field(&json, "token"), true)),
            6 => run.tokens[1].1 = false,
            7 => run.tokens[2].1 = false,
            _ => {}
        }
        run.states.push(shown(registry));
    }
    run
}

#[test]
fn a_power_cut_at_any_operation_loses_no_change_that_was_answered() {
    let disk = SimDisk::new(1);
    let (store, registry) = open(&disk);
    let begin = disk.op_count();
    let whole = changes(&registry);
    assert_eq!(whole.states.len(), 10);
    let end = disk.op_count();
    store.close().unwrap();
    assert!(end - begin >= 9, "each change is written and synced");
    for operation in begin..end {
        for when in [When::Before, When::During, When::After] {
            let disk = SimDisk::new(operation);
            disk.fail_at(operation, Fault::Crash(when));
            let (store, registry) = open(&disk);
            let run = changes(&registry);
            drop((store, registry));
            for survival in [Survival::Nothing, Survival::Everything, Survival::Random] {
                let (_store, registry) = open(&disk.crash(survival));
                let (found, acknowledged) = (shown(&registry), run.states.len() - 1);
                let under_way = acknowledged + 1;
                let is_either =
                    found == whole.states[acknowledged] || whole.states.get(under_way) == Some(&found);
                assert!(is_either, "{when:?} operation {operation}, {survival:?}: {found:?}");
                let is_over = found == whole.states[acknowledged];
                for (token, counts) in run.tokens.iter().filter(|_| is_over) {
                    let mut session = Session::new(Arc::clone(&registry), None);
                    assert_eq!(session.authenticate(token), *counts, "{when:?} operation {operation}");
                }
            }
        }
    }
}

/// Where writes are acknowledged before they are on the disk, changes of who may do what are not.
#[test]
fn a_change_that_was_answered_is_durable_however_writes_are_acknowledged() {
    for revoked in [false, true] {
        let disk = SimDisk::new(2);
        let options = Options::new().segment_bytes(1 << 20).reserve_bytes(0).background(false);
        let store = options.durability(Durability::Buffered).open_on(Arc::new(disk.clone())).unwrap();
        let registry = Arc::new(Registry::open(store.clone()).unwrap());
        let admin = field(&registry.create_key(new_key("default", Scope::Admin)).unwrap(), "token");
        let token = field(&registry.create_key(new_key("default", Scope::FullAccess)).unwrap(), "token");
        if revoked {
            registry.revoke_key(&token[3..19]).unwrap();
        }
        let (_store, registry) = open(&disk.crash(Survival::Nothing));
        let mut session = Session::new(registry, None);
        assert!(session.authenticate(&admin));
        assert_eq!(session.authenticate(&token), !revoked);
    }
}

/// Entries that a purge takes several turns for.
const ENTRIES: usize = 300;

fn fill(store: &Store, tenant: Tenant) {
    let keys: Vec<_> = (0..ENTRIES).map(|number| format!("k{number}")).collect();
    let filled = store.transaction(|batch| {
        for (key, namespace) in keys.iter().zip(["n", "m", "o"].iter().cycle()) {
            _ = batch.put(Address::new(tenant, namespace, key)?, &Put::new(b"1"))?;
        }
        Ok::<(), larder_engine::Error>(())
    });
    filled.unwrap();
}

fn entries(store: &Store, tenant: u32) -> u64 {
    store.read(|view| view.entries(Tenant(tenant))).wait().unwrap()
}

#[test]
fn a_purge_goes_on_after_a_crash_and_a_name_that_is_used_again_starts_empty() {
    for cut in 0..14 {
        let disk = SimDisk::new(cut);
        let (store, registry) = open(&disk);
        registry.create_organization("a", TermsChange::default()).unwrap();
        registry.create_key(new_key("default", Scope::Admin)).unwrap();
        registry.create_key(new_key("a", Scope::FullAccess)).unwrap();
        fill(&store, Tenant(1));
        fill(&store, Tenant::DEFAULT);
        registry.delete_organization("a").unwrap();
        registry.create_organization("a", TermsChange::default()).unwrap();
        disk.fail_at(disk.op_count() + cut, Fault::Crash(When::During));
        let broke_off = loop {
            match registry.purge_some() {
                Ok(true) => {}
                Ok(false) => break false,
                Err(AccessError::Store(_)) => break true,
                Err(error) => panic!("{error}"),
            }
        };
        assert!(broke_off || cut > 5, "the purge takes more than {cut} operations");
        drop((store, registry));
        let (store, registry) = open(&disk.crash(Survival::Random));
        assert_eq!(registry.keys(Some("a")).unwrap(), Vec::<String>::new());
        fill(&store, Tenant(2));
        while registry.purge_some().unwrap() {}
        assert_eq!([1, 2, 0].map(|tenant| entries(&store, tenant)), [0, ENTRIES as u64, ENTRIES as u64]);
        let kept: usize =
            store.count(super::kept::SYSTEM, super::kept::KEYS, "").unwrap().try_into().unwrap();
        assert_eq!((kept, registry.keys(None).unwrap().len()), (1, 1));
        assert_eq!(store.count(super::kept::SYSTEM, super::kept::PURGES, "").unwrap(), 0);
    }
}

#[test]
fn a_session_keeps_up_with_every_change() {
    let (_store, registry) = open(&SimDisk::new(1));
    let mut operator = Session::new(Arc::clone(&registry), Some(Scope::Admin));
    let stranger = Session::new(Arc::clone(&registry), None);
    assert!(operator.grant().is_operators() && stranger.grant().is_nobodys());
    let admin = field(&registry.create_key(new_key("default", Scope::Admin)).unwrap(), "token");
    assert!(operator.is_stale() && operator.grant().is_operators());
    operator.refresh();
    assert!(!operator.is_stale() && operator.grant().is_nobodys());
    assert!(!operator.authenticate("lk_") && operator.authenticate(&admin));
    assert!(operator.grant().is_operators());

    registry.create_organization("a", TermsChange::default()).unwrap();
    let key = registry.create_key(new_key("a", Scope::FullAccess)).unwrap();
    let mut member = Session::new(Arc::clone(&registry), Some(Scope::Admin));
    assert!(member.authenticate(&field(&key, "token")));
    assert_eq!((&*member.grant().organization().name, member.grant().tenant()), ("a", Tenant(1)));
    let change = TermsChange { entries: Some(Change::To(3)), ..TermsChange::default() };
    registry.set_organization("a", change).unwrap();
    member.refresh();
    assert_eq!(member.grant().quota().entries, Some(3));
    registry.delete_organization("a").unwrap();
    member.refresh();
    assert!(member.grant().is_nobodys());
    registry.create_organization("a", TermsChange::default()).unwrap();
    member.refresh();
    assert!(member.grant().is_nobodys(), "the key of another organization of that name");
}
