//! The engine's clock: wall time sampled once at open, carried from there by the boot-time clock.
//!
//! Deadlines must neither pass early nor come back because somebody set the machine's clock. So the wall clock is
//! read only when a store opens; from then on the time that passes is taken from a clock that nobody sets and that
//! counts suspend. The result never steps back, not across restarts either: an open starts at the wall clock's time, but
//! never below the *mark*, the highest time that the store has written down. Frames carry the time, and what was told
//! to anybody since is marked every second (`log/mark.rs`).
//!
//! A wall clock that is absurdly far ahead would end every entry for good. So an open refuses one that is too far ahead
//! of the mark, until somebody says that it is right.

use crate::error::{Error, Result};
use crate::sync::{AtomicBool, Ordering};
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// How often the time is marked.
pub(crate) const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// How far the time that was told may have got beyond the mark when a store was killed: the interval, and as much again
/// for the disk.
const MARK_LAG_MS: u64 = 2000;

/// How an open comes to its time.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) source: Arc<dyn Clock>,
    /// How far the wall clock may be ahead of the mark.
    pub(crate) jump_max: Duration,
    /// Whether it is taken as it is, however far.
    pub(crate) accept: bool,
}

/// The highest time that a store has written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// 0 if there is none.
    pub(crate) time_ms: u64,
    /// Whether no later time was told.
    pub(crate) exact: bool,
}

/// A clock as a store carries it.
#[derive(Debug)]
pub(crate) struct CarriedClock {
    source: Arc<dyn Clock>,
    start_ms: u64,
    boot_at_start_ms: u64,
    /// Whether the time was told since it was last marked.
    is_told: AtomicBool,
}

impl CarriedClock {
    /// Starts at the wall clock's time, but not below a time that was told before.
    ///
    /// # Errors
    /// [`Error::ClockAhead`].
    pub(crate) fn start(start: &Start, mark: Mark) -> Result<CarriedClock> {
        let wall_ms = start.source.wall_ms().min(TIME_MAX_MS);
        let jump_max_ms = u64::try_from(start.jump_max.as_millis()).unwrap_or(u64::MAX);
        if mark.time_ms > 0 && wall_ms.saturating_sub(mark.time_ms) > jump_max_ms && !start.accept {
            return Err(Error::ClockAhead { wall_ms, mark_ms: mark.time_ms, jump_max_ms });
        }
        let start_ms = if wall_ms < mark.time_ms && !mark.exact {
            // It was set back, and nobody knows how long the store ran after the mark.
            mark.time_ms.saturating_add(MARK_LAG_MS)
        } else {
            wall_ms.max(mark.time_ms)
        };
        let source = Arc::clone(&start.source);
        let boot_at_start_ms = source.boot_ms();
        Ok(CarriedClock { source, start_ms, boot_at_start_ms, is_told: AtomicBool::new(false) })
    }

    /// Now, in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        let passed_ms = self.source.boot_ms().saturating_sub(self.boot_at_start_ms);
        self.start_ms.saturating_add(passed_ms).min(TIME_MAX_MS)
    }

    /// Notes that somebody is told what depends on the time.
    pub(crate) fn note_told(&self) {
        // All readers share it: looked at always, written once an interval.
        if !self.is_told.load(Ordering::Relaxed) {
            self.is_told.store(true, Ordering::Relaxed);
        }
    }

    /// Whether that was so since the last call.
    pub(crate) fn take_told(&self) -> bool {
        self.is_told.swap(false, Ordering::Relaxed)
    }
}

