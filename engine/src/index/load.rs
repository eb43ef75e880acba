//! Building the index of a whole store at once, on several threads, from the hints of its segments.
//!
//! The hash tables are shared out among the threads: each of them walks over all hints and takes in the records whose
//! tables are its own, so that no two threads ever touch the same memory. Of several records of an address the one with
//! the highest sequence counts, in whatever order they come, and the others are counted. After that the ordered maps
//! are built from the hints, which come in the order of keys: of each record that turned out to be the newest. On this way
//! entries get their timers, too.

use super::node::{CHUNK, Node, Slab};
use super::tag::TABLES;
use super::timers::Owner;
use super::{ENTRY_BYTES, Grave, Index, Key, Namespace, Slot, Tag, Tagger, Tombstone, Usage};
use crate::address::Tenant;
use crate::clock::NEVER;
use crate::log::hint::{Hint, HintRecord};
use crate::log::record::Kind;
use crate::sync::{AtomicU32, Ordering, thread};
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::ops::Range;
use std::str;

/// The number of a node that a record became, by the record's place in its hint; [`NONE`] if it became none. It stands
/// for that record only if the node has its sequence: the node may have gone to a newer record since.
type Numbers = Vec<AtomicU32>;

const NONE: u32 = u32::MAX;

/// Records that are entered with what they need loaded side by side.
const BATCH: usize = 64;

/// Builds the index, on so many threads, with tags of `tagger` and timers that begin at `now_ms`.
pub(crate) fn load(hints: &[Hint], threads: usize, tagger: Tagger, now_ms: u64) -> Index {
    let threads = threads.clamp(1, TABLES);
    let none = |hint: &Hint| std::iter::repeat_with(|| AtomicU32::new(NONE)).take(hint.records as usize);
    let numbers: Vec<Numbers> = hints.iter().map(|hint| none(hint).collect()).collect();
    let records: usize = hints.iter().map(|hint| hint.records as usize).sum();
    let shards = on_each(threads, |number| {
        let mut shard = Shard::new(number, threads, records);
        hints.iter().zip(&numbers).for_each(|(hint, numbers)| shard.take_in(hint, numbers, tagger));
        shard.shrink();
        shard
    });
    let mut index = join(shards, tagger, now_ms);
    order(&mut index, hints, &numbers, threads);
    index
}

/// Runs `work` for each number below `threads`, on a thread each, the first of which is this one.
fn on_each<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..threads).map(|number| scope.spawn(move || work(number))).collect();
        let first = work(0);
        let others = others.into_iter().map(|other| match other.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(first).chain(others).collect()
    })
}

/// One thread's share of the index: every so many-th hash table, and every so many-th chunk of nodes.
struct Shard {
    number: usize,
    shards: usize,
    tables: Vec<HashTable<u32>>,
    chunks: Vec<Box<[Node]>>,
    /// Nodes taken in own chunks.
    used: usize,
    free: Vec<u32>,
    graves: HashTable<Grave>,
    usage: BTreeMap<u32, Usage>,
}

/// What a shard holds under a tag.
enum Place {
    Node(u32),
    Grave,
    Nowhere,
}

impl Shard {
    /// The shard of that number, for its share of so many records.
    fn new(number: usize, shards: usize, records: usize) -> Shard {
        // Tables are filled unevenly, by chance.
        let capacity = records / TABLES * 17 / 16;
        let own = (0..TABLES).filter(|table| table % shards == number);
        let tables = own.map(|_| HashTable::with_capacity(capacity)).collect();
        Shard {
            number,
            shards,
            tables,
            chunks: Vec::new(),
            used: 0,
            free: Vec::new(),
            graves: HashTable::new(),
            usage: BTreeMap::new(),
        }
    }

