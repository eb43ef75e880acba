//! HTTP/1 held to the letter: a socket through which no request gets whose end two readers could see in two places.
//!
//! Behind a proxy, what one of the two takes for a body and the other for the next request is a request of somebody
//! else's choosing. The library is lenient where RFC 9112 permits it: it takes a bare LF for the end of a line, the first of
//! two equal lengths, and `Transfer-Encoding` where `Content-Length` stands as well. So the bytes are looked at before it
//! gets them. Only what frames a message is; everything else is the library's to judge. In place of the first line that is
//! against the rules it gets a NUL, which is nowhere allowed, and the end of a head: it refuses with its own 400, in order
//! behind the answers to what came before, and closes.
//!
//! HTTP/2 frames its messages in one way alone, and passes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::activity::Activity;

/// How a connection that speaks HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of its first line.
const PREFACE_LINE: usize = 16;
/// What is read in place of what is against the rules.
const END: &[u8] = b"\0\r\n\r\n";
/// Longest line. The library's limit on a whole head is lower; this one bounds what is kept here of a line in pieces.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// What is kept for the next one.
const LINE_BYTES_USUAL: usize = 1024;
/// Answers of no more than this, with their heads, are written as one piece.
const TOGETHER_BYTES: usize = 1024;
/// How long a client has to finish a request that was refused before its end, and how much of that is thrown away at a time.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 4096;
/// Digits of a size of a chunk.
const CHUNK_DIGITS_MAX: usize = 15;

/// See the module.
#[derive(Debug)]
pub(super) struct Strict<S> {
    inner: S,
    framing: Framing,
    /// What is left to be read of the end, once something was against the rules.
    end: Option<&'static [u8]>,
    /// How long the close waits for what the client is still sending, once it has begun.
    linger: Option<Pin<Box<Sleep>>>,
    activity: Arc<Activity>,
    /// As the activity was told.
    is_heading: bool,
}

impl<S> Strict<S> {
    pub(super) fn new(inner: S, activity: Arc<Activity>) -> Strict<S> {
        let framing = Framing::default();
        Strict { inner, framing, end: None, linger: None, activity, is_heading: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.end.is_none() {
            let start = buffer.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
            let passed = this.framing.pass(&buffer.filled()[start..]);
            let is_heading = passed.is_ok() && this.framing.is_in_head();
            if is_heading != this.is_heading {
                this.is_heading = is_heading;
                this.activity.heading(is_heading);
            }
            let Err(passed) = passed else { return Poll::Ready(Ok(())) };
            buffer.set_filled(start + passed);
            this.end = Some(END);
        }
        if let Some(end) = &mut this.end {
            let (now, later) = end.split_at(end.len().min(buffer.remaining()));
            buffer.put_slice(now);
            *end = later;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    /// The head and the body of a small answer are put next to each other: that takes less than having the kernel gather them.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = Pin::new(&mut self.get_mut().inner);
        let mut together = [0; TOGETHER_BYTES];
        let mut end = 0;
        for slice in slices {
            let Some(place) = together.get_mut(end..end + slice.len()) else {
                return inner.poll_write_vectored(context, slices);
            };
            place.copy_from_slice(slice);
            end += slice.len();
        }
        inner.poll_write(context, &together[..end])
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
            if this.end.is_none() && this.framing.is_between_requests() {
                return Poll::Ready(Ok(()));
            }
        }
        // A socket that is closed with input unread is reset, and takes from the client the answer that it has not read yet.
        let linger = this.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut scratch = [0; LINGER_BYTES];
        loop {
            if linger.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut unread = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut this.inner).poll_read(context, &mut unread));
            if read.is_err() || unread.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Where in a connection's input the next byte is.
#[derive(Debug, Default)]
struct Framing {
    at: At,
    /// What there is of a line whose end has not come.
    line: Vec<u8>,
    /// What the head that is being read says of its body.
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The very beginning, which may be that of HTTP/2: so many bytes of its preface have come.
    #[default]
    Start,
    /// The line of a request, or an empty one before it.
    Request,
    Header,
    /// So many bytes of a body, or of a chunk, are left; then `Request`, or `ChunkEnd`.
    Body(u64),
    Chunk(u64),
    ChunkSize,
    ChunkEnd,
    Trailer,
    /// Nothing is looked at any more: HTTP/2.
    Free,
    /// It began as HTTP/2 does, and went on otherwise.
    Broken,
}

/// Something that is against the rules.
struct Violation;

impl Framing {
    /// Whether all is there of what was begun.
    fn is_between_requests(&self) -> bool {
        matches!(self.at, At::Start | At::Request | At::Free) && self.line.is_empty()
    }

    /// Whether the beginning of a head is there, and its end is not.
    fn is_in_head(&self) -> bool {
        match self.at {
            At::Header => true,
            At::Start | At::Request => !self.line.is_empty(),
            _ => false,
        }
    }

    /// Follows the next bytes of the input. The error is how many of them may be passed on.
    fn pass(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut done = 0;
        while done < bytes.len() {
            done += self.step(&bytes[done..]).map_err(|Violation| done)?;
        }
        Ok(())
    }

    /// Follows some of the bytes, of which there is at least one. Returns how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        match self.at {
            At::Free => Ok(bytes.len()),
            At::Broken => Err(Violation),
            At::Body(left) => Ok(self.skip(bytes, left, At::Body, At::Request)),
            At::Chunk(left) => Ok(self.skip(bytes, left, At::Chunk, At::ChunkEnd)),
            At::Start => Ok(self.start(bytes)),
            At::Request | At::Header | At::ChunkSize | At::ChunkEnd | At::Trailer => self.line(bytes),
        }
    }

