//! A simulated file: what is on stable storage, what the running process sees, and the changes in between.
//!
//! Every change is kept, until a sync, as the picture of the sectors it touched right after it. A crash can so put
//! any version of any sector on the disk, and nothing that no moment ever saw.

use super::contents::{Contents, SECTOR, pieces};
use super::random::Random;
use std::collections::BTreeSet;
use std::sync::Arc;

const SECTOR_U64: u64 = SECTOR as u64;
const ZEROES: [u8; SECTOR] = [0; SECTOR];

/// Which of the unsynced changes a crash leaves.
#[derive(Debug)]
pub(super) enum Fate {
    /// Those before the sequence number, and some of the first sectors of the one that has it.
    Before(u64),
    /// Any of them.
    Random,
}

/// What a sync makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Everything,
    /// Sectors that a sync of everything has made durable before.
    Overwritten,
}

/// A file, with or without a name.
#[derive(Debug)]
pub(super) struct Inode {
    /// The name it has, or had last.
    pub(super) name: Arc<str>,
    /// How many names it has in the current directories.
    pub(super) links: usize,
    /// How many handles are open.
    pub(super) handles: usize,
    /// Bytes of disk space taken.
    pub(super) allocated: u64,
    durable: Contents,
    current: Contents,
    pending: Vec<Change>,
    /// Sectors that a sync of everything has made durable.
    settled: BTreeSet<u64>,
}

/// One change since the last sync.
#[derive(Debug)]
struct Change {
    sequence: u64,
    /// The file's length after it.
    length: u64,
    /// First sector of `image`.
    first: u64,
    /// The touched sectors after it, whole ones.
    image: Vec<u8>,
    /// All sectors from here on were cut off by it.
    hole: Option<u64>,
}

impl Change {
    fn sectors(&self) -> std::ops::Range<u64> {
        self.first..self.first + (self.image.len() / SECTOR) as u64
    }

    /// The sector with that number as this change left it.
    fn sector(&self, number: u64) -> &[u8] {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.image.chunks_exact(SECTOR).nth(index)).unwrap_or(&ZEROES)
    }

    fn apply(&self, contents: &mut Contents) {
        contents.put(&self.image, self.first * SECTOR_U64);
        contents.set_len(self.length);
    }

    /// Applies less than all of a write's sectors, the first ones; a change of length alone is not divisible.
    fn apply_torn(&self, contents: &mut Contents, random: &mut Random) {
        if self.hole.is_some() || self.image.is_empty() {
            return;
        }
        let sectors = random.index(self.image.len() / SECTOR);
        contents.put(&self.image[..sectors * SECTOR], self.first * SECTOR_U64);
        let reached = (self.first + sectors as u64) * SECTOR_U64;
        contents.set_len(self.length.min(contents.len().max(reached)));
    }
}

impl Inode {
    /// A file whose contents are durable.
    pub(super) fn new(name: Arc<str>, contents: Contents) -> Inode {
        let durable = contents.clone();
        Inode {
            name,
            links: 1,
            handles: 0,
            allocated: 0,
            durable,
            current: contents,
            pending: Vec::new(),
            settled: BTreeSet::new(),
        }
    }

    /// What the running process sees.
    pub(super) fn current(&self) -> &Contents {
        &self.current
    }

    /// The sequence numbers of the changes that a crash may take back.
    pub(super) fn pending(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().map(|change| change.sequence)
    }

    pub(super) fn write(&mut self, sequence: u64, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        self.current.put(bytes, offset);
        self.current.set_len(self.current.len().max(end));
        self.push(sequence, offset / SECTOR_U64..end.div_ceil(SECTOR_U64), None);
    }

    pub(super) fn set_len(&mut self, sequence: u64, length: u64) {
        let shrinks = length < self.current.len();
        self.current.set_len(length);
        let border = length / SECTOR_U64..length.div_ceil(SECTOR_U64);
        let hole = shrinks.then_some(border.end);
        self.push(sequence, if shrinks { border } else { 0..0 }, hole);
    }

    fn push(&mut self, sequence: u64, sectors: std::ops::Range<u64>, hole: Option<u64>) {
        let count = usize::try_from(sectors.end - sectors.start).unwrap_or(0);
        let mut image = vec![0; count * SECTOR];
        self.current.get(&mut image, sectors.start * SECTOR_U64);
        self.pending.push(Change { sequence, length: self.current.len(), first: sectors.start, image, hole });
    }

