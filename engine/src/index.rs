//! The index: where the newest record of every entry is. In memory: an ordered map per namespace, and a hash table.
//!
//! Pure: it knows no clock, no file and no lock. It holds all that a write has to know of the entry that it replaces
//! (creation, deadline), so that an overwrite reads nothing from disk.

use crate::address::{Address, Tenant};
use compact_str::CompactString;
use hashbrown::HashTable;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::{Bound, Deref};

/// A key in the index. Up to 24 bytes lie in the map's nodes, next to one another, so that a search seldom leaves them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(CompactString);

impl Key {
    fn new(key: &str) -> Key {
        Key(CompactString::new(key))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes that it takes besides its place in a node.
    fn heap_bytes(&self) -> usize {
        if self.0.is_heap_allocated() { self.0.capacity() } else { 0 }
    }
}

impl Deref for Key {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where an entry's newest record is, and what must be known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) sequence: u64,
    pub(crate) creation: u64,
    pub(crate) created_at: u64,
    /// Unix milliseconds; [`NEVER`](crate::clock::NEVER) where there is none.
    pub(crate) deadline: u64,
    pub(crate) segment: u32,
    pub(crate) position: u32,
    pub(crate) length: u32,
}

/// One namespace.
#[derive(Debug, Default)]
pub(crate) struct Namespace {
    /// Keys in order, with the numbers of their nodes.
    entries: BTreeMap<Key, u32>,
    /// Highest sequence of any change here.
    changed: u64,
    /// Highest sequence of any removal here.
    removed: u64,
    /// Entries that have a deadline.
    timed: usize,
}

impl Namespace {
    /// Number of entries, those past their deadline included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether any entry has a deadline.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed > 0
    }
}

/// Stands for an address: two hashes under secret keys of this process, 128 bits in all.
///
/// Equal tags are taken for equal addresses. Not knowing the keys, nobody can make two addresses collide, and by chance
/// it happens less often than a memory bit flips: at ten million entries and a million look-ups of other keys a
/// second, once in 10^18 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag(u64, u64);

/// An entry. Nodes have numbers, and keep them until they are removed.
#[derive(Debug, Clone, Copy)]
struct Node {
    tag: Tag,
    slot: Slot,
}

/// All entries, findable in two ways: by address through a hash table, which takes one or two cache misses where an
/// ordered map of a million keys takes ten; and in the order of their keys, for listings.
#[derive(Debug)]
pub(crate) struct Index {
    tenants: BTreeMap<Tenant, BTreeMap<Box<str>, Namespace>>,
    nodes: Vec<Node>,
    /// Numbers of nodes that are not in use.
    free: Vec<u32>,
    /// Numbers of nodes by tag. Many small tables, so that growing one never takes long.
    tables: Box<[HashTable<u32>]>,
    hashers: (RandomState, RandomState),
    /// Highest sequence of a removal that left a namespace empty, and the namespace thereby forgotten.
    emptied: u64,
    bytes: u64,
}

/// Number of hash tables: as many as there are values of a byte.
const TABLES: usize = 1 << u8::BITS;

/// Estimated bytes that an entry takes: its key's place in the ordered map and its number's in a hash table, at their
/// usual fill, and its node.
const ENTRY_BYTES: u64 = ((size_of::<Key>() + size_of::<u32>()) * 10 / 7
    + size_of::<Node>()
    + (size_of::<u32>() + 1) * 3 / 2) as u64;

impl Default for Index {
    fn default() -> Index {
        Index {
            tenants: BTreeMap::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            tables: std::iter::repeat_with(HashTable::new).take(TABLES).collect(),
            hashers: (RandomState::new(), RandomState::new()),
            emptied: 0,
            bytes: 0,
        }
    }
}

impl Index {
    /// Number of entries, those past their deadline included.
    pub(crate) fn entries(&self) -> u64 {
        (self.nodes.len() - self.free.len()) as u64
    }

