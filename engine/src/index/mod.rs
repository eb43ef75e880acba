//! The index: where the newest record of every entry is. In memory: an ordered map per namespace, and a hash table.
//!
//! Pure: it knows no clock, no file and no lock. It holds all that a write has to know of the entry that it replaces
//! (creation, deadline), so that an overwrite reads nothing from disk.
//!
//! It also keeps the accounts that compaction works by: of each segment, how many bytes are still of use; of each
//! address, how many older records the log holds besides the newest; and the tombstones, the delete and expire records
//! that are the newest of their address. A tombstone may leave the log only when no older record is left for it to
//! cover (`docs/compaction.md`).

mod key;
mod load;
mod node;
mod range;
mod tag;

pub use key::Key;
pub(crate) use load::load;
pub(crate) use node::Slot;
pub(crate) use range::KeyRange;
pub(crate) use tag::{Tag, Tagger};

use crate::address::{Address, Tenant};
use hashbrown::HashTable;
use node::{Node, Slab};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use tag::TABLES;

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

/// A delete or expire record that is the newest of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) sequence: u64,
    pub(crate) segment: u32,
    /// Bytes of the record.
    pub(crate) length: u32,
}

/// What the index holds for an address, with how many older records there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    Live(Slot, u32),
    Gone(Tombstone, u32),
}

/// Where compaction has put a copy of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copied {
    pub(crate) segment: u32,
    pub(crate) position: u32,
    pub(crate) length: u32,
}

/// What a segment holds, and what of it is still of use, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Of all records, dead ones included.
    pub(crate) record_bytes: u64,
    pub(crate) live_bytes: u64,
    /// Of tombstones that cover an older record.
    pub(crate) covering_bytes: u64,
}

/// A tombstone in the index.
#[derive(Debug, Clone, Copy)]
struct Grave {
    tag: Tag,
    tombstone: Tombstone,
    older: u32,
}

/// All entries, findable in two ways: by address through a hash table, which takes one or two cache misses where an
/// ordered map of a million keys takes ten; and in the order of their keys, for listings.
pub(crate) struct Index {
    tenants: BTreeMap<Tenant, BTreeMap<Box<str>, Namespace>>,
    nodes: Slab,
    /// Numbers of nodes by tag. Many small tables, so that growing one never takes long.
    tables: Box<[HashTable<u32>]>,
    graves: HashTable<Grave>,
    tombstone_bytes: u64,
    /// By segment. One that is missing is of no use.
    usage: BTreeMap<u32, Usage>,
    tagger: Tagger,
    /// Highest sequence of a removal that left a namespace empty, and the namespace thereby forgotten.
    emptied: u64,
    bytes: u64,
}

/// Estimated bytes that an entry takes: its key's place in the ordered map and its number's in a hash table, at their
/// usual fill, and its node.
const ENTRY_BYTES: u64 = ((size_of::<Key>() + size_of::<u32>()) * 10 / 7
    + size_of::<Node>()
    + (size_of::<u32>() + 1) * 3 / 2) as u64;

/// The same of a tombstone.
const GRAVE_BYTES: u64 = ((size_of::<Grave>() + 1) * 3 / 2) as u64;

impl fmt::Debug for Index {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut index = formatter.debug_struct("Index");
        index
            .field("entries", &self.entries())
            .field("tombstones", &self.tombstones())
            .finish_non_exhaustive()
    }
}

impl Usage {
    /// Bytes that are of no use.
    pub(crate) fn dead_bytes(&self) -> u64 {
        self.record_bytes.saturating_sub(self.live_bytes + self.covering_bytes)
    }
}

impl Default for Index {
    fn default() -> Index {
        Index {
            tenants: BTreeMap::new(),
            nodes: Slab::default(),
            tables: std::iter::repeat_with(HashTable::new).take(TABLES).collect(),
            graves: HashTable::new(),
            tombstone_bytes: 0,
            usage: BTreeMap::new(),
            tagger: Tagger::new(),
            emptied: 0,
            bytes: 0,
        }
    }
}

