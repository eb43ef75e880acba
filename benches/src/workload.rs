//! Which requests are sent, when, and when no more are.

use std::time::Instant;

use crate::Error;
use crate::arrivals::Schedule;
use crate::dialect::{Dialect, Expiry, Operation, Request, Stored};
use crate::key::write_key;
use crate::lifetime::Lifetimes;
use crate::mix::{Action, Mix};
use crate::popularity::Popularity;
use crate::random::Random;
use crate::value::Values;
use crate::weighted::Weighted;

/// The depth at which keys are filled in: deep, since nothing is measured.
pub const FILL_PIPELINE: usize = 64;

/// How the next request is chosen.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// By chance.
    Drawn(Draw),
    /// A SET of each key in order.
    Fill {
        /// The number of the next key.
        next: u64,
    },
}

/// What clients do by chance.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// What.
    pub mix: Mix,
    /// To which keys.
    pub popularity: Popularity,
    /// The share of SETs whose key is new, and not asked for again, from 0 to 1.
    pub one_hit: f64,
    /// The most entries that a scan lists; how many is drawn evenly.
    pub scan_max: u32,
    /// How many keys are new so far.
    pub inserted: u64,
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

/// When what is stored expires.
#[derive(Debug, Clone, PartialEq)]
pub enum Expiring {
    /// After a time that is drawn.
    Drawn(Lifetimes),
    /// At a time that is fixed by the key.
    ByKey(Deadlines),
}

/// When requests are sent.
#[derive(Debug, Clone)]
pub enum Pace {
    /// Each connection sends a batch once its last one is answered.
    Closed,
    /// Each request has its time.
    Open(Schedule),
}

/// How many requests are begun. Those in flight at the end are still awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// This many more.
    Requests(u64),
    /// Those of before this instant.
    Until(Instant),
}

/// A stream of requests in one dialect.
#[derive(Debug)]
pub struct Workload<'a> {
    /// The protocol they are written in.
    pub dialect: Dialect,
    /// Requests that a connection has in flight at most.
    pub pipeline: usize,
    /// The size of each key.
    pub key_bytes: usize,
    /// The number of the first key.
    pub first_key: u64,
    /// How many keys there are at first.
    pub keys: u64,
    /// What is stored.
    pub values: &'a Values,
    /// Until when.
    pub expiring: Expiring,
    /// Which request comes next.
    pub choice: Choice,
    /// When it does.
    pub pace: Pace,
    /// How many come.
    pub budget: Budget,
    /// Where keys, values and operations are drawn from.
    pub random: Random,
}

/// A request, and the one that its reply gives rise to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) operation: Operation,
    /// The number of the key, from the first.
    pub(crate) number: u64,
    pub(crate) then: Option<Operation>,
}

impl<'a> Workload<'a> {
    /// SETs of every key once.
    #[must_use]
    pub fn fill(dialect: Dialect, key_bytes: usize, keys: u64, values: &'a Values, random: Random) -> Self {
        Self {
            dialect,
            pipeline: FILL_PIPELINE,
            key_bytes,
            first_key: 0,
            keys,
            values,
            expiring: Expiring::Drawn(Weighted::always(Expiry::Never)),
            choice: Choice::Fill { next: 0 },
            pace: Pace::Closed,
            budget: Budget::Requests(keys),
            random,
        }
    }

    /// Fails if the dialect lacks what is to be asked.
    pub(crate) fn require_dialect(&self) -> Result<(), Error> {
        match &self.choice {
            Choice::Drawn(draw)
                if !self.dialect.has_scans() && draw.mix.iter().any(|(action, _)| action == Action::Scan) =>
            {
                Err(Error::NoScans { dialect: self.dialect })
            }
            Choice::Drawn(_) | Choice::Fill { .. } => Ok(()),
        }
    }

    /// Counts the times of an open loop from now on.
    pub(crate) fn begin(&mut self, now: Instant) {
        if let Pace::Open(schedule) = &mut self.pace {
            schedule.begin(now);
        }
    }