    fn take_in(&mut self, hint: &Hint, numbers: &Numbers, tagger: Tagger) {
        let (own, shards) = (self.number, self.shards);
        let mut records = hint.records().zip(numbers).filter_map(|(record, number)| {
            let tag = tagger.tag_of(record.tenant, record.namespace, record.key);
            (tag.table() % shards == own).then_some((tag, record, number))
        });
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.extend(records.by_ref().take(BATCH));
            if batch.is_empty() {
                break;
            }
            self.preload(batch.iter().map(|(tag, ..)| *tag));
            for (tag, record, number) in batch.drain(..) {
                if let Some(node) = self.enter(tag, &record, hint.segment) {
                    number.store(node, Ordering::Relaxed);
                }
            }
        }
    }

    /// Brings what entering records under these tags needs into the processor's caches: nearly all of the time is waiting for
    /// memory, and these loads do not depend on each other.
    fn preload(&self, tags: impl Iterator<Item = Tag>) {
        let is_none = |number: &u32| std::hint::black_box(*number) == NONE;
        let found = tags.map(|tag| self.tables[tag.table() / self.shards].find(tag.hash, is_none));
        std::hint::black_box(found.flatten().count());
    }

    /// Enters a record. Returns its node, if it is a put and the newest of its address so far.
    fn enter(&mut self, tag: Tag, record: &HintRecord<'_>, segment: u32) -> Option<u32> {
        self.usage_of(segment).record_bytes += u64::from(record.length);
        let mut number = None;
        let mut older = 0;
        match self.find(tag) {
            Place::Nowhere => {}
            Place::Node(found) => {
                let node = self.node_mut(found);
                if node.sequence() >= record.sequence {
                    node.set_older(node.older() + 1);
                    return None;
                }
                (number, older) = (Some(found), node.older() + 1);
                let (before, length) = (node.segment(), node.length());
                self.usage_of(before).live_bytes -= u64::from(length);
            }
            Place::Grave => {
                let (found, vacant) =
                    self.graves.find_entry(tag.hash, |grave| grave.tag == tag).ok()?.remove();
                if found.tombstone.sequence >= record.sequence {
                    vacant.insert(Grave { older: found.older + 1, ..found });
                    return None;
                }
                older = found.older + 1;
            }
        }
        let length = record.length;
        if record.kind == Kind::Put {
            self.usage_of(segment).live_bytes += u64::from(length);
            let slot = Slot {
                sequence: record.sequence,
                creation: record.creation,
                created_at: record.created_at,
                deadline: record.deadline,
                segment,
                position: record.position,
                length,
            };
            return Some(self.put(tag, Node::new(tag, &slot, older), number));
        }
        if let Some(number) = number {
            self.drop_node(tag, number);
        }
        let tombstone = Tombstone { sequence: record.sequence, segment, length };
        let grave = Grave { tag, tombstone, older, expired: record.kind == Kind::Expire };
        self.graves.insert_unique(tag.hash, grave, |grave| grave.tag.hash);
        None
    }

    fn usage_of(&mut self, segment: u32) -> &mut Usage {
        self.usage.entry(segment).or_default()
    }

    fn find(&self, tag: Tag) -> Place {
        let table = &self.tables[tag.table() / self.shards];
        if let Some(number) = table.find(tag.hash, |number| self.node(*number).is_of(tag)) {
            return Place::Node(*number);
        }
        match self.graves.find(tag.hash, |grave| grave.tag == tag) {
            Some(_) => Place::Grave,
            None => Place::Nowhere,
        }
    }

    fn put(&mut self, tag: Tag, node: Node, number: Option<u32>) -> u32 {
        if let Some(number) = number {
            *self.node_mut(number) = node;
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| self.next_number());
        *self.node_mut(number) = node;
        let Shard { tables, chunks, shards, .. } = self;
        let hash = |number: &u32| hash_in(chunks, *shards, *number);
        tables[tag.table() / *shards].insert_unique(tag.hash, number, hash);
        number
    }

    fn drop_node(&mut self, tag: Tag, number: u32) {
        if let Ok(found) =
            self.tables[tag.table() / self.shards].find_entry(tag.hash, |other| *other == number)
        {
            found.remove();
            // The numbers of its records must not be taken for its own.
            *self.node_mut(number) = Node::EMPTY;
            self.free.push(number);
        }
    }

    /// Gives back the room that was made for records that turned out to be superseded.
    fn shrink(&mut self) {
        let Shard { tables, chunks, shards, .. } = self;
        let hash = |number: &u32| hash_in(chunks, *shards, *number);
        tables
            .iter_mut()
            .filter(|table| table.capacity() > 2 * table.len())
            .for_each(|table| table.shrink_to_fit(hash));
    }

    /// The next number of this shard: its chunks are those whose number is its own, counted by shards.
    fn next_number(&mut self) -> u32 {
        if self.used == self.chunks.len() * CHUNK {
            self.chunks.push(vec![Node::EMPTY; CHUNK].into_boxed_slice());
        }
        let chunk = self.used / CHUNK * self.shards + self.number;
        self.used += 1;
        u32::try_from(chunk * CHUNK + (self.used - 1) % CHUNK).expect("fewer than 2^32 entries")
    }

    fn node(&self, number: u32) -> &Node {
        let (chunk, at) = place(number, self.shards);
        &self.chunks[chunk][at]
    }

    fn node_mut(&mut self, number: u32) -> &mut Node {
        let (chunk, at) = place(number, self.shards);
        &mut self.chunks[chunk][at]
    }
}

