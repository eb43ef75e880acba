//! The manifest: which segments exist. One small file, replaced as a whole.
//!
//! ```text
//!  0  magic          8   "LARDMAN\n"
//!  8  version        u16
//! 10  clean          u8  1: the store was closed; there is no open segment, and nothing follows `sequence`
//! 11  0              u8
//! 12  features       u32
//! 16  store id       16
//! 32  generation     u64  grows by one with every change
//! 40  sequence       u64  every sequence up to this one is durable, and lies in sealed segments
//! 48  ceiling        u64  no version above this one was answered before the first frame of an open segment
//! 56  time           u64  highest time seen, Unix milliseconds
//! 64  feed floor     u64  the change feed can be resumed after any version from here on
//! 72  next segment   u32  number of the next new segment
//! 76  chain          u32  checksum of the last sealed log frame: what the first open segment's first frame chains to
//! 80  sealed         u32  how many sealed segments follow
//! 84  open           u32  how many open segments follow them
//! 88  retired        u32  how many retired segments follow those
//! 92  0              u32
//! 96  per sealed segment, 48 bytes: number u32, kind u8, 0 (3), end u64, highest sequence u64, chain u32, records u32,
//!     store id 16
//!     per open segment, 4 bytes: number u32, in the order they are written
//!     per retired segment, 4 bytes: number u32
//!  …  checksum       u32  over everything before it
//! ```
//!
//! A change is: write `MANIFEST.new`, sync it, rename it over `MANIFEST`, sync the directory. A segment is named here
//! before the first frame goes into it, and a file that is not named is not part of the store.

use super::format::{FEATURES, FORMAT_VERSION, Fields, Salt, StoreId, VERSION_MAX, array_at};
use super::header::{HeaderError, SegmentKind};
use crate::disk::{Disk, read_exact_at, write_all_at};
use crate::error::{Error, Result};
use std::io;

/// Name of the manifest.
pub const MANIFEST_FILE: &str = "MANIFEST";
/// Name under which the next manifest is written.
pub(crate) const MANIFEST_NEW_FILE: &str = "MANIFEST.new";
/// Name of the manifest of a backup: another one, so that a backup is not opened as a store by accident.
pub const BACKUP_FILE: &str = "BACKUP";

const MAGIC: [u8; 8] = *b"LARDMAN\n";
const HEADER_BYTES: usize = 96;
const SEALED_BYTES: usize = 48;
const NUMBER_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;
/// Longest manifest that is read: more than a million segments.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// A sealed segment as the manifest knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Its number.
    pub segment: u32,
    /// How it came to be.
    pub kind: SegmentKind,
    /// Where its frames end and its footer stands.
    pub end: u64,
    /// Highest sequence in it.
    pub highest_sequence: u64,
    /// Checksum of its last frame.
    pub chain: u32,
    /// Number of its records.
    pub records: u32,
    /// The store that it was written in, which is another one where a backup was restored. Its checksums are salted
    /// with this.
    pub store: StoreId,
}

impl Sealed {
    /// The salt of its checksums.
    pub fn salt(&self) -> Salt {
        Salt::new(self.store, self.segment)
    }
}

/// The content of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Identity of the store.
    pub store: StoreId,
    /// Whether the store was closed in order.
    pub clean: bool,
    /// Number of this manifest, growing by one with every change.
    pub generation: u64,
    /// Every sequence up to this one is durable, and lies in sealed segments.
    pub sequence: u64,
    /// No version above this one was answered before the first frame of an open segment was written.
    pub ceiling: u64,
    /// Highest time seen, in Unix milliseconds.
    pub time_ms: u64,
    /// The change feed can be resumed after any version from here on.
    pub feed_floor: u64,
    /// Number of the next new segment.
    pub next_segment: u32,
    /// What the first frame of the first open segment chains to.
    pub chain: u32,
    /// Sealed segments.
    pub sealed: Vec<Sealed>,
    /// Open segments, in the order they are written.
    pub open: Vec<u32>,
    /// Segments that are not part of the store, though their files may exist: outputs of a compaction that has not
    /// come to its end, and inputs of one that has. An open removes them.
    pub retired: Vec<u32>,
}

