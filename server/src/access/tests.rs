//! The registry on a simulated disk: what was answered is there after a crash, and what was not is there as a whole or not
//! at all.

use std::sync::Arc;

use larder_engine::disk::sim::{Fault, OpKind, SimDisk, Survival};
use larder_engine::{Address, Options, Put, Store, Tenant};

use super::registry::{NewKey, Registry};
use super::scope::Scope;
use super::session::Session;
use super::{AccessError, Change, Need, Plan, TermsChange};

fn open(disk: &SimDisk) -> (Store, Registry) {
    let options = Options::new().segment_bytes(1 << 20).reserve_bytes(0).background(false);
    let store = options.open_on(Arc::new(disk.clone())).unwrap();
    let registry = Registry::open(store.clone()).unwrap();
    (store, registry)
}

fn new_key(organization: &str, scope: Scope) -> NewKey {
    NewKey { organization: organization.to_owned(), scope, namespaces: None, name: None, expires_at: None }
}

/// Field of an object that was shown.
fn field(json: &str, name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    value.get(name).unwrap().as_str().unwrap().to_owned()
}

/// What a registry has, as an operator sees it.
fn shown(registry: &Registry) -> (Vec<String>, Vec<String>) {
    (registry.organizations().unwrap(), registry.keys(None).unwrap())
}

/// One change after another, as far as the disk goes along. Gives what was shown after each that was acknowledged.
fn changes(registry: &Registry) -> Result<Vec<(Vec<String>, Vec<String>)>, AccessError> {
    let mut states = vec![shown(registry)];
    let plan = |plan| TermsChange { plan: Some(plan), ..TermsChange::default() };
    let mut revoked = String::new();
    for step in 0..9 {
        let done = match step {
            0 => registry.create_organization("a", plan(Plan::Team)),
            1 => registry.create_key(new_key("a", Scope::Admin)),
            2 => registry.create_key(new_key("a", Scope::ReadOnly)).inspect(|key| revoked = field(key, "id")),
            3 => registry.create_organization("b", plan(Plan::Free)),
            4 => registry.set_organization("a", TermsChange { rate: Some(Change::To(5)), ..TermsChange::default() }),
            5 => registry.create_key(new_key("b", Scope::FullAccess)),
            6 => registry.revoke_key(&revoked),
            7 => registry.delete_organization("b"),
            _ => registry.create_organization("b", plan(Plan::Scale)),
        };
        match done {
            Ok(_) => states.push(shown(registry)),
            Err(AccessError::Store(_)) => return Ok(states),
            Err(error) => return Err(error),
        }
    }
    Ok(states)
}

#[test]
fn a_crash_at_any_operation_loses_no_change_that_was_answered() {
    // How many operations a whole run takes.
    let disk = SimDisk::new(1);
    let (_, registry) = open(&disk);
    let before = disk.op_count();
    assert_eq!(changes(&registry).unwrap().len(), 10);
    let operations = disk.op_count() - before;
    assert!(operations > 10, "{operations}");
    for operation in 0..operations {
        for survival in [Survival::Nothing, Survival::Everything] {
            let disk = SimDisk::new(operation);
            let (store, registry) = open(&disk);
            disk.crash_at(disk.op_count() + operation);
            let states = changes(&registry).unwrap();
            drop((store, registry));
            disk.crash(survival);
            let (_, registry) = open(&disk);
            let found = shown(&registry);
            // The change under way may have happened.
            let last = states.last().unwrap();
            let is_later = || found.0.len() + found.1.len() != last.0.len() + last.1.len() || found != *last;
            assert!(found == *last || (states.len() < 10 && is_later()), "operation {operation}: {found:?}");
        }
    }
}
