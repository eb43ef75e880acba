//! From a stream of bytes to lines, for a server.
//!
//! The codec cuts whole runs of complete lines from the buffer with one split, since a pipelining client sends many
//! at a time; [`lines`](crate::lines()) then walks over such a run. What a line says is of no interest here, with two
//! exceptions: a browser must not be able to drive this port, so a first line that is HTTP is told apart, and a TLS handshake is,
//! whose client would wait for an answer that no line gets; and the line of a `TXN` may be longer than others, so a line
//! that gets too long is looked at for its verb before its end has come.

use std::io;

use bytes::{Buf, BytesMut};
use memchr::{memchr, memrchr};
use tokio_util::codec::Decoder;

use crate::http_guard::{FirstLine, is_tls};
use crate::limits::LineLimits;
use crate::table::Verb;

/// Bytes up to which complete lines are handed over together; a longer line comes alone.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// A line of this many times its limit, still without its end, closes the connection.
pub const OVERRUN_FACTOR: usize = 16;

/// A line over the limit is a `TXN`'s if its verb stands within so many bytes.
const VERB_BYTES_MAX: usize = 64;

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
    limits: LineLimits,
    /// Bytes at the start of the buffer that are known to hold no LF.
    searched: usize,
    /// Bytes of the present line that are gone from the buffer because it is over the limit.
    discarded: usize,
    /// The limit that the line is over, once its beginning is gone.
    exceeded: usize,
    /// Watches the first line of the connection, until it has passed.
    first_line: Option<FirstLine>,
    closed: bool,
}

impl LineCodec {
    /// A codec for one connection.
    #[must_use]
    pub fn new(limits: LineLimits) -> Self {
        Self {
            limits,
            searched: 0,
            discarded: 0,
            exceeded: 0,
            first_line: Some(FirstLine::default()),
            closed: false,
        }
    }

    /// Changes the limits, as authentication does. Below [`CHUNK_BYTES`] every line comes alone, so that no line is
    /// judged by a limit that the line before it lifts.
    pub fn set_limits(&mut self, limits: LineLimits) {
        self.limits = limits;
    }

    /// The limit of the present line, whose first bytes these are if none of it is gone.
    fn limit(&self, line: &[u8]) -> usize {
        let LineLimits { line_bytes, transaction_bytes } = self.limits;
        if self.discarded > 0 {
            self.exceeded
        } else if line.len() > line_bytes && is_transaction(&line[..line_bytes.min(VERB_BYTES_MAX)]) {
            line_bytes.max(transaction_bytes)
        } else {
            line_bytes
        }
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
        let http = http && !overruns(self.discarded + at, self.limit(&buffer[..at]));
        // The search for the run of lines begins with this LF.
        self.searched = at;
        http.then_some(Frame::Http)
    }

    /// Cuts what is complete and within the limit; `None` if nothing is.
    fn cut(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        if self.limits.line_bytes >= CHUNK_BYTES && self.discarded == 0 {
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
        let (length, limit) = (self.discarded + at, self.limit(&buffer[..at]));
        if length <= limit {
            return Some(Frame::Lines(buffer.split_to(at + 1)));
        }
        self.discarded = 0;
        buffer.advance(at + 1);
        Some(self.over_limit(length, limit))
    }

    /// The frame of a line over the limit that is complete or will never be.
    fn over_limit(&mut self, length: usize, limit: usize) -> Frame {
        if !overruns(length, limit) {
            return Frame::TooLong;
        }
        self.closed = true;
        Frame::Overrun
    }

    /// Lets go of a line that is over the limit before its end has come; a frame only if the end need not be awaited.
    fn discard(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        let limit = self.limit(buffer);
        if self.discarded + buffer.len() <= limit {
            return None;
        }
        if let Some(first_line) = &mut self.first_line {
            first_line.note(buffer);
        }
        self.discarded += buffer.len();
        self.exceeded = limit;
        self.searched = 0;
        buffer.clear();
        match self.over_limit(self.discarded, limit) {
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

fn overruns(length: usize, limit: usize) -> bool {
    length > limit.saturating_mul(OVERRUN_FACTOR)
}

/// Whether a line that begins so is the request of a `TXN`, as the parser will find: its verb, and something after it.
fn is_transaction(line: &[u8]) -> bool {
    let start = line.iter().take_while(|&&byte| byte == b' ').count();
    let rest = &line[start..];
    let verb = rest.iter().position(|&byte| byte == b' ').map(|end| &rest[..end]);
    verb.and_then(Verb::from_name) == Some(Verb::Txn)
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
