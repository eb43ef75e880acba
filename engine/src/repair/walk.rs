//! Reads one segment from end to end, past whatever is damaged in it.
//!
//! Every record carries checksums that are salted with the store, the segment and the position. So an intact one can be
//! told wherever it stands, with or without the frame around it: after damage, reading goes on at the next byte at
//! which an intact frame header or record head begins. Nothing that a client stored can pass for either.
//!
//! In a log segment the sequences go up by one from record to record: which ones are missing is known exactly. A
//! compacted one has them in any order: there it is only known how many are missing.

use super::damage::{Damage, EntryName, Versions};
use crate::address::{KEY_BYTES_MAX, NAMESPACE_BYTES_MAX};
use crate::log::catalog::HEADER_LENGTH;
use crate::log::format::{Fields, Salt, VERSION_MAX, array_at};
use crate::log::frame::{self, Frame, FrameError, HEADER_BYTES as FRAME_HEADER_BYTES, Verify};
use crate::log::header::SegmentKind;
use crate::log::record::{HEADER_BYTES as RECORD_HEADER_BYTES, Record, RecordError};
use crate::recovery::Last;

/// Who is told what is found.
pub(super) trait Visitor {
    /// A record at a position, with an intact head; `intact` if its body is as well.
    fn record(&mut self, segment: u32, position: u32, record: &Record<'_>, intact: bool);
    /// A damaged place.
    fn damage(&mut self, damage: Damage);
    /// So many bytes have been read, of that many.
    fn progress(&mut self, done: u64, total: u64);
}

/// What is known of a segment before it is read.
pub(super) struct Scope<'a> {
    pub(super) name: &'a str,
    pub(super) segment: u32,
    pub(super) salt: Salt,
    pub(super) kind: SegmentKind,
    /// The file, up to where its frames end or, if that is earlier, to its own end.
    pub(super) bytes: &'a [u8],
    /// Where its frames end.
    pub(super) end: u64,
    /// No sequence in it is below this one.
    pub(super) first_sequence: u64,
    /// No sequence in it is above this one.
    pub(super) last_sequence: Option<u64>,
    /// What its first frame follows, where that is known.
    pub(super) previous: Option<u32>,
    /// Whether it is open: then each frame must have records, and begin with the next sequence.
    pub(super) is_open: bool,
}

/// What was found in a segment.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Found {
    pub(super) frames: u64,
    pub(super) records: u64,
    pub(super) highest_sequence: u64,
    pub(super) ceiling: u64,
    pub(super) time_ms: u64,
    /// Checksum of the last frame, if nothing unreadable follows it.
    pub(super) chain: Option<u32>,
    /// Bytes that could not be made out, those of damaged values included.
    pub(super) unreadable: u64,
    /// Damaged places other than damaged values.
    pub(super) broken: u64,
    /// Whether something intact stands right at the end.
    pub(super) ends_whole: bool,
}

/// A record that stands somewhere.
struct Standing<'a> {
    record: Record<'a>,
    length: usize,
    error: Option<RecordError>,
}

struct Walk<'a, V> {
    scope: &'a Scope<'a>,
    visitor: &'a mut V,
    found: Found,
    /// The next sequence of a log segment.
    expected: u64,
    /// Where the frame ends that is being read; `None` where frames are not known.
    frame_end: Option<usize>,
    /// Where bytes began that cannot be made out, and what is wrong with them.
    span: Option<(usize, &'static str)>,
}

/// Reads the segment, and tells `visitor` of everything in it.
pub(super) fn walk(scope: &Scope<'_>, visitor: &mut impl Visitor) -> Found {
    let found = Found { chain: scope.previous, ..Found::default() };
    let mut walk =
        Walk { scope, visitor, found, expected: scope.first_sequence, frame_end: None, span: None };
    walk.run();
    walk.found
}

impl<'a, V: Visitor> Walk<'a, V> {
    fn run(&mut self) {
        let end = usize::try_from(self.scope.end).unwrap_or(usize::MAX);
        let mut at = HEADER_LENGTH as usize;
        // The first bytes after the segment's header are the beginning of a frame.
        self.frame_end = Some(at);
        while at < self.scope.bytes.len() {
            at = self.step(at);
        }
        if at < end {
            self.begin_span(at, "the file is shorter than it was");
        } else if self.frame_end.is_some_and(|frame_end| frame_end > at) {
            self.begin_span(at, FrameError::CutOff.describe());
        }
        self.found.ends_whole = self.span.is_none();
        let next = self.scope.last_sequence.map(|last| last.saturating_add(1));
        self.end_span(end.max(at), next);
    }

    /// Reads what stands at `at`, and returns where to go on.
    fn step(&mut self, at: usize) -> usize {
        let at_boundary = self.frame_end == Some(at);
        if at_boundary || self.frame_end.is_none() {
            if let Some(header) = self.header_at(at) {
                return self.begin_frame(at, header);
            }
            self.frame_end = None;
            self.found.chain = None;
        }
        if let Some(standing) = self.record_at(at) {
            if at_boundary {
                self.begin_span(at, FrameError::Header.describe());
            }
            return self.take_record(at, &standing);
        }
        let what = if self.frame_end.is_some() {
            RecordError::Head.describe()
        } else {
            FrameError::Header.describe()
        };
        self.begin_span(at, what);
        self.next_readable(at + 1)
    }

