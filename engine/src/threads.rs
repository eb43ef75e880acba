//! The store's threads: one brings the log to disk for those who await it, one does what can wait, one compacts.

use crate::error::Result;
use crate::options::Durability;
use crate::store::Inner;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// What the threads are asked for.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    wanted: Mutex<Wanted>,
    log: Condvar,
    upkeep: Condvar,
    compaction: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Bring the log to this sequence…
    sequence: u64,
    /// …and to stable storage up to this one, whatever the level.
    durable_sequence: u64,
    flush: bool,
    /// Have all who are due woken at this time.
    wake_at: Option<Instant>,
    upkeep: bool,
    compaction: bool,
    stop: bool,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the log's thread to bring the log to `sequence`.
    pub(crate) fn request(&self, durable: bool, sequence: u64) {
        let mut wanted = self.lock();
        wanted.sequence = wanted.sequence.max(sequence);
        if durable {
            wanted.durable_sequence = wanted.durable_sequence.max(sequence);
        }
        if !std::mem::replace(&mut wanted.flush, true) {
            self.log.notify_one();
        }
    }

    /// Asks the log's thread to look within `time` who is to be woken.
    pub(crate) fn wake_within(&self, time: Duration) {
        let at = Instant::now() + time;
        let mut wanted = self.lock();
        if wanted.wake_at.is_none_or(|earlier| at < earlier) {
            wanted.wake_at = Some(at);
            self.log.notify_one();
        }
    }

    /// Asks for upkeep before its time.
    pub(crate) fn wake_upkeep(&self) {
        let mut wanted = self.lock();
        if !std::mem::replace(&mut wanted.upkeep, true) {
            self.upkeep.notify_one();
        }
    }

    /// Waits for a request; gives its sequences, or `None` when it is time to stop.
    fn next_request(&self) -> Option<(u64, u64)> {
        let mut wanted = self.lock();
        loop {
            let is_time = wanted.wake_at.is_some_and(|at| at <= Instant::now());
            if is_time {
                wanted.wake_at = None;
            }
            if std::mem::take(&mut wanted.flush) || is_time {
                return Some((wanted.sequence, wanted.durable_sequence));
            }
            if wanted.stop {
                return None;
            }
            wanted = match wanted.wake_at {
                None => self.log.wait(wanted).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    self.log.wait_timeout(wanted, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits until `deadline`, or until upkeep is asked for. Returns false when it is time to stop.
    fn wait_upkeep(&self, deadline: Instant) -> bool {
        let mut wanted = self.lock();
        loop {
            if wanted.stop {
                return false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if std::mem::take(&mut wanted.upkeep) || left.is_zero() {
                return true;
            }
            wanted = self.upkeep.wait_timeout(wanted, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks for a look whether there is something to compact.
    pub(crate) fn wake_compaction(&self) {
        let mut wanted = self.lock();
        if !std::mem::replace(&mut wanted.compaction, true) {
            self.compaction.notify_one();
        }
    }

    /// Waits until compaction is asked for, or for a while. Returns false when it is time to stop.
    fn wait_compaction(&self, time: Duration) -> bool {
        let ready = |wanted: &mut Wanted| !wanted.compaction && !wanted.stop;
        let wanted = self.compaction.wait_timeout_while(self.lock(), time, ready);
        let mut wanted = wanted.unwrap_or_else(PoisonError::into_inner).0;
        wanted.compaction = false;
        !wanted.stop
    }

    /// Whether it is time to stop, now or within `time`, which is waited for.
    pub(crate) fn is_stopping_within(&self, time: Duration) -> bool {
        let wanted = self.compaction.wait_timeout_while(self.lock(), time, |wanted| !wanted.stop);
        wanted.unwrap_or_else(PoisonError::into_inner).0.stop
    }

    fn is_stopping(&self) -> bool {
        self.lock().stop
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.log.notify_all();
        self.upkeep.notify_all();
        self.compaction.notify_all();
    }
}

/// The running threads. Dropping it stops them and closes the store.
#[derive(Debug)]
pub(crate) struct Threads {
    inner: Arc<Inner>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// No threads: callers do everything.
    pub(crate) fn none(inner: &Arc<Inner>) -> Threads {
        Threads { inner: Arc::clone(inner), handles: Mutex::default() }
    }

    pub(crate) fn start(
        inner: &Arc<Inner>,
        sync_interval: Duration,
        compaction: bool,
    ) -> io::Result<Threads> {
        let threads = Threads::none(inner);
        threads.spawn("larder-log", run_log)?;
        threads.spawn("larder-upkeep", move |inner| run_upkeep(inner, sync_interval))?;
        if compaction {
            threads.spawn("larder-compact", run_compaction)?;
        }
        Ok(threads)
    }

    fn spawn(&self, name: &str, run: impl FnOnce(&Inner) + Send + 'static) -> io::Result<()> {
        let inner = Arc::clone(&self.inner);
        let handle = thread::Builder::new().name(name.into()).spawn(move || run(&inner))?;
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        Ok(())
    }

    /// Stops the threads, and waits for them. On one of them, which a waker of the caller's may run on, not for itself:
    /// it ends once that waker returns.
    pub(crate) fn stop(&self) {
        self.inner.signal.stop();
        let handles = std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        let this = thread::current().id();
        for handle in handles.into_iter().filter(|handle| handle.thread().id() != this) {
            // A thread that panicked has nothing left to wait for.
            let _ = handle.join();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
        // Nobody is left to tell; the next open recovers whatever could not be completed.
        let _ = self.inner.close();
    }
}

fn run_log(inner: &Inner) {
    while let Some((sequence, durable_sequence)) = inner.signal.next_request() {
        if inner.progress.durability() == Durability::Durable {
            inner.sync_until(sequence);
        } else {
            inner.flush();
            if inner.progress.needs_ceiling() {
                inner.sync_until(sequence);
            }
            inner.sync_until(durable_sequence);
        }
    }
}

fn run_upkeep(inner: &Inner, sync_interval: Duration) {
    loop {
        // Failures here are met again, and told, where a write needs what is missing.
        let _ = upkeep(inner);
        inner.stop_if_in_doubt();
        while !inner.signal.is_stopping() && inner.write_hint() {}
        if !inner.signal.wait_upkeep(Instant::now() + sync_interval) {
            return;
        }
    }
}

/// How often it is looked whether there is something to compact, if nothing else asks for it.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait after a compaction that failed.
const COMPACTION_INTERVAL_MAX: Duration = Duration::from_secs(64);

fn run_compaction(inner: &Inner) {
    let mut interval = COMPACTION_INTERVAL;
    while inner.signal.wait_compaction(interval) {
        // A full disk passes. Nothing was changed, and what is damaged is not tried again.
        let compacted = inner.compact_as_needed();
        inner.after_turn();
        interval = match compacted {
            Ok(()) => COMPACTION_INTERVAL,
            Err(_) => COMPACTION_INTERVAL_MAX.min(interval * 2),
        };
    }
}

fn upkeep(inner: &Inner) -> Result<()> {
    let remains = inner.state_mut().snapshots.end_old();
    drop(remains);
    // Each whatever becomes of the others: a full disk is no reason not to sync.
    if inner.progress.durability() == Durability::Buffered {
        inner.sync_until(inner.progress.written());
    }
    let sealed = inner.seal_full();
    inner.catalog.prepare(&inner.clock).and(sealed)
}
