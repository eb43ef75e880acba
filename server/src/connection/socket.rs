//! A connection's socket, and the replies that wait to be written to it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::rooms::{PATIENCE, Room, SMALL_BYTES};
use crate::shared::Shared;
use crate::stream::Stream;

/// Room for one read of a client that sends little at a time.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Room for one read of a client that sends as fast as it can.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How long a closing connection goes on reading what the client has still under way.
const LINGER: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    shared: Arc<Shared>,
    /// Replies, in order, to be written with [`flush`](Socket::flush).
    pub(super) output: Vec<u8>,
    /// How much of it was written, by a flush that nobody waited for to its end.
    sent: usize,
    read_bytes: usize,
    read_bytes_max: usize,
    /// Since when the client takes nothing of what is to be written.
    stall: Option<Stall>,
    /// For a long line.
    line_room: Option<Room>,
    /// For a line that is longer than any but a transaction may be.
    transaction_room: Option<Room>,
    /// For a long listing, from when it is made until it is written.
    listing_room: Option<Room>,
    /// For long replies, from when they are rendered until they are written.
    reply_room: Option<Room>,
}

#[derive(Debug)]
struct Stall {
    since: Instant,
    /// When to look again whether that is too long.
    look: Pin<Box<Sleep>>,
}

impl Socket {
    pub(super) fn new(stream: Stream, shared: Arc<Shared>) -> Socket {
        Socket {
            stream,
            shared,
            output: Vec::new(),
            sent: 0,
            read_bytes: READ_BYTES_MIN,
            read_bytes_max: READ_BYTES_MAX,
            stall: None,
            line_room: None,
            transaction_room: None,
            listing_room: None,
            reply_room: None,
        }
    }

    /// The client's address, for the log.
    pub(super) fn peer(&self) -> String {
        self.stream.tcp().peer_addr().map_or_else(|_| "a client".to_owned(), |peer| peer.to_string())
    }

