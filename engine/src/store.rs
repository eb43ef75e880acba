//! The store: opening, the verbs, closing.

use crate::address::{Address, Tenant};
use crate::clock::{CarriedClock, Start};
use crate::commit::{Admission, Mark, Pending, Progress};
use crate::compaction::{Compaction, Compactor};
use crate::disk::{Disk, DiskLock};
use crate::entry::{Condition, Decision, Entry, Expiry, Put, Stamp};
use crate::error::{Error, Result};
use crate::expiry::Expirer;
use crate::flush::Written;
use crate::log::catalog::{Catalog, Need};
use crate::log::mark::TimeMark;
use crate::log::scan;
use crate::log::segment::Segment;
use crate::options::{Durability, Limits, Options};
use crate::recovery;
use crate::report::{CompactionReport, OpenReport, SegmentStats, Stats, Times};
use crate::snapshot::Snapshots;
use crate::state::{Glance, NamespacePage, NamespaceScan, Page, Scan, State, Values};
use crate::sync::{
    AtomicU64, Mutex, MutexGuard, Ordering, RwLock, RwLockReadGuard, RwLockWriteGuard, parallelism,
};
use crate::tail::Tail;
use crate::threads::{Signal, Threads};
use crate::view::View;
use crate::writer::{Deleted, Means, Writer};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// An open store. A cheap handle: clones share the store, which is closed when the last of them is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    threads: Arc<Threads>,
}

/// What all handles and threads share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) clock: CarriedClock,
    time_mark: TimeMark,
    pub(crate) catalog: Catalog,
    pub(crate) progress: Progress,
    pub(crate) written: Mutex<Written>,
    pub(crate) sync_times: Times,
    pub(crate) signal: Signal,
    pub(crate) state: RwLock<State>,
    pending_bytes: AtomicU64,
    pub(crate) pending_bytes_max: u64,
    max_index_bytes: u64,
    limits: Limits,
    pub(crate) background: bool,
    report: OpenReport,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
    /// Held while segments are sealed: the order matters. Taken before all other locks.
    sealing: Mutex<()>,
    /// Sealed segments that have no hint file yet.
    unhinted: Mutex<Vec<u32>>,
    pub(crate) compaction: Compaction,
    pub(crate) compactor: Compactor,
    pub(crate) feed_retention_bytes: u64,
    pub(crate) expirer: Expirer,
    /// Number of change feeds.
    pub(crate) feeds: AtomicU64,
}

/// Most threads that an open uses. Each that fills hash tables walks over all entries, so more of them gain little.
const OPEN_THREADS_MAX: usize = 8;

