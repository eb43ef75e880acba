//! So many requests a second: the generic cell rate algorithm, which is a token bucket that is one number.
//!
//! The number is when the bucket will be full again. A request moves it on by the time that one token takes to
//! come back, and is refused if it would then be more than a second ahead: so much may come at once, and no more than the
//! rate in the long run. All connections of an organization share the number; nobody locks anything. (A library for it
//! brings its own locks, timers and random numbers along.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What may be asked at once: as much as in one second.
const BURST_NS: u64 = 1_000_000_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_second: u64,
    /// Time in which one token comes back.
    token_ns: u64,
    started: Instant,
    /// When the bucket is full again, in nanoseconds since the start.
    full_at_ns: AtomicU64,
}

/// How much of a limit is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) per_second: u64,
    /// Requests that may come at once.
    pub(crate) remaining: u64,
    /// Seconds until as many may come at once as ever.
    pub(crate) full_in_s: u64,
}

impl RateLimit {
    pub(crate) fn new(per_second: u64) -> RateLimit {
        RateLimit {
            per_second,
            token_ns: (BURST_NS / per_second.max(1)).max(1),
            started: Instant::now(),
            full_at_ns: AtomicU64::new(0),
        }
    }

    pub(crate) fn per_second(&self) -> u64 {
        self.per_second
    }

    /// How much is left.
    pub(crate) fn standing(&self) -> Standing {
        self.standing_at(self.now_ns())
    }

    fn standing_at(&self, now_ns: u64) -> Standing {
        let full_in_ns = self.full_at_ns.load(Ordering::Relaxed).saturating_sub(now_ns);
        Standing {
            per_second: self.per_second,
            remaining: BURST_NS.saturating_sub(full_in_ns) / self.token_ns,
            full_in_s: full_in_ns.div_ceil(1_000_000_000),
        }
    }

    /// Takes a token now, or tells how long to wait for one.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        self.take_at(self.now_ns())
    }

    /// Gives a token back that was taken, for what has come to nothing.
    pub(crate) fn give_back(&self) {
        // Whoever took it has moved the number on by as much.
        self.full_at_ns.fetch_sub(self.token_ns, Ordering::Relaxed);
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn take_at(&self, now_ns: u64) -> Result<(), Duration> {
        let next = |full_at_ns: u64| {
            let next = full_at_ns.max(now_ns).saturating_add(self.token_ns);
            (next <= now_ns.saturating_add(BURST_NS)).then_some(next)
        };
        let moved = self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        moved.map(|_| ()).map_err(|full_at_ns| {
            Duration::from_nanos(full_at_ns.saturating_add(self.token_ns).saturating_sub(now_ns + BURST_NS))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_second_s_worth_at_once_and_then_the_rate() {
        let limit = RateLimit::new(10);
        let taken = |at_ns| (0..1000).take_while(|_| limit.take_at(at_ns).is_ok()).count();
        assert_eq!(taken(0), 10);
        assert_eq!(limit.take_at(0), Err(Duration::from_millis(100)));
        assert_eq!(limit.take_at(99 * MS), Err(Duration::from_millis(1)));
        assert_eq!(taken(100 * MS), 1);
        assert_eq!(taken(450 * MS), 3);
        let standing = |at_ns| {
            let Standing { remaining, full_in_s, .. } = limit.standing_at(at_ns);
            (remaining, full_in_s)
        };
        assert_eq!([standing(450 * MS), standing(750 * MS), standing(1_400 * MS)], [(0, 1), (3, 1), (10, 0)]);
        // Idle time beyond a second is not saved up.
        assert_eq!(taken(60_000 * MS), 10);
        // What is given back can be taken again, once.
        limit.give_back();
        assert_eq!(taken(60_000 * MS), 1);
    }

    #[test]
    fn the_extremes() {
        let limit = RateLimit::new(1);
        assert_eq!(limit.take_at(0), Ok(()));
        assert_eq!(limit.take_at(0), Err(Duration::from_secs(1)));
        assert_eq!(limit.take_at(1_000 * MS), Ok(()));
        let limit = RateLimit::new(1_000_000);
        assert_eq!((0..2_000_000).take_while(|_| limit.take_at(5).is_ok()).count(), 1_000_000);
    }
}
