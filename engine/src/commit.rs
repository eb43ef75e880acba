//! How far the log has got, and waiting for it.
//!
//! Writes change the newest state at once, and answers are computed from it at once. What makes that safe is that no
//! answer gets out before everything that it depends on is acknowledged: results are wrapped in [`Pending`], and the
//! only way to them is through waiting. There are no callbacks and no per-write records of who waits: a waiter only
//! has the sequence that it waits for.
//!
//! Three marks, each only growing, with `acknowledged <= written` and `durable <= written`:
//! - `written`: the operating system has every record up to here;
//! - `durable`: stable storage has every record up to here;
//! - `acknowledged`: answers may depend on records up to here. At level durable that is `durable`; at level buffered it
//!   is `written`, but never above the durable version ceiling, so that no answered version is ever given out again.
//!
//! A waker runs code of the caller's, which may well drop the last handle of the store and so close it. So none is
//! woken, or dropped, under a lock or while the right to sync is held: those who are due are noted first, and woken by
//! whoever moved the mark once it has let go of everything.
//!
//! Once the log has failed the marks stand still, for good: they move only under the lock under which the failure is
//! set.

use crate::error::{Error, Result};
use crate::options::Durability;
use crate::state::Values;
use crate::store::Inner;
use crate::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Acknowledged,
    Durable,
}

/// How far the log has got.
#[derive(Debug)]
pub(crate) struct Progress {
    durability: Durability,
    written: AtomicU64,
    durable: AtomicU64,
    durable_ceiling: AtomicU64,
    acknowledged: AtomicU64,
    waiters: Mutex<Waiters>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiters {
    acknowledged: BTreeMap<(u64, u64), Waker>,
    durable: BTreeMap<(u64, u64), Waker>,
    admission: Vec<Waker>,
    /// What they waited for is there: to be woken as soon as no lock is held.
    due: Vec<Waker>,
    next_ticket: u64,
    failure: Option<Arc<str>>,
    closed: bool,
    /// Somebody is syncing the log.
    syncing: bool,
}

impl Waiters {
    fn of(&mut self, mark: Mark) -> &mut BTreeMap<(u64, u64), Waker> {
        match mark {
            Mark::Acknowledged => &mut self.acknowledged,
            Mark::Durable => &mut self.durable,
        }
    }

    /// Whether the marks stand still for good.
    fn is_over(&self) -> bool {
        self.closed || self.failure.is_some()
    }

    /// All who are to be woken now. Who waits for admission looks for it again.
    fn take_due(&mut self) -> Vec<Waker> {
        let mut due = std::mem::take(&mut self.due);
        due.append(&mut self.admission);
        due
    }
}

/// The right to sync the log. Only one thread has it at a time.
#[derive(Debug)]
pub(crate) struct SyncTurn<'p>(&'p Progress);

impl Drop for SyncTurn<'_> {
    fn drop(&mut self) {
        self.0.lock().syncing = false;
        self.0.changed.notify_all();
    }
}

