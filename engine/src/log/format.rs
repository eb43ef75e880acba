//! The numbers of the log format, for writer and reader alike, and the checksum that both use.
//!
//! All integers are little-endian. Every checksum is a CRC-32 that starts from a salt made of the store's id, the
//! segment's number and the position, so that bytes are valid at one place in one store only: a stale or copied
//! record never passes for another.

use crc32fast::Hasher;

/// Version of the format in segment headers and manifests.
pub const FORMAT_VERSION: u16 = 1;
/// Feature bits that this release knows; a file with any other bit set must not be read.
pub const FEATURES: u32 = 0;

/// Smallest segment: of use for tests, which then see many.
pub const SEGMENT_BYTES_MIN: u64 = 4 << 10;
/// Largest regular segment: positions are 32 bits wide, and one oversized frame must still fit behind the header.
pub const SEGMENT_BYTES_MAX: u64 = 2 << 30;

/// A frame is closed once its payload has this many bytes. One atomic write is never split, so a frame can be longer
/// than this by the size of one transaction.
pub const FRAME_BYTES_SOFT: usize = 1 << 20;
/// Most bytes that a reader accepts as a frame's payload.
pub const FRAME_BYTES_MAX: usize = 80 << 20;

/// How many versions are reserved at a time: what an unclean stop can leave unused. Half of them last for the writes
/// between two syncs at level buffered.
pub const VERSION_BLOCK: u64 = 1 << 22;

/// Largest version that is read, and largest number of a manifest. No store gets there (at a million writes a second
/// it takes 2,000 years); with it, sums do not overflow, whatever a file says, and the index can do with 7 bytes.
pub const VERSION_MAX: u64 = 1 << 55;

const _: () = assert!(FRAME_BYTES_SOFT < FRAME_BYTES_MAX);
const _: () = assert!(SEGMENT_BYTES_MAX + (FRAME_BYTES_MAX as u64) < u32::MAX as u64);

/// Identity of a store: random, chosen when it is created, restored or salvaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreId(pub [u8; 16]);

/// What every checksum within one segment starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(u32);

impl Salt {
    /// The salt of segment `segment` of store `store`.
    pub fn new(store: StoreId, segment: u32) -> Salt {
        let mut hasher = Hasher::new();
        hasher.update(&store.0);
        hasher.update(&segment.to_le_bytes());
        Salt(hasher.finalize())
    }

    /// A checksum for what stands at `position` of the segment.
    pub(crate) fn at(self, position: u32) -> Hasher {
        // An odd multiplier permutes the 32-bit positions: two positions never share a starting value.
        Hasher::new_with_initial(self.0 ^ position.wrapping_mul(0x9e37_79b1))
    }
}

/// The checksum of `bytes` at `position`.
pub(crate) fn checksum(salt: Salt, position: u32, bytes: &[u8]) -> u32 {
    let mut hasher = salt.at(position);
    hasher.update(bytes);
    hasher.finalize()
}

/// Reads fixed-width fields at offsets of a slice whose length was checked before.
pub(crate) trait Fields {
    fn u16_at(&self, at: usize) -> u16;
    fn u32_at(&self, at: usize) -> u32;
    fn u64_at(&self, at: usize) -> u64;
}

impl<const N: usize> Fields for [u8; N] {
    fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes(field(self, at))
    }
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(field(self, at))
    }
    fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(field(self, at))
    }
}

fn field<const N: usize, const W: usize>(bytes: &[u8; N], at: usize) -> [u8; W] {
    let mut out = [0; W];
    out.copy_from_slice(&bytes[at..at + W]);
    out
}

/// The first `N` bytes of `bytes` from `at`, or `None` if there are not that many.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