/// Where the node of a number is in its shard: chunk, and place in it.
fn place(number: u32, shards: usize) -> (usize, usize) {
    (number as usize / CHUNK / shards, number as usize % CHUNK)
}

fn hash_in(chunks: &[Box<[Node]>], shards: usize, number: u32) -> u64 {
    let (chunk, at) = place(number, shards);
    chunks[chunk][at].tag().hash
}

/// Puts the shards together, but for the ordered maps.
fn join(shards: Vec<Shard>, tagger: Tagger, now_ms: u64) -> Index {
    let count = shards.len();
    let rows = shards.iter().map(|shard| shard.chunks.len()).max().unwrap_or(0);
    let mut chunks: Vec<Option<Box<[Node]>>> = (0..rows * count).map(|_| None).collect();
    let mut tables: Vec<HashTable<u32>> = (0..TABLES).map(|_| HashTable::new()).collect();
    let mut index = Index::new(tagger, now_ms);
    let mut free = Vec::new();
    for mut shard in shards {
        for unused in shard.used..rows * CHUNK {
            let number = (unused / CHUNK * count + shard.number) * CHUNK + unused % CHUNK;
            free.push(u32::try_from(number).expect("fewer than 2^32 entries"));
        }
        free.append(&mut shard.free);
        for (row, chunk) in shard.chunks.into_iter().enumerate() {
            chunks[row * count + shard.number] = Some(chunk);
        }
        for (row, table) in shard.tables.into_iter().enumerate() {
            tables[row * count + shard.number] = table;
        }
        shard.graves.into_iter().for_each(|grave| index.add_grave(grave));
        for (segment, usage) in shard.usage {
            let sum = index.usage_mut(segment);
            sum.live_bytes += usage.live_bytes;
            sum.record_bytes += usage.record_bytes;
        }
    }
    let empty = || vec![Node::EMPTY; CHUNK].into_boxed_slice();
    // The lowest numbers are given out first.
    free.sort_unstable_by(|a, b| b.cmp(a));
    index.nodes =
        Slab::from_chunks(chunks.into_iter().map(|chunk| chunk.unwrap_or_else(empty)).collect(), free);
    index.tables = tables.into_boxed_slice();
    index
}

/// An entry on its way into an ordered map.
type Ordered = (Key, u32);

/// The entries of a namespace that one thread has found, and then puts in order.
#[derive(Default)]
struct Found {
    entries: Vec<Ordered>,
    /// Nodes of those that expire, and when.
    expiring: Vec<(u32, u64)>,
}