    fn begin_frame(&mut self, at: usize, header: frame::Header) -> usize {
        let is_log = self.scope.kind == SegmentKind::Log;
        if self.end_span(at, is_log.then_some(header.first_sequence)) {
            // What is missing before this frame was told with that.
            self.expected = header.first_sequence;
        }
        if self.found.chain.is_some_and(|chain| !self.follows(chain, &header)) {
            let versions = self.missing_before(is_log.then_some(header.first_sequence));
            self.tell(at, 0, FrameError::Chain.describe(), versions);
        }
        let Scope { salt, kind, bytes, .. } = *self.scope;
        if let Err(FrameError::Content) = Frame::decode(&bytes[at..], salt, position(at), kind, Verify::Heads)
        {
            self.tell(at, header.frame_bytes() as u64, FrameError::Content.describe(), None);
        }
        let found = &mut self.found;
        found.frames += 1;
        found.ceiling = found.ceiling.max(header.ceiling);
        found.time_ms = found.time_ms.max(header.time_ms);
        found.chain = Some(header.checksum);
        self.frame_end = Some(at + header.frame_bytes());
        if is_log {
            self.expected = header.first_sequence;
        }
        at + FRAME_HEADER_BYTES
    }

    fn follows(&self, chain: u32, header: &frame::Header) -> bool {
        if self.scope.is_open {
            let last = Last { sequence: self.expected.saturating_sub(1), chain };
            return last.is_continued_by(header);
        }
        chain == header.previous
    }

    fn take_record(&mut self, at: usize, standing: &Standing<'a>) -> usize {
        let Standing { record, length, error } = standing;
        let is_log = self.scope.kind == SegmentKind::Log;
        self.end_span(at, is_log.then_some(record.sequence));
        self.expected = record.sequence + 1;
        self.found.records += 1;
        self.found.highest_sequence = self.found.highest_sequence.max(record.sequence);
        self.visitor.record(self.scope.segment, position(at), record, error.is_none());
        if let Some(error) = error {
            let name = EntryName::of(record);
            self.found.unreadable += *length as u64;
            self.visitor.damage(Damage {
                file: self.scope.name.to_owned(),
                offset: at as u64,
                length: Some(*length as u64),
                what: error.describe(),
                record: Some(name),
                versions: None,
            });
        }
        at + length
    }

    fn begin_span(&mut self, at: usize, what: &'static str) {
        self.span.get_or_insert((at, what));
    }

    /// Ends the bytes that cannot be made out, if there are any, at something that can; `next` is its sequence in a log
    /// segment.
    fn end_span(&mut self, at: usize, next: Option<u64>) -> bool {
        let Some((start, what)) = self.span.take() else { return false };
        let versions = self.missing_before(next);
        let length = (at - start) as u64;
        self.found.unreadable += length;
        self.tell(start, length, what, versions);
        true
    }

    /// The versions between what was read last and `next`.
    fn missing_before(&self, next: Option<u64>) -> Option<Versions> {
        let last = next.map(|next| next.saturating_sub(1));
        let is_missing = last.is_none_or(|last| last >= self.expected);
        // How many a compacted segment misses shows at its end.
        (self.scope.kind == SegmentKind::Log && is_missing).then_some(Versions { first: self.expected, last })
    }

    fn tell(&mut self, at: usize, length: u64, what: &'static str, versions: Option<Versions>) {
        self.found.broken += 1;
        let (file, length) = (self.scope.name.to_owned(), Some(length));
        self.visitor.damage(Damage { file, offset: at as u64, length, what, record: None, versions });
    }

    /// The first position from `from` on where something intact stands, or where the frame or the segment ends.
    fn next_readable(&self, from: usize) -> usize {
        let limit = self.limit();
        let is_readable = |at: &usize| {
            self.record_at(*at).is_some() || (self.frame_end.is_none() && self.header_at(*at).is_some())
        };
        (from..limit).find(is_readable).unwrap_or(limit)
    }

    /// Where the frame ends, if one is known, or else the segment.
    fn limit(&self) -> usize {
        self.frame_end.unwrap_or(usize::MAX).min(self.scope.bytes.len())
    }

    fn header_at(&self, at: usize) -> Option<frame::Header> {
        frame::Header::decode(self.scope.bytes.get(at..)?, self.scope.salt, u32::try_from(at).ok()?)
    }

    /// The record at `at`, if its head is intact.
    fn record_at(&self, at: usize) -> Option<Standing<'a>> {
        let bytes = self.scope.bytes.get(at..self.limit())?;
        let position = u32::try_from(at).ok()?;
        if !may_be_record(bytes) {
            return None;
        }
        let salt = self.scope.salt;
        let (record, length, error) = match Record::decode_head(bytes, salt, position) {
            Ok(record) => (record, record.encoded_len(), Record::decode(bytes, salt, position).err()),
            Err(RecordError::CutOff) => {
                let record = Record::decode_cut_off(bytes, salt, position).ok()?;
                (record, bytes.len(), Some(RecordError::CutOff))
            }
            Err(_) => return None,
        };
        let is_possible = record.sequence <= VERSION_MAX && record.address().is_some();
        is_possible.then_some(Standing { record, length, error })
    }
}

/// Whether a record can start here: a cheap look, before any checksum is computed.
fn may_be_record(bytes: &[u8]) -> bool {
    bytes.get(8).is_some_and(|kind| (1..=3).contains(kind))
        && array_at::<RECORD_HEADER_BYTES>(bytes, 0).is_some_and(|header| {
            (1..=NAMESPACE_BYTES_MAX).contains(&header.u16_at(10).into())
                && (1..=KEY_BYTES_MAX).contains(&header.u16_at(12).into())
                && header.u64_at(24) <= VERSION_MAX
        })
}

/// Positions in a segment fit 32 bits; [`Content`](super::content::Content) sees to it.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
