//! The newest state of the store, and how it is read: index, end of the log, table of segments, under one lock.
//!
//! The newest state runs ahead of the disk. Every look at it reports the sequence that it depends on; nobody outside
//! is told an answer before that sequence is acknowledged (see `commit`).

use crate::address::{Address, Tenant};
use crate::clock::{NEVER, is_expired};
use crate::entry::{Entry, Stamp};
use crate::error::{Error, Result};
use crate::index::{Index, Key, KeyRange, Slot};
use crate::log::record::{Kind, Record};
use crate::log::segment::{Segment, SegmentTable, file_name};
use crate::snapshot::Snapshots;
use crate::tail::Tail;
use std::ops::Bound;
use std::sync::Arc;

/// The newest state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) tail: Tail,
    pub(crate) segments: Arc<SegmentTable>,
    /// The sequence of the next record.
    pub(crate) next_sequence: u64,
    /// Set once the log has failed: the state is then the acknowledged one, for good.
    pub(crate) failed: bool,
    pub(crate) closed: bool,
    pub(crate) snapshots: Snapshots,
    /// A buffer for the next frame, so that large ones are not allocated again and again.
    pub(crate) frame_buffer: Vec<u8>,
    /// A buffer for encoding the operations of one write.
    pub(crate) scratch: Vec<u8>,
}

/// An entry as the index knows it. Its value is loaded later, outside of every lock, through [`Values`].
#[derive(Debug, Clone)]
pub struct Found {
    slot: Slot,
    /// The record, where it is not in the file yet.
    memory: Option<Arc<[u8]>>,
}

impl Found {
    pub(crate) fn new(slot: Slot, memory: Option<Arc<[u8]>>) -> Found {
        Found { slot, memory }
    }

    /// The entry's version.
    pub fn version(&self) -> u64 {
        self.slot.sequence
    }

    /// When the entry expires, in milliseconds since the Unix epoch.
    pub fn expires_at(&self) -> Option<u64> {
        self.stamp().expires_at
    }

    /// Version and expiry.
    pub fn stamp(&self) -> Stamp {
        self.slot.stamp()
    }

    /// Bytes that the entry takes in the log: an upper bound of its value's length, known without loading it.
    pub fn stored_bytes(&self) -> usize {
        self.slot.length as usize
    }

    /// Lets go of the copy that it has of a record which was not in the file yet. For after the wait for what it was found
    /// with: from then on the record is loaded from the file.
    pub fn release(&mut self) {
        self.memory = None;
    }
}

impl Slot {
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { version: self.sequence, expires_at: (self.deadline != NEVER).then_some(self.deadline) }
    }
}

/// Loads the values of what was [found](Found). It holds on to the log as it was at that time.
#[derive(Debug, Clone)]
pub struct Values {
    segments: Arc<SegmentTable>,
    /// Segments that a snapshot keeps.
    pinned: Option<Arc<SegmentTable>>,
}

impl Values {
    pub(crate) fn new(state: &State) -> Values {
        Values { segments: Arc::clone(&state.segments), pinned: None }
    }

    /// With what a snapshot keeps besides the segments of the log.
    pub(crate) fn with(state: &State, pinned: &Arc<SegmentTable>) -> Values {
        Values { pinned: Some(Arc::clone(pinned)), ..Values::new(state) }
    }

    fn segment(&self, id: u32) -> Option<&Arc<Segment>> {
        self.segments.get(&id).or_else(|| self.pinned.as_ref()?.get(&id))
    }