impl Index {
    /// Number of entries, those past their deadline included.
    pub(crate) fn entries(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// Number of tombstones.
    pub(crate) fn tombstones(&self) -> u64 {
        self.graves.len() as u64
    }

    /// Bytes of all tombstones.
    pub(crate) fn tombstone_bytes(&self) -> u64 {
        self.tombstone_bytes
    }

    /// What of each segment is still of use.
    pub(crate) fn usage(&self, segment: u32) -> Usage {
        self.usage.get(&segment).copied().unwrap_or_default()
    }

    /// Makes the tags that this index goes by.
    pub(crate) fn tagger(&self) -> Tagger {
        self.tagger
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

    pub(crate) fn get(&self, at: Address<'_>) -> Option<Slot> {
        self.number(self.tagger.tag(at)).map(|number| self.nodes.get(number).slot())
    }

    /// What is held under a tag.
    pub(crate) fn held(&self, tag: Tag) -> Held {
        if let Some(number) = self.number(tag) {
            let node = self.nodes.get(number);
            return Held::Live(node.slot(), node.older());
        }
        self.graves
            .find(tag.hash, |grave| grave.tag == tag)
            .map_or(Held::Nothing, |grave| Held::Gone(grave.tombstone, grave.older))
    }

    fn number(&self, tag: Tag) -> Option<u32> {
        self.tables[tag.table()].find(tag.hash, |number| self.nodes.get(*number).is_of(tag)).copied()
    }

    /// Brings what looking these entries up needs into the processor's caches.
    ///
    /// Look-ups of a batch take one cache miss after the other; here the loads of one step do not depend on those of
    /// another address, so the processor waits for many of them at a time.
    pub(crate) fn preload<'a>(&self, addresses: impl Iterator<Item = Address<'a>>) {
        let tags: Vec<Tag> = addresses.map(|at| self.tagger.tag(at)).collect();
        let numbers = tags.iter().filter_map(|tag| self.number(*tag));
        std::hint::black_box(numbers.fold(0, |touched, number| touched ^ number));
    }

    /// The sequence up to which a namespace's removals can have made a key absent.
    pub(crate) fn removed(&self, tenant: Tenant, namespace: &str) -> u64 {
        self.namespace(tenant, namespace).map_or(self.emptied, |namespace| namespace.removed)
    }

    /// The sequence of the last change that a listing or count of a namespace depends on.
    pub(crate) fn changed(&self, tenant: Tenant, namespace: &str) -> u64 {
        self.namespace(tenant, namespace).map_or(self.emptied, |namespace| namespace.changed)
    }

    /// Enters a put. Returns what it supersedes.
    pub(crate) fn put(&mut self, at: Address<'_>, slot: Slot) -> Held {
        let tag = self.tagger.tag(at);
        self.usage_mut(slot.segment).record_bytes += u64::from(slot.length);
        let grave = self.take_grave(tag);
        let older = grave.map_or(0, |grave| grave.older + 1);
        match (self.set(at, tag, slot, older), grave) {
            (Some((slot, older)), _) => Held::Live(slot, older),
            (None, Some(grave)) => Held::Gone(grave.tombstone, grave.older),
            (None, None) => Held::Nothing,
        }
    }

    /// Enters a delete or expire record of an entry. Returns what it supersedes.
    pub(crate) fn bury(&mut self, at: Address<'_>, tombstone: Tombstone) -> Held {
        let tag = self.tagger.tag(at);
        let Some((slot, older)) = self.remove(at, tag, tombstone.sequence) else {
            debug_assert!(false, "only what is there is removed");
            return Held::Nothing;
        };
        self.usage_mut(tombstone.segment).record_bytes += u64::from(tombstone.length);
        self.add_grave(Grave { tag, tombstone, older: older + 1 });
        Held::Live(slot, older)
    }

    /// Takes the newest change to an address back: enters what it superseded. The segments' accounts of what they hold are
    /// not made good: this happens when the log has failed, and then nothing is compacted any more.
    pub(crate) fn restore(&mut self, at: Address<'_>, held: Held) {
        let tag = self.tagger.tag(at);
        self.take_grave(tag);
        match held {
            Held::Live(slot, older) => {
                self.set(at, tag, slot, 0);
                if let Some(number) = self.number(tag) {
                    self.nodes.get_mut(number).set_older(older);
                }
            }
            Held::Nothing | Held::Gone(..) => {
                self.remove(at, tag, 0);
            }
        }
        if let Held::Gone(tombstone, older) = held {
            self.add_grave(Grave { tag, tombstone, older });
        }
    }

    /// Notes that the record `sequence` of an address was copied to another place, which counts if it is still the
    /// newest.
    pub(crate) fn relocate(&mut self, tag: Tag, sequence: u64, copy: &Copied) {
        let Copied { segment, position, length } = *copy;
        self.usage_mut(segment).record_bytes += u64::from(length);
        if let Some(number) = self.number(tag) {
            let node = self.nodes.get_mut(number);
            let slot = node.slot();
            if slot.sequence == sequence {
                debug_assert_eq!(slot.length, length, "a copy is as long as the record");
                *node = Node::new(tag, &Slot { segment, position, ..slot }, node.older());
                self.usage_mut(slot.segment).live_bytes -= u64::from(slot.length);
                self.usage_mut(segment).live_bytes += u64::from(slot.length);
            }
        } else if let Some(grave) = self.graves.find_mut(tag.hash, |grave| grave.tag == tag) {
            let Tombstone { segment: before, length, .. } = grave.tombstone;
            if grave.tombstone.sequence == sequence {
                grave.tombstone.segment = segment;
                if grave.older > 0 {
                    self.usage_mut(before).covering_bytes -= u64::from(length);
                    self.usage_mut(segment).covering_bytes += u64::from(length);
                }
            }
        }
    }

    /// Notes that the record `sequence` of an address is no longer in the log.
    pub(crate) fn forget(&mut self, tag: Tag, sequence: u64) {
        if let Some(number) = self.number(tag) {
            let node = self.nodes.get_mut(number);
            debug_assert!(
                node.sequence() > sequence && node.older() > 0,
                "only what is superseded is dropped"
            );
            node.set_older(node.older().saturating_sub(1));
        } else if let Some(grave) = self.graves.find_mut(tag.hash, |grave| grave.tag == tag) {
            if grave.tombstone.sequence == sequence {
                debug_assert_eq!(grave.older, 0, "a tombstone goes last");
                self.take_grave(tag);
            } else if grave.older > 0 {
                grave.older -= 1;
                let Grave { tombstone: Tombstone { segment, length, .. }, older, .. } = *grave;
                if older == 0 {
                    self.usage_mut(segment).covering_bytes -= u64::from(length);
                }
            }
        }
    }

    /// Fails if the other index, of the same tagger, holds anything else.
    #[cfg(debug_assertions)]
    pub(crate) fn assert_same(&self, other: &Index) {
        assert_eq!((self.entries(), self.tombstones()), (other.entries(), other.tombstones()));
        assert_eq!(self.tombstone_bytes, other.tombstone_bytes);
        let entries = self.tables.iter().flatten().map(|number| self.nodes.get(*number).tag());
        for tag in entries.chain(self.graves.iter().map(|grave| grave.tag)) {
            assert_eq!(self.held(tag), other.held(tag));
        }
        for segment in self.usage.keys().chain(other.usage.keys()) {
            assert_eq!(self.usage(*segment), other.usage(*segment), "usage of segment {segment}");
        }
    }

    fn usage_mut(&mut self, segment: u32) -> &mut Usage {
        self.usage.entry(segment).or_default()
    }

    /// Forgets the account of a segment that is no more.
    pub(crate) fn drop_usage(&mut self, segment: u32) {
        let usage = self.usage.remove(&segment).unwrap_or_default();
        debug_assert_eq!((usage.live_bytes, usage.covering_bytes), (0, 0), "nothing of use is dropped");
    }

    fn add_grave(&mut self, grave: Grave) {
        let Tombstone { segment, length, .. } = grave.tombstone;
        if grave.older > 0 {
            self.usage_mut(segment).covering_bytes += u64::from(length);
        }
        self.tombstone_bytes += u64::from(length);
        self.bytes += GRAVE_BYTES;
        self.graves.insert_unique(grave.tag.hash, grave, |grave| grave.tag.hash);
    }

    fn take_grave(&mut self, tag: Tag) -> Option<Grave> {
        let (grave, _) = self.graves.find_entry(tag.hash, |grave| grave.tag == tag).ok()?.remove();
        let Tombstone { segment, length, .. } = grave.tombstone;
        if grave.older > 0 {
            self.usage_mut(segment).covering_bytes -= u64::from(length);
        }
        self.tombstone_bytes -= u64::from(length);
        self.bytes -= GRAVE_BYTES;
        Some(grave)
    }

    /// Sets an entry's slot. Returns what it replaces, whose older records are taken over with one more; a new entry has
    /// `older`.
    fn set(&mut self, at: Address<'_>, tag: Tag, slot: Slot, older: u32) -> Option<(Slot, u32)> {
        self.usage_mut(slot.segment).live_bytes += u64::from(slot.length);
        let Index { tenants, nodes, tables, emptied, bytes, usage, .. } = self;
        let namespaces = tenants.entry(at.tenant()).or_default();
        let namespace = match namespaces.get_mut(at.namespace()) {
            Some(namespace) => namespace,
            None => {
                // What emptied it before still has to be waited for by those who find a key absent here.
                let fresh = Namespace { removed: *emptied, changed: *emptied, ..Namespace::default() };
                namespaces.entry(at.namespace().into()).or_insert(fresh)
            }
        };
        namespace.changed = namespace.changed.max(slot.sequence);
        namespace.timed += usize::from(slot.is_timed());
        let table = &mut tables[tag.table()];
        if let Some(number) = table.find(tag.hash, |number| nodes.get(*number).is_of(tag)) {
            debug_assert_eq!(namespace.entries.get(at.key()), Some(number), "a tag stands for one address");
            let node = nodes.get_mut(*number);
            let (previous, older) = (node.slot(), node.older());
            *node = Node::new(tag, &slot, older + 1);
            namespace.timed -= usize::from(previous.is_timed());
            usage.entry(previous.segment).or_default().live_bytes -= u64::from(previous.length);
            return Some((previous, older));
        }
        let number = nodes.insert(Node::new(tag, &slot, older));
        table.insert_unique(tag.hash, number, |number| nodes.get(*number).tag().hash);
        let key = Key::new(at.key());
        *bytes += ENTRY_BYTES + key.heap_bytes() as u64;
        namespace.entries.insert(key, number);
        None
    }

    /// Removes an entry by the change `sequence`. Returns what was there.
    fn remove(&mut self, at: Address<'_>, tag: Tag, sequence: u64) -> Option<(Slot, u32)> {
        let Index { tenants, nodes, tables, emptied, bytes, usage, .. } = self;
        let found = tables[tag.table()].find_entry(tag.hash, |number| nodes.get(*number).is_of(tag)).ok()?;
        let (number, _) = found.remove();
        let node = nodes.remove(number);
        let (previous, older) = (node.slot(), node.older());
        usage.entry(previous.segment).or_default().live_bytes -= u64::from(previous.length);

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
        Some((previous, older))
    }

    /// The entries of `namespace` that a [`KeyRange`] names, in order from both ends.
    pub(crate) fn range<'i>(
        &'i self,
        namespace: &'i Namespace,
        range: &KeyRange<'_>,
    ) -> impl DoubleEndedIterator<Item = (&'i Key, Slot)> + use<'i> {
        range.of(&namespace.entries).map(|(key, number)| (key, self.nodes.get(*number).slot()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(sequence: u64, deadline: u64) -> Slot {
        Slot { sequence, creation: 1, created_at: 0, deadline, segment: 1, position: 0, length: 10 }
    }

    fn address(key: &str) -> Address<'_> {
        Address::new(Tenant::DEFAULT, "n", key).unwrap()
    }

    #[test]
    fn counts_follow_every_change_and_its_reversal() {
        let mut index = Index::default();
        let never = u64::MAX;
        assert_eq!(index.put(address("a"), slot(1, 50)), Held::Nothing);
        assert_eq!(index.put(address("a"), slot(2, never)), Held::Live(slot(1, 50), 0));
        assert!(!index.namespace(Tenant::DEFAULT, "n").unwrap().is_timed());
        index.restore(address("a"), Held::Live(slot(1, 50), 0));
        assert!(index.namespace(Tenant::DEFAULT, "n").unwrap().is_timed());
        assert_eq!(index.put(address("a"), slot(2, never)), Held::Live(slot(1, 50), 0));
        let tombstone = Tombstone { sequence: 3, segment: 2, length: 9 };
        assert_eq!(index.bury(address("a"), tombstone), Held::Live(slot(2, never), 1));
        assert_eq!((index.entries(), index.tombstones()), (0, 1));
        assert_eq!(index.usage(1), Usage { record_bytes: 30, ..Usage::default() });
        assert_eq!(index.usage(2), Usage { record_bytes: 9, covering_bytes: 9, live_bytes: 0 });
        assert_eq!(index.removed(Tenant::DEFAULT, "n"), 3, "a miss still depends on the removal");
        assert_eq!(index.put(address("a"), slot(4, never)), Held::Gone(tombstone, 2));
        let tag = index.tagger().tag(address("a"));
        assert_eq!(index.held(tag), Held::Live(slot(4, never), 3));
        assert_eq!(index.usage(1).live_bytes, 10);
        index.put(address("b"), slot(5, never));
        assert_eq!(index.removed(Tenant::DEFAULT, "n"), 3);
        assert_eq!(index.changed(Tenant::DEFAULT, "n"), 5);
        index.restore(address("a"), Held::Gone(tombstone, 2));
        assert_eq!((index.held(tag), index.entries()), (Held::Gone(tombstone, 2), 1));
    }

    #[test]
    fn what_compaction_does_is_accounted_for() {
        let mut index = Index::default();
        let tag = index.tagger().tag(address("a"));
        index.put(address("a"), slot(1, 50));
        index.put(address("a"), slot(2, 50));
        index.relocate(tag, 1, &Copied { segment: 7, position: 600, length: 10 });
        index.forget(tag, 1);
        index.relocate(tag, 2, &Copied { segment: 7, position: 700, length: 10 });
        let moved = Slot { segment: 7, position: 700, ..slot(2, 50) };
        assert_eq!(index.held(tag), Held::Live(moved, 0));
        assert_eq!((index.usage(1).live_bytes, index.usage(7).live_bytes), (0, 10));
        assert_eq!(index.usage(7).dead_bytes(), 10);
        index.bury(address("a"), Tombstone { sequence: 3, segment: 2, length: 9 });
        index.relocate(tag, 3, &Copied { segment: 8, position: 800, length: 9 });
        index.forget(tag, 2);
        assert_eq!(index.held(tag), Held::Gone(Tombstone { sequence: 3, segment: 8, length: 9 }, 0));
        index.forget(tag, 3);
        assert_eq!((index.held(tag), index.tombstones(), index.bytes()), (Held::Nothing, 0, 0));
        [1, 2, 7, 8].into_iter().for_each(|segment| index.drop_usage(segment));
    }
}
