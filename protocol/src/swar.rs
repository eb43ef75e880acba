//! Looking at eight bytes at a time, in an ordinary register.
//!
//! Each function marks bytes of a word in their high bits. Borrows may mark bytes above the lowest mark wrongly, but
//! never below it, so of any union of marks the lowest one is right, and it is the only one to use.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Marks bytes equal to `byte`.
#[inline]
pub(crate) const fn equal(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * byte as u64);
    difference.wrapping_sub(ONES) & !difference & HIGHS
}

/// Marks bytes below `limit`, which is at most 0x80.
#[inline]
pub(crate) const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

/// Marks bytes outside ASCII.
#[inline]
pub(crate) const fn wide(word: u64) -> u64 {
    word & HIGHS
}

/// The place of the first byte at or after `at` that is marked (by `marks` in a word, by `marked` alone), else the
/// end of the text. The two must agree.
#[inline]
pub(crate) fn find(
    text: &[u8],
    mut at: usize,
    marks: impl Fn(u64) -> u64,
    marked: impl Fn(u8) -> bool,
) -> usize {
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let marks = marks(u64::from_le_bytes(*chunk));
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|&byte| !marked(byte)) {
        at += 1;
    }
    at
}
