//! Writes a compacted segment: records copied from other segments, in any order, each with the sequence it had.
//!
//! Records are encoded anew, as their checksums depend on where they stand. They are gathered into frames of about a
//! mebibyte, and the file is synced every few of them, so that no sync takes long for others on the same disk. Space
//! is allocated before it is written to, so that a full disk is [`Error::NoSpace`] and not a failed write.
//!
//! Nothing refers to the segment before [`SegmentWriter::finish`] has returned: whoever gives up, after an error too,
//! removes the file.

use super::catalog::{HEADER_LENGTH, cut_and_seal};
use super::format::{FRAME_BYTES_MAX, FRAME_BYTES_SOFT, Salt};
use super::frame::{self, HEADER_BYTES as FRAME_HEADER_BYTES};
use super::header::{FOOTER_BYTES, Footer, SegmentHeader};
use super::manifest::Sealed;
use super::record::{self, Record};
use super::segment::file_name;
use crate::disk::{Disk, DiskFile, write_all_at};
use crate::error::{Error, Result};
use std::io;
use std::sync::Arc;

/// After how many written bytes the file is synced.
const SYNC_BYTES: u64 = 8 << 20;

/// What the frames of a compacted segment say besides what they hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    /// Every sequence up to this one is durable, in the segments that are copied from.
    pub(crate) durable: u64,
    /// No version above this one has been answered.
    pub(crate) ceiling: u64,
    /// The engine's clock, in Unix milliseconds.
    pub(crate) time_ms: u64,
}

/// A compacted segment in the making.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    location: String,
    marks: Marks,
    salt: Salt,
    /// What the frames written so far amount to; its `end` is where the open frame starts.
    summary: Footer,
    /// The open frame: room for its header, then records.
    bytes: Vec<u8>,
    sums: Vec<u32>,
    lowest_sequence: u64,
    highest_sequence: u64,
    allocated: u64,
    synced: u64,
}

impl SegmentWriter {
    /// Creates the segment's file, which must not exist yet, with room for `expected` bytes. It is durable with its header
    /// when this returns.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`].
    pub(crate) fn create(
        disk: &dyn Disk,
        header: SegmentHeader,
        marks: Marks,
        expected: u64,
    ) -> Result<SegmentWriter> {
        let location = disk.location();
        let failed = |error| writing(&location, header.segment, error);
        let file = disk.create(&file_name(header.segment)).map_err(failed)?;
        let summary = Footer {
            frames: 0,
            records: 0,
            lowest_sequence: 0,
            highest_sequence: 0,
            end: HEADER_LENGTH.into(),
            ceiling: marks.ceiling,
            time_ms: marks.time_ms,
            chain: crc32fast::hash(&header.store.0),
        };
        file.allocate(expected)
            .and_then(|()| write_all_at(&*file, &header.encode(), 0))
            .and_then(|()| file.sync())
            .and_then(|()| disk.sync_dir())
            .map_err(failed)?;
        Ok(SegmentWriter {
            salt: Salt::new(header.store, header.segment),
            header,
            file,
            location,
            marks,
            summary,
            bytes: vec![0; FRAME_HEADER_BYTES],
            sums: Vec::new(),
            lowest_sequence: u64::MAX,
            highest_sequence: 0,
            allocated: expected,
            synced: HEADER_LENGTH.into(),
        })
    }

    /// Where the footer would stand if the segment ended after a record of `record_bytes`: for the caller to decide
    /// whether that record goes into the next one. It must stay below
    /// [`SEGMENT_BYTES_MAX`](super::format::SEGMENT_BYTES_MAX) unless the segment is empty.
    pub(crate) fn end_with(&self, record_bytes: usize) -> u64 {
        self.summary.end + (self.bytes.len() + FRAME_HEADER_BYTES + record_bytes) as u64
    }

