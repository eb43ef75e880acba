//! An open segment file, as readers and the log's writer share it.

use super::format::Salt;
use super::header::SegmentKind;
use super::record::{HEADER_BYTES, Record, RecordError, Stored};
use crate::address::{KEY_BYTES_MAX, NAMESPACE_BYTES_MAX};
use crate::disk::{DiskFile, Map, read_exact_at};
use crate::error::{Error, Result};
use crate::sync::{AtomicU32, Ordering};
use std::collections::BTreeMap;
use std::sync::{Arc, atomic};

/// The segments that exist, by number. Readers hold on to one table while they work; a change makes a new table.
pub(crate) type SegmentTable = BTreeMap<u32, Arc<Segment>>;

/// How much of a record is loaded ahead; what follows, the processor fetches by itself.
const TOUCHED_LINES: usize = 5;

/// Longest head of a record: its header, and its address.
#[expect(clippy::cast_possible_truncation, reason = "some kilobyte")]
const HEAD_BYTES_MAX: u32 = (HEADER_BYTES + NAMESPACE_BYTES_MAX + KEY_BYTES_MAX) as u32;

/// Records of so many bytes are read from the disk at once.
const LONG_BYTES: usize = 32 * 1024;

/// Most heads are no longer than this.
const HEAD_BYTES_USUAL: u32 = 128;

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: u32,
    pub(crate) kind: SegmentKind,
    pub(crate) salt: Salt,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Positions below this are allocated; frames and the footer stay below it.
    pub(crate) capacity: u32,
    /// Made of what the reserve gave back: for removals only.
    pub(crate) reserved: bool,
    map: Option<Map>,
    /// Everything below this position is in the file, and stays as it is.
    written: AtomicU32,
    /// Between which positions the change feed has verified all frames but for bodies: start in the upper half, end in the lower.
    known: atomic::AtomicU64,
}

/// The file name of segment `id`.
pub(crate) fn file_name(id: u32) -> String {
    format!("{id:010}.seg")
}

