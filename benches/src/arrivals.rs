//! An open loop: when requests are due, whatever became of those before.
//!
//! Users do not wait for each other. A request that cannot be sent at its time, because every connection is full, is sent
//! as soon as one is not, and its latency counts from the time at which it was due: a server that stalls is not asked less,
//! and none of the waiting is left out ("coordinated omission").

use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;

use crate::random::Random;

/// The most requests a second that can be asked for.
pub const RATE_MAX: f64 = 1e8;

/// How the times between requests are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// All the same.
    Constant,
    /// Exponentially distributed, as of many who know nothing of each other.
    Poisson,
}

/// The times at which requests are due, one after the other.
#[derive(Debug, Clone)]
pub struct Schedule {
    arrivals: Arrivals,
    interval_ns: f64,
    start: Instant,
    /// From the start to the next.
    next_ns: f64,
}

impl Schedule {
    /// So many a second, above 0 and up to [`RATE_MAX`], from now on.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate_per_s: f64) -> Self {
        assert!(rate_per_s > 0.0 && rate_per_s <= RATE_MAX, "{rate_per_s} requests a second");
        Self { arrivals, interval_ns: 1e9 / rate_per_s, start: Instant::now(), next_ns: 0.0 }
    }

    /// Begins at `start`, with the first of them.
    pub fn begin(&mut self, start: Instant) {
        self.start = start;
        self.next_ns = 0.0;
    }

    /// When the next one is due.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.next_ns / 1e9)
    }

    /// Goes on to the one after.
    pub fn advance(&mut self, random: &mut Random) {
        self.next_ns += match self.arrivals {
            Arrivals::Constant => self.interval_ns,
            Arrivals::Poisson => -(1.0 - random.unit()).ln() * self.interval_ns,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps_us(arrivals: Arrivals, rate_per_s: f64, count: usize) -> Vec<f64> {
        let start = Instant::now();
        let mut schedule = Schedule::new(arrivals, rate_per_s);
        schedule.begin(start);
        let mut random = Random::seeded(1);
        assert_eq!(schedule.next(), start);
        let mut before = start;
        (0..count)
            .map(|_| {
                schedule.advance(&mut random);
                let gap = schedule.next() - before;
                before = schedule.next();
                gap.as_secs_f64() * 1e6
            })
            .collect()
    }

    #[test]
    fn constant_arrivals_are_equally_far_apart() {
        for gap in gaps_us(Arrivals::Constant, 4000.0, 10_000) {
            assert!((gap - 250.0).abs() < 0.01, "{gap}");
        }
    }

    /// Mean and standard deviation are the interval, and e^-1 of the gaps are longer; within four standard deviations.
    #[test]
    fn poisson_arrivals_are_exponentially_far_apart() {
        const COUNT: usize = 40_000;
        let gaps = gaps_us(Arrivals::Poisson, 4000.0, COUNT);
        let mean = gaps.iter().sum::<f64>() / COUNT as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / COUNT as f64;
        let longer = gaps.iter().filter(|gap| **gap > 250.0).count() as f64 / COUNT as f64;
        assert!((mean / 250.0 - 1.0).abs() < 0.02, "{mean}");
        assert!((variance.sqrt() / 250.0 - 1.0).abs() < 0.03, "{variance}");
        assert!((longer - (-1.0_f64).exp()).abs() < 0.01, "{longer}");
    }
}