    /// Adds a record, whose lengths are within the format's limits. Returns its position in the segment.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`].
    pub(crate) fn append(&mut self, record: &Record<'_>) -> Result<u32> {
        debug_assert!(record.encoded_len() <= FRAME_BYTES_MAX);
        let payload = self.bytes.len() + record.encoded_len();
        if !self.sums.is_empty() && payload > FRAME_HEADER_BYTES + FRAME_BYTES_SOFT {
            self.write_frame()?;
        }
        let at = self.bytes.len();
        let position = length_u32(self.summary.end) + length_u32(at as u64);
        record.encode(&mut self.bytes);
        self.sums.push(record::seal(&mut self.bytes[at..], self.salt, position));
        self.lowest_sequence = self.lowest_sequence.min(record.sequence);
        self.highest_sequence = self.highest_sequence.max(record.sequence);
        Ok(position)
    }

    /// Ends the segment, which holds a record at least, with its footer. It is durable when this returns, and a
    /// manifest may name it.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`].
    pub(crate) fn finish(mut self) -> Result<(Sealed, Arc<dyn DiskFile>)> {
        debug_assert!(self.summary.frames > 0 || !self.sums.is_empty(), "an empty segment is never sealed");
        self.write_frame()?;
        let summary = &self.summary;
        cut_and_seal(&*self.file, self.salt, summary).map_err(|error| self.failed(error))?;
        let sealed = Sealed {
            segment: self.header.segment,
            kind: self.header.kind,
            end: summary.end,
            highest_sequence: summary.highest_sequence,
            chain: summary.chain,
            records: summary.records,
            store: self.header.store,
        };
        Ok((sealed, self.file))
    }

    /// Writes the open frame, if it holds anything.
    fn write_frame(&mut self) -> Result<()> {
        if self.sums.is_empty() {
            return Ok(());
        }
        let position = length_u32(self.summary.end);
        let mut header = frame::Header {
            payload_bytes: length_u32((self.bytes.len() - FRAME_HEADER_BYTES) as u64),
            records: length_u32(self.sums.len() as u64),
            first_sequence: self.lowest_sequence,
            durable: self.marks.durable,
            ceiling: self.marks.ceiling,
            time_ms: self.marks.time_ms,
            previous: self.summary.chain,
            checksum: 0,
        };
        let head = header.seal(&self.sums, self.salt, position);
        self.bytes[..FRAME_HEADER_BYTES].copy_from_slice(&head);
        let end = self.summary.end + self.bytes.len() as u64;
        self.allocate(end + FOOTER_BYTES as u64)
            .and_then(|()| write_all_at(&*self.file, &self.bytes, self.summary.end))
            .and_then(|()| self.sync_sometimes(end))
            .map_err(|error| self.failed(error))?;
        self.note(&header, end);
        Ok(())
    }

    /// Makes sure that writing up to `end` cannot fail for want of space.
    fn allocate(&mut self, end: u64) -> io::Result<()> {
        if end > self.allocated {
            self.file.allocate(end)?;
            self.allocated = end;
        }
        Ok(())
    }

    fn sync_sometimes(&mut self, end: u64) -> io::Result<()> {
        if end - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = end;
        }
        Ok(())
    }

    /// Adds the frame that was just written to the summary, and begins the next one.
    fn note(&mut self, frame: &frame::Header, end: u64) {
        let summary = &mut self.summary;
        let lowest = if summary.frames == 0 { u64::MAX } else { summary.lowest_sequence };
        summary.lowest_sequence = lowest.min(self.lowest_sequence);
        summary.highest_sequence = summary.highest_sequence.max(self.highest_sequence);
        summary.frames += 1;
        summary.records += frame.records;
        summary.end = end;
        summary.chain = frame.checksum;
        self.bytes.truncate(FRAME_HEADER_BYTES);
        self.sums.clear();
        (self.lowest_sequence, self.highest_sequence) = (u64::MAX, 0);
    }

    fn failed(&self, error: io::Error) -> Error {
        writing(&self.location, self.header.segment, error)
    }
}

fn writing(location: &str, segment: u32, error: io::Error) -> Error {
    Error::of_disk(format!("write {}", file_name(segment)), location.to_owned(), error)
}