    /// Whether the client is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.stream.tcp().peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
    }

    /// Appends what comes next to `input`. Returns 0 at the end of it. Whoever drops this future loses no byte.
    pub(super) async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        self.release(input);
        // A client that has nothing to say for long is waited for here, before there is room to read into.
        self.readable().await?;
        let most = self.room_to_read(input.len()).await?;
        // This may wait as well, since a socket can be taken for readable when it is not.
        let read = self.stream.read(input, most).await?;
        self.read_bytes = if read >= most { self.read_bytes_max } else { READ_BYTES_MIN };
        Ok(read)
    }

    /// Reads little at a time, if `is_slow`. Then what is read needs no place, as long as no line does.
    pub(super) fn set_slow(&mut self, is_slow: bool) {
        self.read_bytes_max = if is_slow { READ_BYTES_MIN } else { READ_BYTES_MAX };
        self.read_bytes = READ_BYTES_MIN;
    }

    /// Lets go of buffers that hold nothing and may be large. What lines were cut from stays allocated as a whole, and
    /// is not counted in the capacity that is left.
    fn release(&mut self, input: &mut BytesMut) {
        if input.is_empty() {
            *input = BytesMut::new();
            self.line_room = None;
            self.transaction_room = None;
        }
        self.release_output();
    }

    /// Lets go of the reply buffer, if it is large, and of the places for what was in it.
    pub(super) fn release_output(&mut self) {
        if self.output.is_empty() {
            if self.output.capacity() > SMALL_BYTES {
                self.output = Vec::new();
            }
            self.listing_room = None;
            self.reply_room = None;
        }
    }

    /// Gives places for replies back, if there are any, before something that may take long.
    pub(super) async fn vacate(&mut self) -> io::Result<()> {
        if self.listing_room.is_some() || self.reply_room.is_some() {
            self.flush().await?;
            self.release_output();
        }
        Ok(())
    }

    /// Has replies be longer than what every connection may hold, in a place that was taken for them.
    pub(super) fn hold_for_replies(&mut self, room: Room) {
        self.reply_room = Some(room);
    }

    /// Waits until there is something to read. An error, if a place was kept from others meanwhile.
    async fn readable(&mut self) -> io::Result<()> {
        if self.line_room.is_none() {
            return self.stream.readable().await;
        }
        loop {
            match timeout(PATIENCE, self.stream.readable()).await {
                Ok(readable) => return readable,
                Err(_) if self.keeps_lines_waiting() => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
        }
    }

    /// How much may be read on top of what is there of a line. Waits for a place if the line needs one.
    async fn room_to_read(&mut self, held: usize) -> io::Result<usize> {
        let rooms = &self.shared.terms.lines;
        if self.line_room.is_none() && held + self.read_bytes > SMALL_BYTES {
            self.line_room = rooms.try_take();
            if self.line_room.is_none() {
                if held + READ_BYTES_MIN <= SMALL_BYTES {
                    return Ok(READ_BYTES_MIN);
                }
                self.line_room = Some(rooms.take().await?);
            }
        }
        if self.transaction_room.is_none() && held > self.shared.limits.lines().line_bytes {
            self.transaction_room = Some(self.shared.terms.transactions.take().await?);
        }
        Ok(self.read_bytes)
    }

    /// Whether it has a place for a line that others may be waiting for.
    fn keeps_lines_waiting(&self) -> bool {
        let terms = &self.shared.terms;
        self.line_room.is_some() && terms.lines.are_taken()
            || self.transaction_room.is_some() && terms.transactions.are_taken()
    }

    /// Has a listing be longer than what every connection may hold, once there is a place for that.
    pub(super) async fn room_for_listing(&mut self) -> io::Result<()> {
        if self.listing_room.is_none() {
            self.listing_room = Some(self.shared.terms.listings.take().await?);
        }
        Ok(())
    }

    /// Has replies be longer than what every connection may hold, once there is a place for that.
    pub(super) async fn room_for_replies(&mut self) -> io::Result<()> {
        if self.reply_room.is_none() {
            self.reply_room = Some(self.shared.terms.replies.take().await?);
        }
        Ok(())
    }

    /// Writes the replies out. While the client does not read them, this waits, and nothing more is read from it; for
    /// how long, has bounds. Whoever drops this future loses no byte, and writes none twice.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        poll_fn(|context| self.poll_flush(context)).await?;
        self.output.clear();
        self.sent = 0;
        self.stall = None;
        Ok(())
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let rest = &self.output[self.sent..];
            if rest.is_empty() {
                return match self.stream.poll_flush(context) {
                    Poll::Pending => self.poll_stall(context).map(Err),
                    flushed => flushed,
                };
            }
            match self.stream.poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.sent += written;
                    self.stall = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.poll_stall(context).map(Err),
            }
        }
    }

    /// Ready with an error once the client has taken nothing for too long.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let terms = &self.shared.terms;
        let step = terms.write_timeout.min(PATIENCE);
        let stall = self.stall.get_or_insert_with(|| {
            let since = Instant::now();
            Stall { since, look: Box::pin(sleep_until(since + step)) }
        });
        loop {
            ready!(stall.look.as_mut().poll(context));
            let wanted = self.line_room.is_some() && terms.lines.are_taken()
                || self.transaction_room.is_some() && terms.transactions.are_taken()
                || self.reply_room.is_some() && terms.replies.are_taken()
                || self.listing_room.is_some() && terms.listings.are_taken();
            if wanted || stall.since.elapsed() >= terms.write_timeout {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            stall.look.as_mut().reset(Instant::now() + step);
        }
    }

    /// Closes so that the last replies arrive: a socket closed with input unread would be reset, and what the client
    /// has not read yet thrown away.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.flush().await?;
        let mut rest = BytesMut::with_capacity(READ_BYTES_MIN);
        // The goodbye of TLS is a message too, for which there may be no room.
        let parting = async {
            self.stream.shut_down().await?;
            self.stream.drain(&mut rest).await
        };
        timeout(LINGER, parting).await.unwrap_or(Ok(()))
    }
}
