//! A single blocking connection: moves the bytes of an [`Exchange`] over a socket of the standard library.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::exchange::{Exchange, Pending, READ_BYTES};
use crate::follow::Follow;
use crate::options::Options;
use crate::place::Place;
use crate::reply::Event;
use crate::request::{Begin, Request, Watch};

/// How long to wait for bytes from a server that takes none, before offering it some again.
const PAUSE: Duration = Duration::from_millis(2);

/// One connection to a server, without the comfort of a [`Client`](super::Client): it is not made again, sends nothing
/// twice, and leaves it to its owner what goes together and what is waited for.
///
/// Requests are answered in their order; whoever wants several of them under way uses [`send`](Self::send) and
/// [`receive`](Self::receive) or [`pipeline`](Self::pipeline).
///
/// After an error for which [`Error::is_fatal`] holds, every further call answers [`Error::Poisoned`].
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    exchange: Exchange,
    namespace: Option<String>,
    reply_timeout: Option<Duration>,
    scratch: Box<[u8]>,
}

/// Changes as they become durable; see [`Connection::watch`].
#[derive(Debug)]
pub struct Events<'c> {
    connection: &'c mut Connection,
    follow: Follow,
}

impl Connection {
    /// Connects to `host:port` with the default [`Options`].
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there in time.
    pub fn connect(addr: impl ToString) -> Result<Self, Error> {
        Self::connect_with(addr, &Options::default())
    }

    /// Connects to `host:port`, and says the token if there is one. Where a name stands for several addresses, each is given
    /// the whole timeout.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there in time, and those of [`call`](Self::call) if the token is refused.
    pub fn connect_with(addr: impl ToString, options: &Options) -> Result<Self, Error> {
        let place = Place::new(&addr, options);
        Self::open(&place, options.token.is_some(), None)
    }

    /// Connects, and introduces itself if it is to.
    pub(super) fn open(place: &Place, greet: bool, deadline: Option<Instant>) -> Result<Self, Error> {
        let options = &place.options;
        let limit = earlier(options.connect_timeout, deadline.map(remaining));
        let exchange = place.exchange()?;
        let stream = connect(&place.addr, limit).map_err(|error| place.unreached(error))?;
        let mut connection = Self {
            socket: Socket { stream, mode: Mode::Wait(None) },
            exchange,
            namespace: options.namespace.clone(),
            // Until all is agreed on, waiting is for a connection.
            reply_timeout: limit,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
        };
        while connection.exchange.is_handshaking() && !connection.exchange.has_ended() {
            connection.turn();
        }
        connection.exchange.next_reply().map_err(|error| place.unopened(error))?;
        if greet {
            connection.call(&place.greeting()).map_err(|error| place.unopened(error))?;
        }
        connection.reply_timeout = options.reply_timeout;
        Ok(connection)
    }

    /// Changes [`Options::namespace`] for the requests to come.
    pub fn set_namespace(&mut self, namespace: Option<String>) {
        self.namespace = namespace;
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// [`Error::Server`] if the server refuses, [`Error::Request`] if the request cannot be written; both leave the
    /// connection as good as before. Any other error is the end of the connection.
    pub fn call<R: Request>(&mut self, request: &R) -> Result<R::Reply, Error> {
        let pending = self.send(request)?;
        self.receive(pending)
    }

    /// Queues a request. Its bytes go out, with those of other requests, in the next [`receive`](Self::receive) or
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`Error::Request`] if it cannot be written, [`Error::Poisoned`] after a fatal error.
    pub fn send<R: Request>(&mut self, request: &R) -> Result<Pending<R::Reply>, Error> {
        self.exchange.send(request, self.namespace.as_deref())
    }

    /// Waits for a reply. Those to earlier requests that nobody has received are passed over.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`Error::PassedOver`] if this reply itself was.
    pub fn receive<T>(&mut self, pending: Pending<T>) -> Result<T, Error> {
        loop {
            if let Some(reply) = self.exchange.receive(&pending)? {
                return Ok(reply);
            }
            self.turn();
        }
    }

    /// Sends what is queued. Replies that arrive meanwhile are kept, so a server that waits for its replies to be
    /// read cannot hold this up. A failure of the connection is told by the next [`receive`](Self::receive).
    pub fn flush(&mut self) {
        self.flush_until(None);
    }

    /// Sends many requests of one kind together, and waits for all replies, which come in order.
    ///
    /// # Errors
    /// Inside, what concerns one request; outside, what ended the connection.
    pub fn pipeline<R: Request>(&mut self, requests: &[R]) -> Result<Vec<Result<R::Reply, Error>>, Error> {
        let sent: Vec<_> = requests.iter().map(|request| self.send(request)).collect();
        let mut replies = Vec::with_capacity(sent.len());
        for pending in sent {
            match pending.and_then(|pending| self.receive(pending)) {
                Err(error) if error.is_fatal() => return Err(error),
                reply => replies.push(reply),
            }
        }
        Ok(replies)
    }

