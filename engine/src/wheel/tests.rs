//! The wheel against a sorted map, which finds what is due by looking at its first timer.

use super::*;
use crate::wheel::lists::LISTS;
use crate::wheel::slab::{CHUNK, NUMBERS_END};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const YEAR_MS: u64 = 31_556_952_000;

impl<T: Copy> Wheel<T> {
    /// Checks all links, bits, places and counts against each other.
    fn check(&self) {
        let mut found = 0;
        for list in 0..LISTS {
            let (link, mut previous) = (NUMBERS_END + list, NUMBERS_END + list);
            assert_eq!(self.lists.is_occupied(list), self.lists.first(list).is_some(), "bit of list {list}");
            for number in self.lists.nodes(&self.nodes, list) {
                let node = self.nodes.get(number);
                assert_eq!(node.previous, previous, "the link back from {number} in list {list}");
                assert_eq!(node.is_overdue, list == DUE || list == ASIDE);
                let (deadline, position) = (node.deadline_ms(), self.position);
                match list {
                    CASCADING => assert!(deadline >= position, "{deadline} at {position}"),
                    ASIDE => assert!(deadline <= position, "{deadline} at {position}"),
                    _ => assert_eq!(self.list_of(deadline), list, "{deadline} at {position}"),
                }
                (previous, found) = (number, found + 1);
            }
            let last = self.lists.first(list).map_or(link, |_| previous);
            assert_eq!(previous, last, "the last of list {list}");
        }
        assert_eq!(found, self.len());
    }

    fn is_settled(&self) -> bool {
        self.lists.first(CASCADING).is_none()
    }
}

/// What the model knows of a timer.
#[derive(Debug, Clone, Copy)]
struct Known {
    timer: Timer,
    deadline: u64,
    /// When it becomes due: at its deadline, or when it was set if that was later.
    due: u64,
    is_aside: bool,
}

/// A wheel beside its model.
struct Pair {
    wheel: Wheel<u32>,
    known: BTreeMap<u32, Known>,
    /// Timers that are not due yet, in order.
    waiting: BTreeSet<(u64, u32)>,
    /// The latest time that the wheel was told.
    now: u64,
    names: u32,
    done: u32,
}

impl Pair {
    fn new(now: u64) -> Pair {
        let (known, waiting) = (BTreeMap::new(), BTreeSet::new());
        Pair { wheel: Wheel::new(now), known, waiting, now, names: 0, done: 0 }
    }

    fn insert(&mut self, deadline: u64) {
        let timer = self.wheel.insert(deadline, self.names);
        self.note(self.names, timer, deadline);
        self.names += 1;
    }

    fn note(&mut self, name: u32, timer: Timer, deadline: u64) {
        let deadline = deadline.min(TIME_MAX_MS);
        let due = deadline.max(self.wheel.position);
        self.known.insert(name, Known { timer, deadline, due, is_aside: false });
        if deadline > self.wheel.position {
            self.waiting.insert((due, name));
        }
    }

    /// A timer by chance.
    fn any(&self, which: usize) -> Option<(u32, Known)> {
        let number = which.checked_rem(self.known.len())?;
        self.known.iter().nth(number).map(|(name, known)| (*name, *known))
    }

    fn forget(&mut self, name: u32, known: &Known) {
        self.known.remove(&name);
        let was_waiting = self.waiting.remove(&(known.due, name));
        assert_eq!(self.wheel.is_overdue(known.timer), !was_waiting);
    }

    fn cancel(&mut self, which: usize) {
        if let Some((name, known)) = self.any(which) {
            self.forget(name, &known);
            assert_eq!(self.wheel.cancel(known.timer), name);
            self.done += 1;
        }
    }

    fn reschedule(&mut self, which: usize, deadline: u64) {
        if let Some((name, known)) = self.any(which) {
            self.forget(name, &known);
            self.wheel.reschedule(known.timer, deadline);
            self.note(name, known.timer, deadline);
        }
    }

    /// One call; all that becomes due must be the model's first.
    fn advance(&mut self, now: u64, budget: usize) -> Progress {
        self.now = self.now.max(now).min(TIME_MAX_MS);
        let mut due = Vec::new();
        let progress = self.wheel.advance(now, budget, |name| due.push(name));
        assert!(due.len() <= budget);
        for name in due {
            let first = self.waiting.first().expect("a timer that is set").0;
            assert!(self.waiting.remove(&(first, name)), "{name} is not due first, at {first}");
            assert!(first <= self.now, "{name} is due at {}, before {first}", self.now);
        }
        if progress == Progress::Done {
            let late = self.waiting.first().filter(|(due, _)| *due <= now.min(TIME_MAX_MS));
            assert_eq!(late, None, "late at {now}");
        }
        progress
    }