impl Progress {
    /// Everything up to `sequence` is durable, and versions up to `ceiling` are reserved.
    pub(crate) fn new(durability: Durability, sequence: u64, ceiling: u64) -> Progress {
        Progress {
            durability,
            written: AtomicU64::new(sequence),
            durable: AtomicU64::new(sequence),
            durable_ceiling: AtomicU64::new(ceiling),
            acknowledged: AtomicU64::new(sequence),
            waiters: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    pub(crate) fn has_reached(&self, mark: Mark, sequence: u64) -> bool {
        let reached = match mark {
            Mark::Acknowledged => self.acknowledged(),
            Mark::Durable => self.durable(),
        };
        reached >= sequence
    }

    /// Why the log failed, if it has.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.lock().failure.clone()
    }

    /// The operating system has everything up to `sequence`.
    pub(crate) fn advance_written(&self, sequence: u64) {
        self.advance(|| {
            self.written.fetch_max(sequence, Ordering::AcqRel);
        });
    }

    /// Stable storage has everything up to `sequence`, and with it the announcement of `ceiling`.
    pub(crate) fn advance_durable(&self, sequence: u64, ceiling: u64) {
        self.advance(|| {
            self.durable.fetch_max(sequence, Ordering::AcqRel);
            self.durable_ceiling.fetch_max(ceiling, Ordering::AcqRel);
        });
    }

    fn advance(&self, mark: impl FnOnce()) {
        let mut waiters = self.lock();
        if waiters.failure.is_some() {
            return;
        }
        mark();
        let acknowledged = match self.durability {
            Durability::Durable => self.durable(),
            // Up to whole frames: a failure takes back what is not acknowledged, and a frame is not divisible.
            Durability::Buffered if self.written() <= self.durable_ceiling.load(Ordering::Acquire) => {
                self.written()
            }
            Durability::Buffered => 0,
        };
        self.acknowledged.fetch_max(acknowledged, Ordering::AcqRel);
        let acknowledged = take_up_to(&mut waiters.acknowledged, self.acknowledged());
        let durable = take_up_to(&mut waiters.durable, self.durable());
        waiters.due.extend(acknowledged.into_values().chain(durable.into_values()));
        self.changed.notify_all();
    }

    /// Whether acknowledgements stand still until the next sync has made a higher version ceiling durable.
    pub(crate) fn needs_ceiling(&self) -> bool {
        self.durability == Durability::Buffered && self.acknowledged() < self.written()
    }

    /// Stops everything: the marks stand still from here on. Returns false if that was so before.
    pub(crate) fn fail(&self, cause: &str) -> bool {
        let mut waiters = self.lock();
        if waiters.failure.is_some() {
            return false;
        }
        waiters.failure = Some(cause.into());
        true
    }

    /// The log has come to its end in order.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.note_all();
    }

    /// Notes that all who wait are to be woken: to find that the log has failed, or is closed.
    pub(crate) fn note_all(&self) {
        let mut waiters = self.lock();
        let acknowledged = std::mem::take(&mut waiters.acknowledged);
        let durable = std::mem::take(&mut waiters.durable);
        waiters.due.extend(acknowledged.into_values().chain(durable.into_values()));
        self.changed.notify_all();
    }

    /// Wakes who is due, and those who wait for [`Admission`]. The caller holds no lock, and not the right to sync.
    pub(crate) fn wake(&self) {
        let due = self.lock().take_due();
        due.into_iter().for_each(Waker::wake);
    }

    /// Notes who waits for a mark to reach `until`, under a ticket of its own. False if there is nothing to wait for any
    /// more: it has, or never will.
    pub(crate) fn note(&self, mark: Mark, until: u64, ticket: &mut Option<u64>, waker: &Waker) -> bool {
        let mut waiters = self.lock();
        // Under the lock under which the marks move: either this sees the mark, or the mark's mover sees this.
        if waiters.is_over() || self.has_reached(mark, until) {
            return false;
        }
        let ticket = *ticket.get_or_insert_with(|| {
            waiters.next_ticket += 1;
            waiters.next_ticket
        });
        let replaced = waiters.of(mark).insert((until, ticket), waker.clone());
        drop(waiters);
        drop(replaced);
        true
    }

    /// Whoever was noted under the ticket does not wait any more.
    pub(crate) fn forget(&self, mark: Mark, until: u64, ticket: &mut Option<u64>) {
        if let Some(ticket) = ticket.take() {
            let forgotten = self.lock().of(mark).remove(&(until, ticket));
            drop(forgotten);
        }
    }