    fn skip(&mut self, bytes: &[u8], left: u64, on: fn(u64) -> At, next: At) -> usize {
        let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let left = left - taken as u64;
        self.at = if left == 0 { next } else { on(left) };
        taken
    }

    /// Tells HTTP/2 by its preface. A preface that is none is looked at again as the line of a request.
    fn start(&mut self, bytes: &[u8]) -> usize {
        let known = self.line.len();
        let more = bytes.iter().zip(&PREFACE[known..]).take_while(|(byte, wanted)| byte == wanted).count();
        if known + more == PREFACE.len() {
            self.line = Vec::new();
            self.at = At::Free;
        } else if more == bytes.len() {
            self.line.extend_from_slice(bytes);
        } else {
            // Past its first line it is no request either.
            self.at = if known + more >= PREFACE_LINE { At::Broken } else { At::Request };
            return 0;
        }
        more
    }

    /// Takes a line, or as much as there is of it.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let Some(end) = memchr(b'\n', bytes) else {
            if self.line.len() + bytes.len() > LINE_BYTES_MAX {
                return Err(Violation);
            }
            self.line.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        if self.line.len() + end > LINE_BYTES_MAX {
            return Err(Violation);
        }
        if self.line.is_empty() {
            self.complete(&bytes[..end])?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..end]);
            self.complete(&line)?;
            line.clear();
            line.shrink_to(LINE_BYTES_USUAL);
            self.line = line;
        }
        Ok(end + 1)
    }

    /// A line without its LF.
    fn complete(&mut self, line: &[u8]) -> Result<(), Violation> {
        let line = line.strip_suffix(b"\r").ok_or(Violation)?;
        if memchr(b'\r', line).is_some() {
            return Err(Violation);
        }
        self.at = match self.at {
            At::Request if line.is_empty() => At::Request,
            At::Request => {
                (self.length, self.chunked) = (None, false);
                At::Header
            }
            At::Header if line.is_empty() => match (self.chunked, self.length) {
                (true, _) => At::ChunkSize,
                (false, None | Some(0)) => At::Request,
                (false, Some(length)) => At::Body(length),
            },
            At::Header => {
                self.header(line)?;
                At::Header
            }
            At::ChunkSize => match chunk_size(line).ok_or(Violation)? {
                0 => At::Trailer,
                size => At::Chunk(size),
            },
            At::ChunkEnd if line.is_empty() => At::ChunkSize,
            At::Trailer if line.is_empty() => At::Request,
            At::Trailer if !is_folded(line) => At::Trailer,
            _ => return Err(Violation),
        };
        Ok(())
    }

    /// What a header says about the length of the body, which it may say once, in one way.
    fn header(&mut self, line: &[u8]) -> Result<(), Violation> {
        if is_folded(line) {
            return Err(Violation);
        }
        let colon = memchr(b':', line).ok_or(Violation)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        if !is_length && !name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Ok(());
        }
        if self.length.is_some() || self.chunked {
            return Err(Violation);
        }
        if is_length {
            self.length = Some(number(value, 10).ok_or(Violation)?);
        } else if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
        } else {
            return Err(Violation);
        }
        Ok(())
    }
}

