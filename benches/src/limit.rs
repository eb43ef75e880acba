//! The limit: a server that only finds the ends of lines and answers each with a constant.
//!
//! What it costs is what sockets, the runtime and the splitting of lines cost. What a real server on the same runtime
//! costs above it is the price of its parsing, storing and replying. Replies are batched as a good server does:
//! one read, all complete lines in it, one write.

use std::io;
use std::sync::Arc;

use memchr::memchr_iter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::random::Random;
use crate::value::{VALUE_BYTES_MAX, VALUE_BYTES_MIN, Values};

/// What a VAL line holds before its value. The version has the width of a store that is in use.
const VAL_HEAD: &str = "VAL 1234567 - ";

/// The answer to a SET.
const SET_REPLY: &[u8] = b"OK 1234567 -\n";

/// A VAL line around the smallest value.
pub const REPLY_BYTES_MIN: usize = reply_bytes(VALUE_BYTES_MIN);

/// A VAL line around the largest value.
pub const REPLY_BYTES_MAX: usize = reply_bytes(VALUE_BYTES_MAX);

/// Room for one read at first; it doubles for a line that does not fit.
const INBOX_BYTES: usize = 64 << 10;

/// The room at which a line is too long. A SET of the largest value stays below it.
const INBOX_BYTES_MAX: usize = INBOX_BYTES << 5;
const _: () = assert!(VALUE_BYTES_MAX + INBOX_BYTES < INBOX_BYTES_MAX);

/// The length of a VAL line around a value of this size.
#[must_use]
pub const fn reply_bytes(value_bytes: usize) -> usize {
    VAL_HEAD.len() + value_bytes + 1
}

/// The two constants.
#[derive(Debug)]
pub struct Replies {
    get: Vec<u8>,
}

impl Replies {
    /// A GET is answered with a line of `reply_bytes`, between [`REPLY_BYTES_MIN`] and [`REPLY_BYTES_MAX`].
    #[must_use]
    pub fn sized(reply_bytes: usize) -> Self {
        let mut random = Random::seeded(0);
        let values = Values::generate(&mut random, reply_bytes - VAL_HEAD.len() - 1);
        Self { get: format!("{VAL_HEAD}{}\n", values.pick(&mut random)).into_bytes() }
    }

    /// Appends a reply for each complete line and returns how many bytes those lines take.
    fn answer(&self, received: &[u8], replies: &mut Vec<u8>) -> usize {
        let mut start = 0;
        for end in memchr_iter(b'\n', received) {
            let is_set = matches!(received[start], b'S' | b's');
            replies.extend_from_slice(if is_set { SET_REPLY } else { &self.get });
            start = end + 1;
        }
        start
    }
}

/// Accepts connections for ever.
pub async fn serve(listener: TcpListener, replies: Replies) -> io::Result<()> {
    let replies = Arc::new(replies);
    loop {
        let (socket, _) = listener.accept().await?;
        let replies = Arc::clone(&replies);
        tokio::spawn(async move {
            if let Err(error) = converse(socket, &replies).await {
                eprintln!("larder-limit: a connection ended: {error}");
            }
        });
    }
}

async fn converse(mut socket: TcpStream, replies: &Replies) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut inbox = vec![0; INBOX_BYTES];
    let mut outbox = Vec::new();
    let mut filled = 0;
    loop {
        let count = socket.read(&mut inbox[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let answered = replies.answer(&inbox[..filled], &mut outbox);
        socket.write_all(&outbox).await?;
        outbox.clear();
        inbox.copy_within(answered..filled, 0);
        filled -= answered;
        if filled == INBOX_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
        }
        if filled == inbox.len() {
            inbox.resize(2 * filled, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Dialect, Operation, Recognised, Reply};

    #[test]
    fn a_reply_has_the_size_asked_for() {
        for bytes in [REPLY_BYTES_MIN, reply_bytes(190), 1000] {
            let replies = Replies::sized(bytes);
            let reply = Reply::Value { bytes: bytes - reply_bytes(0), version: 0 };
            assert_eq!(
                Dialect::Larder.recognise(Operation::Get, &replies.get),
                Ok(Some(Recognised { reply, length: bytes }))
            );
        }
    }

    #[test]
    fn complete_lines_are_answered_and_the_rest_is_left() {
        let replies = Replies::sized(REPLY_BYTES_MIN);
        let mut out = Vec::new();
        assert_eq!(replies.answer(b"SET a 1\nGET a\n\nGET", &mut out), 15);
        let get = std::str::from_utf8(&replies.get).expect("text");
        assert_eq!(String::from_utf8(out).expect("text"), format!("OK 1234567 -\n{get}{get}"));
        assert_eq!(replies.answer(b"GET", &mut Vec::new()), 0);
    }
}
