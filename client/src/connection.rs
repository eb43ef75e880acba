//! The core: one connection without its socket. Requests go in and bytes come out, bytes go in and replies come out.
//!
//! The server answers in the order of the requests, so a queue of what shape each awaited reply has is all that is
//! needed to find the one that a caller waits for. A reply nobody received, because its caller gave up or because a
//! later one was asked for, is recognised by that queue and passed over.

use std::collections::VecDeque;
use std::{fmt, io, mem};

use bytes::BytesMut;
use larder_protocol::Code;
use larder_protocol::reply::{Reply, ReplyError};

use crate::error::Error;
use crate::inbox::Inbox;
use crate::options::Options;
use crate::outbox::Outbox;
use crate::request::{Replies, Request, Shape};

/// How much is read at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// A reply that is to come, of type `T`. To be given to `receive` of the client that sent the request; dropping it
/// means that the reply is passed over.
#[must_use = "the reply is read by `receive`"]
pub struct Pending<T> {
    number: u64,
    read: fn(Replies<'_>) -> Result<T, ReplyError>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    outbox: Outbox,
    inbox: Inbox,
    /// The replies to come, in order.
    awaited: VecDeque<Shape>,
    /// The number of the first of them; they count up from 0.
    first_awaited: u64,
    namespace: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// The socket takes no more, but what the server said before it hung up is still to be read.
    Unwritable(io::Error),
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

impl Connection {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            outbox: Outbox::default(),
            inbox: Inbox::new(options.reply_bytes_max),
            awaited: VecDeque::new(),
            first_awaited: 0,
            namespace: options.namespace.clone(),
            state: State::Open,
        }
    }

    pub(crate) fn set_namespace(&mut self, namespace: Option<String>) {
        self.namespace = namespace;
    }

    /// Writes a request to the outbox.
    pub(crate) fn send<R: Request>(&mut self, request: &R) -> Result<Pending<R::Reply>, Error> {
        self.check()?;
        request.write(self.namespace.as_deref(), self.outbox.buffer())?;
        if !matches!(self.state, State::Open) {
            self.outbox.clear();
        }
        let number = self.next_number();
        self.awaited.push_back(request.shape());
        Ok(Pending { number, read: R::read })
    }

    /// Awaits a line that comes without a request of its own.
    pub(crate) fn expect<T>(
        &mut self,
        read: fn(Replies<'_>) -> Result<T, ReplyError>,
    ) -> Result<Pending<T>, Error> {
        self.check()?;
        let number = self.next_number();
        self.awaited.push_back(Shape::Line);
        Ok(Pending { number, read })
    }

    /// Nothing more is to be sent or received.
    pub(crate) fn abandon(&mut self) {
        self.poison(Error::Poisoned);
    }

    /// Takes a reply from what has arrived; `None` if it needs more bytes.
    pub(crate) fn receive<T>(&mut self, pending: &Pending<T>) -> Result<Option<T>, Error> {
        self.check()?;
        if !(self.first_awaited..self.next_number()).contains(&pending.number) {
            return Err(Error::PassedOver);
        }
        while let Some(&shape) = self.awaited.front() {
            let Some(lines) = self.inbox.cut(shape).map_err(|error| self.poison(error))? else { break };
            let number = self.first_awaited;
            self.awaited.pop_front();
            self.first_awaited += 1;
            if number == pending.number {
                return self.read(pending, &lines).map(Some);
            }
        }
        match mem::replace(&mut self.state, State::Poisoned) {
            State::Ended(error) => Err(error),
            open => {
                self.state = open;
                Ok(None)
            }
        }
    }

    /// Bytes for the socket.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.outbox.unsent()
    }

    /// Notes that the socket took so many of them.
    pub(crate) fn sent(&mut self, length: usize) {
        self.outbox.advance(length);
    }

    /// Where bytes from the socket are to be added; there is room for `READ_BYTES` of them.
    pub(crate) fn inbox(&mut self) -> &mut BytesMut {
        let buffer = self.inbox.buffer();
        buffer.reserve(READ_BYTES);
        buffer
    }

    /// Notes that the socket takes no more.
    pub(crate) fn write_failed(&mut self, error: io::Error) {
        self.outbox.clear();
        if let State::Open = self.state {
            self.state = State::Unwritable(error);
        }
    }

    /// Notes that nothing more will arrive. What failed first is what counts.
    pub(crate) fn end(&mut self, error: Error) {
        self.outbox.clear();
        self.state = match mem::replace(&mut self.state, State::Poisoned) {
            State::Open => State::Ended(error),
            State::Unwritable(error) => State::Ended(Error::Io(error)),
            over => over,
        };
    }

    /// Whether nothing more will arrive.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Poisoned)
    }

    fn check(&self) -> Result<(), Error> {
        if let State::Poisoned = self.state { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn next_number(&self) -> u64 {
        self.first_awaited + self.awaited.len() as u64
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
        self.outbox.clear();
        error
    }
}

/// The error that a whole reply ends with, if it does.
fn server_error(lines: &[u8]) -> Result<Option<Error>, ReplyError> {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let last = lines.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    if !last.starts_with(b"ERR") {
        return Ok(None);
    }
    let last = last.strip_suffix(b"\r").unwrap_or(last);
    let Reply::Err { code, text } = Reply::parse(last)? else { return Err(ReplyError::Kind) };
    let text = text.to_owned();
    Ok(Some(match Code::from_name(code) {
        Some(code) => Error::Server { code, text },
        None => Error::UnknownCode { code: code.to_owned(), text },
    }))
}
