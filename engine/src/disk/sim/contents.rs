//! The bytes of a simulated file, kept sparsely.
//!
//! Blocks that were never written are absent and read as zeroes, and blocks are shared until one side changes: a
//! preallocated segment costs nothing, and a crash copies pointers instead of bytes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What a disk writes as a whole or not at all, in bytes.
pub(super) const SECTOR: usize = 512;

/// The unit of storage and of space accounting, in bytes; a whole number of sectors.
pub(super) const BLOCK: usize = 4096;

const SECTORS_PER_BLOCK: u64 = (BLOCK / SECTOR) as u64;
const _: () = assert!(BLOCK.is_multiple_of(SECTOR));

/// A sparse sequence of bytes with a length.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    length: u64,
    blocks: BTreeMap<u64, Arc<[u8; BLOCK]>>,
}

impl Contents {
    pub(super) fn from_bytes(bytes: &[u8]) -> Contents {
        let mut contents = Contents::default();
        contents.put(bytes, 0);
        contents.set_len(bytes.len() as u64);
        contents
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.length).unwrap_or(usize::MAX)];
        self.get(&mut bytes, 0);
        bytes
    }

    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Fills `buffer` from `offset` as far as the length goes; returns how many bytes that were.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let available = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buffer.len().min(available);
        self.get(&mut buffer[..count], offset);
        count
    }

    /// Fills `buffer` from `offset` whatever the length is.
    pub(super) fn get(&self, buffer: &mut [u8], offset: u64) {
        for piece in pieces(BLOCK, offset, buffer.len()) {
            let target = &mut buffer[piece.range];
            match self.blocks.get(&piece.unit) {
                Some(block) => target.copy_from_slice(&block[piece.start..piece.start + target.len()]),
                None => target.fill(0),
            }
        }
    }

    /// Stores `bytes` at `offset` and leaves the length as it is.
    pub(super) fn put(&mut self, bytes: &[u8], offset: u64) {
        for piece in pieces(BLOCK, offset, bytes.len()) {
            let source = &bytes[piece.range];
            let block = self.blocks.entry(piece.unit).or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(block)[piece.start..piece.start + source.len()].copy_from_slice(source);
        }
    }

    /// Sets the length; what a shorter one cuts off reads as zeroes if the file grows again.
    pub(super) fn set_len(&mut self, length: u64) {
        if length < self.length {
            self.erase_from(length);
        }
        self.length = length;
    }

    /// Turns everything from `offset` on into zeroes.
    pub(super) fn erase_from(&mut self, offset: u64) {
        drop(self.blocks.split_off(&offset.div_ceil(BLOCK as u64)));
        let tail = remainder(offset, BLOCK);
        if let Some(block) = self.blocks.get_mut(&(offset / BLOCK as u64))
            && block[tail..].iter().any(|&byte| byte != 0)
        {
            Arc::make_mut(block)[tail..].fill(0);
        }
    }

    /// The stored sectors from number `first` on.
    pub(super) fn sectors_from(&self, first: u64) -> impl Iterator<Item = u64> {
        self.blocks
            .range(first / SECTORS_PER_BLOCK..)
            .flat_map(|(block, _)| block * SECTORS_PER_BLOCK..(block + 1) * SECTORS_PER_BLOCK)
            .filter(move |&sector| sector >= first)
    }

    /// Inverts the bits of `mask` in the byte at `offset`, if the file is that long.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        let mut byte = [0];
        if self.read(&mut byte, offset) == 1 {
            self.put(&[byte[0] ^ mask], offset);
        }
    }
}

/// The part of a byte range that lies within one unit of the disk.
pub(super) struct Piece {
    /// Which unit.
    pub(super) unit: u64,
    /// Where in the unit the piece starts.
    pub(super) start: usize,
    /// Where in the whole range the piece is.
    pub(super) range: Range<usize>,
}

/// Cuts the `length` bytes at `offset` up at the borders of units of `size` bytes.
pub(super) fn pieces(size: usize, offset: u64, length: usize) -> impl Iterator<Item = Piece> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let position = offset + done as u64;
        let start = remainder(position, size);
        let range = done..length.min(done + size - start);
        done = range.end;
        Some(Piece { unit: position / size as u64, start, range })
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
fn remainder(position: u64, size: usize) -> usize {
    (position % size as u64) as usize
}
