//! Building the index of a whole store at once, on several threads, from the hints of its segments.
//!
//! The records of all hints are merged in the order of their names (`runs`), in ranges, one for each thread. So the records
//! of an address come one after the other: the one with the highest sequence counts, and the others are counted. Entries
//! come in the order of their keys, and nobody looks anything up. After that one thread builds the ordered maps, which
//! cannot be divided, and the others fill the hash tables meanwhile. On this way entries get their timers, too.

use super::node::{CHUNK, Node, Slab};
use super::runs::{self, Range};
use super::tag::TABLES;
use super::timers::Owner;
use super::{ENTRY_BYTES, Grave, Index, Key, Namespace, Slot, Tag, Tagger, Tombstone, Usage};
use crate::address::Tenant;
use crate::clock::NEVER;
use crate::log::hint::{Hint, HintRecord};
use crate::log::record::Kind;
use crate::sync::{on_each, outcome, thread};
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::str;

/// Entries that are put into hash tables with what they need loaded side by side.
const BATCH: usize = 64;

/// Builds the index, on so many threads, with tags of `tagger` and timers that begin at `now_ms`.
pub(crate) fn load(hints: Vec<Hint>, threads: usize, tagger: Tagger, now_ms: u64) -> Index {
    let threads = threads.clamp(1, TABLES);
    let mut index = Index::new(tagger, now_ms);
    let runs = runs::in_order(hints, threads);
    let gather = |number| Part::gather(&runs, &runs::range(&runs, number, threads), tagger);
    let parts = on_each(threads, gather);
    let listed = join(&mut index, parts);
    complete(&mut index, listed, runs, threads);
    index
}

/// What one thread has made of a range of names.
#[derive(Default)]
struct Part {
    chunks: Vec<Box<[Node]>>,
    /// The chunk after those.
    last: Vec<Node>,
    graves: Vec<Grave>,
    usage: BTreeMap<u32, Usage>,
    namespaces: Vec<Listed>,
    /// Estimated memory of the entries.
    bytes: u64,
}

/// A namespace on its way into the index.
struct Listed {
    tenant: Tenant,
    name: Box<str>,
    /// Keys in order, with the numbers of their nodes.
    entries: Vec<(Key, u32)>,
    /// Nodes of those that expire, and when.
    expiring: Vec<(u32, u64)>,
}

impl Part {
    fn gather(runs: &[Hint], range: &Range<'_>, tagger: Tagger) -> Part {
        let mut part = Part::default();
        let mut usage = vec![Usage::default(); runs.len()];
        let mut records = runs::merge(runs, range).peekable();
        while let Some((mut run, mut newest)) = records.next() {
            usage[run].record_bytes += u64::from(newest.length);
            let (name, mut older) = (newest.name(), 0);
            while let Some((other, record)) = records.next_if(|(_, record)| record.name() == name) {
                usage[other].record_bytes += u64::from(record.length);
                older += 1;
                if record.sequence > newest.sequence {
                    (run, newest) = (other, record);
                }
            }
            if newest.kind == Kind::Put {
                usage[run].live_bytes += u64::from(newest.length);
            }
            part.enter(&newest, older, runs[run].segment, tagger);
        }
        for (run, found) in runs.iter().zip(usage) {
            let sum = part.usage.entry(run.segment).or_default();
            sum.record_bytes += found.record_bytes;
            sum.live_bytes += found.live_bytes;
        }
        part
    }

    /// Enters the newest record of an address, of which there are so many older ones.
    fn enter(&mut self, record: &HintRecord<'_>, older: u32, segment: u32, tagger: Tagger) {
        let tag = tagger.tag_of(record.tenant, record.namespace, record.key);
        if record.kind != Kind::Put {
            let tombstone = Tombstone { sequence: record.sequence, segment, length: record.length };
            self.graves.push(Grave { tag, tombstone, older, expired: record.kind == Kind::Expire });
            return;
        }
        let slot = Slot {
            sequence: record.sequence,
            creation: record.creation,
            created_at: record.created_at,
            deadline: record.deadline,
            segment,
            position: record.position,
            length: record.length,
        };
        let number = self.push(Node::new(tag, &slot, older));
        // Hints hold nothing but text.
        let key = Key::new(str::from_utf8(record.key).unwrap_or_default());
        self.bytes += ENTRY_BYTES + key.heap_bytes() as u64;
        let namespace = self.namespace(record);
        namespace.entries.push((key, number));
        if record.deadline != NEVER {
            namespace.expiring.push((number, record.deadline));
        }
    }

