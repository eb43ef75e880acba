//! The blocking client: moves the bytes of a connection over a socket of the standard library.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Pending, READ_BYTES};
use crate::error::Error;
use crate::follow::Follow;
use crate::options::Options;
use crate::reply::Event;
use crate::request::{Begin, Paged, Request, Watch};
use crate::verbs::verbs;
use crate::walk::Walk;
use crate::{reply, request};

/// How long to wait for bytes from a server that takes none, before offering it some again.
const PAUSE: Duration = Duration::from_millis(2);

/// One connection to a server.
///
/// Requests are answered in their order; whoever wants several of them under way uses [`send`](Self::send) and
/// [`receive`](Self::receive) or [`pipeline`](Self::pipeline).
///
/// After an error for which [`Error::is_fatal`] holds, every further call answers [`Error::Poisoned`].
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    connection: Connection,
    reply_timeout: Option<Duration>,
    scratch: Box<[u8]>,
}

/// All items of a listing, fetched page by page; see [`Client::items`].
#[derive(Debug)]
pub struct Items<'c, P: Paged> {
    client: &'c mut Client,
    walk: Walk<P>,
}

/// Changes as they become durable; see [`Client::watch`].
#[derive(Debug)]
pub struct Watcher<'c> {
    client: &'c mut Client,
    follow: Follow,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $reply:ty = $request:expr;)*) => {
        /// The everyday verbs. Each is one [`call`](Client::call), and has its errors.
        impl Client {
            $(
                $(#[$doc])*
                pub fn $name(&mut self, $($argument: $type),*) -> Result<$reply, Error> {
                    self.call(&$request)
                }
            )*
        }
    };
}

verbs!(methods);

impl Client {
    /// Connects to `host:port` with the default [`Options`].
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there in time.
    pub fn connect(addr: impl ToSocketAddrs + ToString) -> Result<Self, Error> {
        Self::connect_with(addr, &Options::default())
    }

    /// Connects to `host:port`, and authenticates if there is a token. Where a name stands for several addresses, each is
    /// given the whole timeout.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there in time; with a token also those of [`call`](Self::call), and
    /// [`Code::NoAuth`](crate::Code::NoAuth) if the server does not know it.
    pub fn connect_with(addr: impl ToSocketAddrs + ToString, options: &Options) -> Result<Self, Error> {
        let stream = connect(&addr, options.connect_timeout)
            .map_err(|source| Error::Connect { addr: addr.to_string(), source })?;
        let mut client = Self {
            socket: Socket { stream, mode: Mode::Wait(None) },
            connection: Connection::new(options),
            reply_timeout: options.reply_timeout,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
        };
        if let Some(token) = &options.token {
            client.call(&request::Hello::new().token(token.reveal()))?;
        }
        Ok(client)
    }

    /// Changes [`Options::namespace`] for the requests to come.
    pub fn set_namespace(&mut self, namespace: Option<String>) {
        self.connection.set_namespace(namespace);
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
        self.connection.send(request)
    }

    /// Waits for a reply. Those to earlier requests that nobody has received are passed over.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`Error::PassedOver`] if this reply itself was.
    pub fn receive<T>(&mut self, pending: Pending<T>) -> Result<T, Error> {
        loop {
            if let Some(reply) = self.connection.receive(&pending)? {
                return Ok(reply);
            }
            self.turn();
        }
    }

    /// Sends what is queued. Replies that arrive meanwhile are kept, so a server that waits for its replies to be
    /// read cannot hold this up. A failure of the connection is told by the next [`receive`](Self::receive).
    pub fn flush(&mut self) {
        let mut moved = Instant::now();
        while !self.connection.unsent().is_empty() {
            match self.exchange() {
                Ok(true) => moved = Instant::now(),
                Ok(false) => self.check_timeout(moved),
                Err(error) => self.connection.end(Error::Io(error)),
            }
        }
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

    /// Walks over all pages of a listing.
    pub fn items<P: Paged>(&mut self, listing: P) -> Items<'_, P> {
        Items { client: self, walk: Walk::new(listing) }
    }

    /// Follows changes, from now on or from a version on. The connection is good for nothing else from then on, and not
    /// when this is dropped either.
    ///
    /// # Errors
    /// As [`call`](Self::call); [`Code::Compacted`](crate::Code::Compacted) if the server does not have all changes from
    /// that version on any more. Then the connection is as good as before.
    pub fn watch(&mut self, watch: Watch<'_>) -> Result<Watcher<'_>, Error> {
        let version = self.call(&Begin(watch))?;
        Ok(Watcher { client: self, follow: Follow::new(version) })
    }

    /// Sends what is queued, then waits for bytes.
    fn turn(&mut self) {
        self.flush();
        if self.connection.has_ended() {
            return;
        }
        match self.read(Mode::Wait(self.reply_timeout)) {
            Ok(true) => {}
            Ok(false) => self.connection.end(Error::Timeout(self.reply_timeout.unwrap_or_default())),
            Err(error) => self.connection.end(Error::Io(error)),
        }
    }

    /// Offers bytes to the socket, and takes some where it has no room. Whether any moved.
    fn exchange(&mut self) -> io::Result<bool> {
        self.socket.set(Mode::Poll)?;
        match self.socket.stream.write(self.connection.unsent()) {
            Ok(length) => {
                self.connection.sent(length);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) if is_timeout(&error) => self.read(Mode::Wait(Some(PAUSE))),
            Err(error) => {
                self.connection.write_failed(error);
                Ok(true)
            }
        }
    }

    /// Reads once. Whether anything came, the end included.
    fn read(&mut self, mode: Mode) -> io::Result<bool> {
        self.socket.set(mode)?;
        match self.socket.stream.read(&mut self.scratch) {
            Ok(0) => self.connection.end(Error::Closed),
            Ok(length) => self.connection.inbox().extend_from_slice(&self.scratch[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    fn check_timeout(&mut self, moved: Instant) {
        if let Some(limit) = self.reply_timeout.filter(|&limit| moved.elapsed() >= limit) {
            self.connection.end(Error::Timeout(limit));
        }
    }
}

impl<P: Paged> Iterator for Items<'_, P> {
    type Item = Result<P::Item, Error>;

    /// The next item; `None` after the last, and after an error.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.walk.next_item() {
                return Some(Ok(item));
            }
            let page = self.client.call(&self.walk.next_page()?);
            match page {
                Ok(page) => self.walk.turn(page),
                Err(error) => {
                    self.walk.end();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Watcher<'_> {
    /// Everything up to this version has been told: the one to go on after, on another connection.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.follow.version()
    }
}

impl Iterator for Watcher<'_> {
    type Item = Result<Event, Error>;

    /// The next event, however long that takes; `None` after an error. With [`Code::Slow`](crate::Code::Slow) the server
    /// has cut a client that does not keep up.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.follow.has_ended() {
            if let Some(event) = self.follow.receive(&mut self.client.connection).transpose() {
                return Some(event);
            }
            self.client.turn();
        }
        None
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.client.connection.abandon();
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

fn connect(addr: impl ToSocketAddrs, limit: Option<Duration>) -> io::Result<TcpStream> {
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
