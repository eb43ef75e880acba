//! A frame: the unit of writing, syncing and atomicity. A header, then records without gaps.
//!
//! ```text
//!  0  magic            u32   "LFR1"
//!  4  header checksum  u32   over bytes 8..56, salted with the frame's position
//!  8  payload bytes    u32   length of all records
//! 12  records          u32
//! 16  first sequence   u64   sequence of the first record; in a log segment the others follow it without gaps, in a
//!                            compacted one the lowest sequence of its records, which are in any order
//! 24  durable          u64   highest sequence known to be durable when this frame was closed
//! 32  ceiling          u64   no version above this one has been answered
//! 40  time             u64   the engine's clock when the frame was closed, Unix milliseconds
//! 48  previous         u32   checksum (the field below) of the frame before this one
//! 52  checksum         u32   over bytes 8..52 and the head checksum of every record, in order
//! 56  records
//! ```
//!
//! `previous` chains the frames, across segments too: a frame belongs to the log only if everything before it does, so
//! stale frames cannot attach. `durable` tells an interrupted write from damage: a frame that cannot be read, but
//! which a later frame knows to have been durable, was there once.

use super::format::{FRAME_BYTES_MAX, Fields, Salt, VERSION_MAX, array_at, checksum};
use super::header::SegmentKind;
use super::record::{Record, RecordError};

/// Bytes of a frame before its records.
pub const HEADER_BYTES: usize = 56;

/// First bytes of every frame.
pub(crate) const MAGIC: [u8; 4] = *b"LFR1";

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length of all records, in bytes.
    pub payload_bytes: u32,
    /// Number of records.
    pub records: u32,
    /// Lowest sequence of its records.
    pub first_sequence: u64,
    /// Highest sequence known to be durable when the frame was closed.
    pub durable: u64,
    /// No version above this one has been answered.
    pub ceiling: u64,
    /// The engine's clock when the frame was closed, in Unix milliseconds.
    pub time_ms: u64,
    /// Checksum of the frame before.
    pub previous: u32,
    /// Checksum of this frame.
    pub checksum: u32,
}

impl Header {
    /// Encodes the header for `position` and fills in the frame's checksum from those of its records.
    pub(crate) fn seal(&mut self, record_checksums: &[u32], salt: Salt, position: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.records.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.durable.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.ceiling.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.previous.to_le_bytes());
        self.checksum = frame_checksum(&bytes, record_checksums.iter().copied(), salt, position);
        bytes[52..56].copy_from_slice(&self.checksum.to_le_bytes());
        let header_checksum = checksum(salt, position, &bytes[8..]);
        bytes[4..8].copy_from_slice(&header_checksum.to_le_bytes());
        bytes
    }

    /// Decodes and verifies a frame header at the start of `bytes`; `None` if there is none.
    pub fn decode(bytes: &[u8], salt: Salt, position: u32) -> Option<Header> {
        let bytes: &[u8; HEADER_BYTES] = array_at(bytes, 0)?;
        if bytes[..4] != MAGIC || checksum(salt, position, &bytes[8..]) != bytes.u32_at(4) {
            return None;
        }
        let header = Header {
            payload_bytes: bytes.u32_at(8),
            records: bytes.u32_at(12),
            first_sequence: bytes.u64_at(16),
            durable: bytes.u64_at(24),
            ceiling: bytes.u64_at(32),
            time_ms: bytes.u64_at(40),
            previous: bytes.u32_at(48),
            checksum: bytes.u32_at(52),
        };
        let is_possible = usize::try_from(header.payload_bytes).ok()? <= FRAME_BYTES_MAX
            && header.first_sequence.max(header.ceiling) <= VERSION_MAX;
        is_possible.then_some(header)
    }

    /// The sequence of its last record, if it stands in a log segment.
    pub(crate) fn last_sequence(&self) -> u64 {
        (self.first_sequence + u64::from(self.records)).saturating_sub(1)
    }

    /// Length of header and records together.
    pub(crate) fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.payload_bytes as usize
    }
}

fn frame_checksum(
    header: &[u8; HEADER_BYTES],
    records: impl Iterator<Item = u32>,
    salt: Salt,
    position: u32,
) -> u32 {
    let mut hasher = salt.at(position);
    hasher.update(&header[8..52]);
    for sum in records {
        hasher.update(&sum.to_le_bytes());
    }
    hasher.finalize()
}

