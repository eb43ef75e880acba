//! Received bytes, cut into whole replies.
//!
//! A reply is handed on only when all of its lines are here. That costs a buffer for the time of one reply, and buys
//! that nothing is ever half read: a caller may stop waiting at any point, and the next one finds the stream in order.

use bytes::BytesMut;
use larder_protocol::reply::ReplyError;

use crate::error::Error;
use crate::request::Shape;

#[derive(Debug)]
pub(crate) struct Inbox {
    buffer: BytesMut,
    /// Complete lines of the present reply.
    lines: usize,
    /// Where the line begins that is not complete yet.
    line_start: usize,
    /// Where the search for its end goes on.
    searched: usize,
    reply_bytes_max: usize,
}

enum Line {
    Last,
    MoreFollow,
}

impl Inbox {
    pub(crate) fn new(reply_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), lines: 0, line_start: 0, searched: 0, reply_bytes_max }
    }

    /// Where received bytes are to be added.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Cuts off one whole reply of that shape; `None` if it is not all here.
    pub(crate) fn cut(&mut self, shape: Shape) -> Result<Option<BytesMut>, Error> {
        while let Some(length) = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n') {
            let end = self.searched + length;
            let line = &self.buffer[self.line_start..end];
            self.lines += 1;
            let place = judge(shape, self.lines, line)?;
            (self.line_start, self.searched) = (end + 1, end + 1);
            if let Line::Last = place {
                let reply = self.buffer.split_to(self.line_start);
                (self.lines, self.line_start, self.searched) = (0, 0, 0);
                return Ok(Some(reply));
            }
        }
        self.searched = self.buffer.len();
        if self.buffer.len() > self.reply_bytes_max {
            Err(Error::TooLarge(self.reply_bytes_max))
        } else {
            Ok(None)
        }
    }
}

/// Whether a reply of that shape ends with this line, its `number`-th. A line that cannot belong to it is an error at
/// once, since a peer of another kind might never send an end.
fn judge(shape: Shape, number: usize, line: &[u8]) -> Result<Line, ReplyError> {
    let kind = line.split(|&byte| matches!(byte, b' ' | b'\r')).next().unwrap_or_default();
    match (shape, kind) {
        (Shape::Line, _) | (Shape::Listing, b"END" | b"ERR") => Ok(Line::Last),
        (Shape::Listing, b"ITEM") => Ok(Line::MoreFollow),
        (Shape::Lines(_), b"ERR") if number == 1 => Ok(Line::Last),
        (Shape::Lines(count), b"VAL" | b"NIL") if number < count => Ok(Line::MoreFollow),
        (Shape::Lines(_), b"VAL" | b"NIL") => Ok(Line::Last),
        _ => Err(ReplyError::Kind),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Replies of every shape, one after the other.
    const STREAM: &[(Shape, &str)] = &[
        (Shape::Line, "OK\n"),
        (Shape::Listing, "ITEM a 1 -\nITEM END 2 -\nEND 2 next=Yg\n"),
        (Shape::Lines(3), "VAL 1 - \"ERR\"\r\nNIL\r\nVAL 3 - []\r\n"),
        (Shape::Listing, "END 0\n"),
        (Shape::Lines(2), "ERR BADKEY x\n"),
        (Shape::Listing, "ITEM a 1 -\nERR DAMAGED x\n"),
        (Shape::Line, "NIL\r\n"),
    ];

    proptest! {
        #[test]
        fn replies_are_the_same_however_the_stream_is_cut(sizes in proptest::collection::vec(1..9_usize, 1..20)) {
            let stream: String = STREAM.iter().map(|(_, text)| *text).collect();
            let mut rest = stream.as_bytes();
            let mut sizes = sizes.iter().cycle();
            let mut inbox = Inbox::new(1_000);
            for &(shape, text) in STREAM {
                let reply = loop {
                    if let Some(reply) = inbox.cut(shape).unwrap() {
                        break reply;
                    }
                    let (piece, left) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                    inbox.buffer().extend_from_slice(piece);
                    rest = left;
                };
                prop_assert_eq!(&reply[..], text.as_bytes());
            }
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0..4_usize) {
            for shape in [Shape::Line, Shape::Listing, Shape::Lines(count)] {
                let mut inbox = Inbox::new(100);
                inbox.buffer().extend_from_slice(&bytes);
                while let Ok(Some(_)) = inbox.cut(shape) {}
            }
        }
    }
}
