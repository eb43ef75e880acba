//! The engine's clock: wall time sampled once at open, carried from there by the boot-time clock.
//!
//! Deadlines must neither pass early nor come back because somebody set the machine's clock. So the wall clock is
//! read only when a store opens; from then on the time that passes is taken from a clock that nobody sets and that
//! counts suspend. The result never steps back, not across restarts either: an open never starts below the highest
//! time that the log has seen.

use rustix::time::{ClockId, clock_gettime};
use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

/// A deadline that never passes.
pub(crate) const NEVER: u64 = u64::MAX;

/// The latest time there is, in milliseconds since the Unix epoch: in the year 10889. Times fit 6 bytes in the index.
pub(crate) const TIME_MAX_MS: u64 = (1 << 48) - 2;

/// Where time comes from. Tests put their own in place of [`SystemClock`], and need no sleeping.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock, in milliseconds since the Unix epoch. Read once, at open.
    fn wall_ms(&self) -> u64;
    /// A clock that never steps back, in milliseconds since any fixed point.
    fn boot_ms(&self) -> u64;
}

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    fn boot_ms(&self) -> u64 {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
    }
}

/// A clock as a store carries it.
#[derive(Debug)]
pub(crate) struct CarriedClock {
    source: std::sync::Arc<dyn Clock>,
    wall_at_open_ms: u64,
    boot_at_open_ms: u64,
}

impl CarriedClock {
    /// Starts at the wall clock's time, but not below `mark_ms`, the highest time seen before.
    pub(crate) fn start(source: std::sync::Arc<dyn Clock>, mark_ms: u64) -> CarriedClock {
        let wall_at_open_ms = source.wall_ms().max(mark_ms);
        let boot_at_open_ms = source.boot_ms();
        CarriedClock { source, wall_at_open_ms, boot_at_open_ms }
    }

    /// Now, in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        let passed_ms = self.source.boot_ms().saturating_sub(self.boot_at_open_ms);
        self.wall_at_open_ms.saturating_add(passed_ms).min(TIME_MAX_MS)
    }
}

/// Whether an entry with this deadline is expired: the one place that decides it.
pub(crate) fn is_expired(deadline_ms: u64, now_ms: u64) -> bool {
    now_ms >= deadline_ms
}
