//! The core: one connection without its socket. Requests go in and bytes come out, bytes go in and replies come out.
//!
//! The server answers in the order of the requests, so a queue of what shape each awaited reply has is all that is
//! needed to find the one that a caller waits for. A reply nobody received, because its caller gave up or because a
//! later one was asked for, is recognised by that queue and passed over.
//!
//! It also knows how far each request got. The server never executes a line without its end, so a request whose last
//! byte was not taken has certainly not been carried out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::{fmt, io, mem};

use bytes::BytesMut;
use larder_protocol::reply::ReplyError;

use crate::error::{Error, server_error};
use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::request::{Replies, Request, Shape};
#[cfg(feature = "tls")]
use crate::tls::Session;

/// How much is read at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// A reply that is to come, of type `T`. To be given to `receive` of the connection that sent the request; dropping it
/// means that the reply is passed over.
#[must_use = "the reply is read by `receive`"]
pub struct Pending<T> {
    number: u64,
    read: fn(Replies<'_>) -> Result<T, ReplyError>,
}

#[derive(Debug)]
pub(crate) struct Exchange {
    outbox: Outbox,
    inbox: Inbox,
    #[cfg(feature = "tls")]
    tls: Option<Session>,
    /// The replies to come, in order.
    awaited: VecDeque<Awaited>,
    /// The number of the first of them; they count up from 0.
    first_awaited: u64,
    state: State,
}

#[derive(Debug)]
struct Awaited {
    shape: Shape,
    /// Where its request ends, in all bytes of the outbox.
    request_end: u64,
}

#[derive(Debug)]
enum State {
    Open,
    /// The socket takes no more, but what the server said before it hung up is still to be read.
    Unwritable(Arc<io::Error>),
    /// Nothing more will arrive, for this reason, but what has arrived is still good.
    Ended(Error),
    /// The reason has been told.
    Poisoned,
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Exchange {
    pub(crate) fn new(reply_bytes_max: usize) -> Self {
        Self {
            outbox: Outbox::default(),
            inbox: Inbox::new(reply_bytes_max),
            #[cfg(feature = "tls")]
            tls: None,
            awaited: VecDeque::new(),
            first_awaited: 0,
            state: State::Open,
        }
    }

    /// Seals all that is sent from here on.
    #[cfg(feature = "tls")]
    pub(crate) fn seal(&mut self, session: Session) {
        self.tls = Some(session);
    }

    /// Whether the peers have still to agree before anything can be sent.
    pub(crate) fn is_handshaking(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.is_handshaking();
        }
        false
    }

    /// Writes a request to the outbox.
    pub(crate) fn send<R: Request>(
        &mut self,
        request: &R,
        namespace: Option<&str>,
    ) -> Result<Pending<R::Reply>, Error> {
        self.check()?;
        request.write(namespace, self.outbox.buffer())?;
        Ok(Pending { number: self.await_reply(request.shape()), read: R::read })
    }

    /// As [`send`](Self::send), of a request that was written before.
    pub(crate) fn send_line(&mut self, line: &[u8], shape: Shape) {
        self.outbox.buffer().extend_from_slice(line);
        self.await_reply(shape);
    }

    /// Awaits a line that comes without a request of its own.
    pub(crate) fn expect<T>(
        &mut self,
        read: fn(Replies<'_>) -> Result<T, ReplyError>,
    ) -> Result<Pending<T>, Error> {
        self.check()?;
        Ok(Pending { number: self.await_reply(Shape::Line), read })
    }

    /// Takes a reply from what has arrived; `None` if it needs more bytes.
    pub(crate) fn receive<T>(&mut self, pending: &Pending<T>) -> Result<Option<T>, Error> {
        self.check()?;
        if !(self.first_awaited..self.next_number()).contains(&pending.number) {
            return Err(Error::PassedOver);
        }
        while let Some((number, lines)) = self.next_reply()? {
            if number == pending.number {
                return self.read(pending, &lines).map(Some);
            }
        }
        Ok(None)
    }

    /// Takes the lines of the next reply, with its number; `None` if it needs more bytes.
    pub(crate) fn next_reply(&mut self) -> Result<Option<(u64, BytesMut)>, Error> {
        self.check()?;
        if let Some(front) = self.awaited.front()
            && let Some(lines) = self.inbox.cut(front.shape).map_err(|error| self.poison(error))?
        {
            let number = self.first_awaited;
            self.awaited.pop_front();
            self.first_awaited += 1;
            return Ok(Some((number, lines)));
        }
        match mem::replace(&mut self.state, State::Poisoned) {
            State::Ended(error) => Err(error),
            open => {
                self.state = open;
                Ok(None)
            }
        }
    }

    /// How many replies are to come.
    pub(crate) fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// To how many of them the request has not gone out in full.
    pub(crate) fn unsent_requests(&self) -> usize {
        let taken = self.outbox.taken();
        self.awaited.iter().rev().take_while(|awaited| awaited.request_end > taken).count()
    }

    /// Whether the request to the next reply is still going out.
    #[cfg(feature = "async")]
    pub(crate) fn front_is_going_out(&self) -> bool {
        self.awaited.front().is_some_and(|front| front.request_end > self.outbox.taken())
    }

    /// How many bytes of requests are still to go out.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.outbox.unsent().len()
    }