    /// A hint: these entries are about to be loaded. For a batch of them this makes the processor wait for memory once
    /// instead of for each.
    pub fn preload<'f>(&self, founds: impl Iterator<Item = &'f Found>) {
        let in_file = founds.filter(|found| found.memory.is_none());
        let touch = |Found { slot, .. }: &Found| {
            self.segment(slot.segment).map_or(0, |segment| segment.touch(slot.position, slot.length))
        };
        std::hint::black_box(in_file.fold(0, |touched, found| touched ^ touch(found)));
    }

    /// The value, verified: borrowed from the mapped log where there is one, else read into `scratch`.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`]; never a wrong value.
    pub fn value<'v>(&'v self, found: &'v Found, scratch: &'v mut Vec<u8>) -> Result<&'v [u8]> {
        if found.memory.is_some() {
            return Ok(self.record(found, scratch)?.value);
        }
        let slot = &found.slot;
        let segment = self.segment(slot.segment).ok_or_else(|| misplaced(slot))?;
        let stored = segment.stored(slot.position, slot.length, scratch)?;
        if stored.sequence != slot.sequence || stored.kind != Kind::Put {
            return Err(misplaced(slot));
        }
        Ok(stored.value)
    }

    /// The entry with all its fields, verified.
    ///
    /// # Errors
    /// As [`Values::value`].
    pub fn entry(&self, found: &Found) -> Result<Entry> {
        let mut scratch = Vec::new();
        let record = self.record(found, &mut scratch)?;
        let stamp = found.stamp();
        Ok(Entry {
            version: stamp.version,
            expires_at: stamp.expires_at,
            created_at: record.created_at,
            updated_at: record.updated_at,
            creation: record.creation,
            tag: record.tag,
            description: (!record.description.is_empty()).then(|| record.description.to_owned()),
            value: record.value.to_owned(),
        })
    }

    /// The address of what was found, read from its record's head: also if the value has rotted. Not through a mapping,
    /// see [`Segment::read_record`].
    pub(crate) fn address<'v>(&self, found: &'v Found, scratch: &'v mut Vec<u8>) -> Result<Address<'v>> {
        let slot = &found.slot;
        let head = match &found.memory {
            Some(bytes) => Record::trusted(bytes).ok_or_else(|| misplaced(slot))?,
            None => {
                let segment = self.segments.get(&slot.segment).ok_or_else(|| misplaced(slot))?;
                segment.read_head(slot.position, slot.length, scratch)?
            }
        };
        let address = head.address().filter(|_| head.sequence == slot.sequence);
        address.ok_or_else(|| misplaced(slot))
    }

    pub(crate) fn record<'v>(&'v self, found: &'v Found, scratch: &'v mut Vec<u8>) -> Result<Record<'v>> {
        let slot = &found.slot;
        let record = match &found.memory {
            Some(bytes) => Record::trusted(bytes).ok_or_else(|| misplaced(slot))?,
            None => {
                let segment = self.segment(slot.segment).ok_or_else(|| misplaced(slot))?;
                segment.record(slot.position, slot.length, scratch)?
            }
        };
        if record.sequence != slot.sequence || record.kind != Kind::Put {
            return Err(misplaced(slot));
        }
        Ok(record)
    }
}

fn misplaced(slot: &Slot) -> Error {
    Error::damaged(file_name(slot.segment), slot.position.into(), "the record is not the one indexed")
}

/// What to list: the live entries of a namespace, in the order of their keys.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// Only keys that start with this.
    pub prefix: &'a str,
    /// Only keys beyond this one (above it, or below it in reverse): the last key of the page before.
    pub after: Option<&'a str>,
    /// From the last key to the first.
    pub reverse: bool,
    /// Most entries on the page.
    pub limit: usize,
}

impl<'a> Scan<'a> {
    pub(crate) fn range(&self) -> KeyRange<'a> {
        KeyRange { prefix: self.prefix, after: self.after, reverse: self.reverse }
    }
}

/// A page of entries.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Keys and entries, in order.
    pub items: Vec<(Key, Found)>,
    /// Whether live entries follow.
    pub more: bool,
}

/// How far a listing was passed over, see [`View::pass`](crate::View::pass).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// How many live entries were passed.
    pub live: usize,
    /// How many entries were looked at, those past their deadline included.
    pub looked: usize,
    /// The last key that was looked at, after which to go on.
    pub last: Option<Key>,
    /// Whether there is anything left to look at.
    pub more: bool,
}

/// Which namespaces to list: those with a live entry, in order.
#[derive(Debug, Clone, Copy)]
pub struct NamespaceScan<'a> {
    /// Only names that start with this.
    pub prefix: &'a str,
    /// Only names above this one: the last one of the page before.
    pub after: Option<&'a str>,
    /// Most namespaces on the page.
    pub limit: usize,
}