/// The number of the segment in the file called `name`.
pub(crate) fn parse_file_name(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

impl Segment {
    /// A segment whose first `written` bytes are in `file`, and which has room for `capacity`.
    pub(crate) fn new(
        id: u32,
        kind: SegmentKind,
        salt: Salt,
        file: Arc<dyn DiskFile>,
        capacity: u32,
        written: u32,
    ) -> Result<Segment> {
        let map =
            file.map(capacity.into()).map_err(|error| Error::io(format!("map {}", file_name(id)), error))?;
        Ok(Segment {
            id,
            kind,
            salt,
            file,
            capacity,
            reserved: false,
            map,
            written: AtomicU32::new(written),
            known: atomic::AtomicU64::new(0),
        })
    }

    /// Everything below this position can be read from the file.
    pub(crate) fn written(&self) -> u32 {
        self.written.load(Ordering::Acquire)
    }

    /// Tells readers that everything below `position` is in the file.
    pub(crate) fn publish_written(&self, position: u32) {
        self.written.store(position, Ordering::Release);
    }

    /// The verified record at `position`, `length` bytes long: borrowed from the mapping where there is one, else read
    /// into `scratch`.
    pub(crate) fn record<'s>(
        &'s self,
        position: u32,
        length: u32,
        scratch: &'s mut Vec<u8>,
    ) -> Result<Record<'s>> {
        let bytes = self.bytes(position, length, scratch)?;
        self.verified(position, bytes)
    }

    /// As [`Segment::record`], of what a read needs.
    pub(crate) fn stored<'s>(
        &'s self,
        position: u32,
        length: u32,
        scratch: &'s mut Vec<u8>,
    ) -> Result<Stored<'s>> {
        let bytes = self.bytes(position, length, scratch)?;
        match Record::decode_value(bytes, self.salt, position) {
            Ok(stored) if stored.length == bytes.len() => Ok(stored),
            Ok(_) => Err(self.damaged(position, RecordError::Head)),
            Err(error) => Err(self.damaged(position, error)),
        }
    }

    /// As [`Segment::record`], always read into `scratch`: an error of the medium is an error then, where reading through a
    /// mapping would end the process.
    pub(crate) fn read_record<'s>(
        &self,
        position: u32,
        length: u32,
        scratch: &'s mut Vec<u8>,
    ) -> Result<Record<'s>> {
        self.verified(position, self.read(position, length, scratch)?)
    }

    fn verified<'b>(&self, position: u32, bytes: &'b [u8]) -> Result<Record<'b>> {
        match Record::decode(bytes, self.salt, position) {
            Ok(record) if record.encoded_len() == bytes.len() => Ok(record),
            Ok(_) => Err(self.damaged(position, RecordError::Head)),
            Err(error) => Err(self.damaged(position, error)),
        }
    }

    /// As [`Segment::read_record`], of the record's head alone: it is given without a body.
    pub(crate) fn read_head<'s>(
        &self,
        position: u32,
        length: u32,
        scratch: &'s mut Vec<u8>,
    ) -> Result<Record<'s>> {
        let head = self.read(position, length.min(HEAD_BYTES_USUAL), &mut *scratch)?;
        if Record::decode_cut_off(head, self.salt, position) == Err(RecordError::CutOff) {
            self.read(position, length.min(HEAD_BYTES_MAX), &mut *scratch)?;
        }
        Record::decode_cut_off(scratch, self.salt, position).map_err(|error| self.damaged(position, error))
    }

    /// Whether the frame from `start` to `end` is [known](Segment::note_known).
    pub(crate) fn is_known(&self, start: u32, end: u32) -> bool {
        let (from, to) = self.known();
        from <= start && end <= to
    }

    /// Notes that the heads in the frame from `start` to `end` were found to be intact, so that others who pass over them
    /// need not verify them too. Of what is known elsewhere, only what adjoins is kept: all who follow the log are at its end.
    pub(crate) fn note_known(&self, start: u32, end: u32) {
        let (from, to) = self.known();
        let from = if start == to { from } else { start };
        // Whatever others note at the same time, this is true by itself.
        self.known.store(u64::from(from) << 32 | u64::from(end), Ordering::Relaxed);
    }

    fn known(&self) -> (u32, u32) {
        let known = self.known.load(Ordering::Relaxed);
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        (half(known >> 32), half(known))
    }

    /// Loads the first cache lines of a record, if they are mapped. The result says nothing.
    pub(crate) fn touch(&self, position: u32, length: u32) -> u8 {
        const CACHE_LINE_BYTES: usize = 64;
        let record = self.map.as_ref().and_then(|map| map.get(position as usize, length as usize));
        let lines = record.unwrap_or_default().iter().step_by(CACHE_LINE_BYTES);
        lines.take(TOUCHED_LINES).fold(0, |touched, byte| touched ^ byte)
    }

    /// The bytes at `position`, all of them written; not verified.
    pub(crate) fn bytes<'s>(
        &'s self,
        position: u32,
        length: u32,
        scratch: &'s mut Vec<u8>,
    ) -> Result<&'s [u8]> {
        debug_assert!(position + length <= self.written());
        let Some(map) = &self.map else { return self.read(position, length, scratch) };
        let (start, length) = (position as usize, length as usize);
        let bytes = map.get(start, length).ok_or_else(|| self.damaged(position, RecordError::CutOff))?;
        if length >= LONG_BYTES {
            map.read_ahead(start..start + length);
        }
        Ok(bytes)
    }

    fn read<'s>(&self, position: u32, length: u32, scratch: &'s mut Vec<u8>) -> Result<&'s [u8]> {
        scratch.clear();
        scratch.resize(length as usize, 0);
        read_exact_at(&*self.file, scratch, position.into())
            .map_err(|error| Error::io(format!("read {} at byte {position}", file_name(self.id)), error))?;
        Ok(scratch)
    }

    fn damaged(&self, position: u32, error: RecordError) -> Error {
        Error::damaged(file_name(self.id), position.into(), error.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_nothing_else_is_a_name() {
        for id in [1, 42, u32::MAX] {
            assert_eq!(parse_file_name(&file_name(id)), Some(id));
        }
        for name in ["1.seg", "0000000001.sega", "+000000001.seg", "9999999999.seg", ".seg", "MANIFEST"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