    /// Whether bytes came that nobody asked for: a server that hangs up says why.
    pub(crate) fn has_unasked(&mut self) -> bool {
        self.awaited.is_empty() && !self.inbox.buffer().is_empty()
    }

    /// Bytes for the socket.
    pub(crate) fn unsent(&mut self) -> &[u8] {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.sealed();
        }
        self.outbox.unsent()
    }

    #[cfg(feature = "tls")]
    fn sealed(&mut self) -> &[u8] {
        let Some(tls) = &mut self.tls else { return &[] };
        match tls.unsent(&mut self.outbox) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.state = State::Unwritable(Arc::new(error));
                &[]
            }
        }
    }

    /// Notes that the socket took so many of them.
    pub(crate) fn sent(&mut self, length: usize) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.sent(length);
        }
        self.outbox.advance(length);
    }

    /// Where bytes from the socket are to be added; there is room for `READ_BYTES` of them.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        #[cfg(feature = "tls")]
        let buffer = match &mut self.tls {
            Some(tls) => tls.received(),
            None => self.inbox.buffer(),
        };
        #[cfg(not(feature = "tls"))]
        let buffer = self.inbox.buffer();
        buffer.reserve(READ_BYTES);
        buffer
    }

    /// Notes that bytes were added.
    pub(crate) fn arrived(&mut self) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls
            && let Err(error) = tls.open(self.inbox.buffer())
        {
            self.end(Error::Io(Arc::new(error)));
        }
    }

    /// Notes that the socket takes no more.
    pub(crate) fn write_failed(&mut self, error: io::Error) {
        self.clear_unsent();
        if let State::Open = self.state {
            self.state = State::Unwritable(Arc::new(error));
        }
    }

    /// Notes that nothing more will arrive. What failed first is what counts.
    pub(crate) fn end(&mut self, error: Error) {
        self.clear_unsent();
        self.state = match mem::replace(&mut self.state, State::Poisoned) {
            State::Open => State::Ended(error),
            State::Unwritable(error) => State::Ended(Error::Io(error)),
            over => over,
        };
    }

    /// Nothing more is to be sent or received.
    pub(crate) fn abandon(&mut self) {
        self.poison(Error::Poisoned);
    }

    /// Whether nothing more will arrive.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Poisoned)
    }

    fn check(&self) -> Result<(), Error> {
        if let State::Poisoned = self.state { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn await_reply(&mut self, shape: Shape) -> u64 {
        let number = self.next_number();
        self.awaited.push_back(Awaited { shape, request_end: self.outbox.end() });
        if !matches!(self.state, State::Open) {
            self.clear_unsent();
        }
        number
    }

    fn next_number(&self) -> u64 {
        self.first_awaited + self.awaited.len() as u64
    }

    fn clear_unsent(&mut self) {
        self.outbox.clear();
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            tls.clear_unsent();
        }
    }

    fn read<T>(&mut self, pending: &Pending<T>, lines: &[u8]) -> Result<T, Error> {
        let result = match server_error(lines) {
            Ok(None) => (pending.read)(Replies::new(lines)).map_err(Error::Protocol),
            Ok(Some(error)) => Err(error),
            Err(error) => Err(Error::Protocol(error)),
        };
        result.map_err(|error| if error.is_fatal() { self.poison(error) } else { error })
    }

    /// The stream cannot be trusted or used any further.
    fn poison(&mut self, error: Error) -> Error {
        self.state = State::Poisoned;
        self.clear_unsent();
        error
    }
}
