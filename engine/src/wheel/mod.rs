//! A hierarchical timing wheel: many millions of timers, with constant costs and without a clock.
//!
//! The structure is that of G. Varghese and T. Lauck, *Hashed and Hierarchical Timing Wheels* (SOSP 1987, scheme 7):
//! a clock with several hands. Six levels have 256 slots each; a slot of level `n` spans 256ⁿ milliseconds, so that
//! together they span 2⁴⁸, some 8,900 years. A timer waits in a coarse slot, and when time gets there it is put into a
//! finer one (it *cascades*), at most five times, until its very millisecond has come. The timer wheel that Linux has
//! had since 4.8 never cascades, and in return fires a timer late by up to an eighth of its time; here deadlines are
//! exact.
//!
//! ```
//! use larder_engine::wheel::{Progress, Wheel};
//!
//! let mut wheel = Wheel::new(1_000);
//! let tea = wheel.insert(181_000, "tea");
//! let eggs = wheel.insert(421_000, "eggs");
//! wheel.reschedule(tea, 241_000);
//!
//! assert_eq!(wheel.advance(300_000, 100, |_| ()), Progress::Done);
//! assert_eq!(wheel.first_due(), Some(tea));
//! assert_eq!(wheel.cancel(tea), "tea");
//! assert_eq!(wheel.first_due(), None);
//! assert_eq!(wheel.deadline_ms(eggs), 421_000);
//! ```
//!
//! # Why nothing is lost, early or late
//! The wheel has a position, the time that it has been turned to. Written to the base of 256, a deadline and the position
//! have their first digits in common and then differ; *the timer belongs to the level of the first digit that differs, and
//! there to the slot of the deadline's digit*. From this one rule follows the rest, as long as the position
//! enters an occupied slot only at its first millisecond and only to empty it:
//!
//! - All timers of a level are due before all timers of the next level, and a level's slots are due in the order of
//!   their numbers. There is no wrapping around: the digit of an occupied slot is above that of the position. So the
//!   next slot to be emptied is the lowest bit of the first map that has any, whether it lies a millisecond ahead or
//!   a century, and time in which nothing is to do costs nothing.
//! - The position can move up to the start of that slot and no timer has to: the digits that a deadline has in
//!   common with the old position it has in common with the new one, and the one that differs still differs.
//! - When the position is at the start of a slot, what is in there has one more digit in common with it than before. So it
//!   goes to a lower level, or is due if it has all of them in common.
//!
//! A slot that is emptied becomes, in one step, the list of what is to cascade. That is worked off one timer at a time
//! before the position moves on. So an advance can stop after any timer, and what comes in between (inserts, cancels,
//! another advance) finds a wheel like any other.
//!
//! # What is due stays
//! A timer whose time has come is put at the end of the list of those that are due, and remains a timer: whoever owns it
//! takes it away when what it stands for is done. So if that cannot be done now, nothing is forgotten, and how much is
//! overdue is known at all times. Nor are there dead timers: one is cancelled at once, by its number, and its memory
//! is free for the next one.

mod lists;
mod slab;
#[cfg(test)]
mod tests;

use lists::{ASIDE, CASCADING, DUE, LEVELS, Lists, SLOTS};
use slab::{NONE, Slab};
use std::fmt;

/// The latest time there is, in milliseconds. Later ones count as this one.
pub const TIME_MAX_MS: u64 = (1 << (LEVELS * DIGIT_BITS)) - 1;

/// Bits that choose a slot of a level.
const DIGIT_BITS: u32 = SLOTS.ilog2();

/// Timers that carry a `T`. See the [module](self) for how it works.
///
/// Times are milliseconds since any fixed point, the same for all calls. A timer takes 16 bytes besides its `T`, up to
/// alignment.
pub struct Wheel<T> {
    nodes: Slab<T>,
    lists: Lists,
    /// All timers in slots have a later deadline, all that are due or set aside an earlier one or this.
    position: u64,
}

/// Names a timer in its wheel, from its insertion until it is cancelled. After that it may name another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timer(u32);