    /// When the next request is to be sent, if each has its time and there is one more.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        match &self.pace {
            Pace::Closed => None,
            Pace::Open(schedule) => Some(schedule.next()).filter(|due| self.budget.has_one_at(*due)),
        }
    }

    /// The next request and the time from which its latency counts, if there is one more and its time has come.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(Step, Instant)> {
        let since = match &mut self.pace {
            Pace::Closed => now,
            Pace::Open(schedule) => {
                let due = schedule.next();
                if due > now {
                    return None;
                }
                due
            }
        };
        if !self.budget.take(since) {
            return None;
        }
        if let Pace::Open(schedule) = &mut self.pace {
            schedule.advance(&mut self.random);
        }
        Some((self.choose(), since))
    }

    /// Appends a request to `out`; `key` is room for its key, and `version` of what was read if it is a swap.
    pub(crate) fn encode(&mut self, step: Step, version: u64, key: &mut Vec<u8>, out: &mut Vec<u8>) {
        write_key(self.first_key + step.number, self.key_bytes, key);
        let request = match step.operation {
            Operation::Get => Request::Get,
            Operation::GetToSwap => Request::GetToSwap,
            Operation::Set => Request::Set(self.stored(step.number)),
            Operation::Add => Request::Add(self.stored(step.number)),
            Operation::Swap => Request::Swap(self.stored(step.number), version),
            Operation::Scan => Request::Scan(self.scan_limit()),
        };
        self.dialect.encode(key, &request, out);
    }

    fn stored(&mut self, number: u64) -> Stored<'a> {
        let expiry = match &self.expiring {
            Expiring::Drawn(lifetimes) => lifetimes.pick(&mut self.random),
            Expiring::ByKey(deadlines) => Expiry::At { unix_ms: deadlines.of(number) },
        };
        Stored { value: self.values.pick(&mut self.random).as_bytes(), expiry }
    }

    fn scan_limit(&mut self) -> u32 {
        match &self.choice {
            Choice::Drawn(draw) => {
                let limit = 1 + self.random.below(draw.scan_max.max(1).into());
                u32::try_from(limit).unwrap_or(draw.scan_max)
            }
            Choice::Fill { .. } => 1,
        }
    }

    fn choose(&mut self) -> Step {
        let draw = match &mut self.choice {
            Choice::Fill { next } => {
                let number = *next % self.keys;
                *next += 1;
                return Step { operation: Operation::Set, number, then: None };
            }
            Choice::Drawn(draw) => draw,
        };
        let action = draw.mix.pick(&mut self.random);
        let (operation, then) = match action {
            Action::Get => (Operation::Get, None),
            Action::Set | Action::Insert => (Operation::Set, None),
            Action::Add => (Operation::Add, None),
            Action::Cas => (Operation::GetToSwap, Some(Operation::Swap)),
            Action::Scan => (Operation::Scan, None),
            Action::Rmw => (Operation::Get, Some(Operation::Set)),
        };
        let is_new = match action {
            Action::Insert | Action::Add => true,
            Action::Set => draw.one_hit > 0.0 && self.random.chance(draw.one_hit),
            Action::Get | Action::Cas | Action::Scan | Action::Rmw => false,
        };
        let number = if is_new {
            draw.inserted += 1;
            self.keys + draw.inserted - 1
        } else {
            draw.popularity.draw(draw.inserted, &mut self.random)
        };
        Step { operation, number, then }
    }
}

impl Budget {
    /// Takes one request out of the budget, if one is left.
    fn take(&mut self, now: Instant) -> bool {
        let is_left = self.has_one_at(now);
        if let Self::Requests(left) = self {
            *left = left.saturating_sub(1);
        }
        is_left
    }

    fn has_one_at(&self, now: Instant) -> bool {
        match self {
            Self::Requests(left) => *left > 0,
            Self::Until(end) => now < *end,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::arrivals::Arrivals;

    fn values() -> Values {
        Values::generate(&mut Random::seeded(1), 20)
    }

    fn drawn<'a>(values: &'a Values, mix: &[(Action, f64)], requests: u64) -> Workload<'a> {
        Workload {
            choice: Choice::Drawn(Draw {
                mix: Mix::new(mix).expect("a mix"),
                popularity: Popularity::new(10, 0.0, false),
                one_hit: 0.0,
                scan_max: 5,
                inserted: 0,
            }),
            budget: Budget::Requests(requests),
            ..Workload::fill(Dialect::Larder, 24, 10, values, Random::seeded(1))
        }
    }