impl Manifest {
    /// The manifest of a new, empty store.
    pub(crate) fn new(store: StoreId) -> Manifest {
        Manifest {
            store,
            clean: true,
            generation: 0,
            sequence: 0,
            ceiling: 0,
            time_ms: 0,
            feed_floor: 0,
            next_segment: 1,
            chain: crc32fast::hash(&store.0),
            sealed: Vec::new(),
            open: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// Takes the next number for a segment.
    pub(crate) fn take_number(&mut self) -> Result<u32> {
        let id = self.next_segment;
        self.next_segment = id.checked_add(1).ok_or_else(|| {
            Error::io("number another segment", io::Error::other("all segment numbers are used up"))
        })?;
        Ok(id)
    }

    /// The manifest's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.sealed.len() * SEALED_BYTES + 64);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[u8::from(self.clean), 0]);
        bytes.extend_from_slice(&FEATURES.to_le_bytes());
        bytes.extend_from_slice(&self.store.0);
        for number in [self.generation, self.sequence, self.ceiling, self.time_ms, self.feed_floor] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.next_segment.to_le_bytes());
        bytes.extend_from_slice(&self.chain.to_le_bytes());
        bytes.extend_from_slice(&count(self.sealed.len()));
        bytes.extend_from_slice(&count(self.open.len()));
        bytes.extend_from_slice(&count(self.retired.len()));
        bytes.extend_from_slice(&[0; 4]);
        debug_assert_eq!(bytes.len(), HEADER_BYTES);
        for sealed in &self.sealed {
            bytes.extend_from_slice(&sealed.segment.to_le_bytes());
            bytes.extend_from_slice(&[sealed.kind.to_byte(), 0, 0, 0]);
            bytes.extend_from_slice(&sealed.end.to_le_bytes());
            bytes.extend_from_slice(&sealed.highest_sequence.to_le_bytes());
            bytes.extend_from_slice(&sealed.chain.to_le_bytes());
            bytes.extend_from_slice(&sealed.records.to_le_bytes());
            bytes.extend_from_slice(&sealed.store.0);
        }
        for number in self.open.iter().chain(&self.retired) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Decodes and verifies a manifest.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, HeaderError> {
        let header: &[u8; HEADER_BYTES] = array_at(bytes, 0).ok_or(HeaderError::Damaged)?;
        let body_end = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(HeaderError::Damaged)?;
        let checksum: &[u8; CHECKSUM_BYTES] = array_at(bytes, body_end).ok_or(HeaderError::Damaged)?;
        let body = bytes.get(..body_end).ok_or(HeaderError::Damaged)?;
        if header[..8] != MAGIC || crc32fast::hash(body) != checksum.u32_at(0) {
            return Err(HeaderError::Damaged);
        }
        let (version, features) = (header.u16_at(8), header.u32_at(12));
        if version != FORMAT_VERSION || features & !FEATURES != 0 {
            return Err(HeaderError::Unsupported { version, features });
        }
        let (generation, sequence, ceiling) = (header.u64_at(32), header.u64_at(40), header.u64_at(48));
        if generation.max(sequence).max(ceiling) > VERSION_MAX {
            return Err(HeaderError::Damaged);
        }
        let counted = |at: usize, each: usize| {
            (header.u32_at(at) as usize).checked_mul(each).ok_or(HeaderError::Damaged)
        };
        let segments = body.get(HEADER_BYTES..).ok_or(HeaderError::Damaged)?;
        let (sealed, rest) =
            segments.split_at_checked(counted(80, SEALED_BYTES)?).ok_or(HeaderError::Damaged)?;
        let (open, retired) =
            rest.split_at_checked(counted(84, NUMBER_BYTES)?).ok_or(HeaderError::Damaged)?;
        if retired.len() != counted(88, NUMBER_BYTES)? {
            return Err(HeaderError::Damaged);
        }
        let numbers = |bytes: &[u8]| -> Vec<u32> {
            bytes.as_chunks::<NUMBER_BYTES>().0.iter().map(|number| number.u32_at(0)).collect()
        };
        Ok(Manifest {
            store: store_at(header, 16),
            clean: header[10] == 1,
            generation,
            sequence,
            ceiling,
            time_ms: header.u64_at(56),
            feed_floor: header.u64_at(64),
            next_segment: header.u32_at(72),
            chain: header.u32_at(76),
            sealed: sealed
                .as_chunks::<SEALED_BYTES>()
                .0
                .iter()
                .map(decode_sealed)
                .collect::<Option<_>>()
                .ok_or(HeaderError::Damaged)?,
            open: numbers(open),
            retired: numbers(retired),
        })
    }

    /// Reads the manifest called `name` on `disk`.
    pub(crate) fn read(disk: &dyn Disk, name: &str) -> Result<Manifest> {
        let failed = |error: io::Error| Error::io(format!("read {name}"), error);
        let file = disk.open(name).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let damaged = |what| Error::damaged(name, 0, what);
        if length > MANIFEST_BYTES_MAX {
            return Err(damaged("it is longer than any manifest"));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| damaged("it is too long"))?];
        read_exact_at(&*file, &mut bytes, 0).map_err(failed)?;
        Manifest::decode(&bytes).map_err(|error| match error {
            HeaderError::Damaged => damaged("its content does not match its checksum"),
            HeaderError::Unsupported { version, features } => {
                Error::Unsupported { file: name.to_owned(), version, features }
            }
        })
    }

