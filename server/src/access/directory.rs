//! Who is known: organizations and keys in memory, as the store has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use larder_engine::Tenant;

use super::grant::Grant;
use super::key::{Key, KeyId, SecretDigest, Token};
use super::organization::{DEFAULT_NAME, Organization};

/// See the module.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) organizations: BTreeMap<Box<str>, Arc<Organization>>,
    /// Names by tenant.
    names: BTreeMap<Tenant, Box<str>>,
    pub(super) keys: BTreeMap<KeyId, Key>,
    /// Tenants whose organization is gone, and whose data is on the way.
    pub(super) purging: BTreeSet<Tenant>,
}

impl Directory {
    /// With the organization `default` alone.
    pub(super) fn new() -> Directory {
        let mut directory = Directory {
            organizations: BTreeMap::new(),
            names: BTreeMap::new(),
            keys: BTreeMap::new(),
            purging: BTreeSet::new(),
        };
        directory.enter(Organization::default());
        directory
    }

    /// Enters an organization, or what it is now.
    pub(super) fn enter(&mut self, organization: Organization) {
        self.names.insert(organization.tenant, organization.name.clone());
        self.organizations.insert(organization.name.clone(), Arc::new(organization));
    }

    /// Forgets an organization and its keys; its data remains to be purged.
    pub(super) fn remove(&mut self, organization: &Organization) {
        self.organizations.remove(&organization.name);
        self.names.remove(&organization.tenant);
        self.keys.retain(|_, key| key.tenant != organization.tenant.0);
        self.purging.insert(organization.tenant);
    }

    pub(super) fn by_tenant(&self, tenant: Tenant) -> Option<&Arc<Organization>> {
        self.organizations.get(self.names.get(&tenant)?)
    }

    pub(super) fn default_organization(&self) -> Option<&Arc<Organization>> {
        self.organizations.get(DEFAULT_NAME)
    }

    /// What a key allows, if it is there.
    pub(super) fn grant(&self, id: KeyId) -> Option<Grant> {
        let key = self.keys.get(&id)?;
        Some(Grant::of(key, Arc::clone(self.by_tenant(Tenant(key.tenant))?)))
    }

    /// Whether the token proves its key. The same is done for a key that is not there, so that the time tells nothing.
    pub(super) fn is_proven(&self, token: &Token, digest: &SecretDigest) -> bool {
        let key = self.keys.get(&token.id);
        let kept = key.map_or(&SecretDigest::NONE, |key| &key.sha256);
        digest.matches(kept) & key.is_some()
    }

    /// Whether somebody can always manage the keys that would be left, or there would be none.
    pub(super) fn is_managed_without(&self, is_gone: impl Fn(KeyId, &Key) -> bool) -> bool {
        let mut left =
            self.keys.iter().filter(|(id, key)| !is_gone(**id, key)).map(|(_, key)| key).peekable();
        left.peek().is_none() || left.any(Key::is_lasting_operator)
    }

    /// When the newest key was made.
    pub(super) fn newest_key_ms(&self) -> u64 {
        self.keys.values().map(|key| key.created_at).max().unwrap_or(0)
    }

    /// Forgets keys that have expired: the store does so by itself.
    pub(super) fn expire(&mut self, now_ms: u64) {
        self.keys.retain(|_, key| key.is_live(now_ms));
    }
}