/// A namespace on its way into the index.
struct Listed {
    number: u32,
    entries: Vec<Ordered>,
}

/// Builds the ordered maps, and sets the timers.
fn order(index: &mut Index, hints: &[Hint], numbers: &[Numbers], threads: usize) {
    let nodes = &index.nodes;
    let found = on_each(threads, |number| {
        let mut found = BTreeMap::new();
        for (at, part) in share(hints, number, threads) {
            find(&mut found, &hints[at], &numbers[at], part, nodes);
        }
        found.values_mut().for_each(|found| found.entries.sort_by(|(a, _), (b, _)| a.cmp(b)));
        found
    });
    let mut names: BTreeMap<(Tenant, &[u8]), Listed> = BTreeMap::new();
    for (name, Found { mut entries, expiring }) in
        found.into_iter().flatten().filter(|(_, found)| !found.entries.is_empty())
    {
        let Index { nodes, timers, bytes, .. } = &mut *index;
        let fresh = || Listed { number: timers.take_number(name.0), entries: Vec::new() };
        let listed = names.entry(name).or_insert_with(fresh);
        *bytes += entries.iter().map(|(key, _)| ENTRY_BYTES + key.heap_bytes() as u64).sum::<u64>();
        for (node, deadline) in expiring {
            let owner = Owner { node, namespace: listed.number };
            nodes.get_mut(node).set_timer(timers.set(None, deadline, owner));
        }
        listed.entries.append(&mut entries);
    }
    for ((tenant, name), Listed { number, entries }) in names {
        // What the threads have sorted is merged on the way.
        let entries: BTreeMap<Key, u32> = entries.into_iter().collect();
        let namespaces = index.tenants.entry(tenant).or_default();
        namespaces.entries += entries.len() as u64;
        let namespace = Namespace { number, entries, changed: 0, removed: 0 };
        let name = str::from_utf8(name).unwrap_or_default();
        namespaces.by_name.insert(name.into(), namespace);
    }
}

/// One of so many shares of all records, with about as many in each: hints, and which of their records.
fn share(hints: &[Hint], number: usize, shares: usize) -> Vec<(usize, Range<usize>)> {
    let total: usize = hints.iter().map(|hint| hint.records as usize).sum();
    let (from, to) = (total * number / shares, total * (number + 1) / shares);
    let mut before = 0;
    let parts = hints.iter().map(|hint| {
        let end = before + hint.records as usize;
        let part = from.clamp(before, end) - before..to.clamp(before, end) - before;
        before = end;
        part
    });
    parts.enumerate().filter(|(_, part)| !part.is_empty()).collect()
}