/// A line that goes on with the header before it, as was once allowed.
fn is_folded(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// The size at the beginning of the line before a chunk; extensions follow after a semicolon.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    (digits.len() <= CHUNK_DIGITS_MAX).then(|| number(digits, 16))?
}

/// Digits alone.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let plain = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    plain.then(|| u64::from_str_radix(text, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether all of an input gets through that comes in pieces of `size` bytes.
    fn passes(input: &str, size: usize) -> bool {
        let mut framing = Framing::default();
        input.as_bytes().chunks(size).all(|piece| framing.pass(piece).is_ok())
    }

    #[track_caller]
    fn is_passed(input: &str) {
        for size in 1..=input.len() {
            assert!(passes(input, size), "{input:?} in pieces of {size}");
        }
    }

    #[track_caller]
    fn is_refused(input: &str) {
        for size in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, input.len()] {
            assert!(!passes(input, size), "{:?} in pieces of {size}", &input[..input.len().min(200)]);
        }
    }

    #[tokio::test]
    async fn what_is_refused_reads_as_a_head_that_cannot_be() {
        let input = &b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\nGET / HTTP/1.1\r\n\r\n"[..];
        let mut strict = Strict::new(tokio::io::join(input, tokio::io::sink()), Arc::default());
        let mut read = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut strict, &mut read).await.unwrap();
        assert_eq!(read, b"GET / HTTP/1.1\r\n\0\r\n\r\n");
    }

    #[test]
    fn what_is_well_formed_passes_unchanged() {
        is_passed("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        is_passed("\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        is_passed("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\n\n\nGET / HTTP/1.1\r\n\r\n");
        is_passed("PUT / HTTP/1.1\r\ncontent-length:\t0 \r\n\r\nGET / HTTP/1.1\r\n\r\n");
        let chunks = "3;a=b\r\n\n\n\n\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
        is_passed(&format!(
            "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n{chunks}GET / HTTP/1.1\r\n\r\n"
        ));
        is_passed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n\n\0\0");
        is_passed("PRI\r\nA: b\r\n\r\n");
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        for head in [
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: +3\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
            "A: b\n",
            "A: b\r\r\n",
            "A: b\rC: d\r\n",
            "A: b\r\n c\r\n",
            "A: b\r\n\tc\r\n",
            "no colon\r\n",
        ] {
            is_refused(&format!("PUT / HTTP/1.1\r\nHost: a\r\n{head}\r\n"));
        }
        is_refused("GET / HTTP/1.1\nHost: a\r\n\r\n");
        is_refused("\nGET / HTTP/1.1\r\n\r\n");
        is_refused("PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        for chunks in [
            "3\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "+3\r\nabc\r\n",
            "0x3\r\nabc\r\n",
            "\r\n",
            "3 \r\nabc\r\n",
            "0\r\n a\r\n\r\n",
        ] {
            is_refused(&format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        }
        is_refused(&format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n", "1".repeat(16)));
        is_refused(&format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(LINE_BYTES_MAX)));
    }
}
