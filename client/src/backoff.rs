//! How long to wait before the next try.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double from one failure to the next, and of which the second half is left to chance, so that those who lost
/// the same server do not all come back to it at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        // A hasher of the standard library is keyed by chance.
        Self::seeded(min, max, RandomState::new().hash_one(0))
    }

    fn seeded(min: Duration, max: Duration, random: u64) -> Self {
        Self { min, max, failures: 0, random }
    }

    /// The wait after another failure.
    pub(crate) fn next(&mut self) -> Duration {
        let doublings = self.failures.min(31);
        self.failures = self.failures.saturating_add(1);
        let whole = self.min.saturating_mul(1 << doublings).min(self.max);
        let half = whole / 2;
        // A linear congruential generator; its upper half is what is random enough.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = u32::try_from(self.random >> 32).unwrap_or(u32::MAX);
        half + half.mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_double_up_to_the_longest(random in any::<u64>(), min_ms in 0..1_000_u64, max_ms in 0..100_000_u64) {
            let (min, max) = (Duration::from_millis(min_ms), Duration::from_millis(max_ms));
            let mut backoff = Backoff::seeded(min, max, random);
            for failures in 0..100_u32 {
                let whole = min.saturating_mul(2_u32.saturating_pow(failures)).min(max);
                let wait = backoff.next();
                prop_assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
            }
            backoff.reset();
            prop_assert!(backoff.next() <= min);
        }
    }

    #[test]
    fn two_do_not_come_back_together() {
        let second = Duration::from_secs(1);
        let waits: Vec<_> =
            (0..10).map(|random| Backoff::seeded(second, second, random << 40).next()).collect();
        assert!(waits.windows(2).all(|pair| pair[0] != pair[1]), "{waits:?}");
    }
}
