//! A single async connection: moves the bytes of an [`Exchange`] over a tokio socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::Error;
use crate::exchange::{Exchange, Pending};
use crate::follow::Follow;
use crate::options::Options;
use crate::place::Place;
use crate::reply::Event;
use crate::request::{Begin, Request, Watch};

/// One connection to a server, for tokio, without the comfort of a [`Client`](crate::Client): it is not made again, sends
/// nothing twice, and leaves it to its owner what goes together and what is waited for. The runtime needs its I/O and time
/// drivers (`enable_all`).
///
/// Requests are answered in their order; each method takes the connection exclusively, and whoever wants several requests
/// under way uses [`send`](Self::send) and [`receive`](Self::receive) or [`pipeline`](Self::pipeline).
///
/// Any future here may be dropped before it is done. A request that it had begun to send is then still sent by the
/// next call, and its reply passed over.
///
/// After an error for which [`Error::is_fatal`] holds, every further call answers [`Error::Poisoned`].
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    exchange: Exchange,
    namespace: Option<String>,
    reply_timeout: Option<Duration>,
    /// When a byte moved last that tells of the reply that is due.
    moved: Instant,
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
    pub async fn connect(addr: impl ToString) -> Result<Self, Error> {
        Self::connect_with(addr, &Options::default()).await
    }

    /// Connects to `host:port`, and says the token if there is one.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there in time, and those of [`call`](Self::call) if the token is refused.
    pub async fn connect_with(addr: impl ToString, options: &Options) -> Result<Self, Error> {
        let place = Place::new(&addr, options);
        Self::open(&place, options.token.is_some()).await
    }

    /// Connects, and introduces itself if it is to.
    pub(crate) async fn open(place: &Place, greet: bool) -> Result<Self, Error> {
        let opened = Self::open_unbounded(place, greet);
        match place.options.connect_timeout {
            Some(limit) => match timeout(limit, opened).await {
                Ok(opened) => opened,
                Err(elapsed) => Err(place.unreached(elapsed.into())),
            },
            None => opened.await,
        }
    }

    async fn open_unbounded(place: &Place, greet: bool) -> Result<Self, Error> {
        let exchange = place.exchange()?;
        let connected = async {
            let stream = TcpStream::connect(place.addr.as_str()).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let options = &place.options;
        let mut connection = Self {
            stream: connected.await.map_err(|error| place.unreached(error))?,
            exchange,
            namespace: options.namespace.clone(),
            reply_timeout: options.reply_timeout,
            moved: Instant::now(),
        };
        while connection.exchange.is_handshaking() && !connection.exchange.has_ended() {
            connection.turn().await;
        }
        connection.exchange.next_reply().map_err(|error| place.unopened(error))?;
        if greet {
            connection.call(&place.greeting()).await.map_err(|error| place.unopened(error))?;
        }
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
    pub async fn call<R: Request>(&mut self, request: &R) -> Result<R::Reply, Error> {
        let pending = self.send(request)?;
        self.receive(pending).await
    }

    /// Queues a request. Its bytes go out, with those of other requests, in the next [`receive`](Self::receive) or
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`Error::Request`] if it cannot be written, [`Error::Poisoned`] after a fatal error.
    pub fn send<R: Request>(&mut self, request: &R) -> Result<Pending<R::Reply>, Error> {
        self.begin_waiting();
        self.exchange.send(request, self.namespace.as_deref())
    }

    /// Waits for a reply. Those to earlier requests that nobody has received are passed over.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`Error::PassedOver`] if this reply itself was.
    pub async fn receive<T>(&mut self, pending: Pending<T>) -> Result<T, Error> {
        loop {
            if let Some(reply) = self.exchange.receive(&pending)? {
                return Ok(reply);
            }
            self.turn().await;
        }
    }

    /// Sends what is queued. Replies that arrive meanwhile are kept, so a server that waits for its replies to be
    /// read cannot hold this up. A failure of the connection is told by the next [`receive`](Self::receive).
    pub async fn flush(&mut self) {
        while !self.exchange.unsent().is_empty() {
            self.turn().await;
        }
    }

    /// Sends many requests of one kind together, and waits for all replies, which come in order.
    ///
    /// # Errors
    /// Inside, what concerns one request; outside, what ended the connection.
    pub async fn pipeline<R: Request>(
        &mut self,
        requests: &[R],
    ) -> Result<Vec<Result<R::Reply, Error>>, Error> {
        let sent: Vec<_> = requests.iter().map(|request| self.send(request)).collect();
        let mut replies = Vec::with_capacity(sent.len());
        for pending in sent {
            let reply = match pending {
                Ok(pending) => self.receive(pending).await,
                Err(error) => Err(error),
            };
            match reply {
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
    pub async fn watch(&mut self, watch: Watch<'_>) -> Result<Events<'_>, Error> {
        let version = self.call(&Begin(watch)).await?;
        Ok(Events { connection: self, follow: Follow::new(version) })
    }

    /// The connection without its socket.
    pub(crate) fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// From here on a reply is due, if none was.
    pub(crate) fn begin_waiting(&mut self) {
        if self.exchange.awaited() == 0 {
            self.moved = Instant::now();
        }
    }

    /// Waits until the server closes the connection, or says something that nobody asked for.
    pub(crate) async fn ended(&mut self) {
        while !self.exchange.has_ended() && !self.exchange.has_unasked() {
            self.turn_within(None).await;
        }
    }

    /// Moves bytes in whichever direction they can move, waiting until one can. May be dropped before it is done.
    pub(crate) async fn turn(&mut self) {
        self.turn_within(self.reply_timeout).await;
    }

    async fn turn_within(&mut self, limit: Option<Duration>) {
        let idle = self.exchange.unsent().is_empty();
        let interest = if idle { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = match limit {
            Some(limit) => match timeout_at(self.moved + limit, self.stream.ready(interest)).await {
                Ok(ready) => ready,
                Err(_) => return self.exchange.end(Error::Timeout(limit)),
            },
            None => self.stream.ready(interest).await,
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => return self.exchange.end(Error::Io(Arc::new(error))),
        };
        if ready.is_writable() && !idle {
            // What goes out behind the request whose reply is due says nothing of that reply.
            let tells = self.exchange.front_is_going_out();
            match self.stream.try_write(self.exchange.unsent()) {
                Ok(length) => {
                    self.exchange.sent(length);
                    if tells {
                        self.moved = Instant::now();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.exchange.write_failed(error),
            }
        }
        if ready.is_readable() {
            match self.stream.try_read_buf(self.exchange.room()) {
                Ok(0) => self.exchange.end(Error::Closed),
                Ok(_) => {
                    self.moved = Instant::now();
                    self.exchange.arrived();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.exchange.end(Error::Io(Arc::new(error))),
            }
        }
    }
}

impl Events<'_> {
    /// Everything up to this version has been told: the one to go on after, on another connection.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.follow.version()
    }

    /// The next event; `None` after an error. This may be dropped before it is done, and loses no event.
    ///
    /// # Errors
    /// As [`Connection::call`]; with [`Code::Slow`](crate::Code::Slow) the server has cut a client that does not keep up.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        while !self.follow.has_ended() {
            self.connection.begin_waiting();
            if let Some(event) = self.follow.receive(&mut self.connection.exchange)? {
                return Ok(Some(event));
            }
            self.connection.turn().await;
        }
        Ok(None)
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        self.connection.exchange.abandon();
    }
}
