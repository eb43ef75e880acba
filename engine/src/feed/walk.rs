//! From frame to frame through the segments of the log, as far as they are durable.

use super::Scope;
use crate::error::{Error, Result};
use crate::log::catalog::HEADER_LENGTH;
use crate::log::frame::{self, FrameError, Header};
use crate::log::header::SegmentKind;
use crate::log::record::Record;
use crate::log::segment::{Segment, SegmentTable, file_name};
use std::ops::Bound;

/// A frame is looked for from here on by going from one to the next, and before by halving.
const SEEK_BYTES: u32 = 64 << 10;

#[expect(clippy::cast_possible_truncation, reason = "56 fits")]
const FRAME_HEADER_LENGTH: u32 = frame::HEADER_BYTES as u32;

/// Where a frame starts, or the next one will.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    segment: u32,
    position: u32,
}

/// A walk under way.
#[derive(Debug)]
pub(super) struct Walk<'t> {
    segments: &'t SegmentTable,
    segment: &'t Segment,
    position: u32,
    durable: u64,
    /// Bytes that were walked over.
    pub(super) walked: u64,
}

/// The segments of the log among all, oldest first.
fn log(segments: &SegmentTable, after: Bound<u32>) -> impl DoubleEndedIterator<Item = &Segment> {
    let later = segments.range((after, Bound::Unbounded)).map(|(_, segment)| &**segment);
    later.filter(|segment| segment.kind == SegmentKind::Log)
}

/// Bytes of the log that are written behind a place.
pub(super) fn bytes_after(segments: &SegmentTable, place: Option<Place>) -> u64 {
    let start = |segment: &Segment| match place {
        Some(place) if place.segment == segment.id => place.position,
        _ => HEADER_LENGTH,
    };
    let from = place.map_or(Bound::Unbounded, |place| Bound::Included(place.segment));
    log(segments, from).map(|segment| u64::from(segment.written().saturating_sub(start(segment)))).sum()
}

impl<'t> Walk<'t> {
    /// Goes on at `place`, or where that is gone at a frame from which all records after `version` can be reached. `None` if
    /// the log holds nothing.
    pub(super) fn resume(
        segments: &'t SegmentTable,
        place: Option<Place>,
        version: u64,
        durable: u64,
    ) -> Result<Option<Walk<'t>>> {
        let begin = |segment, position| Walk { segments, segment, position, durable, walked: 0 };
        if let Some(place) = place
            && let Some(segment) = segments.get(&place.segment)
        {
            return Ok(Some(begin(segment, place.position)));
        }
        let mut oldest = None;
        let mut scratch = Vec::new();
        let with_frames = |segment: &&Segment| segment.written() > HEADER_LENGTH;
        for segment in log(segments, Bound::Unbounded).rev().filter(with_frames) {
            if header_at(segment, HEADER_LENGTH, &mut scratch)?.first_sequence <= version + 1 {
                return Ok(Some(begin(segment, seek(segment, version, &mut scratch)?)));
            }
            oldest = Some(segment);
        }
        Ok(oldest.map(|segment| begin(segment, HEADER_LENGTH)))
    }

    pub(super) fn place(&self) -> Place {
        Place { segment: self.segment.id, position: self.position }
    }

    /// The header of the next frame that is durable.
    pub(super) fn header(&mut self, scratch: &mut Vec<u8>) -> Result<Option<Header>> {
        if self.position >= self.segment.written() {
            // Not before all of this segment is written: see step 4.
            let Some(next) = self.next_segment(scratch)? else { return Ok(None) };
            (self.segment, self.position) = (next, HEADER_LENGTH);
        }
        let header = header_at(self.segment, self.position, scratch)?;
        Ok((header.last_sequence() <= self.durable).then_some(header))
    }

    /// The next segment, if a frame in it is durable.
    fn next_segment(&self, scratch: &mut Vec<u8>) -> Result<Option<&'t Segment>> {
        let mut later = log(self.segments, Bound::Excluded(self.segment.id));
        let Some(next) = later.find(|segment| segment.written() > HEADER_LENGTH) else {
            return Ok(None);
        };
        let first = header_at(next, HEADER_LENGTH, scratch)?;
        Ok((first.last_sequence() <= self.durable).then_some(next))
    }

    /// Calls `take` with each record of the next frame that is after `version` and watched, verified, until that
    /// returns false. Raises `version` to the last record that was passed or taken. Returns
    /// whether the frame is done with.
    ///
    /// What is passed over has been verified before, if not by this feed then by another.
    pub(super) fn records(
        &self,
        header: &Header,
        scope: &Scope,
        version: &mut u64,
        mut take: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<bool> {
        let (segment, end) = (self.segment, self.position + frame_bytes(header));
        let is_known = segment.is_known(self.position, end);
        let mut scratch = Vec::new();
        let bytes = segment.bytes(self.position, frame_bytes(header), &mut scratch)?;
        let broken = |at: usize, error| damaged(segment, self.position + length_u32(at), error);
        let mut at = frame::HEADER_BYTES;
        for sequence in header.first_sequence..=header.last_sequence() {
            let rest = bytes.get(at..).unwrap_or_default();
            let outline = Record::outline(rest).filter(|outline| outline.sequence == sequence);
            let outline = outline.ok_or_else(|| broken(at, FrameError::Content))?;
            let is_watched = sequence > *version && scope.holds(&outline);
            if !is_known || is_watched {
                let position = self.position + length_u32(at);
                let record = match is_watched && scope.values {
                    true => Record::decode(rest, segment.salt, position),
                    false => Record::decode_head(rest, segment.salt, position),
                };
                let record = record.map_err(|error| broken(at, FrameError::Record(error, position)))?;
                if is_watched && !take(&scope.cut(record)) {
                    return Ok(false);
                }
            }
            *version = sequence.max(*version);
            at += outline.length;
        }
        if at != bytes.len() {
            return Err(broken(at, FrameError::Content));
        }
        if !is_known {
            segment.note_known(self.position, end);
        }
        Ok(true)
    }

    /// Goes past the frame with this header.
    pub(super) fn pass(&mut self, header: &Header) {
        self.position += frame_bytes(header);
        self.walked += u64::from(frame_bytes(header));
    }
}

