//! Where the timers are: nodes by number, in chunks that never move and are given back when they are empty.

/// Nodes in a chunk.
pub(super) const CHUNK: u32 = 4096;

/// Numbers of nodes are below this one; those from it on are for the lists.
pub(super) const NUMBERS_END: u32 = u32::MAX - (CHUNK - 1);

/// In place of a node's `previous`: the node is in no list and not in use. In place of a number: there is none.
pub(super) const NONE: u32 = u32::MAX;

/// A timer, and its place in the list of its slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<T> {
    /// The node behind it, or the list itself. In a node that is not in use: the next such one of the chunk.
    pub(super) next: u32,
    /// The node before it, or the list itself: whoever knows a node's number can unlink it.
    pub(super) previous: u32,
    /// Milliseconds, little-endian; 6 bytes hold all there are.
    deadline: [u8; 6],
    /// Whether the wheel has come to its deadline.
    pub(super) is_overdue: bool,
    pub(super) payload: T,
}

const _: () = assert!(size_of::<Node<u32>>() == 20 && size_of::<Node<(u32, u32)>>() == 24);

impl<T> Node<T> {
    pub(super) fn deadline_ms(&self) -> u64 {
        let [a, b, c, d, e, f] = self.deadline;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    pub(super) fn set_deadline_ms(&mut self, deadline_ms: u64) {
        let [a, b, c, d, e, f, _, _] = deadline_ms.to_le_bytes();
        self.deadline = [a, b, c, d, e, f];
    }
}

/// A run of nodes. Without memory until the first one is inserted.
#[derive(Debug)]
struct Chunk<T> {
    nodes: Vec<Node<T>>,
    /// Place of the first node that is not in use, of those that once were.
    free: u32,
    used: u32,
}

impl<T: Copy> Chunk<T> {
    const EMPTY: Chunk<T> = Chunk { nodes: Vec::new(), free: NONE, used: 0 };

    fn insert(&mut self, node: Node<T>) -> u32 {
        let place = if self.free == NONE {
            self.nodes.push(node);
            self.used
        } else {
            let place = self.free;
            let free = &mut self.nodes[place as usize];
            self.free = free.next;
            *free = node;
            place
        };
        self.used += 1;
        place
    }

    fn remove(&mut self, place: u32) -> Node<T> {
        let node = &mut self.nodes[place as usize];
        debug_assert!(node.previous != NONE, "a timer is gone once");
        let removed = *node;
        (node.next, node.previous) = (self.free, NONE);
        self.free = place;
        self.used -= 1;
        removed
    }
}

/// All nodes. Of the chunks without a node in use, at most one keeps its memory, against giving it back and asking for
/// it again at every turn; the others are `vacant`.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// Chunks with memory and room for more, in no order. The last is filled up first.
    roomy: Vec<u32>,
    /// Chunks without memory.
    vacant: Vec<u32>,
    /// The chunk that has memory and no node in use.
    spare: Option<u32>,
    len: usize,
}

impl<T: Copy> Slab<T> {
    pub(super) const fn new() -> Slab<T> {
        Slab { chunks: Vec::new(), roomy: Vec::new(), vacant: Vec::new(), spare: None, len: 0 }
    }

    /// Number of nodes in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Number of nodes that there is memory for.
    pub(super) fn capacity(&self) -> usize {
        (self.chunks.len() - self.vacant.len()) * CHUNK as usize
    }