impl Timer {
    /// The timer, or that there is none, as a number.
    pub(crate) fn pack(timer: Option<Timer>) -> u32 {
        timer.map_or(NONE, |timer| timer.0)
    }

    /// What was packed.
    pub(crate) fn unpack(number: u32) -> Option<Timer> {
        (number != NONE).then_some(Timer(number))
    }
}

/// How far an advance has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// The wheel has been turned to the time that was told.
    Done,
    /// The budget is used up, and there is more to do at this same time.
    More,
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Wheel").field("position", &self.position).finish_non_exhaustive()
    }
}

impl<T: Copy> Wheel<T> {
    /// An empty wheel that begins at `now_ms`.
    pub const fn new(now_ms: u64) -> Wheel<T> {
        let position = if now_ms < TIME_MAX_MS { now_ms } else { TIME_MAX_MS };
        Wheel { nodes: Slab::new(), lists: Lists::EMPTY, position }
    }

    /// Number of timers, those that are due included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 0
    }

    /// Memory that the wheel takes, in bytes. It is taken and given back in chunks of 4,096 timers: a chunk of which
    /// only one timer is left is kept for that one, and for new ones.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.nodes.bytes()
    }

    /// Sets a timer. One whose deadline has passed is due at once.
    ///
    /// # Panics
    /// If there are 4,294,963,200 timers already.
    pub fn insert(&mut self, deadline_ms: u64, payload: T) -> Timer {
        let deadline = deadline_ms.min(TIME_MAX_MS);
        let number = self.nodes.insert(deadline, payload);
        self.place(number, deadline);
        Timer(number)
    }

    /// Takes a timer away, whether it is due or not, and returns what it carried.
    ///
    /// # Panics
    /// It may, if there is no such timer any more.
    pub fn cancel(&mut self, timer: Timer) -> T {
        self.lists.unlink(&mut self.nodes, timer.0);
        self.nodes.remove(timer.0).payload
    }

    /// Gives a timer another deadline, whether it is due or not.
    ///
    /// # Panics
    /// As [`Wheel::cancel`].
    pub fn reschedule(&mut self, timer: Timer, deadline_ms: u64) {
        self.lists.unlink(&mut self.nodes, timer.0);
        let deadline = deadline_ms.min(TIME_MAX_MS);
        self.nodes.get_mut(timer.0).set_deadline_ms(deadline);
        self.place(timer.0, deadline);
    }

    /// A timer's deadline.
    ///
    /// # Panics
    /// As [`Wheel::cancel`].
    pub fn deadline_ms(&self, timer: Timer) -> u64 {
        self.nodes.get(timer.0).deadline_ms()
    }

    /// What a timer carries.
    ///
    /// # Panics
    /// As [`Wheel::cancel`].
    pub fn payload(&self, timer: Timer) -> T {
        self.nodes.get(timer.0).payload
    }

    /// Whether the wheel has come to a timer's deadline: it is due, or was and is set aside.
    ///
    /// # Panics
    /// As [`Wheel::cancel`].
    pub fn is_overdue(&self, timer: Timer) -> bool {
        self.nodes.get(timer.0).is_overdue
    }

    /// Turns the wheel to `now_ms`, and tells `due` what each timer carries that becomes due.
    ///
    /// Timers are moved one at a time, `budget` of them at most; the next call goes on where this one stopped. A `now_ms`
    /// before an earlier one does not turn the wheel back.
    pub fn advance(&mut self, now_ms: u64, budget: usize, mut due: impl FnMut(T)) -> Progress {
        let now = now_ms.min(TIME_MAX_MS);
        let mut left = budget;
        loop {
            // From both ends in turns: each node is known only when the one before it has come from memory, and so two of
            // them are on their way at a time.
            let from_start = left.is_multiple_of(2);
            let next = if from_start { self.lists.first(CASCADING) } else { self.lists.last(CASCADING) };
            let Some(number) = next else {
                if self.turn(now) {
                    continue;
                }
                return Progress::Done;
            };
            if left == 0 {
                return Progress::More;
            }
            left -= 1;
            self.lists.unlink(&mut self.nodes, number);
            let node = self.nodes.get(number);
            let (deadline, payload) = (node.deadline_ms(), node.payload);
            if self.place(number, deadline) {
                due(payload);
            }
        }
    }

    /// The timer that has been due for longest.
    pub fn first_due(&self) -> Option<Timer> {
        self.lists.first(DUE).map(Timer)
    }

    /// The timers that are due, in the order of their deadlines; one whose deadline had passed when it was set counts as
    /// of that time. They are due until they are cancelled, rescheduled or set aside.
    pub fn due(&self) -> impl Iterator<Item = Timer> {
        self.lists.nodes(&self.nodes, DUE).map(Timer)
    }

    /// Sets a timer that is due aside: it is overdue as before, but not among those that are [due](Wheel::due).
    ///
    /// # Panics
    /// As [`Wheel::cancel`].
    pub fn set_aside(&mut self, timer: Timer) {
        debug_assert!(self.is_overdue(timer), "only what is due is set aside");
        self.lists.unlink(&mut self.nodes, timer.0);
        self.lists.push(&mut self.nodes, ASIDE, timer.0);
    }

    /// What those timers carry that have a deadline up to `now_ms` and that the wheel has not come to yet. Looks at the
    /// slots up to that time only: at few timers, if the wheel is turned as time passes.
    pub fn late(&self, now_ms: u64) -> impl Iterator<Item = T> {
        let slots = self.lists.slots().filter(move |(level, slot)| self.slot_start(*level, *slot) <= now_ms);
        let lists = slots.map(|(level, slot)| lists::slot(level, slot)).chain([CASCADING]);
        let nodes = lists.flat_map(|list| self.lists.nodes(&self.nodes, list));
        let late =
            nodes.map(|number| self.nodes.get(number)).filter(move |node| node.deadline_ms() <= now_ms);
        late.map(|node| node.payload)
    }

    /// When the next advance has something to do, in milliseconds: never later than the earliest deadline of those that
    /// are not due yet, and exactly that if it is in the 256 milliseconds that the wheel is in. Before, it may be a time at
    /// which timers cascade. Whoever sleeps until then wakes at most five times for nothing for any timer. `None` if
    /// there is no such timer.
    pub fn wake_at_ms(&self) -> Option<u64> {
        if self.lists.first(CASCADING).is_some() {
            return Some(self.position);
        }
        self.lists.first_slot().map(|(level, slot)| self.slot_start(level, slot))
    }

    /// Moves the position on to the next slot that is to be emptied, or to `now` if there is none until then.
    /// False in the latter case. Nothing must be cascading.
    fn turn(&mut self, now: u64) -> bool {
        let next = self.lists.first_slot().map(|(level, slot)| (level, slot, self.slot_start(level, slot)));
        let Some((level, slot, start)) = next.filter(|(.., start)| *start <= now) else {
            self.position = self.position.max(now);
            return false;
        };
        self.position = start;
        self.lists.rename(&mut self.nodes, lists::slot(level, slot), CASCADING);
        true
    }

    /// Puts a node into the list that its deadline belongs to. Tells whether it is due.
    ///
    /// The deadline is passed on and not read back: right after it was written, or behind writes to the node's
    /// neighbours, that would wait for memory.
    fn place(&mut self, number: u32, deadline: u64) -> bool {
        let list = self.list_of(deadline);
        let is_due = list == DUE;
        self.nodes.get_mut(number).is_overdue = is_due;
        self.lists.push(&mut self.nodes, list, number);
        is_due
    }

    fn list_of(&self, deadline: u64) -> u32 {
        if deadline <= self.position {
            return DUE;
        }
        let level = (deadline ^ self.position).ilog2() / DIGIT_BITS;
        #[expect(clippy::cast_possible_truncation, reason = "one digit is left")]
        let slot = ((deadline >> (level * DIGIT_BITS)) % u64::from(SLOTS)) as u32;
        lists::slot(level, slot)
    }

    /// The first millisecond of an occupied slot: the position's digits above, the slot's, zeroes.
    fn slot_start(&self, level: u32, slot: u32) -> u64 {
        let above = (level + 1) * DIGIT_BITS;
        (self.position >> above << above) | u64::from(slot) << (level * DIGIT_BITS)
    }
}
