//! The registry of organizations and keys: what is known, and the only way to change it.
//!
//! Each change is one transaction of the store, and is durable before it can be seen: first the store, then the
//! directory in memory, then the news of it to all who hold a grant, then the answer. So what was answered holds after a
//! crash, and whoever asks after the answer is judged by the change. Changes come one at a time, and block.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use larder_engine::{
    Address, Condition, Error, Expiry, NamespaceScan, Put, Scan, Store, Tenant, Transaction, View,
};
use serde::Serialize;
use tokio::sync::watch;

use super::directory::Directory;
use super::error::AccessError;
use super::grant::Grant;
use super::kept::{self, COUNTERS, KEYS, NEXT_TENANT, ORGANIZATIONS, PURGES, TENANTS_END};
use super::key::{Key, KeyId, Token};
use super::organization::{DEFAULT_NAME, Organization, Record, check_name, json};
use super::plan::{Terms, TermsChange};
use super::scope::{Namespaces, Scope};

/// Entries that a purge deletes under one lock.
const PURGE_ENTRIES: usize = 128;
/// Longest name of a key.
const KEY_NAME_CHARS_MAX: usize = 100;

/// See the module.
#[derive(Debug)]
pub(crate) struct Registry {
    store: Store,
    directory: RwLock<Directory>,
    /// The number of the next organization's tenant; held by whoever changes anything.
    next_tenant: Mutex<u32>,
    /// Says that something has changed.
    news: watch::Sender<()>,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewKey {
    pub(crate) organization: String,
    pub(crate) scope: Scope,
    pub(crate) namespaces: Option<Namespaces>,
    pub(crate) name: Option<String>,
    /// In Unix milliseconds.
    pub(crate) expires_at: Option<u64>,
}

/// A key as it is shown; with its token when it has just been made, and never again.
#[derive(Serialize)]
struct ShownKey<'k> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    organization: &'k str,
    scope: &'static str,
    namespaces: Option<&'k Namespaces>,
    name: Option<&'k str>,
    created_at: u64,
    expires_at: Option<u64>,
}