/// Appends what of a part of a hint became nodes.
fn find<'h>(
    found: &mut BTreeMap<(Tenant, &'h [u8]), Found>,
    hint: &'h Hint,
    numbers: &Numbers,
    part: Range<usize>,
    nodes: &Slab,
) {
    let mut records = hint.records().zip(numbers).skip(part.start).take(part.len()).peekable();
    while let Some((first, _)) = records.peek() {
        let name = (first.tenant, first.namespace);
        let Found { entries, expiring } = found.entry(name).or_default();
        while let Some((record, number)) =
            records.next_if(|(record, _)| (record.tenant, record.namespace) == name)
        {
            let number = number.load(Ordering::Relaxed);
            if number == NONE || nodes.get(number).sequence() != record.sequence {
                continue;
            }
            // Hints hold nothing but text.
            entries.push((Key::new(str::from_utf8(record.key).unwrap_or_default()), number));
            if record.deadline != NEVER {
                expiring.push((number, record.deadline));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::index::KeyRange;
    use crate::log::record::Record;
    use proptest::prelude::*;

    /// A record, as it is drawn: what it does to which key, and in which segment it lies.
    type Drawn = (bool, u8, bool, usize);

    fn record<'a>(drawn: &Drawn, key: &'a str, sequence: u64) -> Record<'a> {
        let kind = if drawn.0 { Kind::Put } else { Kind::Delete };
        Record {
            kind,
            tag: 0,
            tenant: Tenant(u32::from(drawn.1 % 2)),
            namespace: if drawn.1.is_multiple_of(3) { "n" } else { "m" },
            key,
            description: "",
            value: b"value",
            sequence,
            deadline: if drawn.2 { 5 } else { NEVER },
            created_at: 0,
            updated_at: 0,
            creation: 1,
        }
    }

    proptest! {
        /// In whatever segments, order, and on how many threads: the outcome is that of entering one after the other.
        #[test]
        fn loading_agrees_with_entering_one_by_one(drawn in proptest::collection::vec((any::<bool>(), 0u8..12, any::<bool>(), 0usize..4), 0..60),
                                                   backwards: bool, threads in 1usize..5) {
            let mut expected = Index::new(Tagger::new(), 3);
            let mut lists: [Vec<(u32, Record<'_>)>; 4] = Default::default();
            let keys: Vec<String> = drawn.iter().map(|drawn| format!("key {}", drawn.1)).collect();
            for (sequence, (drawn, key)) in (1..).zip(drawn.iter().zip(&keys)) {
                let record = record(drawn, key, sequence);
                let at = record.address().unwrap();
                let (segment, position) = (u32::try_from(drawn.3).unwrap(), u32::try_from(sequence).unwrap() * 100);
                let length = u32::try_from(record.encoded_len()).unwrap();
                if record.kind == Kind::Put {
                    expected.put(at, Slot { sequence, creation: 1, created_at: 0, deadline: record.deadline, segment, position, length });
                } else if expected.get(at).is_some() {
                    expected.bury(at, Kind::Delete, Tombstone { sequence, segment, length });
                } else {
                    continue;
                }
                lists[drawn.3].push((position, record));
            }
            let hints: Vec<Hint> = (0..4).zip(&lists).map(|(segment, list)| {
                let mut hint = Hint::new(segment);
                let mut list: Vec<_> = list.iter().collect();
                if backwards {
                    list.reverse();
                }
                list.iter().for_each(|(position, record)| hint.push(record, *position));
                hint
            }).collect();
            let found = load(&hints, threads, Tagger::new(), 3);
            for key in &keys {
                for (tenant, namespace) in [(0, "n"), (0, "m"), (1, "n"), (1, "m")] {
                    let at = Address::new(Tenant(tenant), namespace, key).unwrap();
                    prop_assert_eq!(found.held(found.tagger().tag(at)), expected.held(expected.tagger().tag(at)));
                }
            }
            for segment in 0..4 {
                prop_assert_eq!(found.usage(segment), expected.usage(segment));
            }
            prop_assert_eq!((found.entries(), found.tombstones(), found.bytes()), (expected.entries(), expected.tombstones(), expected.bytes()));
            for tenant in 0..2 {
                let list = |index: &Index| -> Vec<_> {
                    index.namespaces(Tenant(tenant), std::ops::Bound::Unbounded).map(|(name, namespace)| {
                        let keys: Vec<_> = index.range(namespace, &KeyRange::prefix("")).map(|(key, slot)| (key.clone(), slot)).collect();
                        (name.to_owned(), [3, 4, 5].map(|now| index.overdue(now).of(namespace)), keys)
                    }).collect()
                };
                prop_assert_eq!(list(&found), list(&expected));
                for index in [&found, &expected] {
                    let listed: u64 = list(index).iter().map(|(.., keys)| keys.len() as u64).sum();
                    prop_assert_eq!(index.entries_of(Tenant(tenant)), listed);
                    let overdue = list(index).iter().map(|(_, overdue, _)| overdue[2]).sum::<u64>();
                    prop_assert_eq!(index.overdue(5).of_tenant(Tenant(tenant)), overdue);
                }
            }
        }
    }
}
