//! Snapshots: the store as it was at one version, while writes, compaction and expiry go on.
//!
//! Taking one copies nothing. For as long as it lives, whoever changes an entry for the first time leaves what the index
//! held before in the snapshot's *overlay*; reading looks there first, and for all else in the index, which has not
//! changed since. So a snapshot costs memory for what changes under it, and keeps the segments open that compaction lets
//! go of meanwhile. Both are bounded, and so is its age: a snapshot that goes beyond ends, and says so when it is
//! read. No writer ever waits for one.
//!
//! That an entry has expired is judged by the time at which the snapshot was taken: nothing vanishes from it.

use crate::address::{Address, Tenant};
use crate::clock::is_expired;
use crate::commit::Pending;
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::index::{Held, Index, Key, KeyRange, Slot};
use crate::log::segment::{Segment, SegmentTable};
use crate::state::{Found, NamespacePage, NamespaceScan, Scan, State, Values};
use crate::store::{Inner, Store};
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bounds of a snapshot. One that goes beyond any of them ends with [`Error::SnapshotEnded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// How long it may live. Default 10 minutes.
    pub age: Duration,
    /// How many bytes of memory it may take for what changes under it, as estimated. Default 64 MiB.
    pub overlay_bytes: u64,
    /// How many bytes of segments it may keep that are no longer part of the log. Default 1 GiB.
    pub pinned_bytes: u64,
}

impl Default for SnapshotLimits {
    fn default() -> SnapshotLimits {
        SnapshotLimits { age: Duration::from_secs(600), overlay_bytes: 64 << 20, pinned_bytes: 1 << 30 }
    }
}

/// What the index held for the entries of a namespace that were changed since; `None`: there was none.
type Changed = BTreeMap<Key, Option<Slot>>;

/// What is kept for a snapshot, and can be large.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    changed: BTreeMap<Tenant, BTreeMap<Box<str>, Changed>>,
    /// Segments that compaction has let go of since.
    pinned: Arc<SegmentTable>,
}

/// What the state keeps for a snapshot.
#[derive(Debug)]
struct Overlay {
    kept: Kept,
    bytes: u64,
    limits: SnapshotLimits,
    taken: Instant,
    /// Which bound it has gone beyond, if it has.
    ended: Option<&'static str>,
}

/// Estimated bytes of an entry in an overlay.
const CHANGE_BYTES: u64 = ((size_of::<Key>() + size_of::<Option<Slot>>()) * 3 / 2) as u64;

/// The snapshots that live.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    overlays: BTreeMap<u64, Overlay>,
    next: u64,
    /// What snapshots that have ended kept: to be dropped by somebody who does not hold the state's lock.
    remains: Vec<Kept>,
}

impl Snapshots {
    fn begin(&mut self, limits: SnapshotLimits) -> u64 {
        let taken = Instant::now();
        let overlay = Overlay { kept: Kept::default(), bytes: 0, limits, taken, ended: None };
        self.next += 1;
        self.overlays.insert(self.next, overlay);
        self.next
    }

    /// Number of snapshots.
    pub(crate) fn len(&self) -> usize {
        self.overlays.len()
    }

    /// Notes what the index held for an entry that is being changed.
    pub(crate) fn note(&mut self, at: Address<'_>, held: &Held) {
        for overlay in self.overlays.values_mut().filter(|overlay| overlay.ended.is_none()) {
            self.remains.extend(overlay.note(at, held));
        }
    }

    /// Keeps segments that are let go of.
    pub(crate) fn pin<'s>(&mut self, segments: impl Iterator<Item = &'s Arc<Segment>> + Clone) {
        for overlay in self.overlays.values_mut().filter(|overlay| overlay.ended.is_none()) {
            let pinned = Arc::make_mut(&mut overlay.kept.pinned);
            pinned.extend(segments.clone().map(|segment| (segment.id, Arc::clone(segment))));
            let bytes: u64 = pinned.values().map(|segment| u64::from(segment.capacity)).sum();
            if bytes > overlay.limits.pinned_bytes {
                self.remains.push(overlay.end("it kept too many bytes of old segments"));
            }
        }
    }

    /// Ends the snapshots that are too old. Gives what all that have ended so far kept: it is dropped without the lock.
    pub(crate) fn end_old(&mut self) -> Vec<Kept> {
        let is_old = |overlay: &&mut Overlay| overlay.taken.elapsed() > overlay.limits.age;
        let old = self.overlays.values_mut().filter(|overlay| overlay.ended.is_none()).filter(is_old);
        self.remains.extend(old.map(|overlay| overlay.end(TOO_OLD)));
        std::mem::take(&mut self.remains)
    }
}

const TOO_OLD: &str = "it was too old";

impl Overlay {
    /// Gives what was kept, if this was too much.
    fn note(&mut self, at: Address<'_>, held: &Held) -> Option<Kept> {
        let namespaces = self.kept.changed.entry(at.tenant()).or_default();
        if !namespaces.contains_key(at.namespace()) {
            namespaces.insert(at.namespace().into(), Changed::new());
        }
        let changed = namespaces.get_mut(at.namespace())?;
        if !changed.contains_key(at.key()) {
            let slot = if let Held::Live(slot, _) = held { Some(*slot) } else { None };
            self.bytes += CHANGE_BYTES + at.key().len() as u64;
            changed.insert(Key::new(at.key()), slot);
        }
        let is_too_much = self.bytes > self.limits.overlay_bytes;
        is_too_much.then(|| self.end("too much was changed since"))
    }

    fn end(&mut self, why: &'static str) -> Kept {
        self.ended = Some(why);
        std::mem::take(&mut self.kept)
    }

    fn changed(&self, tenant: Tenant, namespace: &str) -> Option<&Changed> {
        self.kept.changed.get(&tenant)?.get(namespace)
    }
}

/// The store as it was at one version. See [`Store::snapshot`].
#[derive(Debug)]
pub struct Snapshot {
    inner: Arc<Inner>,
    number: u64,
    version: u64,
    now_ms: u64,
}

/// A page of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotPage {
    /// Keys and entries, in order.
    pub items: Vec<(Key, Entry)>,
    /// Whether live entries follow.
    pub more: bool,
}

impl Store {
    /// A view of the store as it is now, that neither later writes nor compaction nor expiry disturb, within the
    /// [`SnapshotLimits`]. Becomes ready once everything in it is acknowledged.
    ///
    /// It is let go of by dropping it: not in a closure that [`Store::read`] or [`Store::write`] runs, which would wait for
    /// itself.
    pub fn snapshot(&self, limits: SnapshotLimits) -> Pending<Snapshot> {
        let inner = &self.inner;
        let mut state = inner.state_mut();
        if state.closed {
            drop(state);
            return Pending::failed(inner, Error::Closed);
        }
        let number = state.snapshots.begin(limits);
        let (version, values) = (state.next_sequence - 1, Values::new(&state));
        // After a failure the state is the acknowledged one: nothing to wait for.
        let until = if state.failed { 0 } else { version };
        // Under the lock: a deadline that is moved afterwards has not passed.
        let now_ms = inner.clock.now_ms();
        drop(state);
        inner.clock.note_told();
        let snapshot = Snapshot { inner: Arc::clone(inner), number, version, now_ms };
        Pending::new(inner, snapshot, values, until, false)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let (overlay, remains) = {
            let mut state = self.inner.state_mut();
            (state.snapshots.overlays.remove(&self.number), std::mem::take(&mut state.snapshots.remains))
        };
        // Segments may close with it: not under the lock.
        drop((overlay, remains));
    }
}

impl Snapshot {
    /// The newest version that it holds.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The time by which it judges what has expired, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The entry at an address.
    ///
    /// # Errors
    /// [`Error::SnapshotEnded`], [`Error::Closed`]; [`Error::Damaged`], [`Error::Io`].
    pub fn get(&self, at: Address<'_>) -> Result<Option<Entry>> {
        let looked = self.look(|state, overlay| {
            let changed =
                overlay.changed(at.tenant(), at.namespace()).and_then(|changed| changed.get(at.key()));
            let slot = changed.copied().unwrap_or_else(|| state.index.get(at));
            slot.filter(|slot| self.is_live(slot)).map(|slot| found(state, slot))
        });
        let (found, values) = looked?;
        found.map(|found| values.entry(&found)).transpose()
    }

    /// A page of entries with their values, in the order of their keys.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn scan(&self, tenant: Tenant, scan: &Scan<'_>) -> Result<SnapshotPage> {
        let ((items, more), values) = self.look(|state, overlay| {
            let mut entries = self.entries(&state.index, overlay, tenant, scan.namespace, &scan.range());
            let page = entries.by_ref().take(scan.limit);
            let items: Vec<_> = page.map(|(key, slot)| (key.clone(), found(state, slot))).collect();
            (items, entries.next().is_some())
        })?;
        let load = |(key, found): (Key, Found)| Ok((key, values.entry(&found)?));
        Ok(SnapshotPage { items: items.into_iter().map(load).collect::<Result<_>>()?, more })
    }

    /// How many entries of a namespace have keys that start with `prefix`.
    ///
    /// # Errors
    /// [`Error::SnapshotEnded`], [`Error::Closed`].
    pub fn count(&self, tenant: Tenant, namespace: &str, prefix: &str) -> Result<u64> {
        let count = |state: &State, overlay: &Overlay| {
            self.entries(&state.index, overlay, tenant, namespace, &KeyRange::prefix(prefix)).count() as u64
        };
        Ok(self.look(count)?.0)
    }

    /// A page of namespaces that hold an entry, in order.
    ///
    /// # Errors
    /// As [`Snapshot::count`].
    pub fn namespaces(&self, tenant: Tenant, scan: &NamespaceScan<'_>) -> Result<NamespacePage> {
        let page = |state: &State, overlay: &Overlay| {
            let now = state.index.namespaces(tenant, scan.from()).map(|(name, _)| (name, ()));
            let then = overlay.kept.changed.get(&tenant).into_iter();
            let then = then.flat_map(|then| then.range::<str, _>((scan.from(), Bound::Unbounded)));
            let then = then.map(|(name, _)| (&**name, ()));
            let names = Merged { now: now.peekable(), then: then.peekable(), reverse: false };
            let count = |name: &str| {
                self.entries(&state.index, overlay, tenant, name, &KeyRange::prefix("")).count() as u64
            };
            let mut live = names
                .take_while(|(name, ())| name.starts_with(scan.prefix))
                .map(|(name, ())| (name.to_owned(), count(name)))
                .filter(|(_, count)| *count > 0);
            NamespacePage { items: live.by_ref().take(scan.limit).collect(), more: live.next().is_some() }
        };
        Ok(self.look(page)?.0)
    }

    /// Looks at the state as it was, under the shared lock, and gives what is needed to load values of it.
    fn look<R>(&self, look: impl FnOnce(&State, &Overlay) -> R) -> Result<(R, Values)> {
        let state = self.inner.state();
        if state.closed {
            return Err(Error::Closed);
        }
        let overlay = state.snapshots.overlays.get(&self.number).ok_or(Error::Closed)?;
        let ended = overlay.ended.or((overlay.taken.elapsed() > overlay.limits.age).then_some(TOO_OLD));
        if let Some(why) = ended {
            return Err(Error::SnapshotEnded { version: self.version, why });
        }
        let result = look(&state, overlay);
        Ok((result, Values::with(&state, &overlay.kept.pinned)))
    }

    fn is_live(&self, slot: &Slot) -> bool {
        !is_expired(slot.deadline, self.now_ms)
    }

    /// The live entries of a range, in its direction.
    fn entries<'s>(
        &'s self,
        index: &'s Index,
        overlay: &'s Overlay,
        tenant: Tenant,
        namespace: &str,
        range: &KeyRange<'_>,
    ) -> impl Iterator<Item = (&'s Key, Slot)> + use<'s> {
        static NOTHING: Changed = Changed::new();
        let now = index.namespace(tenant, namespace).map(|namespace| index.range(namespace, range));
        let now = now.into_iter().flatten().map(|(key, slot)| (key, Some(slot)));
        let then = range.of(overlay.changed(tenant, namespace).unwrap_or(&NOTHING));
        let then = then.map(|(key, slot)| (key, *slot));
        let merged: Box<dyn Iterator<Item = _>> = if range.reverse {
            Box::new(Merged { now: now.rev().peekable(), then: then.rev().peekable(), reverse: true })
        } else {
            Box::new(Merged { now: now.peekable(), then: then.peekable(), reverse: false })
        };
        merged.filter_map(|(key, slot)| Some((key, slot?))).filter(|(_, slot)| self.is_live(slot))
    }
}

fn found(state: &State, slot: Slot) -> Found {
    Found::new(slot, state.unwritten(&slot))
}

/// Two iterators in the same order as one. Of a name in both, what was then counts.
struct Merged<N: Iterator, T: Iterator> {
    now: Peekable<N>,
    then: Peekable<T>,
    reverse: bool,
}

impl<K: Ord, V, N: Iterator<Item = (K, V)>, T: Iterator<Item = (K, V)>> Iterator for Merged<N, T> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        let (Some((now, _)), Some((then, _))) = (self.now.peek(), self.then.peek()) else {
            return self.now.next().or_else(|| self.then.next());
        };
        if now == then {
            self.now.next();
            return self.then.next();
        }
        if (now < then) != self.reverse { self.now.next() } else { self.then.next() }
    }
}