/// Positions in a segment fit 32 bits; the caller keeps it below the largest one.
fn length_u32(length: u64) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::format::StoreId;
    use super::super::frame::{Frame, Verify};
    use super::super::header::{HEADER_BYTES, SegmentKind};
    use super::super::record::Kind;
    use super::*;
    use crate::address::Tenant;
    use crate::disk::sim::{Fault, OpKind, SimDisk, Survival};

    const MARKS: Marks = Marks { durable: 900, ceiling: 1000, time_ms: 5 };

    fn header() -> SegmentHeader {
        SegmentHeader { store: StoreId([5; 16]), segment: 7, kind: SegmentKind::Compacted, created_at: 3 }
    }

    fn record(sequence: u64, value: &[u8]) -> Record<'_> {
        Record {
            kind: Kind::Put,
            tag: 1,
            tenant: Tenant(2),
            namespace: "n",
            key: "k",
            description: "d",
            value,
            sequence,
            deadline: 10,
            created_at: 1,
            updated_at: 2,
            creation: sequence,
        }
    }

    #[test]
    fn what_is_written_is_read_back_in_its_order_after_a_power_cut() {
        let disk = SimDisk::new(1);
        let mut writer = SegmentWriter::create(&disk, header(), MARKS, 64 << 20).unwrap();
        let long = vec![7; 700_000];
        let sequences: Vec<u64> = (0..40).map(|number| 100 + (number * 17) % 40).collect();
        let positions: Vec<u32> =
            sequences.iter().map(|sequence| writer.append(&record(*sequence, &long)).unwrap()).collect();
        let end = writer.end_with(0);
        let (sealed, _) = writer.finish().unwrap();
        assert!(sealed.end <= end);
        assert_eq!((sealed.records, sealed.highest_sequence), (40, 139));

        let bytes = disk.crash(Survival::Nothing).read_file(&file_name(7)).unwrap();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
        let end = usize::try_from(sealed.end).unwrap();
        let footer = Footer::decode(&bytes[end..], sealed.salt(), sealed.end).unwrap();
        assert_eq!((footer.lowest_sequence, footer.highest_sequence), (100, 139));
        assert_eq!((footer.records, footer.chain), (40, sealed.chain));
        assert_eq!(bytes.len(), end + FOOTER_BYTES);

        let (mut at, mut frames, mut chain) = (HEADER_BYTES, 0, crc32fast::hash(&header().store.0));
        let mut found = Vec::new();
        while at < end {
            let salt = sealed.salt();
            let position = u32::try_from(at).unwrap();
            let frame =
                Frame::decode(&bytes[at..end], salt, position, sealed.kind, Verify::Everything).unwrap();
            assert_eq!((frame.header.previous, frame.header.ceiling), (chain, 1000));
            chain = frame.header.checksum;
            found.extend(frame.records(salt, Verify::Everything).map(|record| {
                let (position, record) = record.unwrap();
                (position, record.sequence)
            }));
            frames += 1;
            at += frame.header.frame_bytes();
        }
        assert_eq!(frames, footer.frames);
        assert_eq!(found, positions.into_iter().zip(sequences).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_disk_is_told_as_such_and_shows_before_a_byte_is_written() {
        let disk = SimDisk::new(1);
        disk.set_capacity(1 << 20);
        let created = SegmentWriter::create(&disk, header(), MARKS, 64 << 20);
        assert!(matches!(created, Err(Error::NoSpace { .. })), "{created:?}");

        let disk = SimDisk::new(1);
        let mut writer = SegmentWriter::create(&disk, header(), MARKS, 3 << 20).unwrap();
        disk.set_capacity(disk.used_bytes() + (2 << 20));
        let long = vec![7; 1 << 20];
        let full = (1..100).find_map(|sequence| writer.append(&record(sequence, &long)).err());
        assert!(matches!(full, Some(Error::NoSpace { .. })), "{full:?}");
    }

    #[test]
    fn a_failed_sync_ends_it() {
        let disk = SimDisk::new(1);
        let mut writer = SegmentWriter::create(&disk, header(), MARKS, 64 << 20).unwrap();
        writer.append(&record(1, b"v")).unwrap();
        disk.fail_next(OpKind::Sync, Fault::Eio);
        assert!(matches!(writer.finish(), Err(Error::Io { .. })));
    }
}
