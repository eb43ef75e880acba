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
mod runs;
mod tag;
mod timers;

pub use key::Key;
pub(crate) use load::load;
pub(crate) use node::Slot;
pub(crate) use range::KeyRange;
pub(crate) use tag::{Tag, Tagger};
pub(crate) use timers::Overdue;

use crate::address::{Address, Tenant};
use crate::clock::NEVER;
use crate::log::record::Kind;
use crate::wheel::Progress;
use hashbrown::HashTable;
use node::{Node, Slab};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use tag::TABLES;
use timers::{Owner, Timers};

/// One namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// What its timers know it by.
    number: u32,
    /// Keys in order, with the numbers of their nodes.
    entries: BTreeMap<Key, u32>,
    /// Highest sequence of any change here.
    changed: u64,
    /// Highest sequence of any removal here.
    removed: u64,
}

/// The namespaces of one tenant.
#[derive(Debug, Default)]
struct Namespaces {
    by_name: BTreeMap<Box<str>, Namespace>,
    /// Number of entries in all of them.
    entries: u64,
}

impl Namespace {
    /// Number of entries, those past their deadline included.
    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The keys that a [`KeyRange`] names, in order, those of entries past their deadline included.
    pub(crate) fn keys(&self, range: &KeyRange<'_>) -> impl Iterator<Item = &Key> {
        range.of(&self.entries).map(|(key, _)| key)
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

/// An entry that is to be expired.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DueEntry {
    /// The number of its node.
    number: u32,
    pub(crate) slot: Slot,
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
    /// Whether the entry ended by its deadline. Not known any more of one that a rollback has restored.
    expired: bool,
}

/// All entries, findable in two ways: by address through a hash table, which takes one or two cache misses where an
/// ordered map of a million keys takes ten; and in the order of their keys, for listings.
pub(crate) struct Index {
    tenants: BTreeMap<Tenant, Namespaces>,
    nodes: Slab,
    /// Numbers of nodes by tag. Many small tables, so that growing one never takes long.
    tables: Box<[HashTable<u32>]>,
    /// By tag, in as many tables.
    graves: Box<[HashTable<Grave>]>,
    tombstone_bytes: u64,
    /// By segment. One that is missing is of no use.
    usage: BTreeMap<u32, Usage>,
    tagger: Tagger,
    timers: Timers,
    /// Highest sequence of a removal that left a namespace empty, and the namespace thereby forgotten.
    emptied: u64,
    bytes: u64,
}

/// Estimated bytes that an entry takes: its key's place in the ordered map and its number's in a hash table, at their
/// usual fill, and its node. A timer comes on top of it.
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

impl Index {
    /// An empty index with tags of `tagger`, whose timers begin at `now_ms`.
    pub(crate) fn new(tagger: Tagger, now_ms: u64) -> Index {
        Index {
            tenants: BTreeMap::new(),
            nodes: Slab::default(),
            tables: std::iter::repeat_with(HashTable::new).take(TABLES).collect(),
            graves: std::iter::repeat_with(HashTable::new).take(TABLES).collect(),
            tombstone_bytes: 0,
            usage: BTreeMap::new(),
            tagger,
            timers: Timers::new(now_ms),
            emptied: 0,
            bytes: 0,
        }
    }

    /// Number of entries, those past their deadline included.
    pub(crate) fn entries(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// Number of tombstones.
    pub(crate) fn tombstones(&self) -> u64 {
        self.graves.iter().map(|table| table.len() as u64).sum()
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
        self.bytes + self.timers.bytes()
    }

    /// Whether any entry had a deadline since the index was made.
    pub(crate) fn was_ever_timed(&self) -> bool {
        self.timers.was_ever_set()
    }

    /// How many entries have a deadline.
    pub(crate) fn timers(&self) -> u64 {
        self.timers.len() as u64
    }

    /// How many entries are past their deadline, as far as the timers have been turned.
    pub(crate) fn overdue_so_far(&self) -> u64 {
        self.timers.overdue()
    }

    /// How many entries of each namespace are past their deadline at `now_ms`.
    pub(crate) fn overdue(&self, now_ms: u64) -> Overdue<'_> {
        Overdue::at(&self.timers, now_ms)
    }

    /// Turns the timers to `now_ms`, with a budget of so many moves.
    pub(crate) fn turn(&mut self, now_ms: u64, budget: usize) -> Progress {
        self.timers.turn(now_ms, budget)
    }

