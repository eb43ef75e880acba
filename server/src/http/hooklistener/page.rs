//! A page by its number, of one namespace or of all of them: what is before it is passed over, what is behind it is counted.
//!
//! An offset has to be walked to, and so has the number of entries under a prefix; this is done in portions. Without a prefix
//! the number of entries of a namespace is known, and what lies wholly before or behind the page is not walked through.

use std::collections::VecDeque;
use std::sync::Arc;

use larder_engine::{Found, Key, NamespaceScan, Scan, Values, View};

use crate::command::{Scope, Survey, namespaces};

/// Entries that are looked at while the store is held, at most: some tenths of a millisecond. All that the plans with a limit
/// allow fits into it, wherever it is.
const LOOKS_MAX: usize = 4_000;
/// Namespaces whose names are read at a time.
const NAMESPACES_MAX: usize = 200;
/// What turning to a namespace counts as.
const NAMESPACE_LOOKS: usize = 2;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) namespace: Option<String>,
    pub(super) prefix: String,
    /// Live entries before the page.
    pub(super) offset: u64,
    pub(super) page_size: usize,
}

/// An entry of the page.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) namespace: Arc<str>,
    pub(super) key: Key,
    pub(super) found: Found,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Page {
    wanted: Wanted,
    /// Namespaces whose names are known, with the number of their entries, and whether there may be more of them.
    names: VecDeque<(Arc<str>, u64)>,
    last_name: Option<Arc<str>>,
    all_names: bool,
    /// How far the first of these namespaces has been looked at.
    after: Option<Key>,
    /// Live entries that are still to be passed over before the page.
    before: u64,
    /// What is found of the page, each part with what its values are loaded with.
    parts: Vec<(Vec<Item>, Values)>,
    found: usize,
    unsettled: Vec<Item>,
    total: u64,
}

impl Page {
    pub(super) fn new(wanted: Wanted) -> Page {
        Page {
            before: wanted.offset,
            wanted,
            names: VecDeque::new(),
            last_name: None,
            all_names: false,
            after: None,
            parts: Vec::new(),
            found: 0,
            unsettled: Vec::new(),
            total: 0,
        }
    }

    /// Live entries on all pages.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn into_parts(self) -> Vec<(Vec<Item>, Values)> {
        self.parts
    }

    /// The namespace that is to be looked at now.
    fn current(&mut self, view: &mut View<'_>, scope: Scope<'_>) -> Option<(Arc<str>, u64)> {
        if self.names.is_empty() && !self.all_names {
            if let Some(namespace) = &self.wanted.namespace {
                let count = view.count(scope.tenant, namespace, "");
                self.names.push_back((namespace.as_str().into(), count));
                self.all_names = true;
            } else {
                let after = self.last_name.as_deref();
                let page =
                    namespaces(view, scope, &NamespaceScan { prefix: "", after, limit: NAMESPACES_MAX });
                self.all_names = !page.more;
                self.names.extend(page.items.into_iter().map(|(name, count)| (name.into(), count)));
                self.last_name = self.names.back().map(|(name, _)| Arc::clone(name));
            }
        }
        self.names.front().cloned()
    }

    /// Looks at a portion of a namespace that has so many live entries. Gives what that counts as, and whether it is done with.
    fn advance(
        &mut self,
        view: &mut View<'_>,
        scope: Scope<'_>,
        namespace: &Arc<str>,
        count: u64,
        looks_max: usize,
    ) -> (usize, bool) {
        let counted = self.wanted.prefix.is_empty();
        let room = self.wanted.page_size - self.found;
        if counted && self.after.is_none() {
            self.total = self.total.saturating_add(count);
            if count <= self.before || room == 0 {
                self.before = self.before.saturating_sub(count);
                return (0, true);
            }
        }
        let mut scan = Scan {
            namespace,
            prefix: &self.wanted.prefix,
            after: self.after.as_deref(),
            reverse: false,
            limit: usize::try_from(self.before).unwrap_or(usize::MAX),
        };
        if self.before == 0 && room > 0 {
            scan.limit = room.min(looks_max);
            let page = view.scan(scope.tenant, &scan);
            let looked = page.items.len();
            self.found += looked;
            if !counted {
                self.total += looked as u64;
            }
            if let Some((key, _)) = page.items.last() {
                self.after = Some(key.clone());
            }
            let item = |(key, found)| Item { namespace: Arc::clone(namespace), key, found };
            self.unsettled.extend(page.items.into_iter().map(item));
            return (looked, !page.more || (counted && self.found == self.wanted.page_size));
        }
        if self.before == 0 {
            scan.limit = usize::MAX;
        }
        let passed = view.pass(scope.tenant, &scan, looks_max);
        let live = passed.live as u64;
        self.before = self.before.saturating_sub(live);
        if !counted {
            self.total += live;
        }
        self.after = passed.last.or(self.after.take());
        (passed.looked, !passed.more)
    }
}

impl Survey for Page {
    fn items_max(&self) -> usize {
        self.wanted.page_size
    }

    fn look(&mut self, view: &mut View<'_>, scope: Scope<'_>) -> bool {
        let mut looks = 0;
        while looks < LOOKS_MAX {
            let Some((namespace, count)) = self.current(view, scope) else { return false };
            let (looked, done) = self.advance(view, scope, &namespace, count, LOOKS_MAX - looks);
            looks += looked + NAMESPACE_LOOKS;
            if done {
                self.names.pop_front();
                self.after = None;
            }
        }
        true
    }

    fn settle(&mut self, values: &Values) {
        if !self.unsettled.is_empty() {
            self.parts.push((std::mem::take(&mut self.unsettled), values.clone()));
        }
    }

    fn bytes(&self) -> usize {
        let items = self.parts.iter().flat_map(|(items, _)| items);
        items.map(|item| item.found.stored_bytes()).sum()
    }
}
