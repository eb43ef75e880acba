//! Reading a file of the log from its start to its end, a window at a time.
//!
//! With positioned reads, so that a failing medium is an error here and not the end of the process, as it would be
//! through a mapping; and so that memory does not grow with the file.

use super::frame::{self, Frame, FrameError, Header, Verify};
use super::manifest::Sealed;
use crate::disk::{DiskFile, read_exact_at};
use crate::error::{Error, Result};
use crate::sync::{outcome, thread};
use std::io;

/// Bytes that are read at a time, unless a frame is longer.
const WINDOW_BYTES: u64 = 1 << 20;

/// A part of a file in memory.
pub(super) struct Window<'f> {
    file: &'f dyn DiskFile,
    /// Position of the first byte in memory.
    start: u64,
    bytes: Vec<u8>,
    /// Where reading ends.
    end: u64,
}

/// Why there is no frame.
pub(super) enum FrameReadError {
    Frame(FrameError),
    Io(io::Error),
}

impl From<FrameError> for FrameReadError {
    fn from(error: FrameError) -> FrameReadError {
        FrameReadError::Frame(error)
    }
}

impl From<io::Error> for FrameReadError {
    fn from(error: io::Error) -> FrameReadError {
        FrameReadError::Io(error)
    }
}

impl FrameReadError {
    /// The error of the file called `name`, where a frame at `position` was wanted.
    pub(super) fn of(self, name: &str, position: u64) -> Error {
        match self {
            FrameReadError::Frame(error) => {
                let offset = if let FrameError::Record(_, at) = error { at.into() } else { position };
                Error::damaged(name, offset, error.describe())
            }
            FrameReadError::Io(error) => Error::io(format!("read {name}"), error),
        }
    }
}

impl<'f> Window<'f> {
    /// On the first `end` bytes of a file that is at least that long.
    pub(super) fn new(file: &'f dyn DiskFile, end: u64) -> Window<'f> {
        Window { file, start: 0, bytes: Vec::new(), end }
    }

    /// The `length` bytes at `position`, or as many as there are. Positions only grow.
    pub(super) fn at(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
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

    /// The frame at a position of a sealed segment.
    pub(super) fn frame(
        &mut self,
        position: u64,
        sealed: &Sealed,
        verify: Verify,
    ) -> Result<Frame<'_>, FrameReadError> {
        let salt = sealed.salt();
        let at = u32::try_from(position).map_err(|_| FrameError::CutOff)?;
        let header = Header::decode(self.at(position, frame::HEADER_BYTES)?, salt, at);
        let bytes = header.ok_or(FrameError::Header)?.frame_bytes();
        if position + bytes as u64 > sealed.end {
            return Err(FrameError::CutOff.into());
        }
        Ok(Frame::decode(self.at(position, bytes)?, salt, at, sealed.kind, verify)?)
    }
}

/// Positions in a segment fit 32 bits, and frames are bounded.
fn usize_of(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// The first `length` bytes of the file called `name`, in memory, read by so many threads if they are many.
pub(crate) fn read_start(file: &dyn DiskFile, name: &str, length: u64, threads: usize) -> Result<Vec<u8>> {
    check_length(file, name, length)?;
    let mut bytes = vec![0; usize_of(length)];
    let part_bytes = bytes.len().div_ceil(threads.max(1)).max(usize_of(WINDOW_BYTES));
    let mut parts = (0..).step_by(part_bytes).zip(bytes.chunks_mut(part_bytes));
    let first = parts.next();
    let read = |(position, part): (u64, &mut [u8])| read_exact_at(file, part, position);
    let result = thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(move || read(part))).collect();
        let first = first.map_or(Ok(()), read);
        others.into_iter().map(|other| outcome(other.join())).fold(first, io::Result::and)
    });
    result.map_err(|error| Error::io(format!("read {name}"), error))?;
    Ok(bytes)
}

/// Checks that the file called `name` has `length` bytes or more, and not more than a segment can have.
pub(super) fn check_length(file: &dyn DiskFile, name: &str, length: u64) -> Result<()> {
    let size = file.len().map_err(|error| Error::io(format!("read {name}"), error))?;
    if size < length || u32::try_from(length).is_err() {
        return Err(Error::damaged(name, size, "the file is shorter than it was"));
    }
    Ok(())
}
