//! The lists that the wheel is made of: one for each slot, three for what waits, all linked through the same slab.

use super::slab::{NUMBERS_END, Slab};

/// Slots of a level.
pub(super) const SLOTS: u32 = 256;

/// Levels of the wheel.
pub(super) const LEVELS: u32 = 6;

/// Words of a map with a bit for each slot of each level.
const WORDS: usize = (LEVELS * SLOTS / u64::BITS) as usize;

/// The list of timers that are to be put into finer slots.
pub(super) const CASCADING: u32 = LEVELS * SLOTS;

/// The list of timers that are due.
pub(super) const DUE: u32 = CASCADING + 1;

/// The list of timers that were due and have been set aside.
pub(super) const ASIDE: u32 = DUE + 1;

pub(super) const LISTS: u32 = ASIDE + 1;

// Links to lists have the numbers above those of nodes.
const _: () = assert!(NUMBERS_END < u32::MAX - LISTS);

/// The list of a slot.
pub(super) fn slot(level: u32, slot: u32) -> u32 {
    level * SLOTS + slot
}

/// A link to a list: what its first node has before it, and its last one behind it.
fn link(list: u32) -> u32 {
    NUMBERS_END + list
}

/// The first and the last node of a list; of an empty one, the link to itself.
#[derive(Debug, Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
}

/// The ends of each list, and a map of the slots that have a node: lowest level first, lowest slot first.
///
/// The nodes at the ends of a list link back to the list. So unlinking needs to know nothing but the node, wherever it
/// has moved since, and clears the slot's bit when it leaves it empty: bits never lie.
#[derive(Debug)]
pub(super) struct Lists {
    ends: [Ends; LISTS as usize],
    occupied: [u64; WORDS],
}

impl Lists {
    pub(super) const EMPTY: Lists = Lists { ends: empty_lists(), occupied: [0; WORDS] };

    pub(super) fn first(&self, list: u32) -> Option<u32> {
        let first = self.ends[list as usize].first;
        (first < NUMBERS_END).then_some(first)
    }

    pub(super) fn last(&self, list: u32) -> Option<u32> {
        let last = self.ends[list as usize].last;
        (last < NUMBERS_END).then_some(last)
    }

    /// The nodes of a list, in order.
    pub(super) fn nodes<'l, T: Copy>(
        &'l self,
        nodes: &'l Slab<T>,
        list: u32,
    ) -> impl Iterator<Item = u32> + 'l {
        let next = |number: &u32| Some(nodes.get(*number).next).filter(|next| *next < NUMBERS_END);
        std::iter::successors(self.first(list), next)
    }

    /// The first occupied slot of the lowest level that has one: level and slot.
    pub(super) fn first_slot(&self) -> Option<(u32, u32)> {
        self.slots().next()
    }

    /// The occupied slots of all levels, lowest first: level and slot.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, u32)> {
        (0..).step_by(u64::BITS as usize).zip(&self.occupied).flat_map(|(base, word): (u32, &u64)| {
            let bits = std::iter::successors(nonzero(*word), |bits| nonzero(bits & (bits - 1)));
            bits.map(move |bits| base + bits.trailing_zeros()).map(|list| (list / SLOTS, list % SLOTS))
        })
    }

    /// Puts a node that is in no list at the end of one.
    pub(super) fn push<T: Copy>(&mut self, nodes: &mut Slab<T>, list: u32, number: u32) {
        let last = self.ends[list as usize].last;
        let node = nodes.get_mut(number);
        (node.next, node.previous) = (link(list), last);
        self.set_next(nodes, last, number);
        self.ends[list as usize].last = number;
    }

    /// Takes a node out of the list that it is in.
    pub(super) fn unlink<T: Copy>(&mut self, nodes: &mut Slab<T>, number: u32) {
        let node = nodes.get(number);
        let (next, previous) = (node.next, node.previous);
        self.set_next(nodes, previous, next);
        self.set_previous(nodes, next, previous);
    }

    /// Makes all of one list into another one, which is empty.
    pub(super) fn rename<T: Copy>(&mut self, nodes: &mut Slab<T>, from: u32, to: u32) {
        let Ends { first, last } = self.ends[from as usize];
        if first < NUMBERS_END {
            self.set_next(nodes, link(to), first);
            self.set_previous(nodes, link(to), last);
            nodes.get_mut(first).previous = link(to);
            nodes.get_mut(last).next = link(to);
            self.set_next(nodes, link(from), link(from));
            self.set_previous(nodes, link(from), link(from));
        }
    }

    /// Sets what follows a node, or which node is the first of a list.
    fn set_next<T: Copy>(&mut self, nodes: &mut Slab<T>, at: u32, next: u32) {
        let Some(list) = at.checked_sub(NUMBERS_END) else {
            nodes.get_mut(at).next = next;
            return;
        };
        self.ends[list as usize].first = next;
        if let Some(word) = self.occupied.get_mut((list / u64::BITS) as usize) {
            let bit = 1 << (list % u64::BITS);
            *word = if next < NUMBERS_END { *word | bit } else { *word & !bit };
        }
    }

    /// Sets what comes before a node, or which node is the last of a list.
    fn set_previous<T: Copy>(&mut self, nodes: &mut Slab<T>, at: u32, previous: u32) {
        match at.checked_sub(NUMBERS_END) {
            Some(list) => self.ends[list as usize].last = previous,
            None => nodes.get_mut(at).previous = previous,
        }
    }
}

fn nonzero(bits: u64) -> Option<u64> {
    (bits != 0).then_some(bits)
}

const fn empty_lists() -> [Ends; LISTS as usize] {
    let mut ends = [Ends { first: 0, last: 0 }; LISTS as usize];
    let mut list = 0;
    while list < LISTS {
        ends[list as usize] = Ends { first: NUMBERS_END + list, last: NUMBERS_END + list };
        list += 1;
    }
    ends
}

#[cfg(test)]
impl Lists {
    /// Whether a list has a node, by its bit if it is a slot's.
    pub(super) fn is_occupied(&self, list: u32) -> bool {
        let word = self.occupied.get((list / u64::BITS) as usize);
        word.map_or(self.first(list).is_some(), |word| word >> (list % u64::BITS) & 1 == 1)
    }
}
