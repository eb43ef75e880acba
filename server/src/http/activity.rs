//! What goes on on a connection, and whether anything moves. It is looked at from time to time, so that a request does not have
//! to look at the clock for it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::rooms::PATIENCE;
use crate::terms::Terms;

/// Time that a connection may lie idle between two requests, unless the settings say less.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// See the module.
///
/// While answers have places that others may wait for, it is looked at more often, and at each large answer by itself: over HTTP/2
/// others that go on over the same connection are no reason for one that its client does not take to keep its place.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Requests that the server is at work on.
    handling: AtomicUsize,
    /// Answers that are not sent yet.
    sending: AtomicUsize,
    /// Those among them that have places which others may wait for.
    holding: AtomicUsize,
    /// Something has moved since the last look.
    moved: AtomicBool,
    /// The beginning of a head has come, and its end has not.
    heading: AtomicBool,
    /// There is one more that has places, or a head that is not all there.
    sooner: Notify,
    /// Answers of more than a piece.
    large: Mutex<Vec<Arc<Progress>>>,
}

/// How a large answer goes on.
#[derive(Debug)]
pub(super) struct Progress {
    /// A piece of it was taken since the last look.
    moved: AtomicBool,
    /// It waits for more to be told, and not for its client.
    waits: AtomicBool,
}

impl Progress {
    /// A piece was asked for, and is there or not.
    pub(super) fn note(&self, is_there: bool) {
        self.waits.store(!is_there, Ordering::Relaxed);
        if is_there {
            self.moved.store(true, Ordering::Relaxed);
        }
    }
}

impl Activity {
    /// Something moves.
    pub(super) fn note(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// Counts a request that the server is at work on.
    pub(super) fn handling(self: &Arc<Activity>) -> Counted {
        Counted::new(self, |activity| &activity.handling)
    }

    /// Counts an answer that is not sent yet.
    pub(super) fn sending(self: &Arc<Activity>) -> Counted {
        Counted::new(self, |activity| &activity.sending)
    }

    /// Counts one that holds a place which others may wait for.
    pub(super) fn holding(self: &Arc<Activity>) -> Counted {
        let counted = Counted::new(self, |activity| &activity.holding);
        self.sooner.notify_one();
        counted
    }

    /// A head is not all there, or is by now. It has its time from its beginning on, however its bytes come.
    pub(super) fn heading(&self, is_begun: bool) {
        if is_begun && !self.heading.swap(true, Ordering::Relaxed) {
            self.note();
            self.sooner.notify_one();
        } else if !is_begun {
            self.heading.store(false, Ordering::Relaxed);
        }
    }

    /// Follows a large answer from here on.
    pub(super) fn follow(&self) -> Arc<Progress> {
        let progress = Arc::new(Progress { moved: AtomicBool::new(true), waits: AtomicBool::new(false) });
        self.large.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&progress));
        progress
    }

    pub(super) fn forget(&self, progress: &Arc<Progress>) {
        let mut large = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        large.retain(|other| !Arc::ptr_eq(other, progress));
    }

    /// Whether there is a large answer of which its client has taken nothing since the last look.
    fn has_stuck(&self) -> bool {
        let large = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stuck = false;
        for progress in large.iter() {
            let moved = progress.moved.swap(false, Ordering::Relaxed);
            stuck |= !moved && !progress.waits.load(Ordering::Relaxed);
        }
        stuck
    }

    /// Returns once nothing has moved for too long, and not for twice that; and whether there is something that should.
    pub(super) async fn ceased(&self, terms: &Terms) -> bool {
        let mut still = Duration::ZERO;
        let mut was_holding = false;
        loop {
            let sending = self.sending.load(Ordering::Relaxed) > 0;
            let holding = self.holding.load(Ordering::Relaxed) > 0;
            // Between two looks while it holds places there is the patience with who keeps them.
            let stuck = self.has_stuck() && was_holding && holding;
            if stuck && (terms.replies.are_taken() || terms.listings.are_taken()) {
                return true;
            }
            let heading = self.heading.load(Ordering::Relaxed);
            let patience = match (sending, heading) {
                (true, _) => terms.write_timeout,
                (false, true) => terms.line_timeout,
                (false, false) => terms.idle_timeout.map_or(IDLE_TIME, |time| time.min(IDLE_TIME)),
            };
            if self.moved.swap(false, Ordering::Relaxed) || self.handling.load(Ordering::Relaxed) > 0 {
                still = Duration::ZERO;
            } else if still >= patience {
                return sending || heading;
            }
            was_holding = holding;
            let began = Instant::now();
            // While it holds places, others may come to wait for them at any time.
            if holding {
                sleep(PATIENCE).await;
            } else {
                _ = timeout(patience, self.sooner.notified()).await;
            }
            still = still.saturating_add(began.elapsed());
        }
    }
}

/// One of those that are counted.
#[derive(Debug)]
pub(super) struct Counted {
    activity: Arc<Activity>,
    counter: fn(&Activity) -> &AtomicUsize,
}

impl Counted {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    fn new(activity: &Arc<Activity>, counter: fn(&Activity) -> &AtomicUsize) -> Counted {
        counter(activity).fetch_add(1, Ordering::Relaxed);
        activity.note();
        Counted { activity: Arc::clone(activity), counter }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.counter)(&self.activity).fetch_sub(1, Ordering::Relaxed);
        self.activity.note();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_counted_for_as_long_as_it_does() {
        let activity = Arc::new(Activity::default());
        let counts = || {
            [&activity.handling, &activity.sending, &activity.holding]
                .map(|count| count.load(Ordering::Relaxed))
        };
        let (handling, sending) = (activity.handling(), activity.sending());
        assert_eq!(counts(), [1, 1, 0]);
        let holding = activity.holding();
        drop(handling);
        assert_eq!(counts(), [0, 1, 1]);
        drop((sending, holding));
        assert_eq!(counts(), [0, 0, 0]);
    }

    #[test]
    fn a_head_has_its_time_from_its_beginning() {
        let activity = Activity::default();
        let moves = || activity.moved.swap(false, Ordering::Relaxed);
        activity.heading(true);
        assert!(moves() && activity.heading.load(Ordering::Relaxed));
        activity.heading(true);
        assert!(!moves(), "more of it is no reason to wait longer");
        activity.heading(false);
        assert!(!activity.heading.load(Ordering::Relaxed));
    }
}
