//! A connection's socket, and the replies that wait to be written to it.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room for one read of a client that sends little at a time.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Room for one read of a client that sends as fast as it can.
const READ_BYTES_MAX: usize = 64 * 1024;
/// A reply buffer of more bytes than this is given back when the client has nothing to say.
const IDLE_BYTES: usize = 16 * 1024;
/// How long a closing connection goes on reading what the client has still under way.
const LINGER: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// Replies, in order, to be written with [`flush`](Socket::flush).
    pub(super) output: Vec<u8>,
    /// How much of it was written, by a flush that nobody waited for to its end.
    sent: usize,
    read_bytes: usize,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Socket {
        Socket { stream, output: Vec::new(), sent: 0, read_bytes: READ_BYTES_MIN }
    }

    /// Whether the client is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
    }

    /// Appends what comes next to `input`. Returns 0 at the end of it. Whoever drops this future loses no byte.
    pub(super) async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        self.release(input);
        // A client that has nothing to say for long is waited for here, before there is room to read into.
        self.stream.readable().await?;
        input.reserve(self.read_bytes);
        let room = input.capacity() - input.len();
        // This may wait as well, since a socket can be taken for readable when it is not.
        let read = self.stream.read_buf(input).await?;
        self.read_bytes = if read == room { READ_BYTES_MAX } else { READ_BYTES_MIN };
        Ok(read)
    }

    /// Lets go of buffers that hold nothing and may be large. What lines were cut from stays allocated as a whole, and
    /// is not counted in the capacity that is left.
    fn release(&mut self, input: &mut BytesMut) {
        if input.is_empty() {
            *input = BytesMut::new();
        }
        if self.output.is_empty() && self.output.capacity() > IDLE_BYTES {
            self.output = Vec::new();
        }
    }

    /// Writes the replies out. While the client does not read them, this waits, and nothing more is read from it. Whoever
    /// drops this future loses no byte, and writes none twice.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.sent += written,
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }

    /// Closes so that the last replies arrive: a socket closed with input unread would be reset, and what the client
    /// has not read yet thrown away.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await?;
        let mut rest = BytesMut::with_capacity(READ_BYTES_MIN);
        let drained = async {
            while self.stream.read_buf(&mut rest).await? > 0 {
                rest.clear();
            }
            Ok(())
        };
        tokio::time::timeout(LINGER, drained).await.unwrap_or(Ok(()))
    }
}