    /// The number of a new node in this part.
    fn push(&mut self, node: Node) -> u32 {
        if self.last.len() == CHUNK {
            self.chunks.push(std::mem::take(&mut self.last).into_boxed_slice());
        }
        if self.last.is_empty() {
            self.last.reserve_exact(CHUNK);
        }
        self.last.push(node);
        u32::try_from(self.chunks.len() * CHUNK + self.last.len() - 1).expect("fewer than 2^32 entries")
    }

    /// The namespace of a record, which is that of the record before or a new one.
    fn namespace(&mut self, record: &HintRecord<'_>) -> &mut Listed {
        let is_same = |listed: &Listed| listed.is(record.tenant, record.namespace);
        if !self.namespaces.last().is_some_and(is_same) {
            let name = str::from_utf8(record.namespace).unwrap_or_default().into();
            let listed = Listed { tenant: record.tenant, name, entries: Vec::new(), expiring: Vec::new() };
            self.namespaces.push(listed);
        }
        self.namespaces.last_mut().expect("there is one")
    }
}

impl Listed {
    fn is(&self, tenant: Tenant, name: &[u8]) -> bool {
        self.tenant == tenant && self.name.as_bytes() == name
    }
}

/// Puts the parts together, but for ordered maps and hash tables. Gives the namespaces in order.
fn join(index: &mut Index, parts: Vec<Part>) -> Vec<Listed> {
    let (mut chunks, mut free) = (Vec::new(), Vec::new());
    let mut all: Vec<Listed> = Vec::new();
    for mut part in parts {
        let number_of =
            |chunks: &[Box<[Node]>]| u32::try_from(chunks.len() * CHUNK).expect("fewer than 2^32 entries");
        let first = number_of(&chunks);
        chunks.append(&mut part.chunks);
        if !part.last.is_empty() {
            let start = number_of(&chunks);
            free.extend((start..).take(CHUNK).skip(part.last.len()));
            part.last.resize(CHUNK, Node::EMPTY);
            chunks.push(part.last.into_boxed_slice());
        }
        part.graves.into_iter().for_each(|grave| index.add_grave(grave));
        for (segment, usage) in part.usage {
            let sum = index.usage_mut(segment);
            sum.live_bytes += usage.live_bytes;
            sum.record_bytes += usage.record_bytes;
        }
        index.bytes += part.bytes;
        for mut listed in part.namespaces {
            if first > 0 {
                listed.entries.iter_mut().for_each(|(_, number)| *number += first);
                listed.expiring.iter_mut().for_each(|(number, _)| *number += first);
            }
            match all.last_mut() {
                // It goes on from the range before.
                Some(last) if last.is(listed.tenant, listed.name.as_bytes()) => {
                    last.entries.append(&mut listed.entries);
                    last.expiring.append(&mut listed.expiring);
                }
                _ => all.push(listed),
            }
        }
    }
    // The lowest numbers are given out first.
    free.reverse();
    index.nodes = Slab::from_chunks(chunks, free);
    all
}

/// Builds the ordered maps and the hash tables, and sets the timers. Lets go of the runs on the way.
fn complete(index: &mut Index, listed: Vec<Listed>, runs: Vec<Hint>, threads: usize) {
    let nodes = &index.nodes;
    let build = || {
        let built = listed.into_iter().map(|listed| {
            let Listed { tenant, name, entries, expiring } = listed;
            (tenant, name, entries.into_iter().collect::<BTreeMap<Key, u32>>(), expiring)
        });
        built.collect::<Vec<_>>()
    };
    let (built, filled) = if threads == 1 {
        drop(runs);
        (build(), vec![fill(nodes, 0, 1)])
    } else {
        thread::scope(|scope| {
            let shares = threads - 1;
            let gone = scope.spawn(move || drop(runs));
            let others: Vec<_> =
                (0..shares).map(|share| scope.spawn(move || fill(nodes, share, shares))).collect();
            let built = build();
            outcome(gone.join());
            (built, others.into_iter().map(|other| outcome(other.join())).collect())
        })
    };
    let shares = filled.len();
    let mut filled: Vec<_> = filled.into_iter().map(Vec::into_iter).collect();
    index.tables = (0..TABLES).filter_map(|table| filled[table % shares].next()).collect();
    for (tenant, name, entries, expiring) in built {
        let Index { nodes, timers, tenants, .. } = &mut *index;
        let number = timers.take_number(tenant);
        for (node, deadline) in expiring {
            let owner = Owner { node, namespace: number };
            nodes.get_mut(node).set_timer(timers.set(None, deadline, owner));
        }
        let namespaces = tenants.entry(tenant).or_default();
        namespaces.entries += entries.len() as u64;
        namespaces.by_name.insert(name, Namespace { number, entries, changed: 0, removed: 0 });
    }
}

