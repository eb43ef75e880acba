//! Head and foot of a segment file.
//!
//! ```text
//! header, 64 bytes                              footer, 64 bytes, directly after the last frame
//!  0  magic        8   "LARDSEG\n"               0  magic            8   "LARDEND\n"
//!  8  version      u16                           8  frames           u32
//! 10  kind         u8  1 log, 2 compacted       12  records          u32
//! 11  0            u8                           16  lowest sequence  u64
//! 12  features     u32                          24  highest sequence u64
//! 16  store id     16                           32  end              u64  position of this footer
//! 32  segment      u32                          40  ceiling          u64
//! 36  0            4                            48  time             u64
//! 40  created at   u64 Unix milliseconds        56  chain            u32  checksum of the last frame
//! 48  0            12                           60  checksum         u32  over bytes 0..60, salted with the position
//! 60  checksum     u32 over bytes 0..60
//! ```

use super::format::{FEATURES, FORMAT_VERSION, Fields, Salt, StoreId, array_at, checksum};

/// Bytes of a segment before its first frame.
pub const HEADER_BYTES: usize = 64;
/// Bytes of a segment after its last frame, once it is sealed.
pub const FOOTER_BYTES: usize = 64;

const HEADER_MAGIC: [u8; 8] = *b"LARDSEG\n";
const FOOTER_MAGIC: [u8; 8] = *b"LARDEND\n";

/// How a segment came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Written as the log grew: frames in commit order, chained.
    Log,
    /// Written by compaction: records copied from other segments.
    Compacted,
}

impl SegmentKind {
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            SegmentKind::Log => 1,
            SegmentKind::Compacted => 2,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<SegmentKind> {
        match byte {
            1 => Some(SegmentKind::Log),
            2 => Some(SegmentKind::Compacted),
            _ => None,
        }
    }
}

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The store it belongs to.
    pub store: StoreId,
    /// Its number.
    pub segment: u32,
    /// How it came to be.
    pub kind: SegmentKind,
    /// When it was created, in Unix milliseconds.
    pub created_at: u64,
}

/// Why bytes are no segment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// They are not what was written.
    Damaged,
    /// They were written by a release that this one does not understand.
    Unsupported {
        /// Format version.
        version: u16,
        /// Feature bits.
        features: u32,
    },
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&HEADER_MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[10] = self.kind.to_byte();
        bytes[12..16].copy_from_slice(&FEATURES.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store.0);
        bytes[32..36].copy_from_slice(&self.segment.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created_at.to_le_bytes());
        let sum = checksum(Salt::new(self.store, self.segment), 0, &bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Decodes and verifies a header.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let bytes: &[u8; HEADER_BYTES] = array_at(bytes, 0).ok_or(HeaderError::Damaged)?;
        let mut store = [0; 16];
        store.copy_from_slice(&bytes[16..32]);
        let (store, segment) = (StoreId(store), bytes.u32_at(32));
        let intact = checksum(Salt::new(store, segment), 0, &bytes[..60]) == bytes.u32_at(60);
        if bytes[..8] != HEADER_MAGIC || !intact {
            return Err(HeaderError::Damaged);
        }
        let (version, features) = (bytes.u16_at(8), bytes.u32_at(12));
        if version != FORMAT_VERSION || features & !FEATURES != 0 {
            return Err(HeaderError::Unsupported { version, features });
        }
        let kind = SegmentKind::from_byte(bytes[10]).ok_or(HeaderError::Damaged)?;
        Ok(SegmentHeader { store, segment, kind, created_at: bytes.u64_at(40) })
    }
}

/// The foot of a sealed segment: what its frames amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Number of frames.
    pub frames: u32,
    /// Number of records.
    pub records: u32,
    /// Lowest sequence in it; 0 if it holds no record.
    pub lowest_sequence: u64,
    /// Highest sequence in it; 0 if it holds no record.
    pub highest_sequence: u64,
    /// Where the frames end and the footer stands.
    pub end: u64,
    /// Highest version ceiling of its frames.
    pub ceiling: u64,
    /// Highest time of its frames, in Unix milliseconds.
    pub time_ms: u64,
    /// Checksum of the last frame.
    pub chain: u32,
}

impl Footer {
    /// The footer's bytes.
    pub(crate) fn encode(&self, salt: Salt) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..8].copy_from_slice(&FOOTER_MAGIC);
        bytes[8..12].copy_from_slice(&self.frames.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.records.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.lowest_sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.highest_sequence.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.end.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.ceiling.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.chain.to_le_bytes());
        let sum = checksum(salt, footer_position(self.end), &bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Decodes and verifies the footer at the start of `bytes`, which stand at `position`.
    pub fn decode(bytes: &[u8], salt: Salt, position: u64) -> Option<Footer> {
        let bytes: &[u8; FOOTER_BYTES] = array_at(bytes, 0)?;
        let intact = checksum(salt, footer_position(position), &bytes[..60]) == bytes.u32_at(60);
        if bytes[..8] != FOOTER_MAGIC || !intact || bytes.u64_at(32) != position {
            return None;
        }
        Some(Footer {
            frames: bytes.u32_at(8),
            records: bytes.u32_at(12),
            lowest_sequence: bytes.u64_at(16),
            highest_sequence: bytes.u64_at(24),
            end: position,
            ceiling: bytes.u64_at(40),
            time_ms: bytes.u64_at(48),
            chain: bytes.u32_at(56),
        })
    }
}

/// Positions fit 32 bits in every segment that this release writes; a larger one only fails its checksum.
fn footer_position(end: u64) -> u32 {
    u32::try_from(end).unwrap_or(u32::MAX)
}
