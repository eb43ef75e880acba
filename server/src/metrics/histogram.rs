//! Times by powers of two of a microsecond: exact enough for a percentile, and one addition to count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The last one has no upper bound; those before it end at a microsecond, two, four, and so on up to eight seconds.
pub(super) const BUCKETS: usize = 25;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// How many took less than 2^i microseconds, and at least half of that, by i.
    counts: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Histogram {
    /// So many took that long.
    pub(super) fn add(&self, took: Duration, count: u64) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.counts[bucket.min(BUCKETS - 1)].fetch_add(count, Ordering::Relaxed);
        self.sum_us.fetch_add(micros.saturating_mul(count), Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed))
    }

    pub(super) fn sum_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_where_they_belong() {
        let histogram = Histogram::default();
        for micros in [0, 1, 2, 3, 4, 1_000_000, u64::MAX] {
            histogram.add(Duration::from_micros(micros), 1);
        }
        let counts = histogram.counts();
        let filled: Vec<_> = counts.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(0, &1), (1, &1), (2, &2), (3, &1), (20, &1), (BUCKETS - 1, &1)]);
    }
}