/// Fills every so many-th hash table.
fn fill(nodes: &Slab, share: usize, shares: usize) -> Vec<HashTable<u32>> {
    // Tables are filled unevenly, by chance.
    let capacity = nodes.len() / TABLES * 17 / 16;
    let own = (0..TABLES).filter(|table| table % shares == share);
    let mut tables: Vec<_> = own.map(|_| HashTable::with_capacity(capacity)).collect();
    let numbered = nodes.in_use().map(|(number, node)| (number, node.tag()));
    let mut numbered = numbered.filter(|(_, tag)| tag.table() % shares == share);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.extend(numbered.by_ref().take(BATCH));
        if batch.is_empty() {
            return tables;
        }
        preload(&tables, shares, batch.iter().map(|(_, tag)| *tag));
        for (number, tag) in batch.drain(..) {
            let hash = |number: &u32| nodes.get(*number).tag().hash;
            tables[tag.table() / shares].insert_unique(tag.hash, number, hash);
        }
    }
}

/// Brings what entering something under these tags needs into the processor's caches: nearly all of the time is waiting for
/// memory, and these loads do not depend on each other.
fn preload(tables: &[HashTable<u32>], shares: usize, tags: impl Iterator<Item = Tag>) {
    let is_none = |number: &u32| std::hint::black_box(*number) == u32::MAX;
    let found = tags.map(|tag| tables[tag.table() / shares].find(tag.hash, is_none));
    std::hint::black_box(found.flatten().count());
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

    /// A namespace that goes over several ranges, in more nodes than one chunk has.
    #[test]
    fn many_entries_are_found_by_name_and_in_order() {
        let keys: Vec<String> = (0..4 * CHUNK).map(|number| format!("{number:06}")).collect();
        let mut hints = [Hint::with_capacity(0, 0), Hint::with_capacity(1, 0), Hint::with_capacity(2, 0)];
        for (sequence, key) in (1..).zip(&keys) {
            let position = u32::try_from(sequence).unwrap() * 100;
            hints[position as usize / 100 % 3]
                .push(&record(&(true, 1, sequence % 7 == 0, 0), key, sequence), position);
        }
        for threads in 1..=5 {
            let filed = hints.iter().map(Hint::filed).collect();
            let mut index = load(filed, threads, Tagger::new(), 3);
            assert_eq!(index.entries(), keys.len() as u64);
            fn at(key: &str) -> Address<'_> {
                Address::new(Tenant(1), "m", key).unwrap()
            }
            for (sequence, key) in (1..).zip(&keys) {
                let slot = index.get(at(key)).unwrap();
                assert_eq!((slot.sequence, u64::from(slot.position)), (sequence, sequence * 100));
            }
            let namespace = index.namespace(Tenant(1), "m").unwrap();
            assert!(index.range(namespace, &KeyRange::prefix("")).map(|(key, _)| key.as_str()).eq(&keys));
            // Numbers that are not in use are those that nobody has.
            for number in 0..2 * CHUNK {
                let slot = Slot { sequence: 1 << 40, ..index.get(at(&keys[0])).unwrap() };
                index.put(at(&format!("new {number}")), slot);
            }
            assert_eq!(index.entries(), (keys.len() + 2 * CHUNK) as u64);
            assert!((1..).zip(&keys).all(|(sequence, key)| index.get(at(key)).unwrap().sequence == sequence));
        }
    }

    proptest! {
        /// In whatever segments, order, and on how many threads: the outcome is that of entering one after the other.
        #[test]
        fn loading_agrees_with_entering_one_by_one(drawn in proptest::collection::vec((any::<bool>(), 0u8..12, any::<bool>(), 0usize..4), 0..60),
                                                   backwards: bool, filed: [bool; 4], threads in 1usize..5) {
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
                let mut hint = Hint::with_capacity(segment, list.len());
                let mut list: Vec<_> = list.iter().collect();
                if backwards {
                    list.reverse();
                }
                list.iter().for_each(|(position, record)| hint.push(record, *position));
                if filed[segment as usize] { hint.filed() } else { hint }
            }).collect();
            let found = load(hints, threads, Tagger::new(), 3);
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
