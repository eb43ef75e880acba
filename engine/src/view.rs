//! A read-only look at the newest state.

use crate::address::{Address, Tenant};
use crate::entry::Stamp;
use crate::state::{Found, Glance, NamespacePage, NamespaceScan, Page, Passed, Scan, State};

/// The newest state under the shared lock, at one reading of the clock.
///
/// See [`Store::read`](crate::Store::read). The closure that gets it should be quick: writers wait for it.
#[derive(Debug)]
pub struct View<'s> {
    pub(crate) state: &'s State,
    pub(crate) glance: Glance,
}

impl View<'_> {
    /// The engine's time, in milliseconds since the Unix epoch: the same throughout.
    pub fn now_ms(&self) -> u64 {
        self.glance.now_ms
    }

    /// A hint: these entries are about to be looked up. For a batch of them this makes the processor wait for memory once
    /// instead of for each.
    pub fn preload<'a>(&self, addresses: impl Iterator<Item = Address<'a>>) {
        self.state.index.preload(addresses);
    }

    /// The live entry at an address.
    pub fn get(&mut self, at: Address<'_>) -> Option<Found> {
        self.glance.get(self.state, at)
    }

    /// Version and expiry of the live entry at an address.
    pub fn stamp(&mut self, at: Address<'_>) -> Option<Stamp> {
        self.glance.slot(self.state, at).map(|slot| slot.stamp())
    }

    /// Whether there is no live entry at an address, and the last one there was not deleted but has expired. It can be told
    /// until compaction has dropped the last record of it; from then on this is false.
    pub fn has_expired(&mut self, at: Address<'_>) -> bool {
        self.glance.has_expired(self.state, at)
    }

    /// How many live entries of a namespace have keys that start with `prefix`.
    pub fn count(&mut self, tenant: Tenant, namespace: &str, prefix: &str) -> u64 {
        self.glance.count(self.state, tenant, namespace, prefix)
    }

    /// How many live entries a tenant has, in all its namespaces.
    pub fn entries(&mut self, tenant: Tenant) -> u64 {
        self.glance.entries(self.state, tenant)
    }

    /// A page of live entries.
    pub fn scan(&mut self, tenant: Tenant, scan: &Scan<'_>) -> Page {
        self.glance.scan(self.state, tenant, scan)
    }

    /// Passes over a page without making it, to count it or to come to what is behind it: up to `scan.limit` live entries, and
    /// at most `looks_max` entries of any kind. Both are at least 1. So a look that has to go far can be made in portions.
    pub fn pass(&mut self, tenant: Tenant, scan: &Scan<'_>, looks_max: usize) -> Passed {
        self.glance.pass(self.state, tenant, scan, looks_max)
    }

    /// A page of namespaces that have a live entry.
    pub fn namespaces(&mut self, tenant: Tenant, scan: &NamespaceScan<'_>) -> NamespacePage {
        self.glance.namespaces(self.state, tenant, scan)
    }
}