    fn turn(&mut self, now: u64, budget: usize) {
        while self.advance(now, budget) == Progress::More {
            self.check();
        }
    }

    /// Does what is due, some of it.
    fn take(&mut self, most: usize) {
        for _ in 0..most {
            let Some(timer) = self.wheel.first_due() else { return };
            let name = self.wheel.payload(timer);
            let known = self.known[&name];
            assert_eq!((known.timer, known.deadline), (timer, self.wheel.deadline_ms(timer)));
            self.forget(name, &known);
            assert_eq!(self.wheel.cancel(timer), name);
            self.done += 1;
        }
    }

    fn set_aside(&mut self) {
        if let Some(timer) = self.wheel.first_due() {
            self.known.get_mut(&self.wheel.payload(timer)).expect("it is known").is_aside = true;
            self.wheel.set_aside(timer);
        }
    }

    fn check(&self) {
        self.wheel.check();
        assert_eq!(self.wheel.len(), self.known.len());
        assert_eq!(self.wheel.is_empty(), self.known.is_empty());
        self.check_due();
        for now in [self.now, self.now + 1000, self.now.saturating_mul(2)] {
            let late: BTreeSet<u32> = self.wheel.late(now).collect();
            let expected = self.waiting.iter().take_while(|(due, _)| *due <= now).map(|(_, name)| *name);
            assert_eq!(late, expected.collect());
        }
        let first = self.waiting.first().map(|(due, _)| *due);
        let wake = self.wheel.wake_at_ms();
        assert_eq!(wake.is_some(), first.is_some());
        assert!(wake <= first, "wakes at {wake:?}, after {first:?}");
        if first.is_some_and(|first| first / u64::from(SLOTS) == self.wheel.position / u64::from(SLOTS))
            && self.wheel.is_settled()
        {
            assert_eq!(wake, first, "exact when it is near");
        }
    }

    /// What is due, and nothing else, in order.
    fn check_due(&self) {
        let names: Vec<u32> = self.wheel.due().map(|timer| self.wheel.payload(timer)).collect();
        assert!(names.iter().map(|name| self.known[name].due).is_sorted());
        let is_due =
            |(name, known): &(&u32, &Known)| !known.is_aside && !self.waiting.contains(&(known.due, **name));
        let expected: BTreeSet<u32> = self.known.iter().filter(is_due).map(|(name, _)| *name).collect();
        assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Deadlines are relative to now.
    Insert(i64),
    Cancel(usize),
    Reschedule(usize, i64),
    /// By how much, and the budget.
    Advance(i64, usize),
    Turn(i64, usize),
    Sleep,
    Take(usize),
    SetAside,
}

/// Distances of all magnitudes, many of them at the edge of a level, some into the past.
fn distance() -> impl Strategy<Value = i64> {
    let edge = (0..LEVELS, 1..=i64::from(SLOTS), -2..=2i64);
    let edge = edge.prop_map(|(level, slots, off)| (slots << (DIGIT_BITS * level)) + off);
    let any = (0..48u32, any::<u64>()).prop_map(|(bits, number)| (number >> (63 - bits)).cast_signed());
    prop_oneof![4 => edge, 4 => any, 2 => 0..200i64, 1 => -10_000..0i64]
}

fn step() -> impl Strategy<Value = Step> {
    let budget = || prop_oneof![0..4usize, 0..100usize, Just(usize::MAX)];
    // Jumps that leave something of time's span for the steps that follow.
    let jump = || prop_oneof![8 => 0..100_000i64, 4 => distance().prop_map(|far| far >> 8), 1 => distance()];
    prop_oneof![
        8 => distance().prop_map(Step::Insert),
        2 => any::<usize>().prop_map(Step::Cancel),
        2 => (any::<usize>(), distance()).prop_map(|(which, deadline)| Step::Reschedule(which, deadline)),
        4 => (jump(), budget()).prop_map(|(jump, budget)| Step::Advance(jump, budget)),
        1 => (jump(), 1..50usize).prop_map(|(jump, budget)| Step::Turn(jump, budget)),
        2 => Just(Step::Sleep),
        3 => prop_oneof![1..4usize, Just(usize::MAX)].prop_map(Step::Take),
        1 => Just(Step::SetAside),
    ]
}

fn run(pair: &mut Pair, step: &Step) {
    let at = |distance: i64| pair.now.saturating_add_signed(distance);
    match *step {
        Step::Insert(distance) => pair.insert(at(distance)),
        Step::Cancel(which) => pair.cancel(which),
        Step::Reschedule(which, distance) => pair.reschedule(which, at(distance)),
        Step::Advance(distance, budget) => drop(pair.advance(at(distance), budget)),
        Step::Turn(distance, budget) => pair.turn(at(distance), budget),
        Step::Sleep => {
            if let Some(wake) = pair.wheel.wake_at_ms() {
                pair.turn(wake, 7);
            }
        }
        Step::Take(most) => pair.take(most),
        Step::SetAside => pair.set_aside(),
    }
}

fn start() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1_800_000_000_000),
        0..TIME_MAX_MS,
        (1..48u32, 0..100u64).prop_map(|(bits, before)| (1u64 << bits).saturating_sub(before)),
        Just(TIME_MAX_MS - 5_000),
    ]
}

