//! How the index holds what it knows of an entry: packed, since there are millions of them.

use super::tag::Tag;
use crate::clock::TIME_MAX_MS;
use crate::log::format::VERSION_MAX;
use crate::wheel::Timer;

/// Where an entry's newest record is, and what must be known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) sequence: u64,
    pub(crate) creation: u64,
    pub(crate) created_at: u64,
    /// Unix milliseconds; [`NEVER`](crate::clock::NEVER) where there is none.
    pub(crate) deadline: u64,
    pub(crate) segment: u32,
    pub(crate) position: u32,
    pub(crate) length: u32,
}

/// An entry in the index: its tag, its slot, and how many older records of it the log holds. Numbers have as many bytes
/// as they need, without padding: versions 7, times 6. The deadline stands in the entry's timer, if it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    tag: [u8; 12],
    sequence: [u8; 7],
    creation: [u8; 7],
    created_at: [u8; 6],
    timer: [u8; 4],
    segment: [u8; 4],
    position: [u8; 4],
    length: [u8; 4],
    older: [u8; 4],
}

const _: () = assert!(size_of::<Node>() == 52 && VERSION_MAX < 1 << 56 && TIME_MAX_MS < (1 << 48) - 1);

impl Node {
    /// A place that is not in use.
    pub(super) const EMPTY: Node = Node {
        tag: [0; 12],
        sequence: [0; 7],
        creation: [0; 7],
        created_at: [0; 6],
        timer: [0xff; 4],
        segment: [0; 4],
        position: [0; 4],
        length: [0; 4],
        older: [0; 4],
    };

    /// Without a timer; the slot's deadline is not looked at.
    pub(super) fn new(tag: Tag, slot: &Slot, older: u32) -> Node {
        Node {
            tag: tag.to_bytes(),
            sequence: low_bytes(slot.sequence),
            creation: low_bytes(slot.creation.min(VERSION_MAX)),
            created_at: low_bytes(slot.created_at.min(TIME_MAX_MS)),
            timer: Timer::pack(None).to_le_bytes(),
            segment: slot.segment.to_le_bytes(),
            position: slot.position.to_le_bytes(),
            length: slot.length.to_le_bytes(),
            older: older.to_le_bytes(),
        }
    }

    pub(super) fn tag(&self) -> Tag {
        Tag::from_bytes(self.tag)
    }

    pub(super) fn is_of(&self, tag: Tag) -> bool {
        self.tag == tag.to_bytes()
    }

    /// The slot, with the deadline that the entry's timer says.
    pub(super) fn slot(&self, deadline: u64) -> Slot {
        Slot {
            sequence: self.sequence(),
            creation: number(self.creation),
            created_at: number(self.created_at),
            deadline,
            segment: self.segment(),
            position: u32::from_le_bytes(self.position),
            length: self.length(),
        }
    }

    pub(super) fn sequence(&self) -> u64 {
        number(self.sequence)
    }

    pub(super) fn segment(&self) -> u32 {
        u32::from_le_bytes(self.segment)
    }

    pub(super) fn length(&self) -> u32 {
        u32::from_le_bytes(self.length)
    }

    pub(super) fn timer(&self) -> Option<Timer> {
        Timer::unpack(u32::from_le_bytes(self.timer))
    }

    pub(super) fn set_timer(&mut self, timer: Option<Timer>) {
        self.timer = Timer::pack(timer).to_le_bytes();
    }

    /// Points the entry at a copy of its record.
    pub(super) fn set_place(&mut self, segment: u32, position: u32) {
        (self.segment, self.position) = (segment.to_le_bytes(), position.to_le_bytes());
    }

    pub(super) fn older(&self) -> u32 {
        u32::from_le_bytes(self.older)
    }

    pub(super) fn set_older(&mut self, older: u32) {
        self.older = older.to_le_bytes();
    }
}

/// The low `N` bytes of a number, which has no others.
fn low_bytes<const N: usize>(number: u64) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&number.to_le_bytes()[..N]);
    bytes
}

fn number<const N: usize>(bytes: [u8; N]) -> u64 {
    let mut number = [0; 8];
    number[..N].copy_from_slice(&bytes);
    u64::from_le_bytes(number)
}

/// Nodes by number, in chunks: growing never moves what is there.
#[derive(Default)]
pub(super) struct Slab {
    chunks: Vec<Box<[Node]>>,
    /// Numbers below that are not in use.
    free: Vec<u32>,
    /// Numbers from here on were never in use.
    end: usize,
}

/// Nodes in a chunk.
pub(super) const CHUNK: usize = 4096;

impl Slab {
    /// A slab of full chunks, in which the numbers `free` are not in use.
    pub(super) fn from_chunks(chunks: Vec<Box<[Node]>>, free: Vec<u32>) -> Slab {
        let end = chunks.len() * CHUNK;
        Slab { chunks, free, end }
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.free.len()
    }

    pub(super) fn get(&self, number: u32) -> &Node {
        let number = number as usize;
        &self.chunks[number / CHUNK][number % CHUNK]
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Node {
        let number = number as usize;
        &mut self.chunks[number / CHUNK][number % CHUNK]
    }

    /// The nodes that are in use, with their numbers.
    pub(super) fn in_use(&self) -> impl Iterator<Item = (u32, &Node)> {
        // No record is without length.
        (0..).zip(self.chunks.iter().flatten()).filter(|(_, node)| node.length() > 0)
    }

    pub(super) fn insert(&mut self, node: Node) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            if self.end == self.chunks.len() * CHUNK {
                self.chunks.push(vec![Node::EMPTY; CHUNK].into_boxed_slice());
            }
            self.end += 1;
            // `max_index_bytes` and the machine's memory end long before the numbers do.
            u32::try_from(self.end - 1).expect("fewer than 2^32 entries")
        });
        *self.get_mut(number) = node;
        number
    }

    pub(super) fn remove(&mut self, number: u32) -> Node {
        self.free.push(number);
        std::mem::replace(self.get_mut(number), Node::EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NEVER;
    use crate::index::tag::Tagger;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slots_come_out_as_they_went_in(sequence in 0..=VERSION_MAX, creation in 0..=VERSION_MAX,
                                          created_at in 0..=TIME_MAX_MS, deadline in prop_oneof![0..=TIME_MAX_MS, Just(NEVER)],
                                          place: [u32; 3], older: u32) {
            let [segment, position, length] = place;
            let slot = Slot { sequence, creation, created_at, deadline, segment, position, length };
            let tag = Tagger::new().tag_of(crate::Tenant(7), b"n", b"k");
            let node = Node::new(tag, &slot, older);
            prop_assert_eq!((node.slot(deadline), node.older(), node.tag(), node.is_of(tag)), (slot, older, tag, true));
            prop_assert_eq!(node.timer(), None);
        }
    }
}