    /// Makes durable what is still pending, as far as the sync reaches.
    pub(super) fn sync(&mut self, reach: Reach) {
        if reach == Reach::Overwritten {
            let settled = std::mem::take(&mut self.settled);
            self.sync_some(|sector| sector.is_some_and(|sector| settled.contains(&sector)));
            self.settled = settled;
            return;
        }
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
            if let Some(hole) = change.hole {
                self.settled.split_off(&hole);
            }
            self.settled.extend(change.sectors());
        }
        self.durable.set_len(self.current.len());
    }

    /// A sync cut short: some of the sectors, and perhaps the length, are durable; the others are still pending.
    pub(super) fn sync_partly(&mut self, random: &mut Random) {
        self.sync_some(|_| random.coin());
    }

    /// Makes those sectors durable that are `chosen`, and the length if `None` is; the others are still pending.
    fn sync_some(&mut self, mut chosen: impl FnMut(Option<u64>) -> bool) {
        let versions = self.versions();
        let changes = std::mem::take(&mut self.pending);
        let Some(last) = changes.last() else { return };
        let length = self.current.len();
        for group in versions.chunk_by(|one, other| one.0 == other.0) {
            // A sync writes the newest version; from here on there is no way back to the ones before it.
            let Some(&(sector, newest)) = group.last() else { continue };
            let image = changes[newest].sector(sector);
            if chosen(Some(sector)) {
                self.durable.put(image, sector * SECTOR_U64);
            } else {
                let sequence = changes[newest].sequence;
                let image = image.to_vec();
                self.pending.push(Change { sequence, length, first: sector, image, hole: None });
            }
        }
        if chosen(None) {
            self.durable.set_len(length);
        } else {
            let sequence = last.sequence;
            self.pending.push(Change { sequence, length, first: 0, image: Vec::new(), hole: None });
        }
    }

    /// What a failed sync does: the changes are no longer pending, and not durable either.
    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// Replaces the contents, durably.
    pub(super) fn replace(&mut self, contents: Contents) {
        self.pending.clear();
        self.settled.clear();
        self.durable = contents.clone();
        self.current = contents;
    }

    /// Inverts bits in the byte at `offset`, on the disk and in all that may yet be written to it.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        self.current.flip(offset, mask);
        self.durable.flip(offset, mask);
        for change in &mut self.pending {
            let index =
                offset.checked_sub(change.first * SECTOR_U64).and_then(|index| usize::try_from(index).ok());
            if let Some(byte) = index.and_then(|index| change.image.get_mut(index)) {
                *byte ^= mask;
            }
        }
    }

    /// The contents as found after a power cut.
    pub(super) fn survivor(&self, fate: &Fate, random: &mut Random) -> Contents {
        let mut found = self.durable.clone();
        match *fate {
            Fate::Before(limit) => {
                for change in &self.pending {
                    if change.sequence < limit {
                        change.apply(&mut found);
                    } else if change.sequence == limit {
                        change.apply_torn(&mut found, random);
                    }
                }
            }
            Fate::Random => {
                self.put_any_versions(&mut found, random);
                found.set_len(self.any_length(random));
            }
        }
        // A sector may have reached the disk without the length that would show it.
        found.erase_from(found.len());
        found
    }

    fn put_any_versions(&self, found: &mut Contents, random: &mut Random) {
        let chance = random.chance();
        for group in self.versions().chunk_by(|one, other| one.0 == other.0) {
            if chance.draw(random) {
                let (sector, change) = group[random.index(group.len())];
                found.put(self.pending[change].sector(sector), sector * SECTOR_U64);
            }
        }
    }

    /// The length before or after any pending change, or one on the way from the one to the other.
    fn any_length(&self, random: &mut Random) -> u64 {
        let steps = random.index(self.pending.len() + 1);
        let before = steps.checked_sub(1).map_or(self.durable.len(), |last| self.pending[last].length);
        match self.pending.get(steps) {
            Some(next) if random.coin() => {
                let (low, high) = (before.min(next.length), before.max(next.length));
                low + random.below(high - low + 1)
            }
            _ => before,
        }
    }

    /// All pairs of a sector and the index of a pending change that touched it, in that order.
    fn versions(&self) -> Vec<(u64, usize)> {
        let mut versions: Vec<(u64, usize)> = Vec::new();
        for (index, change) in self.pending.iter().enumerate() {
            if let Some(hole) = change.hole {
                let written = versions.iter().map(|version| version.0).filter(|&sector| sector >= hole);
                let cut: Vec<u64> = written.chain(self.durable.sectors_from(hole)).collect();
                versions.extend(cut.into_iter().map(|sector| (sector, index)));
            }
            versions.extend(change.sectors().map(|sector| (sector, index)));
        }
        versions.sort_unstable();
        versions.dedup();
        versions
    }
}

/// The pieces of a write that reach the disk each on its own: its sectors.
pub(super) fn sector_pieces(offset: u64, length: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    pieces(SECTOR, offset, length).map(|piece| piece.range)
}