proptest! {
    /// Millions to billions of milliseconds a step, in both directions past every edge.
    #[test]
    fn tells_what_a_sorted_map_tells(start in start(), steps in prop::collection::vec(step(), 1..150)) {
        let mut pair = Pair::new(start);
        for step in &steps {
            run(&mut pair, step);
            pair.check();
        }
        pair.turn(u64::MAX, 3);
        pair.check();
        prop_assert!(pair.waiting.is_empty());
        pair.take(usize::MAX);
        let aside: Vec<_> = pair.known.values().copied().collect();
        prop_assert!(aside.iter().all(|known| known.is_aside));
        for known in &aside {
            pair.wheel.cancel(known.timer);
        }
        prop_assert!(pair.wheel.is_empty());
        prop_assert_eq!(pair.done as usize + aside.len(), pair.names as usize);
    }

    /// Every single millisecond about the edge of each level.
    #[test]
    fn due_in_the_very_millisecond(level in 1..LEVELS, digit in 1..64u64, before in 0..300u64,
                                   deadlines in prop::collection::vec(0..600u64, 1..60), budget in 1..5usize) {
        let start = (digit << (DIGIT_BITS * level)) - before.min(255);
        let mut pair = Pair::new(start);
        deadlines.iter().for_each(|after| pair.insert(start + after));
        for now in start..=start + 600 {
            pair.turn(now, budget);
            prop_assert!(pair.waiting.iter().all(|(due, _)| *due > now));
        }
        prop_assert!(pair.waiting.is_empty());
    }
}

/// One timer, seen from 1 ms before its deadline, at it, and from wherever the wheel says to wake.
fn is_due_exactly(start: u64, deadline: u64) {
    let mut pair = Pair::new(start);
    pair.insert(deadline);
    assert_eq!(pair.advance(deadline - 1, usize::MAX), Progress::Done);
    assert_eq!(pair.wheel.first_due(), None, "{deadline} from {start} was due early");
    assert_eq!(pair.advance(deadline, usize::MAX), Progress::Done);
    assert!(pair.wheel.first_due().is_some(), "{deadline} from {start} was not due");

    let mut pair = Pair::new(start);
    pair.insert(deadline);
    for _ in 0..LEVELS - 1 {
        let wake = pair.wheel.wake_at_ms().unwrap_or(deadline);
        pair.turn(wake, 1);
    }
    let wake = pair.wheel.wake_at_ms();
    assert!(wake.is_none() || wake == Some(deadline), "{wake:?} after all vain wakes for {deadline}");
}

#[test]
fn all_edges_are_exact() {
    let edges = (0..48).map(|bits| 1u64 << bits);
    let spans: Vec<u64> =
        edges.flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1]).filter(|span| *span > 0).collect();
    for start in [0, 1, 255, 256, 65_535, 65_536, 1_800_000_000_000, (1 << 42) - 1, 1 << 42] {
        for span in spans.iter().chain(&[1, 100 * YEAR_MS]) {
            is_due_exactly(start, (start + span).min(TIME_MAX_MS));
        }
    }
}