impl Store {
    /// Opens the store in `directory` with the default [`Options`], creating it if there is none.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Store> {
        Options::new().open(directory)
    }

    pub(crate) fn open_with(options: Options, disk: Arc<dyn Disk>) -> Result<Store> {
        let started = Instant::now();
        recovery::look(&*disk, options.create)?;
        let lock = recovery::own(&*disk)?;
        // Without threads of its own a store is deterministic, opening included.
        let threads = if options.background { parallelism().min(OPEN_THREADS_MAX) } else { 1 };
        let start = Start {
            source: Arc::clone(&options.clock),
            jump_max: options.max_clock_jump,
            accept: options.accept_clock,
        };
        let progress = options.on_progress.as_deref();
        let recovered = recovery::recover(&disk, options.create, &start, threads, progress)?;
        let clock = recovered.clock;
        let manifest = recovered.manifest;
        let (sequence, ceiling) = (manifest.sequence, manifest.ceiling);
        let (store, chain, time_ms) = (manifest.store, manifest.chain, manifest.time_ms);
        let (segment_bytes, reserve_bytes) = (options.segment_bytes, options.reserve_bytes);
        let catalog =
            Catalog::new(Arc::clone(&disk), manifest, recovered.obsolete, segment_bytes, reserve_bytes);
        if recovered.report.created {
            // Before any segment: segments without a manifest are damage.
            catalog.found()?;
        }
        // Writes the manifest: from here on the store is open, and not clean.
        let active = match catalog.take(Need::Puts, 0, &clock) {
            Ok(active) => Some(active),
            // There is nothing to be written down before something else is: all of it can be read.
            Err(Error::NoSpace { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut segments = recovered.segments;
        segments.extend(active.iter().map(|active| (active.id, Arc::clone(active))));
        let report = OpenReport { duration: started.elapsed(), ..recovered.report };
        let state = State {
            index: recovered.index,
            tail: Tail::new(active, chain, ceiling, time_ms),
            segments: Arc::new(segments),
            next_sequence: sequence + 1,
            failed: false,
            closed: false,
            snapshots: Snapshots::default(),
            frame_buffer: Vec::new(),
            scratch: Vec::new(),
        };
        let inner = Arc::new(Inner {
            clock,
            time_mark: TimeMark::new(store),
            catalog,
            progress: Progress::new(options.durability, sequence, ceiling),
            written: Mutex::new(Written::new(sequence, ceiling)),
            sync_times: Times::default(),
            signal: Signal::default(),
            state: RwLock::new(state),
            pending_bytes: AtomicU64::new(0),
            pending_bytes_max: options.pending_bytes_max,
            max_index_bytes: options.max_index_bytes,
            limits: options.limits,
            background: options.background,
            report,
            lock: Mutex::new(Some(lock)),
            sealing: Mutex::new(()),
            unhinted: Mutex::new(recovered.unhinted),
            compaction: options.compaction,
            compactor: Compactor::default(),
            feed_retention_bytes: options.feed_retention_bytes,
            expirer: Expirer::default(),
            feeds: AtomicU64::new(0),
        });
        let threads = if options.background {
            Threads::start(&inner, options.sync_interval, options.compaction.background)
                .map_err(|error| Error::io("start the store's threads", error))?
        } else {
            Threads::none(&inner)
        };
        Ok(Store { inner, threads: Arc::new(threads) })
    }

    /// Looks at the newest state, any number of times, under the shared lock.
    pub fn read<R>(&self, look: impl FnOnce(&mut View<'_>) -> R) -> Pending<R> {
        let state = self.inner.state();
        if state.closed {
            return Pending::failed(&self.inner, Error::Closed);
        }
        let glance = self.inner.glance(&state);
        let mut view = View { state: &state, glance };
        let result = look(&mut view);
        // After a failure the state is the acknowledged one: nothing to wait for.
        let until = if state.failed { 0 } else { view.glance.observed };
        let values = Values::new(&state);
        drop(state);
        Pending::new(&self.inner, result, values, until, false)
    }

    /// Reads and changes the newest state, any number of times, under the exclusive lock. Each call on the [`Writer`]
    /// is atomic by itself; [`Writer::transaction`] makes several of them one.
    pub fn write<R>(&self, work: impl FnOnce(&mut Writer<'_>) -> R) -> Pending<R> {
        let inner = &self.inner;
        let mut state = inner.state_mut();
        if state.closed || state.failed {
            let error = if state.closed { Error::Closed } else { inner.failed_error() };
            drop(state);
            return Pending::failed(inner, error);
        }
        let glance = inner.glance(&state);
        let mut writer = Writer::new(&mut state, inner.means(), glance);
        let result = work(&mut writer);
        let (until, logged_bytes) = (writer.glance.observed, writer.logged_bytes());
        let values = Values::new(&state);
        inner.after_write(state, logged_bytes);
        inner.stop_if_in_doubt();
        Pending::new(inner, result, values, until, logged_bytes > 0)
    }

    /// Waits while the disk is so far behind that more writes would take too much memory, see
    /// [`Options::pending_bytes_max`], or compaction so far that they would take too much space, see
    /// [`Compaction::space_amplification_max`]. Ready at once as a rule.
    pub fn admission(&self) -> Admission {
        Admission::new(&self.inner)
    }

    /// The live entry at an address.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`], [`Error::Closed`].
    pub fn get(&self, at: Address<'_>) -> Result<Option<Entry>> {
        let look = || {
            self.read(|view| view.get(at))
                .map(|found, values| found.map(|found| values.entry(&found)).transpose())
        };
        self.settled(look)?
    }

    /// Sets an entry, if the condition holds, and waits until that is acknowledged.
    ///
    /// # Errors
    /// Those of [`Writer::put`]; [`Error::InDoubt`], [`Error::Failed`], [`Error::Closed`].
    pub fn put(&self, at: Address<'_>, put: &Put<'_>) -> Result<Decision<Stamp>> {
        self.admission().wait();
        self.write(|writer| writer.put(at, put)).wait()?
    }

    /// Removes an entry, if it is there and the condition holds, and waits until that is acknowledged; `Ok(Ok(None))`
    /// if it is not there.
    ///
    /// # Errors
    /// Those of [`Writer::delete`]; [`Error::InDoubt`], [`Error::Failed`], [`Error::Closed`].
    pub fn delete(&self, at: Address<'_>, condition: Condition) -> Result<Decision<Option<Deleted>>> {
        self.admission().wait();
        self.write(|writer| writer.delete(at, condition)).wait()?
    }

    /// Changes nothing but an entry's expiry, and waits until that is acknowledged; `None` if there is no such entry.
    ///
    /// # Errors
    /// Those of [`Writer::touch`]; [`Error::InDoubt`], [`Error::Failed`], [`Error::Closed`].
    pub fn touch(&self, at: Address<'_>, expiry: Expiry) -> Result<Option<Stamp>> {
        self.admission().wait();
        // The value is written anew. Reading it beforehand keeps the disk out of the time under the lock.
        self.get(at)?;
        self.write(|writer| writer.touch(at, expiry)).wait()?
    }

    /// Several operations that happen all or not at all, see [`Writer::transaction`]; waits until they are
    /// acknowledged.
    ///
    /// # Errors
    /// Those of `operations` and of [`Writer::transaction`]; [`Error::InDoubt`], [`Error::Failed`], [`Error::Closed`].
    pub fn transaction<T, E: From<Error>>(
        &self,
        operations: impl FnOnce(&mut crate::Transaction<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.admission().wait();
        self.write(|writer| writer.transaction(operations)).wait().map_err(E::from)?
    }

    /// How many live entries of a namespace have keys that start with `prefix`.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn count(&self, tenant: Tenant, namespace: &str, prefix: &str) -> Result<u64> {
        self.settled(|| self.read(|view| view.count(tenant, namespace, prefix)))
    }

    /// A page of live entries, in the order of their keys. Values are loaded by [`Pending::map`] on [`Store::read`].
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn scan(&self, tenant: Tenant, scan: &Scan<'_>) -> Result<Page> {
        self.settled(|| self.read(|view| view.scan(tenant, scan)))
    }

    /// A page of namespaces that have a live entry, in order.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn namespaces(&self, tenant: Tenant, scan: &NamespaceScan<'_>) -> Result<NamespacePage> {
        self.settled(|| self.read(|view| view.namespaces(tenant, scan)))
    }

    /// Becomes ready once everything written before it is on stable storage, also at level
    /// [`Buffered`](Durability::Buffered). Gives the newest version.
    pub fn sync(&self) -> Pending<u64> {
        let state = self.inner.state();
        let (sequence, closed, failed) = (state.next_sequence - 1, state.closed, state.failed);
        drop(state);
        match (closed, failed) {
            (true, _) => Pending::failed(&self.inner, Error::Closed),
            (_, true) => Pending::failed(&self.inner, self.inner.failed_error()),
            _ => Pending::durable(&self.inner, sequence, sequence),
        }
    }

    /// Compacts now all that has anything dead in it: overwritten, deleted and expired values, and tombstones that cover
    /// nothing any more. What the change feed retains is left alone, see [`Options::feed_retention_bytes`]; with a
    /// retention of 0 the segment in use is ended for it. Reads and writes go on meanwhile.
    ///
    /// A damaged segment is left as it is; the report names it.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if what is left has more of use in any segment than there is room for, the
    /// [reserve](Options::reserve_bytes) included, or [`Error::Io`]: what was done by then stays done;
    /// [`Error::Failed`], [`Error::Closed`].
    pub fn compact(&self) -> Result<CompactionReport> {
        let compacted = self.inner.compact_all();
        self.inner.after_turn();
        compacted
    }

    /// Compacts as the store's thread does in the background: as far as [`Compaction::space_amplification`] asks for it, and
    /// no further. For stores [without threads](Options::background).
    ///
    /// # Errors
    /// As [`Store::compact`].
    pub fn compact_as_needed(&self) -> Result<()> {
        let compacted = self.inner.compact_as_needed();
        self.inner.after_turn();
        compacted
    }

    /// Marks the time on disk, if anybody was told what depends on it since that was last done: an open never starts its
    /// clock below. The store's thread does it once a second. For stores [without threads](Options::background).
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Denied`], [`Error::Io`]: the store goes on, and the mark before stands.
    pub fn mark_time(&self) -> Result<()> {
        self.inner.mark_time()
    }

    /// Ends all entries whose deadline has passed, as the store's thread does at the time, and waits until that is
    /// acknowledged: each is logged as expired, and lets go of what it takes. Returns how many there were. For stores
    /// [without threads](Options::background); nobody can read an entry past its deadline in any case.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]: what was not ended stays overdue; [`Error::InDoubt`], [`Error::Failed`],
    /// [`Error::Closed`].
    pub fn expire_due(&self) -> Result<u64> {
        self.inner.expire_due()
    }

    /// The engine's time, in milliseconds since the Unix epoch. It never steps back, across restarts neither.
    pub fn now_ms(&self) -> u64 {
        self.inner.clock.note_told();
        self.inner.clock.now_ms()
    }

    /// What opening the store found and did.
    pub fn report(&self) -> &OpenReport {
        &self.inner.report
    }

    /// Figures about the store.
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let state = inner.state();
        let sync_micros_log2 = inner.sync_times.counts();
        Stats {
            entries: state.index.entries(),
            index_bytes: state.index.bytes(),
            tombstones: state.index.tombstones(),
            tombstone_bytes: state.index.tombstone_bytes(),
            segments: state.segments.values().map(|segment| segment_stats(&state, segment)).collect(),
            snapshots: state.snapshots.len(),
            pinned_bytes: inner.compactor.pinned_bytes(),
            feeds: inner.feeds.load(Ordering::Relaxed),
            feed_floor: inner.catalog.feed_floor(),
            compaction: inner.compactor.total(),
            log_bytes: state.segments.values().map(|segment| u64::from(segment.written())).sum(),
            pending_bytes: inner.pending_bytes(),
            sequence: state.next_sequence - 1,
            acknowledged_sequence: inner.progress.acknowledged(),
            durable_sequence: inner.progress.durable(),
            syncs: sync_micros_log2.iter().sum(),
            sync_micros_log2,
            timed_entries: state.index.timers(),
            overdue_entries: state.index.overdue_so_far(),
            expired: inner.expirer.expired(),
            expiry_lag_micros_log2: inner.expirer.lags().counts(),
            recovery_time: inner.report.duration,
            failed: state.failed,
            short_of_space: inner.catalog.is_short(),
        }
    }

    /// Closes the store: everything written is synced, and the log marked as complete. Later calls on other handles
    /// give [`Error::Closed`].
    ///
    /// # Errors
    /// [`Error::Failed`] if the log has failed, [`Error::Io`]. The store is closed all the same, and the next open
    /// recovers it as after a crash.
    pub fn close(self) -> Result<()> {
        self.threads.stop();
        self.inner.close()
    }

    /// A read that is told even if the log fails in the meantime: then of the state that was acknowledged.
    fn settled<R>(&self, look: impl Fn() -> Pending<R>) -> Result<R> {
        match look().wait() {
            Err(Error::Failed { .. }) => look().wait(),
            result => result,
        }
    }
}

fn segment_stats(state: &State, segment: &Segment) -> SegmentStats {
    let usage = state.index.usage(segment.id);
    SegmentStats {
        segment: segment.id,
        bytes: usage.record_bytes,
        live_bytes: usage.live_bytes,
        dead_bytes: usage.dead_bytes(),
    }
}

impl Inner {
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        // A panic in a caller's closure leaves the state whole: every plan is carried out or dropped as one.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at the state now.
    fn glance(&self, state: &State) -> Glance {
        let now_ms = self.clock.now_ms();
        // Afterwards: noted before, a mark in between would be below the time that is told.
        if state.index.was_ever_timed() {
            self.clock.note_told();
        }
        Glance::at(now_ms)
    }

    /// Marks the time, if anybody was told what depends on it since it was last marked. Should that fail it is tried again
    /// in its time: nothing but the mark is lost, and that only if the wall clock is set back as well.
    pub(crate) fn mark_time(&self) -> Result<()> {
        if !self.clock.take_told() {
            return Ok(());
        }
        let disk = self.catalog.disk();
        self.time_mark.write(&**disk, self.clock.now_ms()).map_err(|error| {
            self.clock.note_told();
            Error::of_disk(format!("mark the time in {}", disk.location()), disk.location(), error)
        })
    }

    pub(crate) fn means(&self) -> Means<'_> {
        Means {
            clock: &self.clock,
            catalog: &self.catalog,
            progress: &self.progress,
            limits: &self.limits,
            max_index_bytes: self.max_index_bytes,
        }
    }

    /// Sequence of the newest record.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.state().next_sequence - 1
    }

    pub(crate) fn pending_bytes(&self) -> u64 {
        self.pending_bytes.load(Ordering::Acquire)
    }

    pub(crate) fn note_pending(&self, state: &State) {
        self.pending_bytes.store(state.tail.pending_bytes(), Ordering::Release);
    }

    /// What is to be done once the state was written to.
    pub(crate) fn after_write(&self, state: RwLockWriteGuard<'_, State>, logged_bytes: u64) {
        self.note_pending(&state);
        // Where there is no room, upkeep tries again in its own time.
        let wants_segment =
            state.tail.is_past_half() && !self.catalog.is_prepared() && !self.catalog.is_short();
        let wakes_expirer = state.index.expiry_at_ms().is_some_and(|at| self.expirer.sleeps_through(at));
        drop(state);
        self.compactor.throttle.spend(logged_bytes);
        if wants_segment && self.background {
            self.signal.wake_upkeep();
        }
        if wakes_expirer && self.background {
            self.expirer.wakes();
            self.signal.wake_expiry();
        }
    }

    /// Whether there is room in memory for more writes. Always so after a failure: they are refused in a better way.
    pub(crate) fn has_room(&self) -> bool {
        self.pending_bytes() < self.pending_bytes_max || self.progress.failure().is_some()
    }

    /// Blocks until there is.
    pub(crate) fn wait_for_room(&self) {
        while !self.has_room() {
            self.drive(Mark::Acknowledged, self.last_sequence());
        }
    }

    /// Does what it takes to bring the log to `sequence`, on this thread.
    pub(crate) fn drive(&self, mark: Mark, sequence: u64) {
        if mark == Mark::Durable || self.progress.durability() == Durability::Durable {
            self.sync_until(sequence);
        } else {
            self.flush();
            if self.progress.needs_ceiling() {
                self.sync_until(sequence);
            }
        }
        if !self.background {
            // A segment that cannot be sealed now is sealed later, or recovered.
            let _ = self.seal_full();
            self.stop_if_in_doubt();
        }
    }

    /// The log cannot outgrow its segments once the manifest is in doubt: the whole store stops, and says so, at once.
    pub(crate) fn stop_if_in_doubt(&self) {
        if let Some(cause) = self.catalog.in_doubt() {
            self.fail(cause);
            self.progress.wake();
        }
    }

    /// What a turn of compaction leaves to be done without it: wakes who is due, and stops the store if it has to.
    pub(crate) fn after_turn(&self) {
        self.stop_if_in_doubt();
        self.progress.wake();
    }

    /// Has the log brought to `sequence` by the store's thread.
    pub(crate) fn request(&self, mark: Mark, sequence: u64) {
        self.signal.request(mark == Mark::Durable, sequence);
    }

    /// Seals the segments that are full and durable. One that cannot be sealed stays the first to be sealed next time.
    pub(crate) fn seal_full(&self) -> Result<()> {
        let _sealing = self.lock_sealing();
        self.seal_up_to(self.progress.durable())
    }

    /// Keeps others from sealing segments.
    pub(crate) fn lock_sealing(&self) -> MutexGuard<'_, ()> {
        self.sealing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals the full segments whose records are all up to `sequence`, which is durable. The caller has locked sealing.
    pub(crate) fn seal_up_to(&self, sequence: u64) -> Result<()> {
        loop {
            let first = self.state().tail.first_full(sequence);
            let Some(full) = first else { return Ok(()) };
            self.catalog.seal(&full.segment, &full.footer)?;
            let mut state = self.state_mut();
            state.tail.drop_first_full();
            if full.footer.frames == 0 {
                // It was dropped instead.
                Arc::make_mut(&mut state.segments).remove(&full.segment.id);
                continue;
            }
            drop(state);
            self.unhinted().push(full.segment.id);
            self.signal.wake_compaction();
        }
    }

    /// Recounts from the disk all that the index keeps account of, if none of it is known to be damaged. Everything is
    /// sealed.
    #[cfg(debug_assertions)]
    fn recount(&self) {
        if self.compactor.has_found_damage() {
            return;
        }
        let state = self.state();
        let hints: Option<Vec<_>> = self
            .catalog
            .sealed_segments()
            .iter()
            .map(|sealed| scan::hint(&*state.segments.get(&sealed.segment)?.file, sealed).ok())
            .collect();
        // A segment that cannot be read counts as little as one that compaction could not let go of.
        let whole = hints.filter(|hints| hints.len() + 1 >= state.segments.len());
        if let Some(hints) = whole {
            let (tagger, now_ms) = (state.index.tagger(), self.clock.now_ms());
            let recounted = crate::index::load(hints, 1, tagger, now_ms);
            state.index.assert_same(&recounted);
        }
    }

    pub(crate) fn unhinted(&self) -> MutexGuard<'_, Vec<u32>> {
        self.unhinted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the hint file of a sealed segment that has none. False if there was none to write, or no room to be used
    /// for it.
    ///
    /// One that cannot be written is done without: the next open makes the hint anew.
    pub(crate) fn write_hint(&self) -> bool {
        if self.catalog.is_short() {
            return false;
        }
        let Some(id) = self.unhinted().pop() else { return false };
        let segment = self.state().segments.get(&id).cloned();
        if let (Some(segment), Some(sealed)) = (segment, self.catalog.sealed(id))
            && let Ok(hint) = scan::hint(&*segment.file, &sealed)
        {
            self.catalog.write_hint(&hint, &sealed);
        }
        true
    }

    /// Ends the session. The threads have stopped.
    pub(crate) fn close(&self) -> Result<()> {
        {
            let mut state = self.state_mut();
            if std::mem::replace(&mut state.closed, true) {
                return Ok(());
            }
        }
        self.time_mark.end();
        let ended = {
            let _turn = self.compactor.pause();
            let ended = self.end_log();
            let _sealing = self.lock_sealing();
            self.catalog.end();
            ended
        };
        self.progress.close();
        self.progress.wake();
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
        ended
    }

    fn end_log(&self) -> Result<()> {
        let sequence = self.last_sequence();
        self.sync_quietly(sequence);
        if self.progress.failure().is_some() {
            return Err(self.failed_error());
        }
        self.seal_full()?;
        let last = self.state().tail.finish();
        let mut empty = None;
        match last {
            Some(last) => {
                self.catalog.seal(&last.segment, &last.footer)?;
                self.unhinted().push(last.segment.id);
            }
            None => empty = self.state().tail.segment().map(|segment| segment.id),
        }
        #[cfg(debug_assertions)]
        self.recount();
        while self.write_hint() {}
        self.catalog.close(empty, sequence, self.clock.now_ms())
    }
}
