//! What watching connections share: how far one may fall behind, how many read history at a time, and how long each rests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::shared::Shared;

/// A slow watcher may fall behind by this share of what the feed retains: it can still resume when it is told.
const LAG_SHARE: u64 = 2;
/// But it may always fall behind by that much.
const LAG_BYTES_MIN: u64 = 1024 * 1024;
/// Watchers that read what may have to come from disk at the same time.
const HISTORY_READERS: usize = 4;
/// Processor time that one look at the log takes, generously. All watchers together are to take less than a processor.
const LOOK_TIME: Duration = Duration::from_micros(5);
/// Shorter rests cannot be timed.
const REST_MIN: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Watchers {
    pub(crate) lag_bytes_max: u64,
    pub(crate) history: Semaphore,
    count: AtomicU64,
    cut: AtomicU64,
}

/// One watcher, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Shared>);

impl Watchers {
    pub(crate) fn new(feed_retention_bytes: u64) -> Watchers {
        Watchers {
            lag_bytes_max: (feed_retention_bytes / LAG_SHARE).max(LAG_BYTES_MIN),
            history: Semaphore::new(HISTORY_READERS),
            count: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How many were cut because they were too slow.
    pub(crate) fn cut_count(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    pub(crate) fn note_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// How long a watcher that has seen everything is to wait before it looks again, so that a thousand of them do not
    /// wake for each write: what gathers meanwhile is taken in one look.
    pub(crate) fn rest(&self) -> Option<Duration> {
        let looks = u32::try_from(self.count()).unwrap_or(u32::MAX);
        Some(LOOK_TIME.saturating_mul(looks)).filter(|rest| *rest >= REST_MIN)
    }
}

impl Seat {
    pub(crate) fn take(shared: &Arc<Shared>) -> Seat {
        shared.watchers.count.fetch_add(1, Ordering::Relaxed);
        Seat(Arc::clone(shared))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.watchers.count.fetch_sub(1, Ordering::Relaxed);
    }
}