#[test]
fn time_has_an_end() {
    let mut pair = Pair::new(TIME_MAX_MS - 1);
    pair.insert(u64::MAX);
    pair.insert(TIME_MAX_MS);
    assert_eq!(pair.advance(TIME_MAX_MS - 1, 9), Progress::Done);
    assert_eq!(pair.wheel.first_due(), None);
    pair.turn(u64::MAX, 9);
    pair.insert(u64::MAX);
    assert_eq!(pair.wheel.due().count(), 3);
    pair.turn(0, 9);
    pair.take(3);
    assert!(pair.wheel.is_empty());
    assert_eq!(Wheel::<()>::new(u64::MAX).position, TIME_MAX_MS);
}

#[test]
fn what_has_passed_is_due_at_once_and_time_does_not_go_back() {
    let mut pair = Pair::new(1000);
    [0, 1000, 1001].into_iter().for_each(|deadline| pair.insert(deadline));
    assert_eq!((pair.wheel.due().count(), pair.wheel.wake_at_ms()), (2, Some(1001)));
    assert_eq!(pair.advance(5, 9), Progress::Done);
    assert_eq!(pair.wheel.due().count(), 2);
    pair.turn(2000, 9);
    assert_eq!((pair.wheel.due().count(), pair.wheel.wake_at_ms()), (3, None));
}

#[test]
fn a_budget_bounds_every_call_and_loses_nothing() {
    const TIMERS: u64 = 5000;
    for budget in [1, 2, 3, 63, 64, 1000] {
        let mut wheel = Wheel::new(0);
        // All in one slot of the fourth level, in four of one below.
        for timer in 0..TIMERS {
            wheel.insert((1 << 24) + timer % 4 * (1 << 16), timer);
        }
        assert_eq!(wheel.advance(1 << 30, 0, |_| panic!("without a budget")), Progress::More);
        let (mut due, mut calls) = (Vec::new(), 1);
        while wheel.advance(1 << 30, budget, |timer| due.push(timer)) == Progress::More {
            wheel.check();
            calls += 1;
        }
        // The first quarter is due at once at the start of the slot; the others move once more.
        let moves = TIMERS + TIMERS * 3 / 4;
        assert!(calls <= moves / budget as u64 + 1, "{calls} calls");
        due.sort_unstable();
        assert!(due.into_iter().eq(0..TIMERS));
    }
}

/// A century of sessions that are renewed, run out and come again: 3 × 10¹² ticks.
#[test]
fn a_century_passes() {
    let mut pair = Pair::new(1_800_000_000_000);
    let mut seed = 1u64;
    let mut draw = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 16
    };
    let steps = if std::env::var_os("LARDER_LONG_TESTS").is_some() { 1_000_000 } else { 20_000 };
    let (start, stride) = (pair.now, 100 * YEAR_MS / steps);
    for step in 0..steps {
        let now = start + step * stride;
        while pair.wheel.len() < 200 {
            let far = draw() % (stride << (draw() % 12));
            pair.insert(now + far);
        }
        let some = usize::try_from(draw()).expect("48 bits");
        pair.reschedule(some, now + draw() % (stride * 100));
        pair.cancel(some);
        pair.turn(now, 50);
        pair.take(usize::MAX);
        if step % 100 == 0 {
            pair.check();
        }
    }
    assert!(pair.now - start > 99 * YEAR_MS && pair.names > 10_000);
}

/// Memory follows live timers: what is overwritten leaves nothing behind, however far its deadline was.
#[test]
fn overwriting_for_ever_takes_no_more_memory() {
    const LIVE: usize = 10_000;
    let mut wheel = Wheel::new(0);
    let mut timers: Vec<_> = (0..LIVE).map(|key| wheel.insert(YEAR_MS, key)).collect();
    let bytes = wheel.bytes();
    for (now, round) in (0..1_000_000).zip(0..) {
        let key = round * 7_368_787 % LIVE;
        assert_eq!(wheel.cancel(timers[key]), key);
        timers[key] = wheel.insert(YEAR_MS + now * 977, key);
        assert_eq!(wheel.advance(now, 100, |_| panic!("far ahead")), Progress::Done);
    }
    wheel.check();
    assert_eq!((wheel.len(), wheel.nodes.capacity()), (LIVE, LIVE.next_multiple_of(CHUNK as usize)));
    assert!(wheel.bytes() <= bytes + 1024, "{} bytes after {bytes}", wheel.bytes());
    for timer in timers {
        wheel.cancel(timer);
    }
    assert_eq!(wheel.nodes.capacity(), CHUNK as usize);
}