    /// Estimated memory, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn namespace(&self, tenant: Tenant, namespace: &str) -> Option<&Namespace> {
        self.tenants.get(&tenant)?.get(namespace)
    }

    /// The namespaces of a tenant, from `from` on, in order.
    pub(crate) fn namespaces(
        &self,
        tenant: Tenant,
        from: Bound<&str>,
    ) -> impl Iterator<Item = (&str, &Namespace)> {
        self.tenants
            .get(&tenant)
            .into_iter()
            .flat_map(move |namespaces| namespaces.range::<str, _>((from, Bound::Unbounded)))
            .map(|(name, namespace)| (&**name, namespace))
    }

    pub(crate) fn get(&self, at: Address<'_>) -> Option<&Slot> {
        let tag = self.tag(at);
        let number =
            self.tables[tag.table()].find(tag.0, |number| self.nodes[*number as usize].tag == tag)?;
        Some(&self.nodes[*number as usize].slot)
    }

    /// Brings what looking these entries up needs into the processor's caches.
    ///
    /// Look-ups of a batch take one cache miss after the other; here the loads of one step do not depend on those of
    /// another address, so the processor waits for many of them at a time.
    pub(crate) fn preload<'a>(&self, addresses: impl Iterator<Item = Address<'a>>) {
        let tags: Vec<Tag> = addresses.map(|at| self.tag(at)).collect();
        let find = |tag: &Tag| {
            self.tables[tag.table()].find(tag.0, |number| self.nodes[*number as usize].tag == *tag).copied()
        };
        std::hint::black_box(tags.iter().filter_map(find).fold(0, |touched, number| touched ^ number));
    }

    /// The sequence up to which a namespace's removals can have made a key absent.
    pub(crate) fn removed(&self, tenant: Tenant, namespace: &str) -> u64 {
        self.namespace(tenant, namespace).map_or(self.emptied, |namespace| namespace.removed)
    }

    /// The sequence of the last change that a listing or count of a namespace depends on.
    pub(crate) fn changed(&self, tenant: Tenant, namespace: &str) -> u64 {
        self.namespace(tenant, namespace).map_or(self.emptied, |namespace| namespace.changed)
    }

    /// Sets an entry's slot, or removes it, by the change `sequence`. Returns what was there.
    pub(crate) fn replace(&mut self, at: Address<'_>, slot: Option<Slot>, sequence: u64) -> Option<Slot> {
        match slot {
            Some(slot) => self.insert(at, slot, sequence),
            None => self.remove(at, sequence),
        }
    }

    fn insert(&mut self, at: Address<'_>, slot: Slot, sequence: u64) -> Option<Slot> {
        let tag = self.tag(at);
        let Index { tenants, nodes, free, tables, emptied, bytes, .. } = self;
        let namespaces = tenants.entry(at.tenant()).or_default();
        let namespace = match namespaces.get_mut(at.namespace()) {
            Some(namespace) => namespace,
            None => {
                // What emptied it before still has to be waited for by those who find a key absent here.
                let fresh = Namespace { removed: *emptied, changed: *emptied, ..Namespace::default() };
                namespaces.entry(at.namespace().into()).or_insert(fresh)
            }
        };
        namespace.changed = namespace.changed.max(sequence);
        namespace.timed += usize::from(slot.is_timed());
        let table = &mut tables[tag.table()];
        if let Some(number) = table.find(tag.0, |number| nodes[*number as usize].tag == tag) {
            debug_assert_eq!(namespace.entries.get(at.key()), Some(number), "a tag stands for one address");
            let previous = std::mem::replace(&mut nodes[*number as usize].slot, slot);
            namespace.timed -= usize::from(previous.is_timed());
            return Some(previous);
        }
        let node = Node { tag, slot };
        let number = match free.pop() {
            Some(number) => {
                nodes[number as usize] = node;
                number
            }
            None => {
                nodes.push(node);
                // `max_index_bytes` and the machine's memory end long before the numbers do.
                u32::try_from(nodes.len() - 1).expect("fewer than 2^32 entries")
            }
        };
        table.insert_unique(tag.0, number, |number| nodes[*number as usize].tag.0);
        let key = Key::new(at.key());
        *bytes += ENTRY_BYTES + key.heap_bytes() as u64;
        namespace.entries.insert(key, number);
        None
    }

    fn remove(&mut self, at: Address<'_>, sequence: u64) -> Option<Slot> {
        let tag = self.tag(at);
        let Index { tenants, nodes, free, tables, emptied, bytes, .. } = self;
        let found =
            tables[tag.table()].find_entry(tag.0, |number| nodes[*number as usize].tag == tag).ok()?;
        let (number, _) = found.remove();
        free.push(number);
        let previous = nodes[number as usize].slot;

        let namespaces = tenants.get_mut(&at.tenant())?;
        let namespace = namespaces.get_mut(at.namespace())?;
        let (key, ordered) = namespace.entries.remove_entry(at.key())?;
        debug_assert_eq!(ordered, number, "a tag stands for one address");
        *bytes -= ENTRY_BYTES + key.heap_bytes() as u64;
        namespace.changed = namespace.changed.max(sequence);
        namespace.removed = namespace.removed.max(sequence);
        namespace.timed -= usize::from(previous.is_timed());
        if namespace.entries.is_empty() {
            *emptied = namespace.changed.max(*emptied);
            namespaces.remove(at.namespace());
            if namespaces.is_empty() {
                tenants.remove(&at.tenant());
            }
        }
        Some(previous)
    }

    /// The entries of `namespace` whose keys start with `prefix`, in order from both ends, beyond `after` if that is
    /// given: above it going forward, below it in `reverse`.
    pub(crate) fn range<'i>(
        &'i self,
        namespace: &'i Namespace,
        prefix: &str,
        after: Option<&str>,
        reverse: bool,
    ) -> impl DoubleEndedIterator<Item = (&'i Key, &'i Slot)> + use<'i> {
        let end = prefix_end(prefix);
        let mut lower = Bound::Included(prefix);
        let mut upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut beyond = false;
        match after {
            Some(after) if reverse => {
                beyond = after <= prefix;
                if end.as_deref().is_none_or(|end| after < end) {
                    upper = Bound::Excluded(after);
                }
            }
            Some(after) => {
                beyond = end.as_deref().is_some_and(|end| after >= end);
                if after >= prefix {
                    lower = Bound::Excluded(after);
                }
            }
            None => {}
        }
        // A range that starts behind its end is an error to BTreeMap; here it is merely empty.
        let range = (!beyond).then(|| namespace.entries.range::<str, _>((lower, upper)));
        range.into_iter().flatten().map(|(key, number)| (key, &self.nodes[*number as usize].slot))
    }

    fn tag(&self, at: Address<'_>) -> Tag {
        Tag(self.hashers.0.hash_one(at), self.hashers.1.hash_one(at))
    }
}

