//! From a stream of bytes to lines, for a server.
//!
//! The codec cuts whole runs of complete lines from the buffer with one split, since a pipelining client sends many
//! at a time; [`lines`](crate::lines()) then walks over such a run. What a line says is of no interest here, with one
//! exception: a browser must not be able to drive this port, so a first line that is HTTP is told apart, and a TLS handshake is,
//! whose client would wait for an answer that no line gets.

use std::io;

use bytes::{Buf, BytesMut};
use memchr::{memchr, memrchr};
use tokio_util::codec::Decoder;

use crate::http_guard::{FirstLine, is_tls};

/// Bytes up to which complete lines are handed over together; a longer line comes alone.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// A line of this many times the limit, still without its end, closes the connection.
pub const OVERRUN_FACTOR: usize = 16;

/// What the codec finds in the stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One or more complete lines, the last LF included; see [`lines`](crate::lines()).
    Lines(BytesMut),
    /// A line over the limit was discarded; to be answered `ERR TOOLONG`.
    TooLong,
    /// A line far over the limit has no end; to be answered `ERR TOOLONG` and closed. Nothing follows.
    Overrun,
    /// The client speaks HTTP; to be answered `ERR HTTP` and closed. Nothing follows.
    Http,
    /// The client speaks TLS; to be answered `ERR HTTP` and closed. Nothing follows.
    Tls,
    /// The input ended within a line, which is not to be executed; to be answered `ERR INCOMPLETE`.
    Incomplete,
}

/// Cuts a stream into [`Frame`]s.
#[derive(Debug)]
pub struct LineCodec {
    line_bytes_max: usize,
    /// Bytes at the start of the buffer that are known to hold no LF.
    searched: usize,
    /// Bytes of the present line that are gone from the buffer because it is over the limit.
    discarded: usize,
    /// Watches the first line of the connection, until it has passed.
    first_line: Option<FirstLine>,
    closed: bool,
}

impl LineCodec {
    /// A codec for one connection; a line may have that many bytes before its LF.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Self {
        Self {
            line_bytes_max,
            searched: 0,
            discarded: 0,
            first_line: Some(FirstLine::default()),
            closed: false,
        }
    }

    /// Changes the limit, as authentication does. Below [`CHUNK_BYTES`] every line comes alone, so that no line is
    /// judged by a limit that the line before it lifts.
    pub fn set_line_bytes_max(&mut self, line_bytes_max: usize) {
        self.line_bytes_max = line_bytes_max;
    }

    /// Whether a line has begun that has not ended, given what the last decoding left in the buffer.
    #[must_use]
    pub fn is_within_line(&self, buffer: &BytesMut) -> bool {
        self.discarded > 0 || !buffer.is_empty()
    }

    /// Looks at the first line that is not empty. Returns how it is to be refused, if it is; a line whose end is not
    /// here yet stays in question.
    fn refuses_first_line(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        let first_line = self.first_line.as_mut()?;
        if self.discarded == 0 {
            while let Some(length) = empty_line(buffer) {
                buffer.advance(length);
                self.searched = self.searched.saturating_sub(length);
            }
            if is_tls(buffer) {
                return Some(Frame::Tls);
            }
        }
        let Some(at) = find_line_feed(buffer, self.searched) else {
            self.searched = buffer.len();
            return None;
        };
        first_line.note(&buffer[..at]);
        let http = first_line.is_http();
        self.first_line = None;
        // A line that overran is called that, whether its end came at once or would have been awaited in vain.
        let http = http && !self.overruns(self.discarded + at);
        // The search for the run of lines begins with this LF.
        self.searched = at;
        http.then_some(Frame::Http)
    }

    /// Cuts what is complete and within the limit; `None` if nothing is.
    fn cut(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        if self.line_bytes_max >= CHUNK_BYTES && self.discarded == 0 {
            let window = buffer.len().min(CHUNK_BYTES);
            if self.searched < window
                && let Some(at) = memrchr(b'\n', &buffer[self.searched..window])
            {
                let end = self.searched + at + 1;
                self.searched = window - end;
                return Some(Frame::Lines(buffer.split_to(end)));
            }
            self.searched = self.searched.max(window);
        }
        let Some(at) = find_line_feed(buffer, self.searched) else {
            self.searched = buffer.len();
            return None;
        };
        self.searched = 0;
        let length = self.discarded + at;
        if length <= self.line_bytes_max {
            return Some(Frame::Lines(buffer.split_to(at + 1)));
        }
        self.discarded = 0;
        buffer.advance(at + 1);
        Some(self.over_limit(length))
    }

    /// The frame of a line over the limit that is complete or will never be.
    fn over_limit(&mut self, length: usize) -> Frame {
        if !self.overruns(length) {
            return Frame::TooLong;
        }
        self.closed = true;
        Frame::Overrun
    }

    fn overruns(&self, length: usize) -> bool {
        length > self.line_bytes_max.saturating_mul(OVERRUN_FACTOR)
    }

    /// Lets go of a line that is over the limit before its end has come; a frame only if the end need not be awaited.
    fn discard(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        if self.discarded + buffer.len() <= self.line_bytes_max {
            return None;
        }
        if let Some(first_line) = &mut self.first_line {
            first_line.note(buffer);
        }
        self.discarded += buffer.len();
        self.searched = 0;
        buffer.clear();
        match self.over_limit(self.discarded) {
            Frame::TooLong => None,
            overrun => Some(overrun),
        }
    }
}

impl Decoder for LineCodec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
        if self.closed {
            buffer.clear();
            return Ok(None);
        }
        if let Some(refused) = self.refuses_first_line(buffer) {
            self.closed = true;
            buffer.clear();
            return Ok(Some(refused));
        }
        let frame = self.cut(buffer).or_else(|| self.discard(buffer));
        Ok(frame)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
        if let Some(frame) = self.decode(buffer)? {
            return Ok(Some(frame));
        }
        let rest = buffer.len() + self.discarded;
        buffer.clear();
        self.searched = 0;
        self.discarded = 0;
        Ok(if rest > 0 && !self.closed { Some(Frame::Incomplete) } else { None })
    }
}

/// The place of the first LF at or after `from`.
fn find_line_feed(bytes: &[u8], from: usize) -> Option<usize> {
    memchr(b'\n', bytes.get(from..)?).map(|at| from + at)
}

/// The length of the empty line at the beginning, if there is one.
fn empty_line(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}