impl<'k> ShownKey<'k> {
    fn of(id: KeyId, key: &'k Key, organization: &'k Organization) -> ShownKey<'k> {
        ShownKey {
            id: id.to_string(),
            token: None,
            organization: &organization.name,
            scope: key.scope.as_str(),
            namespaces: key.namespaces.as_ref(),
            name: key.name.as_deref(),
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

impl Registry {
    /// Reads what the store has.
    pub(crate) fn open(store: Store) -> Result<Registry, AccessError> {
        let mut directory = Directory::new();
        kept::each(&store, ORGANIZATIONS, |name, record: Record| {
            directory.enter(Organization::new(name, &record));
            Ok(())
        })?;
        kept::each(&store, PURGES, |name, (): ()| {
            let unreadable =
                || AccessError::Record { name: name.to_owned(), text: "this is no number".to_owned() };
            directory.purging.insert(Tenant(name.parse().map_err(|_| unreadable())?));
            Ok(())
        })?;
        kept::each(&store, KEYS, |name, key: Key| {
            let unreadable =
                || AccessError::Record { name: name.to_owned(), text: "this is no id".to_owned() };
            // Those of an organization that is being purged have not gone yet.
            if directory.by_tenant(Tenant(key.tenant)).is_some() {
                directory.keys.insert(KeyId::parse(name).ok_or_else(unreadable)?, key);
            }
            Ok(())
        })?;
        let next_tenant = kept::one(&store, COUNTERS, NEXT_TENANT)?.unwrap_or(Tenant::DEFAULT.0 + 1);
        let directory = RwLock::new(directory);
        Ok(Registry { store, directory, next_tenant: Mutex::new(next_tenant), news: watch::Sender::new(()) })
    }

    /// Whether there are keys, so that everybody has to show one.
    pub(crate) fn has_keys(&self) -> bool {
        !self.read().keys.is_empty()
    }

    /// Tells of every change from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// A notice of the next change.
    pub(crate) fn news(&self) -> impl Future<Output = ()> + use<> {
        let mut news = self.subscribe();
        // An error would say that there is nothing any more that could change.
        async move { _ = news.changed().await }
    }

    /// The store's time, by which keys expire.
    pub(crate) fn now_ms(&self) -> u64 {
        self.store.now_ms()
    }

    /// The key whose token this is, and what it allows.
    pub(super) fn authenticate(&self, token: &str) -> Option<(KeyId, Grant)> {
        let token = Token::parse(token)?;
        let digest = token.digest();
        let now_ms = self.now_ms();
        let directory = self.read();
        // Before anything else is done for a key that is there, and not for one that is not.
        if !directory.is_proven(&token, &digest) {
            return None;
        }
        let grant = directory.grant(token.id).filter(|grant| grant.check_key(now_ms))?;
        Some((token.id, grant))
    }

    /// What a key allows now.
    pub(super) fn grant(&self, id: KeyId) -> Option<Grant> {
        self.read().grant(id)
    }

    /// What everybody is allowed where there are no keys; `None` where there are.
    pub(super) fn grant_without_key(&self, scope: Scope) -> Option<Grant> {
        let directory = self.read();
        let organization = directory.default_organization().filter(|_| directory.keys.is_empty());
        organization.map(|organization| Grant::without_key(Arc::clone(organization), scope))
    }

    /// All organizations, as JSON.
    pub(crate) fn organizations(&self) -> Result<Vec<String>, AccessError> {
        let organizations: Vec<_> = self.read().organizations.values().map(Arc::clone).collect();
        let count = |organization: &Organization| {
            self.store.read(|view| view.entries(organization.tenant)).wait().map_err(AccessError::from)
        };
        organizations
            .iter()
            .map(|organization| Ok(organization.to_json(Some(count(organization)?))))
            .collect()
    }

    /// All organizations, and how many entries each has.
    pub(crate) async fn usage(&self) -> Result<Vec<(Arc<Organization>, u64)>, Error> {
        let organizations: Vec<_> = self.read().organizations.values().map(Arc::clone).collect();
        let count = |view: &mut View<'_>| {
            organizations.iter().map(|organization| view.entries(organization.tenant)).collect::<Vec<_>>()
        };
        let entries = self.store.read(count).await?;
        Ok(organizations.into_iter().zip(entries).collect())
    }

    /// Makes an organization. Gives it as JSON.
    pub(crate) fn create_organization(&self, name: &str, change: TermsChange) -> Result<String, AccessError> {
        check_name(name)?;
        let terms = Terms::default().with(change)?;
        let mut next_tenant = self.change();
        if self.read().organizations.contains_key(name) {
            return Err(AccessError::Exists { name: name.to_owned() });
        }
        let tenant = *next_tenant;
        if tenant >= TENANTS_END {
            return Err(AccessError::NoTenant);
        }
        let organization = Organization::new(name, &Record { tenant, terms, created_at: self.now_ms() });
        self.transaction(|batch| {
            batch.keep(COUNTERS, NEXT_TENANT, &(tenant + 1), None)?;
            batch.keep(ORGANIZATIONS, name, &organization.record(), None)
        })?;
        *next_tenant = tenant + 1;
        let shown = organization.to_json(None);
        self.write().enter(organization);
        self.announce();
        Ok(shown)
    }

    /// Changes an organization's terms. Gives it as JSON.
    pub(crate) fn set_organization(&self, name: &str, change: TermsChange) -> Result<String, AccessError> {
        let _change = self.change();
        let present = self.organization(name)?;
        let terms = present.terms.with(change)?;
        let organization = Organization::new(name, &Record { terms, ..present.record() });
        self.transaction(|batch| batch.keep(ORGANIZATIONS, name, &organization.record(), None))?;
        let shown = organization.to_json(None);
        self.write().enter(organization);
        self.announce();
        Ok(shown)
    }

    /// Deletes an organization: from here on its name is free and its keys are worth nothing. Its data is purged after
    /// that, see [`Registry::purge_some`]. Gives it as JSON.
    pub(crate) fn delete_organization(&self, name: &str) -> Result<String, AccessError> {
        let _change = self.change();
        self.forget_expired();
        let organization = self.organization(name)?;
        if name == DEFAULT_NAME {
            return Err(AccessError::Default);
        }
        let tenant = organization.tenant;
        if !self.read().is_managed_without(|_, key| key.tenant == tenant.0) {
            return Err(AccessError::NoOperator);
        }
        // The keys' records go with the data: without their organization they are nobody's.
        self.transaction(|batch| {
            batch.keep(PURGES, &tenant.0.to_string(), &(), None)?;
            batch.drop(ORGANIZATIONS, name)
        })?;
        self.write().remove(&organization);
        self.announce();
        Ok(organization.to_json(None))
    }

    /// All keys, or those of an organization, as JSON. Oldest first.
    pub(crate) fn keys(&self, organization: Option<&str>) -> Result<Vec<String>, AccessError> {
        let of = organization.map(|name| self.organization(name)).transpose()?;
        let now_ms = self.now_ms();
        let directory = self.read();
        let is_shown =
            |key: &Key| key.is_live(now_ms) && of.as_ref().is_none_or(|of| of.tenant.0 == key.tenant);
        let mut keys: Vec<_> = directory.keys.iter().filter(|(_, key)| is_shown(key)).collect();
        keys.sort_by_key(|(id, key)| (key.created_at, **id));
        let shown = keys.into_iter().filter_map(|(id, key)| {
            let organization = directory.by_tenant(Tenant(key.tenant))?;
            Some(json(&ShownKey::of(*id, key, organization)))
        });
        Ok(shown.collect())
    }

    /// Makes a key. Gives it as JSON, with its token: nobody can tell that again.
    pub(crate) fn create_key(&self, new: NewKey) -> Result<String, AccessError> {
        let NewKey { organization, scope, namespaces, name, expires_at } = new;
        if scope == Scope::Admin && namespaces.is_some() {
            return Err(AccessError::AdminNamespaces);
        }
        let unfit = |name: &str| name.chars().count() > KEY_NAME_CHARS_MAX || name.contains(char::is_control);
        if name.as_deref().is_some_and(unfit) {
            return Err(AccessError::KeyName { max: KEY_NAME_CHARS_MAX });
        }
        let _change = self.change();
        self.forget_expired();
        let organization = self.organization(&organization)?;
        let now_ms = self.now_ms();
        if expires_at.is_some_and(|expires_at| expires_at <= now_ms) {
            return Err(AccessError::Expired);
        }
        let token = self.fresh_token()?;
        let key = Key {
            sha256: token.digest(),
            tenant: organization.tenant.0,
            scope,
            namespaces,
            name,
            // No two are of the same time, so that lists have an order.
            created_at: now_ms.max(self.read().newest_key_ms() + 1),
            expires_at,
        };
        if self.read().keys.is_empty() && !key.is_lasting_operator() {
            return Err(AccessError::NoOperator);
        }
        self.transaction(|batch| batch.keep(KEYS, &token.id.to_string(), &key, expires_at))?;
        let shown = ShownKey::of(token.id, &key, &organization);
        let shown = json(&ShownKey { token: Some(token.reveal()), ..shown });
        self.write().keys.insert(token.id, key);
        self.announce();
        Ok(shown)
    }

    /// Ends a key. Gives it as JSON.
    pub(crate) fn revoke_key(&self, id: &str) -> Result<String, AccessError> {
        let _change = self.change();
        self.forget_expired();
        let none = || AccessError::NoKey { id: id.to_owned() };
        let parsed = KeyId::parse(id).ok_or_else(none)?;
        let shown = {
            let directory = self.read();
            let key = directory.keys.get(&parsed).ok_or_else(none)?;
            let organization = directory.by_tenant(Tenant(key.tenant)).ok_or_else(none)?;
            if !directory.is_managed_without(|other, _| other == parsed) {
                return Err(AccessError::NoOperator);
            }
            json(&ShownKey::of(parsed, key, organization))
        };
        self.transaction(|batch| batch.drop(KEYS, &parsed.to_string()))?;
        self.write().keys.remove(&parsed);
        self.announce();
        Ok(shown)
    }

    /// Deletes some of what deleted organizations have left. False once there is nothing left. Breaking off at any time
    /// is harmless: it goes on from there, after a restart too.
    pub(crate) fn purge_some(&self) -> Result<bool, AccessError> {
        let Some(tenant) = self.read().purging.first().copied() else { return Ok(false) };
        if self.purge_entries(tenant)? || self.purge_keys(tenant)? {
            return Ok(true);
        }
        let _change = self.change();
        self.transaction(|batch| batch.drop(PURGES, &tenant.0.to_string()))?;
        self.write().purging.remove(&tenant);
        Ok(true)
    }

    /// Deletes entries of one namespace. False if there are none in any.
    fn purge_entries(&self, tenant: Tenant) -> Result<bool, AccessError> {
        let first = NamespaceScan { prefix: "", after: None, limit: 1 };
        let Some((namespace, _)) = self.store.namespaces(tenant, &first)?.items.pop() else {
            return Ok(false);
        };
        self.store.admission().wait();
        let deleted = self.store.write(|writer| {
            let scan =
                Scan { namespace: &namespace, prefix: "", after: None, reverse: false, limit: PURGE_ENTRIES };
            for (key, _) in writer.scan(tenant, &scan).items {
                let at = Address::new(tenant, &namespace, &key)?;
                _ = writer.delete(at, Condition::Always)?;
            }
            Ok::<(), Error>(())
        });
        deleted.wait()??;
        Ok(true)
    }

    /// Deletes the records of a tenant's keys. False if there are none.
    fn purge_keys(&self, tenant: Tenant) -> Result<bool, AccessError> {
        let mut ids = Vec::new();
        kept::each(&self.store, KEYS, |id, key: Key| {
            if key.tenant == tenant.0 && ids.len() < PURGE_ENTRIES {
                ids.push(id.to_owned());
            }
            Ok(())
        })?;
        self.transaction(|batch| ids.iter().try_for_each(|id| batch.drop(KEYS, id)))?;
        Ok(!ids.is_empty())
    }

    /// Forgets keys that have expired, as the store does by itself: whether there would be any left is judged without them.
    fn forget_expired(&self) {
        let now_ms = self.now_ms();
        self.write().expire(now_ms);
    }

    fn organization(&self, name: &str) -> Result<Arc<Organization>, AccessError> {
        let found = self.read().organizations.get(name).map(Arc::clone);
        found.ok_or_else(|| AccessError::NoOrganization { name: name.to_owned() })
    }

    /// A token whose id no key has or had.
    fn fresh_token(&self) -> Result<Token, AccessError> {
        loop {
            let token = Token::random().map_err(AccessError::Random)?;
            if !self.read().keys.contains_key(&token.id) {
                return Ok(token);
            }
        }
    }

    fn transaction(
        &self,
        operations: impl FnOnce(&mut Transaction<'_, '_>) -> Result<(), Error>,
    ) -> Result<(), AccessError> {
        self.store.transaction(operations)?;
        // However writes are acknowledged: a key that was revoked must not come back by a power cut.
        self.store.sync().wait()?;
        Ok(())
    }

    /// Keeps others from changing anything meanwhile.
    fn change(&self) -> MutexGuard<'_, u32> {
        self.next_tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.news.send_replace(());
    }
}

/// Operations on records.
trait Batch {
    fn keep(
        &mut self,
        namespace: &str,
        key: &str,
        record: &impl Serialize,
        expires_at: Option<u64>,
    ) -> Result<(), Error>;
    fn drop(&mut self, namespace: &str, key: &str) -> Result<(), Error>;
}

impl Batch for Transaction<'_, '_> {
    fn keep(
        &mut self,
        namespace: &str,
        key: &str,
        record: &impl Serialize,
        expires_at: Option<u64>,
    ) -> Result<(), Error> {
        let value = json(record);
        let expiry = expires_at.map_or(Expiry::Never, Expiry::At);
        let put = Put { expiry, ..Put::new(value.as_bytes()) };
        self.put(kept::at(namespace, key)?, &put).map(|_| ())
    }

    fn drop(&mut self, namespace: &str, key: &str) -> Result<(), Error> {
        self.delete(kept::at(namespace, key)?, Condition::Always).map(|_| ())
    }
}