impl Tag {
    /// Which table it belongs to. The second hash decides: the first one spreads within the table.
    fn table(self) -> usize {
        usize::from(self.1.to_le_bytes()[0])
    }
}

impl Slot {
    pub(crate) fn is_timed(&self) -> bool {
        self.deadline != crate::clock::NEVER
    }
}

/// The smallest text above every text that starts with `prefix`, if there is one. UTF-8 sorts by code point.
fn prefix_end(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Surrogates are no characters: the range skips them.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slot(sequence: u64, deadline: u64) -> Slot {
        Slot { sequence, creation: 1, created_at: 0, deadline, segment: 1, position: 0, length: 0 }
    }

    fn address(key: &str) -> Address<'_> {
        Address::new(Tenant::DEFAULT, "n", key).unwrap()
    }

    #[test]
    fn prefix_ends() {
        assert_eq!(prefix_end("ab").as_deref(), Some("ac"));
        assert_eq!(prefix_end("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(prefix_end("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(prefix_end("\u{10ffff}"), None);
        assert_eq!(prefix_end(""), None);
    }

    #[test]
    fn counts_follow_every_change_and_its_reversal() {
        let mut index = Index::default();
        assert_eq!(index.replace(address("a"), Some(slot(1, 50)), 1), None);
        assert_eq!(index.replace(address("a"), Some(slot(2, u64::MAX)), 2), Some(slot(1, 50)));
        assert!(!index.namespace(Tenant::DEFAULT, "n").unwrap().is_timed());
        assert_eq!(index.replace(address("a"), Some(slot(1, 50)), 2), Some(slot(2, u64::MAX)));
        assert!(index.namespace(Tenant::DEFAULT, "n").unwrap().is_timed());
        assert_eq!(index.replace(address("a"), None, 3), Some(slot(1, 50)));
        assert_eq!((index.entries(), index.bytes()), (0, 0));
        assert_eq!(index.removed(Tenant::DEFAULT, "n"), 3, "a miss still depends on the removal");
        index.replace(address("b"), Some(slot(4, u64::MAX)), 4);
        assert_eq!(index.removed(Tenant::DEFAULT, "n"), 3);
        assert_eq!(index.changed(Tenant::DEFAULT, "n"), 4);
    }

    proptest! {
        #[test]
        fn ranges_agree_with_filtering(keys in proptest::collection::btree_set("[a-c]{1,4}", 0..30),
                                       prefix in "[a-c]{0,3}", after in proptest::option::of("[a-d]{1,4}"), reverse: bool) {
            let mut index = Index::default();
            for key in &keys {
                index.replace(address(key), Some(slot(1, 5)), 1);
            }
            let mut expected: Vec<&str> = keys.iter().map(String::as_str).filter(|key| key.starts_with(&prefix))
                .filter(|key| after.as_deref().is_none_or(|after| if reverse { *key < after } else { *key > after }))
                .collect();
            let mut found: Vec<&str> = index.namespace(Tenant::DEFAULT, "n").into_iter()
                .flat_map(|namespace| index.range(namespace, &prefix, after.as_deref(), reverse)).map(|(key, _)| key.as_str()).collect();
            if reverse {
                expected.reverse();
                found.reverse();
            }
            prop_assert_eq!(found, expected);
        }
    }
}