    /// When the timers are to be turned next, at the latest, so that nothing is expired late.
    pub(crate) fn turn_at_ms(&self) -> Option<u64> {
        self.timers.wake_at_ms()
    }

    /// When there is something to do about expiry, at the earliest: at once if anything is due.
    pub(crate) fn expiry_at_ms(&self) -> Option<u64> {
        if self.timers.is_any_due() { Some(0) } else { self.timers.wake_at_ms() }
    }

    /// The entries that are to be expired, as far as the timers have been turned, `most` of them: longest overdue first.
    pub(crate) fn due(&self, most: usize) -> Vec<DueEntry> {
        let numbers: Vec<u32> = self.timers.due().take(most).collect();
        // Apart from the walk along the timers, so that the processor waits for many nodes at a time.
        numbers.into_iter().map(|number| DueEntry { number, slot: self.slot(number) }).collect()
    }

    /// Leaves an entry out of those that are due, if it is still what it was; it is overdue as before.
    pub(crate) fn set_aside(&mut self, entry: &DueEntry) {
        let node = self.nodes.get(entry.number);
        if let Some(timer) = node.timer().filter(|_| node.sequence() == entry.slot.sequence) {
            self.timers.set_aside(timer);
        }
    }

    /// Brings what removing these entries needs into the processor's caches, so that it does not wait for memory under the
    /// exclusive lock. Gives their tags.
    pub(crate) fn touch<'a>(&self, addresses: impl Iterator<Item = Address<'a>> + Clone) -> Vec<Tag> {
        let tags: Vec<Tag> = addresses.clone().map(|at| self.tagger.tag(at)).collect();
        self.load(&tags);
        let graves =
            tags.iter().map(|tag| self.graves[tag.table()].find(tag.hash, |grave| grave.tag == *tag));
        std::hint::black_box(graves.flatten().count());
        let keys = addresses.map(|at| {
            let namespace = self.namespace(at.tenant(), at.namespace());
            namespace.is_some_and(|namespace| namespace.entries.contains_key(at.key()))
        });
        std::hint::black_box(keys.filter(|is_there| *is_there).count());
        tags
    }

    pub(crate) fn namespace(&self, tenant: Tenant, namespace: &str) -> Option<&Namespace> {
        self.tenants.get(&tenant)?.by_name.get(namespace)
    }

    /// Number of entries of a tenant, those past their deadline included.
    pub(crate) fn entries_of(&self, tenant: Tenant) -> u64 {
        self.tenants.get(&tenant).map_or(0, |namespaces| namespaces.entries)
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
            .flat_map(move |namespaces| namespaces.by_name.range::<str, _>((from, Bound::Unbounded)))
            .map(|(name, namespace)| (&**name, namespace))
    }

    pub(crate) fn get(&self, at: Address<'_>) -> Option<Slot> {
        self.number(self.tagger.tag(at)).map(|number| self.slot(number))
    }

    /// What is held under a tag.
    pub(crate) fn held(&self, tag: Tag) -> Held {
        if let Some(number) = self.number(tag) {
            return Held::Live(self.slot(number), self.nodes.get(number).older());
        }
        self.graves[tag.table()]
            .find(tag.hash, |grave| grave.tag == tag)
            .map_or(Held::Nothing, |grave| Held::Gone(grave.tombstone, grave.older))
    }

    /// Whether there is no entry at an address, and the last one ended by its deadline. It is known as long as the
    /// tombstone is: until compaction has dropped all that it covers.
    pub(crate) fn has_expired(&self, at: Address<'_>) -> bool {
        let tag = self.tagger.tag(at);
        self.graves[tag.table()].find(tag.hash, |grave| grave.tag == tag).is_some_and(|grave| grave.expired)
    }

    /// The slot of a node that is in use.
    fn slot(&self, number: u32) -> Slot {
        let node = self.nodes.get(number);
        node.slot(self.timers.deadline(node.timer()))
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
        self.load(&tags);
    }