/// A position in a segment of the log where a frame starts, such that all its records after `version` follow: not far
/// before the first of them. There are frames in it, and the first does not begin above `version` + 1.
fn seek(segment: &Segment, version: u64, scratch: &mut Vec<u8>) -> Result<u32> {
    let (mut low, mut high) = (HEADER_LENGTH, segment.written());
    while high - low > SEEK_BYTES {
        let middle = low + (high - low) / 2;
        match next_header(segment, middle, high, scratch)? {
            Some((position, header)) if header.first_sequence <= version + 1 => low = position,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The first frame header in `from..end`.
fn next_header(
    segment: &Segment,
    from: u32,
    end: u32,
    scratch: &mut Vec<u8>,
) -> Result<Option<(u32, Header)>> {
    let mut start = from;
    while start < end {
        let length = (end - start).min(SEEK_BYTES);
        let bytes = segment.bytes(start, length, scratch)?;
        if let Some((at, header)) = frame::find_header(bytes, start, 0, segment.salt) {
            return Ok(Some((start + length_u32(at), header)));
        }
        // A header may lie across the border.
        let overlap = if length == SEEK_BYTES { FRAME_HEADER_LENGTH - 1 } else { 0 };
        start += length - overlap;
    }
    Ok(None)
}

/// The header of the frame at a position below what is written; all of the frame is there then.
fn header_at(segment: &Segment, position: u32, scratch: &mut Vec<u8>) -> Result<Header> {
    let room = segment.written() - position;
    let bytes = segment.bytes(position, room.min(FRAME_HEADER_LENGTH), scratch)?;
    let header = Header::decode(bytes, segment.salt, position)
        .ok_or_else(|| damaged(segment, position, FrameError::Header))?;
    if frame_bytes(&header) > room {
        return Err(damaged(segment, position, FrameError::CutOff));
    }
    Ok(header)
}

fn frame_bytes(header: &Header) -> u32 {
    length_u32(header.frame_bytes())
}

/// Positions in a segment fit 32 bits.
fn length_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn damaged(segment: &Segment, position: u32, error: FrameError) -> Error {
    Error::damaged(file_name(segment.id), position.into(), error.describe())
}
