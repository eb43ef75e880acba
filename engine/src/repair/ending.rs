//! Where the log of a store ends that was not closed in order, by the rules of recovery, and past damage.
//!
//! Recovery stops at the first frame that is not there whole. If a later one knows something to be durable that has not
//! been reached, it refuses the store; else the rest is an interrupted write, and is cut off. Here the first case is
//! damage too, but the log is then taken up again at the next intact frame header, and the same is asked at
//! every further break.

use crate::log::catalog::HEADER_LENGTH;
use crate::log::format::Salt;
use crate::log::frame::{self, Frame, Verify};
use crate::log::header::SegmentKind;
use crate::recovery::{Last, is_footer};

/// The open segments of a store, in the order of the log.
#[derive(Debug)]
pub(super) struct Ending {
    open: Vec<Marks>,
    /// For each of them, the sequence of the first frame in a later one.
    goes_on_with: Vec<Option<u64>>,
    /// Where the log has got to; `None` if that is not known, as nothing says where it begins.
    pub(super) last: Option<Last>,
}

/// What the frame headers of an open segment say.
#[derive(Debug, Default)]
pub(super) struct Marks {
    first: Option<frame::Header>,
    /// Positions of frames and what they know to be durable, as far as no later frame knows of more.
    durable: Vec<(usize, u64)>,
    pub(super) ceiling: u64,
    pub(super) time_ms: u64,
}

/// How far an open segment belongs to the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// Where it ends.
    pub(super) end: usize,
    /// Bytes behind it that an interrupted write left.
    pub(super) loose: u64,
    /// Whether frames are missing at the end that were durable.
    pub(super) is_short: bool,
}

impl Marks {
    /// Reads the frame headers in `bytes`, which are those of a whole segment.
    pub(super) fn read(bytes: &[u8], salt: Salt) -> Marks {
        let mut marks = Marks { first: header_at(bytes, HEADER_LENGTH as usize, salt), ..Marks::default() };
        let mut from = HEADER_LENGTH as usize;
        while let Some((found, header)) = frame::find_header(bytes, 0, from, salt) {
            while marks.durable.pop_if(|(_, durable)| *durable <= header.durable).is_some() {}
            marks.durable.push((found, header.durable));
            marks.ceiling = marks.ceiling.max(header.ceiling);
            marks.time_ms = marks.time_ms.max(header.time_ms);
            from = found + 1;
        }
        marks
    }

    /// What the frames from position `from` on know to be durable.
    fn durable_from(&self, from: usize) -> u64 {
        let later = self.durable.partition_point(|(position, _)| *position < from);
        self.durable.get(later).map_or(0, |(_, durable)| *durable)
    }
}

impl Ending {
    pub(super) fn new(open: Vec<Marks>, last: Option<Last>) -> Ending {
        let mut goes_on_with = vec![None; open.len()];
        for number in (1..open.len()).rev() {
            let first = open[number].first.map(|header| header.first_sequence);
            goes_on_with[number - 1] = first.or(goes_on_with[number]);
        }
        Ending { open, goes_on_with, last }
    }

    /// Follows the log through the open segment numbered `number`, whose file has these bytes.
    pub(super) fn follow(&mut self, number: usize, bytes: &[u8], salt: Salt) -> Reach {
        let mut at = HEADER_LENGTH as usize;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let header = header_at(bytes, at, salt);
            let follows = |header: &frame::Header| self.is_continued_by(header) && is_whole(rest, at, salt);
            if !header.as_ref().is_some_and(follows) && !self.is_proven(number, at) {
                return Reach {
                    end: at.min(bytes.len()),
                    loose: loose_bytes(rest, at, salt),
                    is_short: false,
                };
            }
            if let Some(header) = header {
                at = self.pass(at, &header);
                if at > bytes.len() {
                    return Reach { end: bytes.len(), loose: 0, is_short: true };
                }
            } else if let Some((found, header)) = frame::find_header(bytes, 0, at + 1, salt) {
                let sequence = header.first_sequence.saturating_sub(1);
                self.last = Some(Last { sequence, chain: header.previous });
                at = found;
            } else {
                let garbage = usize::try_from(loose_bytes(rest, at, salt)).unwrap_or(usize::MAX);
                return Reach { end: at.saturating_add(garbage).min(bytes.len()), loose: 0, is_short: true };
            }
        }
    }

    /// The sequence with which the log goes on behind segment `number`, if that is known.
    pub(super) fn goes_on_with(&self, number: usize) -> Option<u64> {
        self.goes_on_with.get(number).copied().flatten()
    }

    fn is_continued_by(&self, header: &frame::Header) -> bool {
        self.last.map_or(header.records > 0, |last| last.is_continued_by(header))
    }

    /// Takes a frame for read. Returns where the next one begins.
    fn pass(&mut self, at: usize, header: &frame::Header) -> usize {
        let sequence = (header.first_sequence + u64::from(header.records)).saturating_sub(1);
        self.last = Some(Last { sequence, chain: header.checksum });
        at + header.frame_bytes()
    }

    /// Whether something behind a break at `at` was durable once. If the next segment goes on where the log has got to,
    /// nothing is missing.
    fn is_proven(&self, number: usize, at: usize) -> bool {
        let reached = self.last.map_or(0, |last| last.sequence);
        let mut open = self.open.iter().skip(number);
        if open.next().is_some_and(|marks| marks.durable_from(at) > reached) {
            return true;
        }
        for marks in open {
            if marks.first.is_some_and(|header| self.is_continued_by(&header)) {
                return false;
            }
            if marks.durable_from(0) > reached {
                return true;
            }
        }
        false
    }
}

fn header_at(bytes: &[u8], at: usize, salt: Salt) -> Option<frame::Header> {
    frame::Header::decode(bytes.get(at..)?, salt, u32::try_from(at).ok()?)
}

fn is_whole(bytes: &[u8], at: usize, salt: Salt) -> bool {
    let position = u32::try_from(at).unwrap_or(u32::MAX);
    Frame::decode(bytes, salt, position, SegmentKind::Log, Verify::Everything).is_ok()
}

/// What stands at the end of a segment and is neither zero nor a footer.
fn loose_bytes(rest: &[u8], at: usize, salt: Salt) -> u64 {
    if is_footer(rest, salt, at as u64) {
        return 0;
    }
    rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}