    /// Blocks until a mark has reached `until`, or never will.
    pub(crate) fn wait(&self, mark: Mark, until: u64) {
        let mut waiters = self.lock();
        while !waiters.is_over() && !self.has_reached(mark, until) {
            waiters = self.changed.wait(waiters).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes who waits for [`Admission`], once however often it is polled.
    fn note_admission(&self, waker: &Waker) {
        let mut waiters = self.lock();
        if !waiters.admission.iter().any(|noted| noted.will_wake(waker)) {
            waiters.admission.push(waker.clone());
        }
    }

    /// Waits for one's turn to sync; `None` if `sequence` got durable, or the log failed, in the meantime.
    pub(crate) fn sync_turn(&self, sequence: u64) -> Option<SyncTurn<'_>> {
        let mut waiters = self.lock();
        loop {
            if self.durable() >= sequence || waiters.failure.is_some() {
                return None;
            }
            if !waiters.syncing {
                waiters.syncing = true;
                return Some(SyncTurn(self));
            }
            waiters = self.changed.wait(waiters).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn take_up_to(waiters: &mut BTreeMap<(u64, u64), Waker>, sequence: u64) -> BTreeMap<(u64, u64), Waker> {
    if waiters.first_key_value().is_none_or(|((first, _), _)| *first > sequence) {
        return BTreeMap::new();
    }
    let later = waiters.split_off(&(sequence.saturating_add(1), 0));
    std::mem::replace(waiters, later)
}

/// A result that may not be told before the log has got far enough: await it, or [wait](Pending::wait) for it.
///
/// Dropping it does not undo what was written.
#[must_use = "nothing is acknowledged before this was awaited or waited for"]
#[derive(Debug)]
pub struct Pending<R> {
    result: Option<Result<R>>,
    values: Option<Values>,
    until: Until,
}

/// How far the log has to get. Apart from the result, so that a result can be worked on without a look at the counter of
/// [`Inner`]'s owners, which all threads share.
#[derive(Debug)]
struct Until {
    inner: Arc<Inner>,
    mark: Mark,
    sequence: u64,
    wrote: bool,
    ticket: Option<u64>,
    /// The result was given out, or will never be.
    is_over: bool,
}

impl Until {
    fn is_reached(&self) -> bool {
        self.inner.progress.has_reached(self.mark, self.sequence)
    }

    fn forget_ticket(&mut self) {
        self.inner.progress.forget(self.mark, self.sequence, &mut self.ticket);
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        self.forget_ticket();
        if !self.is_over && self.wrote && !self.is_reached() {
            // Nobody waits, but the write stands: somebody has to bring it to disk.
            self.inner.request(self.mark, self.sequence);
        }
    }
}

impl<R> Pending<R> {
    fn until(
        inner: &Arc<Inner>,
        mark: Mark,
        sequence: u64,
        result: Result<R>,
        values: Option<Values>,
        wrote: bool,
    ) -> Pending<R> {
        let until = Until { inner: Arc::clone(inner), mark, sequence, wrote, ticket: None, is_over: false };
        Pending { result: Some(result), values, until }
    }

    pub(crate) fn new(inner: &Arc<Inner>, result: R, values: Values, until: u64, wrote: bool) -> Pending<R> {
        Pending::until(inner, Mark::Acknowledged, until, Ok(result), Some(values), wrote)
    }

    pub(crate) fn durable(inner: &Arc<Inner>, result: R, until: u64) -> Pending<R> {
        Pending::until(inner, Mark::Durable, until, Ok(result), None, false)
    }

    pub(crate) fn failed(inner: &Arc<Inner>, error: Error) -> Pending<R> {
        Pending::until(inner, Mark::Acknowledged, 0, Err(error), None, false)
    }

    /// Whether there is nothing to wait for.
    pub fn is_ready(&self) -> bool {
        matches!(self.result, Some(Err(_))) || self.until.is_reached()
    }

    /// Works on the result before it is waited for: loads values, prepares an answer.
    pub fn map<S>(self, work: impl FnOnce(R, &Values) -> S) -> Pending<S> {
        let Pending { result, values, mut until } = self;
        until.forget_ticket();
        let result = match (result, &values) {
            (Some(Ok(result)), Some(values)) => Some(Ok(work(result, values))),
            (Some(Err(error)), _) => Some(Err(error)),
            _ => None,
        };
        until.is_over |= result.is_none();
        Pending { result, values, until }
    }

    /// Blocks until the result may be told. The thread does the writing and syncing itself where nobody else does.
    ///
    /// # Errors
    /// [`Error::InDoubt`] or [`Error::Failed`] if the log has failed, [`Error::Closed`].
    pub fn wait(mut self) -> Result<R> {
        if !self.is_ready() {
            self.until.inner.drive(self.until.mark, self.until.sequence);
        }
        self.take_result().unwrap_or(Err(Error::Closed))
    }

    /// The result if it may be told, or the failure that keeps it from ever being told.
    fn take_result(&mut self) -> Option<Result<R>> {
        if self.is_ready() {
            self.until.is_over = true;
            return self.result.take();
        }
        let cause = self.until.inner.progress.failure()?;
        self.result = None;
        self.until.is_over = true;
        Some(Err(if self.until.wrote { Error::InDoubt { cause } } else { Error::Failed { cause } }))
    }
}

impl<R: Unpin> Future for Pending<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<R>> {
        let this = &mut *self;
        if let Some(result) = this.take_result() {
            this.until.forget_ticket();
            return Poll::Ready(result);
        }
        let Until { inner, mark, sequence, ticket, .. } = &mut this.until;
        if inner.progress.note(*mark, *sequence, ticket, context.waker()) {
            inner.request(*mark, *sequence);
            return Poll::Pending;
        }
        this.until.forget_ticket();
        Poll::Ready(this.take_result().unwrap_or(Err(Error::Closed)))
    }
}

/// Room for more writes, see [`Store::admission`](crate::Store::admission).
#[must_use = "admission has to be awaited or waited for"]
#[derive(Debug)]
pub struct Admission {
    inner: Arc<Inner>,
    /// Since when it waits for compaction, if it does.
    held_since: Option<Instant>,
}

impl Admission {
    pub(crate) fn new(inner: &Arc<Inner>) -> Admission {
        Admission { inner: Arc::clone(inner), held_since: None }
    }

    /// Blocks until there is room.
    pub fn wait(self) {
        self.inner.wait_for_room();
        self.inner.compactor.throttle.wait(|| self.inner.catalog.is_short());
    }

    /// How long it still has to wait for compaction at most.
    fn held(&self) -> Duration {
        let hold = self.inner.compactor.throttle.hold_of(self.inner.catalog.is_short());
        hold.saturating_sub(self.held_since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    fn is_ready(&self) -> bool {
        self.inner.has_room() && self.held().is_zero()
    }
}

impl Future for Admission {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_ready() {
            return Poll::Ready(());
        }
        self.inner.progress.note_admission(context.waker());
        // What keeps room from being made may have ended between the look and the note.
        if self.is_ready() {
            return Poll::Ready(());
        }
        if self.inner.has_room() {
            self.held_since.get_or_insert_with(Instant::now);
            self.inner.signal.wake_within(self.held());
        } else {
            self.inner.request(Mark::Acknowledged, self.inner.last_sequence());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffered_acknowledgements_stop_below_the_durable_ceiling_at_the_border_of_a_frame() {
        let progress = Progress::new(Durability::Buffered, 0, 10);
        progress.advance_written(7);
        assert_eq!((progress.acknowledged(), progress.needs_ceiling()), (7, false));
        // A frame from 8 to 12: to acknowledge 10 would be to acknowledge a part of it.
        progress.advance_written(12);
        assert_eq!((progress.acknowledged(), progress.needs_ceiling()), (7, true));
        progress.advance_durable(12, 30);
        assert_eq!((progress.acknowledged(), progress.needs_ceiling()), (12, false));
    }

    #[test]
    fn after_a_failure_the_marks_stand_still() {
        let progress = Progress::new(Durability::Durable, 3, 10);
        progress.advance_written(5);
        assert!(progress.fail("by order") && !progress.fail("again"));
        progress.advance_written(6);
        progress.advance_durable(5, 10);
        assert_eq!((progress.written(), progress.durable(), progress.acknowledged()), (5, 3, 3));
        assert!(progress.sync_turn(5).is_none());
    }
}