/// How far to verify what a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// All of it.
    Everything,
    /// All but descriptions and values, which are verified whenever they are read.
    Heads,
}

/// A frame that was verified.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// Its position in the segment.
    pub position: u32,
    bytes: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// There is no frame header.
    Header,
    /// The frame is longer than the bytes that are there.
    CutOff,
    /// A record in it is not what was written.
    Record(RecordError, u32),
    /// The records are not the ones that the frame was closed with.
    Content,
    /// The frame is intact, but does not follow the one before it.
    Chain,
}

impl FrameError {
    /// What is wrong, in words.
    pub fn describe(self) -> &'static str {
        match self {
            FrameError::Header => "a frame's header is missing or does not match its checksum",
            FrameError::CutOff => "a frame is cut off",
            FrameError::Record(error, _) => error.describe(),
            FrameError::Chain => "a frame does not follow the one before it",
            FrameError::Content => "a frame's records do not match its checksum",
        }
    }
}

impl<'a> Frame<'a> {
    /// Decodes and verifies the frame at the start of `bytes`, which stand at `position` of a segment of that kind.
    pub fn decode(
        bytes: &'a [u8],
        salt: Salt,
        position: u32,
        kind: SegmentKind,
        verify: Verify,
    ) -> Result<Frame<'a>, FrameError> {
        let header = Header::decode(bytes, salt, position).ok_or(FrameError::Header)?;
        let bytes = bytes.get(..header.frame_bytes()).ok_or(FrameError::CutOff)?;
        let frame = Frame { header, position, bytes };
        let mut count = 0u32;
        let mut sums = Vec::new();
        for record in frame.records(salt, verify) {
            let (at, record) = record.map_err(|(at, error)| FrameError::Record(error, at))?;
            let is_next = match kind {
                SegmentKind::Log => record.sequence == header.first_sequence + u64::from(count),
                SegmentKind::Compacted => record.sequence >= header.first_sequence,
            };
            if !is_next || record.sequence > VERSION_MAX || record.address().is_none() {
                return Err(FrameError::Content);
            }
            let start = (at - position) as usize;
            sums.push(array_at::<4>(bytes, start).map_or(0, |sum| u32::from_le_bytes(*sum)));
            count += 1;
        }
        let head = array_at(bytes, 0).ok_or(FrameError::Header)?;
        if count != header.records
            || frame_checksum(head, sums.into_iter(), salt, position) != header.checksum
        {
            return Err(FrameError::Content);
        }
        Ok(frame)
    }

    /// The records with their positions in the segment, each verified.
    pub fn records(&self, salt: Salt, verify: Verify) -> Records<'a> {
        Records { bytes: self.bytes, at: HEADER_BYTES, position: self.position, salt, verify }
    }
}

/// Iterator over the records of a frame.
#[derive(Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    position: u32,
    salt: Salt,
    verify: Verify,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(u32, Record<'a>), (u32, RecordError)>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        // Positions in a segment fit 32 bits; records beyond are none, and missing from the frame's count.
        let position = self.position.checked_add(u32::try_from(self.at).ok()?)?;
        let record = match self.verify {
            Verify::Everything => Record::decode(rest, self.salt, position),
            Verify::Heads => Record::decode_head(rest, self.salt, position),
        };
        match record {
            Ok(record) => {
                self.at += record.encoded_len();
                Some(Ok((position, record)))
            }
            Err(error) => {
                self.at = self.bytes.len();
                Some(Err((position, error)))
            }
        }
    }
}

/// Position of the first verified frame header in `bytes` from `from` on, with the header. `bytes` start at `base` of
/// the segment.
///
/// Headers are recognised by a checksum that is salted with a secret of the store and with their position, so nothing
/// that a caller stored as a value can pass for one.
pub(crate) fn find_header(bytes: &[u8], base: u32, from: usize, salt: Salt) -> Option<(usize, Header)> {
    let mut at = from;
    while let Some(window) = bytes.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) {
        let step = window.windows(MAGIC.len()).position(|candidate| candidate == MAGIC)?;
        at += step;
        let position = base.checked_add(u32::try_from(at).ok()?)?;
        if let Some(header) = Header::decode(bytes.get(at..)?, salt, position) {
            return Some((at, header));
        }
        at += 1;
    }
    None
}