    /// Memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.capacity() * size_of::<Node<T>>()
            + self.chunks.capacity() * size_of::<Chunk<T>>()
            + (self.roomy.capacity() + self.vacant.capacity()) * size_of::<u32>()
    }

    /// A node in use. Any other number may panic.
    pub(super) fn get(&self, number: u32) -> &Node<T> {
        &self.chunks[(number / CHUNK) as usize].nodes[(number % CHUNK) as usize]
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Node<T> {
        &mut self.chunks[(number / CHUNK) as usize].nodes[(number % CHUNK) as usize]
    }

    /// Puts in a node that is in no list yet.
    pub(super) fn insert(&mut self, deadline_ms: u64, payload: T) -> u32 {
        let number = self.roomy.last().copied().unwrap_or_else(|| self.open_chunk());
        if self.spare == Some(number) {
            self.spare = None;
        }
        let mut node = Node { next: NONE, previous: NONE, deadline: [0; 6], is_overdue: false, payload };
        node.set_deadline_ms(deadline_ms);
        let chunk = &mut self.chunks[number as usize];
        let place = chunk.insert(node);
        if chunk.used == CHUNK {
            self.roomy.pop();
        }
        self.len += 1;
        number * CHUNK + place
    }

    /// Takes out a node that is in no list any more.
    pub(super) fn remove(&mut self, number: u32) -> Node<T> {
        let (number, place) = (number / CHUNK, number % CHUNK);
        let chunk = &mut self.chunks[number as usize];
        let removed = chunk.remove(place);
        self.len -= 1;
        if chunk.used == CHUNK - 1 {
            self.roomy.push(number);
        }
        if chunk.used == 0
            && let Some(spare) = self.spare.replace(number)
        {
            self.give_back(spare);
        }
        removed
    }

    fn open_chunk(&mut self) -> u32 {
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.chunks.push(Chunk::EMPTY);
            let number = u32::try_from(self.chunks.len() - 1).unwrap_or(u32::MAX);
            assert!(number < NUMBERS_END / CHUNK, "a wheel takes fewer than {NUMBERS_END} timers");
            number
        });
        self.chunks[number as usize].nodes.reserve_exact(CHUNK as usize);
        self.roomy.push(number);
        number
    }

    /// Looks through all roomy chunks, but not before a chunk's worth of nodes was inserted and removed since last time.
    fn give_back(&mut self, number: u32) {
        self.chunks[number as usize] = Chunk::EMPTY;
        self.roomy.retain(|roomy| *roomy != number);
        self.vacant.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(slab: &mut Slab<u32>, payload: u32) -> u32 {
        let number = slab.insert(u64::from(payload), payload);
        // As if it were in a list.
        slab.get_mut(number).previous = NUMBERS_END;
        number
    }

    #[test]
    fn memory_is_given_back_and_taken_again() {
        let mut slab = Slab::new();
        let numbers: Vec<_> = (0..10 * CHUNK).map(|payload| insert(&mut slab, payload)).collect();
        assert_eq!((slab.len(), slab.capacity()), (10 * CHUNK as usize, 10 * CHUNK as usize));
        for (payload, number) in (0..).zip(numbers) {
            assert_eq!(slab.remove(number).payload, payload);
            let needed = slab.len().next_multiple_of(CHUNK as usize) + CHUNK as usize;
            assert!(slab.capacity() <= needed, "{} for {}", slab.capacity(), slab.len());
        }
        assert_eq!((slab.len(), slab.capacity()), (0, CHUNK as usize));
        let mut numbers = (0..10 * CHUNK).map(|payload| insert(&mut slab, payload));
        assert!(numbers.all(|number| number < 10 * CHUNK), "places are used again");
    }

    #[test]
    fn free_places_are_used_before_more_memory_is() {
        let mut slab = Slab::new();
        let numbers: Vec<_> = (0..8 * CHUNK).map(|payload| insert(&mut slab, payload)).collect();
        for number in numbers.iter().filter(|number| *number % 3 == 0) {
            slab.remove(*number);
        }
        while slab.len() < 8 * CHUNK as usize {
            insert(&mut slab, 7);
        }
        assert_eq!(slab.capacity(), 8 * CHUNK as usize);
    }

    #[test]
    fn one_node_in_and_out_keeps_its_chunk() {
        let mut slab = Slab::new();
        let numbers: Vec<_> = (0..=CHUNK).map(|payload| insert(&mut slab, payload)).collect();
        for number in numbers {
            slab.remove(number);
        }
        for payload in 0..100_000 {
            let number = insert(&mut slab, payload);
            slab.remove(number);
            assert_eq!((slab.capacity(), slab.vacant.len()), (CHUNK as usize, 1));
        }
    }
}