impl<'a> NamespaceScan<'a> {
    pub(crate) fn from(&self) -> Bound<&'a str> {
        match self.after {
            Some(after) if after >= self.prefix => Bound::Excluded(after),
            _ => Bound::Included(self.prefix),
        }
    }
}

/// A page of namespaces.
#[derive(Debug, Clone, Default)]
pub struct NamespacePage {
    /// Names and numbers of live entries, in order.
    pub items: Vec<(String, u64)>,
    /// Whether namespaces with live entries follow.
    pub more: bool,
}

/// For how many entries a page has room from the start.
const PAGE_ROOM: usize = 128;

/// A look at the state at one time. Notes the highest sequence that any of its answers depends on.
#[derive(Debug)]
pub(crate) struct Glance {
    pub(crate) now_ms: u64,
    pub(crate) observed: u64,
}

impl Glance {
    pub(crate) fn at(now_ms: u64) -> Glance {
        Glance { now_ms, observed: 0 }
    }

    fn depends_on(&mut self, sequence: u64) {
        self.observed = self.observed.max(sequence);
    }

    /// The slot of a live entry.
    pub(crate) fn slot(&mut self, state: &State, at: Address<'_>) -> Option<Slot> {
        match state.index.get(at) {
            Some(slot) => {
                self.depends_on(slot.sequence);
                (!is_expired(slot.deadline, self.now_ms)).then_some(slot)
            }
            None => {
                self.depends_on(state.index.removed(at.tenant(), at.namespace()));
                None
            }
        }
    }

    pub(crate) fn get(&mut self, state: &State, at: Address<'_>) -> Option<Found> {
        self.slot(state, at).map(|slot| self.found(state, slot))
    }

    /// Whether there is no live entry because the last one has expired. That depends on the entry, which stands before
    /// the removals that a miss depends on, and not on its expire record: without it the entry is overdue.
    pub(crate) fn has_expired(&mut self, state: &State, at: Address<'_>) -> bool {
        match state.index.get(at) {
            Some(slot) => {
                self.depends_on(slot.sequence);
                is_expired(slot.deadline, self.now_ms)
            }
            None => {
                self.depends_on(state.index.removed(at.tenant(), at.namespace()));
                state.index.has_expired(at)
            }
        }
    }

    pub(crate) fn found(&self, state: &State, slot: Slot) -> Found {
        Found::new(slot, state.unwritten(&slot))
    }

    pub(crate) fn count(&mut self, state: &State, tenant: Tenant, namespace: &str, prefix: &str) -> u64 {
        self.depends_on(state.index.changed(tenant, namespace));
        let Some(namespace) = state.index.namespace(tenant, namespace) else { return 0 };
        let overdue = state.index.overdue(self.now_ms).of(namespace);
        if prefix.is_empty() {
            return namespace.len() - overdue;
        }
        let range = KeyRange::prefix(prefix);
        let count = if overdue == 0 {
            namespace.keys(&range).count()
        } else {
            let alive = |(_, slot): &(&Key, Slot)| !is_expired(slot.deadline, self.now_ms);
            state.index.range(namespace, &range).filter(alive).count()
        };
        count as u64
    }

    /// How many live entries a tenant has, in all its namespaces.
    pub(crate) fn entries(&mut self, state: &State, tenant: Tenant) -> u64 {
        self.depends_on(state.next_sequence - 1);
        state.index.entries_of(tenant) - state.index.overdue(self.now_ms).of_tenant(tenant)
    }

    pub(crate) fn scan(&mut self, state: &State, tenant: Tenant, scan: &Scan<'_>) -> Page {
        let mut items = Vec::with_capacity(scan.limit.min(PAGE_ROOM));
        let more = self.each_live(state, tenant, scan, |glance, key, slot| {
            items.push((key.clone(), glance.found(state, slot)));
        });
        Page { items, more }
    }

    /// Keys and slots of a page, and whether live entries follow.
    pub(crate) fn slots(
        &mut self,
        state: &State,
        tenant: Tenant,
        scan: &Scan<'_>,
    ) -> (Vec<(Key, Slot)>, bool) {
        let mut slots = Vec::with_capacity(scan.limit.min(PAGE_ROOM));
        let more = self.each_live(state, tenant, scan, |_, key, slot| slots.push((key.clone(), slot)));
        (slots, more)
    }