    /// Follows changes, from now on or from a version on. The connection is good for nothing else from then on, and not
    /// when this is dropped either.
    ///
    /// # Errors
    /// As [`call`](Self::call); [`Error::Compacted`] if the server does not have all changes from that version on any more.
    /// Then the connection is as good as before.
    pub fn watch(&mut self, watch: Watch<'_>) -> Result<Events<'_>, Error> {
        let version = self.call(&Begin(watch))?;
        Ok(Events { connection: self, follow: Follow::new(version) })
    }

    /// The connection without its socket.
    pub(super) fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// As [`exchange`](Self::exchange), to look at.
    pub(super) fn peek(&self) -> &Exchange {
        &self.exchange
    }

    /// Sends what is queued, then waits for bytes.
    pub(super) fn turn(&mut self) {
        self.turn_until(None);
    }

    /// As [`turn`](Self::turn), until the deadline at the latest. Whether that is still to come.
    pub(super) fn turn_until(&mut self, deadline: Option<Instant>) -> bool {
        if !self.flush_until(deadline) {
            return false;
        }
        if self.exchange.has_ended() {
            return true;
        }
        let left =
            deadline.map(remaining).filter(|&left| self.reply_timeout.is_none_or(|limit| left < limit));
        match self.read(Mode::Wait(left.or(self.reply_timeout))) {
            Ok(true) => {}
            Ok(false) if left.is_some() => return false,
            Ok(false) => self.exchange.end(Error::Timeout(self.reply_timeout.unwrap_or_default())),
            Err(error) => self.exchange.end(Error::Io(Arc::new(error))),
        }
        true
    }

    /// Whether the server has closed the connection, or says something that nobody asked for. Does not wait.
    pub(super) fn is_over(&mut self) -> bool {
        if let Err(error) = self.read(Mode::Poll) {
            self.exchange.end(Error::Io(Arc::new(error)));
        }
        self.exchange.has_ended() || self.exchange.has_unasked()
    }

    /// Sends what is queued, until the deadline at the latest. Whether that is still to come.
    fn flush_until(&mut self, deadline: Option<Instant>) -> bool {
        let mut moved = Instant::now();
        while !self.exchange.unsent().is_empty() {
            match self.offer() {
                Ok(true) => moved = Instant::now(),
                Ok(false) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => return false,
                Ok(false) => self.check_timeout(moved),
                Err(error) => self.exchange.end(Error::Io(Arc::new(error))),
            }
        }
        true
    }

    /// Offers bytes to the socket, and takes some where it has no room. Whether any moved.
    fn offer(&mut self) -> io::Result<bool> {
        self.socket.set(Mode::Poll)?;
        match self.socket.stream.write(self.exchange.unsent()) {
            Ok(length) => {
                self.exchange.sent(length);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) if is_timeout(&error) => self.read(Mode::Wait(Some(PAUSE))),
            Err(error) => {
                self.exchange.write_failed(error);
                Ok(true)
            }
        }
    }

    /// Reads once. Whether anything came, the end included.
    fn read(&mut self, mode: Mode) -> io::Result<bool> {
        self.socket.set(mode)?;
        match self.socket.stream.read(&mut self.scratch) {
            Ok(0) => self.exchange.end(Error::Closed),
            Ok(length) => {
                self.exchange.room().extend_from_slice(&self.scratch[..length]);
                self.exchange.arrived();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    fn check_timeout(&mut self, moved: Instant) {
        if let Some(limit) = self.reply_timeout.filter(|&limit| moved.elapsed() >= limit) {
            self.exchange.end(Error::Timeout(limit));
        }
    }
}

impl Events<'_> {
    /// Everything up to this version has been told: the one to go on after, on another connection.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.follow.version()
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event, Error>;

    /// The next event, however long that takes; `None` after an error. With [`Code::Slow`](crate::Code::Slow) the server
    /// has cut a client that does not keep up.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.follow.has_ended() {
            if let Some(event) = self.follow.receive(&mut self.connection.exchange).transpose() {
                return Some(event);
            }
            self.connection.turn();
        }
        None
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        self.connection.exchange.abandon();
    }
}

/// A socket that knows its mode, so that it is changed only where it must be.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    mode: Mode,
}

/// How long the socket waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Not at all.
    Poll,
    /// When reading, so long.
    Wait(Option<Duration>),
}

impl Socket {
    fn set(&mut self, mode: Mode) -> io::Result<()> {
        if mode == self.mode {
            return Ok(());
        }
        match mode {
            Mode::Poll => self.stream.set_nonblocking(true)?,
            Mode::Wait(limit) => {
                self.stream.set_nonblocking(false)?;
                // Zero would be taken for no limit.
                self.stream.set_read_timeout(limit.map(|limit| limit.max(Duration::from_millis(1))))?;
            }
        }
        self.mode = mode;
        Ok(())
    }
}

/// What the system calls a wait that was over, of either mode.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn connect(addr: &str, limit: Option<Duration>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for addr in addr.to_socket_addrs()? {
        let connected = match limit {
            Some(limit) => TcpStream::connect_timeout(&addr, limit),
            None => TcpStream::connect(addr),
        };
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// How long it is to the deadline; at least a millisecond, as a socket takes nothing for no limit.
fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