    fn sent(mut workload: Workload<'_>) -> (String, Vec<Step>) {
        let (mut out, mut key, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((step, _)) = workload.next(Instant::now()) {
            workload.encode(step, 0, &mut key, &mut out);
            steps.push(step);
        }
        (String::from_utf8(out).expect("text"), steps)
    }

    #[test]
    fn a_fill_sets_every_key_once() {
        let values = values();
        let (text, steps) = sent(Workload::fill(Dialect::Larder, 24, 10, &values, Random::seeded(1)));
        assert_eq!(steps.len(), 10);
        for (id, line) in text.lines().enumerate() {
            assert!(line.starts_with(&format!("SET user:{id:019} {{")), "{line}");
        }
    }

    #[test]
    fn a_fill_of_what_expires_says_when() {
        let values = values();
        let deadlines = Deadlines { first_ms: 1_773_572_400_000, step_ms: 10, span_ms: 20 };
        let fill = Workload::fill(Dialect::Larder, 24, 3, &values, Random::seeded(1));
        let (text, _) = sent(Workload { first_key: 40, expiring: Expiring::ByKey(deadlines), ..fill });
        for (line, (id, time)) in text.lines().zip([(40, "00Z"), (41, "00.01Z"), (42, "00Z")]) {
            assert!(line.starts_with(&format!("SET user:{id:019} at=2026-03-15T11:00:{time} {{")), "{line}");
        }
    }

    #[test]
    fn shares_of_the_mix_are_kept() {
        let values = values();
        let (_, steps) = sent(drawn(&values, &[(Action::Get, 0.75), (Action::Set, 0.25)], 1000));
        let sets = steps.iter().filter(|step| step.operation == Operation::Set).count();
        assert!(steps.len() == 1000 && (200..=300).contains(&sets), "{sets} of {}", steps.len());
    }

    #[test]
    fn some_actions_go_on_after_their_reply() {
        let values = values();
        for (action, operation, then) in [
            (Action::Get, Operation::Get, None),
            (Action::Cas, Operation::GetToSwap, Some(Operation::Swap)),
            (Action::Rmw, Operation::Get, Some(Operation::Set)),
        ] {
            let (_, steps) = sent(drawn(&values, &[(action, 1.0)], 50));
            assert!(steps.iter().all(|step| (step.operation, step.then) == (operation, then)), "{action}");
            assert!(steps.iter().all(|step| step.number < 10), "{action}");
        }
    }

    #[test]
    fn new_keys_are_new_and_count_up() {
        let values = values();
        for action in [Action::Add, Action::Insert, Action::Set] {
            let mut workload = drawn(&values, &[(action, 1.0)], 20);
            if let Choice::Drawn(draw) = &mut workload.choice {
                draw.one_hit = 1.0;
            }
            let (text, steps) = sent(workload);
            assert!(steps.iter().map(|step| step.number).eq(10..30), "{action}");
            assert_eq!(text.contains(" if=absent {"), action == Action::Add);
        }
    }

    #[test]
    fn scans_list_up_to_a_number() {
        let values = values();
        let (text, _) = sent(drawn(&values, &[(Action::Scan, 1.0)], 200));
        let limits: Vec<_> = text.lines().map(|line| line.rsplit_once('=').expect("a limit").1).collect();
        assert!(["1", "2", "3", "4", "5"].iter().all(|limit| limits.contains(limit)), "{limits:?}");
        assert!(!limits.contains(&"6") && !limits.contains(&"0"));

        let workload = drawn(&values, &[(Action::Scan, 1.0)], 1);
        let workload = Workload { dialect: Dialect::Memcached, ..workload };
        assert!(matches!(workload.require_dialect(), Err(Error::NoScans { .. })));
    }

    #[test]
    fn an_open_loop_sends_what_is_due_and_counts_from_then() {
        let values = values();
        let start = Instant::now();
        let mut workload = drawn(&values, &[(Action::Get, 1.0)], 4);
        workload.pace = Pace::Open(Schedule::new(Arrivals::Constant, 1000.0));
        workload.begin(start);
        let millis = |count| start + Duration::from_millis(count);
        assert_eq!(workload.next(millis(0)).map(|(_, since)| since), Some(millis(0)));
        assert_eq!((workload.next(millis(0)), workload.next_due()), (None, Some(millis(1))));
        // Whoever comes late finds two, each with the time that it had.
        let late: Vec<_> = std::iter::from_fn(|| workload.next(millis(2)).map(|(_, since)| since)).collect();
        assert_eq!((late, workload.next_due()), (vec![millis(1), millis(2)], Some(millis(3))));
        assert!(workload.next(millis(9)).is_some());
        assert_eq!((workload.next(millis(9)), workload.next_due()), (None, None));
    }

    #[test]
    fn the_end_of_an_open_loop_counts_by_what_is_due() {
        let values = values();
        let start = Instant::now();
        let mut workload = drawn(&values, &[(Action::Get, 1.0)], 0);
        workload.pace = Pace::Open(Schedule::new(Arrivals::Constant, 1000.0));
        workload.begin(start);
        workload.budget = Budget::Until(start + Duration::from_micros(2500));
        let late = start + Duration::from_secs(1);
        assert_eq!(std::iter::from_fn(|| workload.next(late)).count(), 3);
        assert_eq!(workload.next_due(), None);
    }
}