    /// Gives all live entries of a page. Whether others follow.
    fn each_live(
        &mut self,
        state: &State,
        tenant: Tenant,
        scan: &Scan<'_>,
        take: impl FnMut(&mut Glance, &Key, Slot),
    ) -> bool {
        self.depends_on(state.index.changed(tenant, scan.namespace));
        let Some(namespace) = state.index.namespace(tenant, scan.namespace) else { return false };
        let range = state.index.range(namespace, &scan.range());
        if scan.reverse {
            self.each_live_of(range.rev(), scan.limit, take)
        } else {
            self.each_live_of(range, scan.limit, take)
        }
    }

    fn each_live_of<'s>(
        &mut self,
        range: impl Iterator<Item = (&'s Key, Slot)>,
        limit: usize,
        mut take: impl FnMut(&mut Glance, &Key, Slot),
    ) -> bool {
        let now_ms = self.now_ms;
        let mut live = range.filter(|(_, slot)| !is_expired(slot.deadline, now_ms));
        live.by_ref().take(limit).for_each(|(key, slot)| take(self, key, slot));
        live.next().is_some()
    }

    pub(crate) fn pass(
        &mut self,
        state: &State,
        tenant: Tenant,
        scan: &Scan<'_>,
        looks_max: usize,
    ) -> Passed {
        self.depends_on(state.index.changed(tenant, scan.namespace));
        let Some(namespace) = state.index.namespace(tenant, scan.namespace) else { return Passed::default() };
        let range = state.index.range(namespace, &scan.range());
        if scan.reverse {
            self.passed(range.rev(), scan.limit, looks_max)
        } else {
            self.passed(range, scan.limit, looks_max)
        }
    }

    fn passed<'s>(
        &self,
        mut range: impl Iterator<Item = (&'s Key, Slot)>,
        live_max: usize,
        looks_max: usize,
    ) -> Passed {
        let mut passed = Passed::default();
        let mut last = None;
        for (key, slot) in range.by_ref() {
            passed.looked += 1;
            passed.live += usize::from(!is_expired(slot.deadline, self.now_ms));
            last = Some(key);
            if passed.live >= live_max || passed.looked >= looks_max {
                break;
            }
        }
        Passed { last: last.cloned(), more: range.next().is_some(), ..passed }
    }

    pub(crate) fn namespaces(
        &mut self,
        state: &State,
        tenant: Tenant,
        scan: &NamespaceScan<'_>,
    ) -> NamespacePage {
        self.depends_on(state.next_sequence - 1);
        let overdue = state.index.overdue(self.now_ms);
        let mut live = state
            .index
            .namespaces(tenant, scan.from())
            .take_while(|(name, _)| name.starts_with(scan.prefix))
            .map(|(name, namespace)| (name, namespace.len() - overdue.of(namespace)))
            .filter(|(_, count)| *count > 0);
        let items = live.by_ref().take(scan.limit).map(|(name, count)| (name.to_owned(), count)).collect();
        NamespacePage { items, more: live.next().is_some() }
    }
}

impl State {
    /// Has the log go on in the empty segment `next`; the open frame must be empty.
    pub(crate) fn rotate(&mut self, next: Arc<Segment>) {
        Arc::make_mut(&mut self.segments).insert(next.id, Arc::clone(&next));
        self.tail.rotate(next);
    }

    /// Takes back everything after `acknowledged`, for good.
    pub(crate) fn roll_back(&mut self, acknowledged: u64) {
        let State { index, tail, .. } = self;
        tail.roll_back(acknowledged, |encoded, previous| {
            if let Some(at) = Record::trusted(encoded).and_then(|record| record.address()) {
                index.restore(at, previous);
            }
        });
        self.next_sequence = acknowledged + 1;
        self.failed = true;
    }

    /// The record that a slot points at, if it is not in the file yet.
    pub(crate) fn unwritten(&self, slot: &Slot) -> Option<Arc<[u8]>> {
        let written = match self.tail.segment() {
            Some(active) if slot.segment == active.id => active.written(),
            _ => self.segments.get(&slot.segment)?.written(),
        };
        (slot.position >= written).then(|| self.tail.copy(slot)).flatten()
    }
}