    /// Writes this beside the store's manifest, durably, under the next generation number.
    pub(crate) fn write_beside(&mut self, disk: &dyn Disk) -> io::Result<()> {
        self.generation += 1;
        match disk.remove(MANIFEST_NEW_FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(MANIFEST_NEW_FILE)?;
        write_all_at(&*file, &self.encode(), 0)?;
        file.sync()
    }
}

fn decode_sealed(bytes: &[u8; SEALED_BYTES]) -> Option<Sealed> {
    Some(Sealed {
        segment: bytes.u32_at(0),
        kind: SegmentKind::from_byte(bytes[4])?,
        // Positions in a segment fit 32 bits.
        end: u32::try_from(bytes.u64_at(8)).ok()?.into(),
        highest_sequence: bytes.u64_at(16),
        chain: bytes.u32_at(24),
        records: bytes.u32_at(28),
        store: store_at(bytes, 32),
    })
}

fn store_at<const N: usize>(bytes: &[u8; N], at: usize) -> StoreId {
    let mut store = [0; 16];
    store.copy_from_slice(&bytes[at..at + 16]);
    StoreId(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let mut manifest = Manifest::new(StoreId([3; 16]));
        manifest.clean = false;
        manifest.sequence = 77;
        manifest.sealed = vec![
            Sealed {
                segment: 1,
                kind: SegmentKind::Log,
                end: 4000,
                highest_sequence: 70,
                chain: 5,
                records: 7,
                store: StoreId([1; 16]),
            },
            Sealed {
                segment: 4,
                kind: SegmentKind::Compacted,
                end: 9000,
                highest_sequence: 77,
                chain: 6,
                records: 9,
                store: StoreId([3; 16]),
            },
        ];
        manifest.open = vec![5, 6];
        manifest.retired = vec![2, 3, 7];
        manifest
    }

    #[test]
    fn round_trip() {
        assert_eq!(Manifest::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = sample().encode();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&bad).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..length]).is_err(), "length {length}");
        }
        let mut shortest = bytes[..HEADER_BYTES - CHECKSUM_BYTES].to_vec();
        shortest.extend(crc32fast::hash(&shortest).to_le_bytes());
        assert_eq!(
            Manifest::decode(&shortest),
            Err(HeaderError::Damaged),
            "an intact checksum within the header"
        );
    }
}
