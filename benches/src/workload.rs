//! Which requests are sent, and when no more are.

use std::time::Instant;

use crate::dialect::Dialect;
use crate::key::key;
use crate::random::Random;
use crate::value::Values;

/// The depth at which keys are filled in: deep, since nothing is measured.
pub const FILL_PIPELINE: usize = 64;

/// A request that the load consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read one key.
    Get,
    /// Store a value under one key.
    Set,
}

/// How the next request is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// Any key with equal chance, and this share of SETs (0.0 to 1.0) among the GETs.
    Random {
        /// The share of SETs.
        set_share: f64,
    },
    /// A SET of each key in order.
    Fill {
        /// The number of the next key.
        next: u64,
    },
}

/// When entries expire, by the numbers of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// The first deadline, in Unix milliseconds.
    pub first_ms: u64,
    /// Milliseconds from that of one key to that of the next.
    pub step_ms: u64,
    /// Milliseconds after which they begin again.
    pub span_ms: u64,
}

impl Deadlines {
    /// The deadline of a key, counted from the first.
    #[must_use]
    pub fn of(&self, number: u64) -> u64 {
        self.first_ms + number * self.step_ms % self.span_ms
    }
}

/// How long requests are issued. Those in flight at the end are still awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// This many more requests.
    Requests(u64),
    /// Batches begun before this instant.
    Until(Instant),
}

/// A stream of requests in one dialect.
#[derive(Debug)]
pub struct Workload<'a> {
    /// The protocol they are written in.
    pub dialect: Dialect,
    /// Requests that a connection writes before it waits.
    pub pipeline: usize,
    /// The number of the first key.
    pub first_key: u64,
    /// How many keys there are.
    pub keys: u64,
    /// When what is stored expires, if it does.
    pub deadlines: Option<Deadlines>,
    /// What is stored.
    pub values: &'a Values,
    /// Which request comes next.
    pub choice: Choice,
    /// How many come.
    pub budget: Budget,
    /// Where keys, values and operations are drawn from.
    pub random: Random,
}

impl<'a> Workload<'a> {
    /// SETs of every key once.
    #[must_use]
    pub fn fill(dialect: Dialect, pipeline: usize, keys: u64, values: &'a Values, random: Random) -> Self {
        let choice = Choice::Fill { next: 0 };
        let budget = Budget::Requests(keys);
        Self { dialect, pipeline, first_key: 0, keys, deadlines: None, values, choice, budget, random }
    }

    /// Appends the next batch to `out` and its operations to `asked`; nothing once the budget is used up.
    pub(crate) fn next_batch(&mut self, now: Instant, out: &mut Vec<u8>, asked: &mut Vec<Operation>) {
        for _ in 0..self.pipeline {
            if !self.budget.take(now) {
                return;
            }
            let (operation, number) = self.choose();
            let key = key(self.first_key + number);
            match operation {
                Operation::Get => self.dialect.encode_get(&key, out),
                Operation::Set => {
                    let value = self.values.pick(&mut self.random).as_bytes();
                    match self.deadlines {
                        None => self.dialect.encode_set(&key, value, out),
                        Some(deadlines) => {
                            self.dialect.encode_set_until(&key, value, deadlines.of(number), out);
                        }
                    }
                }
            }
            asked.push(operation);
        }
    }

    fn choose(&mut self) -> (Operation, u64) {
        match &mut self.choice {
            Choice::Random { set_share } => {
                let operation = if self.random.chance(*set_share) { Operation::Set } else { Operation::Get };
                (operation, self.random.below(self.keys))
            }
            Choice::Fill { next } => {
                let id = *next % self.keys;
                *next += 1;
                (Operation::Set, id)
            }
        }
    }
}

impl Budget {
    /// Takes one request out of the budget, if one is left.
    fn take(&mut self, now: Instant) -> bool {
        match self {
            Self::Requests(0) => false,
            Self::Requests(left) => {
                *left -= 1;
                true
            }
            Self::Until(end) => now < *end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(mut workload: Workload<'_>) -> (String, Vec<Operation>) {
        let (mut out, mut asked) = (Vec::new(), Vec::new());
        loop {
            let before = asked.len();
            workload.next_batch(Instant::now(), &mut out, &mut asked);
            assert!(asked.len() - before <= workload.pipeline);
            if asked.len() == before {
                return (String::from_utf8(out).expect("text"), asked);
            }
        }
    }

    #[test]
    fn a_fill_sets_every_key_once() {
        let values = Values::generate(&mut Random::seeded(1), 20);
        let (text, asked) = sent(Workload::fill(Dialect::Larder, 4, 10, &values, Random::seeded(1)));
        assert_eq!(asked, [Operation::Set; 10]);
        for (id, line) in text.lines().enumerate() {
            assert!(line.starts_with(&format!("SET user:{id:019} {{")), "{line}");
        }
    }

    #[test]
    fn a_fill_of_what_expires_says_when() {
        let values = Values::generate(&mut Random::seeded(1), 20);
        let deadlines = Deadlines { first_ms: 1_773_572_400_000, step_ms: 10, span_ms: 20 };
        let fill = Workload::fill(Dialect::Larder, 4, 3, &values, Random::seeded(1));
        let (text, _) = sent(Workload { first_key: 40, deadlines: Some(deadlines), ..fill });
        for (line, (id, time)) in text.lines().zip([(40, "00Z"), (41, "00.01Z"), (42, "00Z")]) {
            assert!(line.starts_with(&format!("SET user:{id:019} at=2026-03-15T11:00:{time} {{")), "{line}");
        }
    }

    #[test]
    fn the_share_of_sets_is_kept() {
        let values = Values::generate(&mut Random::seeded(1), 20);
        for (set_share, sets) in [(0.0, 0..=0), (0.25, 200..=300), (1.0, 1000..=1000)] {
            let (_, asked) = sent(Workload {
                choice: Choice::Random { set_share },
                budget: Budget::Requests(1000),
                ..Workload::fill(Dialect::Larder, 16, 10, &values, Random::seeded(1))
            });
            let found = asked.iter().filter(|&&operation| operation == Operation::Set).count();
            assert!(asked.len() == 1000 && sets.contains(&found), "{found} of {}", asked.len());
        }
    }
}
