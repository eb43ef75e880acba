//! Holding writers to what compaction gives back, before the log is longer than it may be.
//!
//! Else a writer that is faster than compaction would let the log grow without bounds. While jobs run, writers have an
//! account. It begins with the bytes by which the log may still grow, see
//! [`Compaction::space_amplification_max`](super::Compaction::space_amplification_max); each stretch that a job reads or
//! copies adds most of what will come free by that, and what is written is taken off. Who finds it empty waits for the next
//! stretch, which is short as a rule; never for longer than the jobs last, however they end, nor than [`HOLD_MAX`], so that
//! a disk that is slow to sync a job's output does not stop everybody else.
//!
//! When the store is short of what a new segment needs, room or a descriptor, the jobs may be about to give that back. Then
//! a writer waits up to [`SHORT_HOLD_MAX`] for it, and is refused only if it has not come by then.

use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// For how long a writer is held back before it may write all the same.
const HOLD_MAX: Duration = Duration::from_millis(10);
/// The same where it would probably be refused.
const SHORT_HOLD_MAX: Duration = Duration::from_secs(2);
/// The share of what comes free that writers get. The rest shortens the log.
const WRITERS_SHARE: f64 = 0.75;

#[derive(Debug, Default)]
pub(crate) struct Throttle {
    is_on: AtomicBool,
    account: Mutex<Account>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Account {
    /// Bytes that may be written; below zero after a long write.
    credit: f64,
    /// What they began with: what is not used up is no reason to grow further.
    slack: f64,
    /// Bytes for writers for each that the job reads or copies.
    rate: f64,
}

impl Account {
    fn hold(&self, is_short: bool) -> Duration {
        match self.credit > 0.0 {
            _ if is_short => SHORT_HOLD_MAX,
            true => Duration::ZERO,
            false => HOLD_MAX,
        }
    }
}

/// As long as it lives, writers are held to what jobs give back.
#[derive(Debug)]
pub(super) struct Held<'t>(&'t Throttle);

impl Throttle {
    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to hold writers back.
    pub(super) fn hold(&self) -> Held<'_> {
        *self.lock() = Account { credit: f64::INFINITY, ..Account::default() };
        self.is_on.store(true, Ordering::Release);
        Held(self)
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Whether writers are within what they may write.
    pub(super) fn admits(&self) -> bool {
        !self.is_on() || self.lock().credit > 0.0
    }

    /// For how long a write has to wait at most, as things are.
    pub(crate) fn hold_of(&self, is_short: bool) -> Duration {
        if self.is_on() { self.lock().hold(is_short) } else { Duration::ZERO }
    }

    /// Waits until a write may begin.
    pub(crate) fn wait(&self, is_short: impl Fn() -> bool) {
        if !self.is_on() {
            return;
        }
        let since = Instant::now();
        let mut account = self.lock();
        while self.is_on() {
            let rest = account.hold(is_short()).saturating_sub(since.elapsed());
            if rest.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(account, rest);
            account = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Notes that so many bytes were written.
    pub(crate) fn spend(&self, bytes: u64) {
        if self.is_on() {
            self.lock().credit -= bytes_of(bytes);
        }
    }

    /// Notes that the job has read or copied so many bytes.
    pub(super) fn earn(&self, bytes: u64) {
        let mut account = self.lock();
        let earned = bytes_of(bytes) * account.rate;
        account.credit = (account.credit + earned).min(account.slack.max(earned));
        drop(account);
        self.changed.notify_all();
    }
}

impl Held<'_> {
    /// A job begins, which frees `share` bytes for each that it reads or copies. The log may grow by `slack` bytes.
    pub(super) fn begin_job(&self, slack: f64, share: f64) {
        *self.0.lock() = Account { credit: slack, slack, rate: share * WRITERS_SHARE };
        self.0.changed.notify_all();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Under the lock: who has just found it on does not miss the end of it.
        let account = self.0.lock();
        self.0.is_on.store(false, Ordering::Release);
        drop(account);
        self.0.changed.notify_all();
    }
}

#[expect(clippy::cast_precision_loss, reason = "fewer bytes than a petabyte")]
fn bytes_of(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_comes_free() {
        let throttle = Throttle::default();
        throttle.spend(1 << 30);
        assert!(throttle.admits());
        let held = throttle.hold();
        assert!(throttle.admits());
        held.begin_job(100.0, 0.5);
        throttle.spend(100);
        assert!(!throttle.admits());
        throttle.earn(1000);
        assert!(throttle.admits());
        throttle.spend(600);
        throttle.earn(500);
        assert!(!throttle.admits());
        (0..10).for_each(|_| throttle.earn(1000));
        throttle.spend(375);
        assert!(!throttle.admits(), "what was not used up is gone");
        assert_eq!(throttle.hold_of(false), HOLD_MAX);
        drop(held);
        throttle.wait(|| false);
        assert!(throttle.admits());
    }

    #[test]
    fn where_something_is_short_it_is_waited_for_until_it_is_there_or_the_job_at_its_end() {
        let (throttle, is_short) = (Throttle::default(), AtomicBool::new(true));
        assert_eq!(throttle.hold_of(true), Duration::ZERO, "nothing is about to be given back");
        let held = throttle.hold();
        held.begin_job(100.0, 1.0);
        assert_eq!((throttle.hold_of(true), throttle.hold_of(false)), (SHORT_HOLD_MAX, Duration::ZERO));
        let wait = || throttle.wait(|| is_short.load(Ordering::Acquire));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(wait);
            is_short.store(false, Ordering::Release);
            throttle.earn(1);
            waiting.join().unwrap();
            is_short.store(true, Ordering::Release);
            let waiting = scope.spawn(wait);
            drop(held);
            waiting.join().unwrap();
        });
    }

    #[test]
    fn the_end_of_the_job_lets_all_go_on() {
        let throttle = Throttle::default();
        let held = throttle.hold();
        held.begin_job(0.0, 1.0);
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| throttle.wait(|| false))).collect();
            drop(held);
            waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
        });
    }
}
