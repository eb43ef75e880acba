//! How organizations and keys are kept: as entries of a tenant that no client can name.
//!
//! | namespace | key | value |
//! |---|---|---|
//! | `organizations` | the name | tenant, terms, when it was created |
//! | `keys` | the id | digest of the secret, tenant, scope, …; expires with the key |
//! | `counters` | `next-tenant` | the number of the next organization's tenant |
//! | `purges` | a tenant's number | `null`: its organization is gone, its data is not yet |
//!
//! `default` has tenant 0, and a record only once somebody has changed its terms.

use larder_engine::{Address, AddressError, Scan, Store, Tenant};
use serde::de::DeserializeOwned;

use super::error::AccessError;

/// The tenant of all this. Organizations get numbers from 1 up, and never one near it.
pub(super) const SYSTEM: Tenant = Tenant(u32::MAX);
/// No organization has a number from here on.
pub(super) const TENANTS_END: u32 = u32::MAX - 1024;

pub(super) const ORGANIZATIONS: &str = "organizations";
pub(super) const KEYS: &str = "keys";
pub(super) const COUNTERS: &str = "counters";
pub(super) const PURGES: &str = "purges";
pub(super) const NEXT_TENANT: &str = "next-tenant";

/// Records that are read at once.
const PAGE: usize = 1_000;

/// Where a record is.
pub(super) fn at<'a>(namespace: &'a str, key: &'a str) -> Result<Address<'a>, AddressError> {
    Address::new(SYSTEM, namespace, key)
}

/// Calls `take` with each record of a namespace, in the order of their keys.
pub(super) fn each<T: DeserializeOwned>(
    store: &Store,
    namespace: &str,
    mut take: impl FnMut(&str, T) -> Result<(), AccessError>,
) -> Result<(), AccessError> {
    let mut after: Option<String> = None;
    loop {
        let scan = Scan { namespace, prefix: "", after: after.as_deref(), reverse: false, limit: PAGE };
        let page = store.read(|view| view.scan(SYSTEM, &scan)).map(|page, values| {
            let mut scratch = Vec::new();
            let value = |found| values.value(found, &mut scratch).map(<[u8]>::to_vec);
            let (keys, founds): (Vec<_>, Vec<_>) = page.items.into_iter().unzip();
            let values: Result<Vec<Vec<u8>>, _> = founds.iter().map(value).collect();
            (keys, values, page.more)
        });
        let (keys, values, more) = page.wait()?;
        for (key, value) in keys.iter().zip(values?) {
            take(key, read(namespace, key, &value)?)?;
        }
        after = keys.last().map(ToString::to_string);
        if !more {
            return Ok(());
        }
    }
}

/// A record that is alone under its key.
pub(super) fn one<T: DeserializeOwned>(
    store: &Store,
    namespace: &str,
    key: &str,
) -> Result<Option<T>, AccessError> {
    let entry = store.get(at(namespace, key).map_err(larder_engine::Error::from)?)?;
    entry.map(|entry| read(namespace, key, &entry.value)).transpose()
}

fn read<T: DeserializeOwned>(namespace: &str, key: &str, value: &[u8]) -> Result<T, AccessError> {
    serde_json::from_slice(value)
        .map_err(|error| AccessError::Record { name: format!("{namespace}/{key}"), text: error.to_string() })
}