/// A time for people: `2026-11-20T20:57:45Z`.
pub(crate) fn utc(unix_ms: u64) -> String {
    let (days, seconds) = (unix_ms / 86_400_000, unix_ms / 1000 % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms": years from March on, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Whether an entry with this deadline is expired: the one place that decides it.
pub(crate) fn is_expired(deadline_ms: u64, now_ms: u64) -> bool {
    now_ms >= deadline_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[derive(Debug, Default)]
    struct Hands {
        wall_ms: AtomicU64,
        boot_ms: AtomicU64,
    }

    impl Clock for Hands {
        fn wall_ms(&self) -> u64 {
            self.wall_ms.load(Ordering::Relaxed)
        }
        fn boot_ms(&self) -> u64 {
            self.boot_ms.load(Ordering::Relaxed)
        }
    }

    const DAY_MS: u64 = 86_400_000;

    fn start(wall_ms: u64, mark: Mark, accept: bool) -> Result<(CarriedClock, Arc<Hands>)> {
        let hands = Arc::new(Hands { wall_ms: wall_ms.into(), boot_ms: 12_345.into() });
        let source: Arc<dyn Clock> = Arc::<Hands>::clone(&hands);
        let jump_max = Duration::from_millis(366 * DAY_MS);
        CarriedClock::start(&Start { source, jump_max, accept }, mark).map(|clock| (clock, hands))
    }

    fn exact(time_ms: u64) -> Mark {
        Mark { time_ms, exact: true }
    }

    #[test]
    fn a_mark_that_no_clock_can_show_is_as_far_as_time_goes() {
        for exact in [false, true] {
            let (clock, _) = start(2000 * DAY_MS, Mark { time_ms: u64::MAX, exact }, false).unwrap();
            assert_eq!(clock.now_ms(), TIME_MAX_MS);
        }
    }

    #[test]
    fn steps_of_the_wall_clock_change_nothing_while_it_runs() {
        let now = 2000 * DAY_MS;
        for step in [-1000 * DAY_MS.cast_signed(), -3_600_000, 3_600_000, 1000 * DAY_MS.cast_signed()] {
            let (clock, hands) = start(now, exact(now - 5), false).unwrap();
            hands.wall_ms.store(now.strict_add_signed(step), Ordering::Relaxed);
            assert_eq!(clock.now_ms(), now);
            hands.boot_ms.fetch_add(7, Ordering::Relaxed);
            assert_eq!(clock.now_ms(), now + 7);
        }
    }

    #[test]
    fn an_open_never_starts_below_what_was_told() {
        let mark = 2000 * DAY_MS;
        for wall in [0, mark - 1000 * DAY_MS, mark - 1] {
            assert_eq!(start(wall, exact(mark), false).unwrap().0.now_ms(), mark);
            let killed = Mark { time_ms: mark, exact: false };
            assert_eq!(start(wall, killed, false).unwrap().0.now_ms(), mark + MARK_LAG_MS);
        }
        for wall in [mark, mark + 1, mark + 366 * DAY_MS] {
            for exact in [true, false] {
                let mark = Mark { time_ms: mark, exact };
                assert_eq!(start(wall, mark, false).unwrap().0.now_ms(), wall);
            }
        }
    }

    #[test]
    fn a_wall_clock_absurdly_far_ahead_has_to_be_accepted() {
        let (mark, wall) = (2000 * DAY_MS, 2366 * DAY_MS + 1);
        let refused = start(wall, exact(mark), false).unwrap_err();
        assert!(
            matches!(refused, Error::ClockAhead { wall_ms, mark_ms, .. } if (wall_ms, mark_ms) == (wall, mark))
        );
        let text = refused.to_string();
        assert!(text.contains("1976-06-24T00:00:00Z") && text.contains("--accept-clock"), "{text}");
        assert_eq!(start(wall, exact(mark), true).unwrap().0.now_ms(), wall);
        assert_eq!(start(wall, exact(0), false).unwrap().0.now_ms(), wall, "a new store has no mark");
        assert_eq!(start(u64::MAX, exact(0), false).unwrap().0.now_ms(), TIME_MAX_MS);
    }

    #[test]
    fn times_are_told_as_people_write_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_208_265_002, "2026-11-20T20:57:45Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (TIME_MAX_MS, "10889-08-02T05:31:50Z"),
        ] {
            assert_eq!(utc(ms), text);
        }
    }
}