    fn load(&self, tags: &[Tag]) {
        let numbers: Vec<u32> = tags.iter().filter_map(|tag| self.number(*tag)).collect();
        let deadlines = numbers.iter().map(|number| self.timers.deadline(self.nodes.get(*number).timer()));
        std::hint::black_box(deadlines.fold(0, |touched, deadline| touched ^ deadline));
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
    ///
    /// Who finds a deleted entry absent depends on the delete. Who finds an expired one absent does not depend on the expire
    /// record: without it the entry is overdue, and as absent. So nobody waits for expirations to be on disk.
    pub(crate) fn bury(&mut self, at: Address<'_>, kind: Kind, tombstone: Tombstone) -> Held {
        let tag = self.tagger.tag(at);
        let depends_on = (kind == Kind::Delete).then_some(tombstone.sequence);
        let Some((slot, older)) = self.remove(at, tag, depends_on) else {
            debug_assert!(false, "only what is there is removed");
            return Held::Nothing;
        };
        self.usage_mut(tombstone.segment).record_bytes += u64::from(tombstone.length);
        self.add_grave(Grave { tag, tombstone, older: older + 1, expired: kind == Kind::Expire });
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
                self.remove(at, tag, Some(0));
            }
        }
        if let Held::Gone(tombstone, older) = held {
            self.add_grave(Grave { tag, tombstone, older, expired: false });
        }
    }

    /// Notes that the record `sequence` of an address was copied to another place, which counts if it is still the
    /// newest.
    pub(crate) fn relocate(&mut self, tag: Tag, sequence: u64, copy: &Copied) {
        let Copied { segment, position, length } = *copy;
        self.usage_mut(segment).record_bytes += u64::from(length);
        if let Some(number) = self.number(tag) {
            let node = self.nodes.get_mut(number);
            if node.sequence() == sequence {
                debug_assert_eq!(node.length(), length, "a copy is as long as the record");
                let before = node.segment();
                let length = u64::from(node.length());
                node.set_place(segment, position);
                self.usage_mut(before).live_bytes -= length;
                self.usage_mut(segment).live_bytes += length;
            }
        } else if let Some(grave) = self.graves[tag.table()].find_mut(tag.hash, |grave| grave.tag == tag) {
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
        } else if let Some(grave) = self.graves[tag.table()].find_mut(tag.hash, |grave| grave.tag == tag) {
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
        for tag in entries.chain(self.graves.iter().flatten().map(|grave| grave.tag)) {
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
        self.graves[grave.tag.table()].insert_unique(grave.tag.hash, grave, |grave| grave.tag.hash);
    }

    fn take_grave(&mut self, tag: Tag) -> Option<Grave> {
        let found = self.graves[tag.table()].find_entry(tag.hash, |grave| grave.tag == tag);
        let (grave, _) = found.ok()?.remove();
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
        let Index { tenants, nodes, tables, timers, emptied, bytes, usage, .. } = self;
        let namespaces = tenants.entry(at.tenant()).or_default();
        let Namespaces { by_name, entries: total } = namespaces;
        let namespace = match by_name.get_mut(at.namespace()) {
            Some(namespace) => namespace,
            None => {
                // What emptied it before still has to be waited for by those who find a key absent here.
                let number = timers.take_number(at.tenant());
                let (entries, changed, removed) = (BTreeMap::new(), *emptied, *emptied);
                let fresh = Namespace { number, entries, changed, removed };
                by_name.entry(at.namespace().into()).or_insert(fresh)
            }
        };
        namespace.changed = namespace.changed.max(slot.sequence);
        let table = &mut tables[tag.table()];
        if let Some(number) = table.find(tag.hash, |number| nodes.get(*number).is_of(tag)) {
            debug_assert_eq!(namespace.entries.get(at.key()), Some(number), "a tag stands for one address");
            let node = nodes.get_mut(*number);
            let (timer, older) = (node.timer(), node.older());
            let previous = node.slot(timers.deadline(timer));
            *node = Node::new(tag, &slot, older + 1);
            let owner = Owner { node: *number, namespace: namespace.number };
            node.set_timer(timers.set(timer, slot.deadline, owner));
            usage.entry(previous.segment).or_default().live_bytes -= u64::from(previous.length);
            return Some((previous, older));
        }
        let number = nodes.insert(Node::new(tag, &slot, older));
        let owner = Owner { node: number, namespace: namespace.number };
        nodes.get_mut(number).set_timer(timers.set(None, slot.deadline, owner));
        table.insert_unique(tag.hash, number, |number| nodes.get(*number).tag().hash);
        let key = Key::new(at.key());
        *bytes += ENTRY_BYTES + key.heap_bytes() as u64;
        namespace.entries.insert(key, number);
        *total += 1;
        None
    }

    /// Removes an entry. Returns what was there. That it is gone depends on the change `sequence`, or on that which was
    /// there itself.
    fn remove(&mut self, at: Address<'_>, tag: Tag, sequence: Option<u64>) -> Option<(Slot, u32)> {
        let Index { tenants, nodes, tables, timers, emptied, bytes, usage, .. } = self;
        let found = tables[tag.table()].find_entry(tag.hash, |number| nodes.get(*number).is_of(tag)).ok()?;
        let (number, _) = found.remove();
        let node = nodes.remove(number);
        let (previous, older) = (node.slot(timers.deadline(node.timer())), node.older());
        usage.entry(previous.segment).or_default().live_bytes -= u64::from(previous.length);

        let namespaces = tenants.get_mut(&at.tenant())?;
        let namespace = namespaces.by_name.get_mut(at.namespace())?;
        let (key, ordered) = namespace.entries.remove_entry(at.key())?;
        debug_assert_eq!(ordered, number, "a tag stands for one address");
        *bytes -= ENTRY_BYTES + key.heap_bytes() as u64;
        let sequence = sequence.unwrap_or(previous.sequence);
        namespace.changed = namespace.changed.max(sequence);
        namespace.removed = namespace.removed.max(sequence);
        timers.set(node.timer(), NEVER, Owner { node: number, namespace: namespace.number });
        namespaces.entries -= 1;
        if namespace.entries.is_empty() {
            *emptied = namespace.changed.max(*emptied);
            timers.give_back(namespace.number);
            namespaces.by_name.remove(at.namespace());
            if namespaces.by_name.is_empty() {
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
        range.of(&namespace.entries).map(|(key, number)| (key, self.slot(*number)))
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
        let mut index = Index::new(Tagger::new(), 0);
        let never = u64::MAX;
        assert_eq!(index.put(address("a"), slot(1, 50)), Held::Nothing);
        assert_eq!(index.put(address("a"), slot(2, never)), Held::Live(slot(1, 50), 0));
        assert_eq!(index.timers(), 0);
        index.restore(address("a"), Held::Live(slot(1, 50), 0));
        assert_eq!(index.timers(), 1);
        assert_eq!(index.put(address("a"), slot(2, never)), Held::Live(slot(1, 50), 0));
        let tombstone = Tombstone { sequence: 3, segment: 2, length: 9 };
        assert_eq!(index.bury(address("a"), Kind::Delete, tombstone), Held::Live(slot(2, never), 1));
        assert_eq!((index.entries(), index.tombstones()), (0, 1));
        assert_eq!(index.usage(1), Usage { record_bytes: 30, ..Usage::default() });
        assert_eq!(index.usage(2), Usage { record_bytes: 9, covering_bytes: 9, live_bytes: 0 });
        assert_eq!(index.removed(Tenant::DEFAULT, "n"), 3, "a miss still depends on the removal");
        assert!(!index.has_expired(address("a")), "it was deleted");
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
    fn what_ended_by_its_deadline_is_told_as_long_as_its_tombstone_is_there() {
        let mut index = Index::new(Tagger::new(), 0);
        let tombstone = Tombstone { sequence: 2, segment: 1, length: 9 };
        index.put(address("a"), slot(1, 50));
        assert!(!index.has_expired(address("a")), "it is there");
        index.bury(address("a"), Kind::Expire, tombstone);
        assert!(index.has_expired(address("a")));
        assert!(!index.has_expired(address("b")));
        let tag = index.tagger().tag(address("a"));
        index.forget(tag, 1);
        assert!(index.has_expired(address("a")));
        index.forget(tag, 2);
        assert!(!index.has_expired(address("a")), "nothing is known of it any more");
        index.put(address("a"), slot(3, 50));
        index.bury(address("a"), Kind::Expire, Tombstone { sequence: 4, ..tombstone });
        index.put(address("a"), slot(5, 50));
        assert!(!index.has_expired(address("a")), "it is there again");
    }

    #[test]
    fn what_compaction_does_is_accounted_for() {
        let mut index = Index::new(Tagger::new(), 0);
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
        index.bury(address("a"), Kind::Delete, Tombstone { sequence: 3, segment: 2, length: 9 });
        index.relocate(tag, 3, &Copied { segment: 8, position: 800, length: 9 });
        index.forget(tag, 2);
        assert_eq!(index.held(tag), Held::Gone(Tombstone { sequence: 3, segment: 8, length: 9 }, 0));
        index.forget(tag, 3);
        assert_eq!((index.held(tag), index.tombstones(), index.bytes()), (Held::Nothing, 0, 0));
        [1, 2, 7, 8].into_iter().for_each(|segment| index.drop_usage(segment));
    }
}
