//! Reading one sealed segment from end to end: is every byte what was written, and is it what the manifest says?
//!
//! It reads with positioned reads, a window at a time, so that a failing medium is an error here and not the end of the
//! process, and so that memory does not grow with the segment.

use super::frame::{self, Frame, FrameError, Header, Verify};
use super::header::{FOOTER_BYTES, Footer, HEADER_BYTES, HeaderError, SegmentHeader, SegmentKind};
use super::manifest::Sealed;
use crate::disk::{DiskFile, read_exact_at};
use crate::error::{Error, Result};
use std::io;

/// Bytes that are read at a time, unless a frame is longer.
const WINDOW_BYTES: u64 = 1 << 20;

/// Bytes of a sealed segment's file.
pub(crate) fn file_bytes(sealed: &Sealed) -> u64 {
    sealed.end + FOOTER_BYTES as u64
}

/// Verifies everything in `file`, down to the last value. `name` is for messages; `told` is given the bytes that were
/// verified since it was called last.
pub(crate) fn check_sealed(
    file: &dyn DiskFile,
    name: &str,
    sealed: &Sealed,
    mut told: impl FnMut(u64),
) -> Result<()> {
    let damaged = |offset: u64, what| Error::damaged(name, offset, what);
    let failed = |error: io::Error| Error::io(format!("read {name}"), error);
    let length = file.len().map_err(failed)?;
    if length != file_bytes(sealed) {
        return Err(damaged(length.min(sealed.end), "the file does not have the length it had"));
    }
    let mut window = Window { file, start: 0, bytes: Vec::new(), end: length };
    let header = window.at(0, HEADER_BYTES).map_err(failed)?;
    let header = SegmentHeader::decode(header).map_err(|error| match error {
        HeaderError::Damaged => damaged(0, "the header does not match its checksum"),
        HeaderError::Unsupported { version, features } => {
            Error::Unsupported { file: name.to_owned(), version, features }
        }
    })?;
    if (header.store, header.segment, header.kind) != (sealed.store, sealed.segment, sealed.kind) {
        return Err(damaged(0, "the segment is not the one that the manifest names"));
    }
    let mut sum = Sum::default();
    let mut at = HEADER_BYTES as u64;
    while at < sealed.end {
        let bytes = check_frame(&mut window, at, sealed, &mut sum).map_err(|error| match error {
            CheckError::Frame(error) => {
                let offset = if let FrameError::Record(_, at) = error { at.into() } else { at };
                damaged(offset, error.describe())
            }
            CheckError::Io(error) => failed(error),
        })?;
        told(bytes);
        at += bytes;
    }
    let footer = window.at(sealed.end, FOOTER_BYTES).map_err(failed)?;
    let footer = Footer::decode(footer, sealed.salt(), sealed.end);
    let is_right = |footer: Footer| {
        (footer.frames, footer.records, footer.chain) == (sum.frames, sum.records, sum.chain)
            && footer.highest_sequence == sum.highest_sequence
    };
    if at != sealed.end || !footer.is_some_and(is_right) {
        return Err(damaged(sealed.end, "the footer is missing, or does not fit the frames"));
    }
    if (sum.records, sum.chain, sum.highest_sequence)
        != (sealed.records, sealed.chain, sealed.highest_sequence)
    {
        return Err(damaged(sealed.end, "the segment is intact, but not as the manifest knows it"));
    }
    told((HEADER_BYTES + FOOTER_BYTES) as u64);
    Ok(())
}

/// What the frames of a segment amount to.
#[derive(Default)]
struct Sum {
    frames: u32,
    records: u32,
    highest_sequence: u64,
    chain: u32,
}

enum CheckError {
    Frame(FrameError),
    Io(io::Error),
}

impl From<FrameError> for CheckError {
    fn from(error: FrameError) -> CheckError {
        CheckError::Frame(error)
    }
}

impl From<io::Error> for CheckError {
    fn from(error: io::Error) -> CheckError {
        CheckError::Io(error)
    }
}

/// Verifies the frame at a position. Returns its length.
fn check_frame(window: &mut Window<'_>, at: u64, sealed: &Sealed, sum: &mut Sum) -> Result<u64, CheckError> {
    let salt = sealed.salt();
    let position = u32::try_from(at).map_err(|_| FrameError::CutOff)?;
    let header = Header::decode(window.at(at, frame::HEADER_BYTES)?, salt, position);
    let bytes = header.ok_or(FrameError::Header)?.frame_bytes();
    if at + bytes as u64 > sealed.end {
        return Err(FrameError::CutOff.into());
    }
    let frame = Frame::decode(window.at(at, bytes)?, salt, position, sealed.kind, Verify::Everything)?;
    let is_first = sum.frames == 0;
    if sealed.kind == SegmentKind::Log && !is_first && frame.header.previous != sum.chain {
        return Err(FrameError::Chain.into());
    }
    let sequences = frame.records(salt, Verify::Heads).flatten().map(|(_, record)| record.sequence);
    sum.highest_sequence = sequences.fold(sum.highest_sequence, u64::max);
    sum.frames += 1;
    sum.records = sum.records.saturating_add(frame.header.records);
    sum.chain = frame.header.checksum;
    Ok(bytes as u64)
}

/// A part of a file in memory.
struct Window<'f> {
    file: &'f dyn DiskFile,
    /// Position of the first byte in memory.
    start: u64,
    bytes: Vec<u8>,
    /// Length of the file.
    end: u64,
}

impl Window<'_> {
    /// The `length` bytes at `position`, or as many as there are. Positions only grow.
    fn at(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let wanted = self.end.min(position + length as u64);
        let reached = self.start + self.bytes.len() as u64;
        if wanted > reached {
            self.bytes.drain(..usize_of(position - self.start).min(self.bytes.len()));
            self.start = position;
            let kept = self.bytes.len();
            let until = self.end.min(wanted.max(position + WINDOW_BYTES));
            self.bytes.resize(usize_of(until - position), 0);
            read_exact_at(self.file, &mut self.bytes[kept..], position + kept as u64)?;
        }
        let from = usize_of(position - self.start);
        Ok(&self.bytes[from..from + usize_of(wanted.saturating_sub(position))])
    }
}

/// Positions in a segment fit 32 bits, and frames are bounded.
fn usize_of(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
