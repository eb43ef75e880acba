//! The async client: moves the bytes of a [`Connection`] over a tokio socket.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

use crate::connection::{Connection, Pending};
use crate::error::Error;
use crate::follow::Follow;
use crate::options::Options;
use crate::reply::Event;
use crate::request::{Begin, Paged, Request, Watch};
use crate::verbs::verbs;
use crate::walk::Walk;
use crate::{reply, request};

/// One connection to a server, for tokio. The runtime needs its I/O and time drivers (`enable_all`).
///
/// Requests are answered in their order; each method takes the client exclusively, and whoever wants several requests
/// under way uses [`send`](Self::send) and [`receive`](Self::receive) or [`pipeline`](Self::pipeline).
///
/// Any future here may be dropped before it is done. A request that it had begun to send is then still sent by the
/// next call, and its reply passed over.
///
/// ```no_run
/// # async fn example() -> Result<(), larder_client::Error> {
/// let mut client = larder_client::Client::connect("127.0.0.1:5273").await?;
/// let _ = client.set("greeting", "\"hello\"").await?;
/// assert_eq!(client.get("greeting").await?.map(|value| value.json).as_deref(), Some("\"hello\""));
/// # Ok(())
/// # }
/// ```
///
/// After an error for which [`Error::is_fatal`] holds, every further call answers [`Error::Poisoned`].
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    connection: Connection,
    reply_timeout: Option<Duration>,
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
                pub async fn $name(&mut self, $($argument: $type),*) -> Result<$reply, Error> {
                    self.call(&$request).await
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
    pub async fn connect(addr: impl ToSocketAddrs + ToString) -> Result<Self, Error> {
        Self::connect_with(addr, &Options::default()).await
    }

    /// Connects to `host:port`, and authenticates if there is a token.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there in time; with a token also those of [`call`](Self::call), and
    /// [`Code::NoAuth`](crate::Code::NoAuth) if the server does not know it.
    pub async fn connect_with(addr: impl ToSocketAddrs + ToString, options: &Options) -> Result<Self, Error> {
        let shown = addr.to_string();
        let connected = async {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let connected = within(options.connect_timeout, connected).await;
        let stream = connected.map_err(|source| Error::Connect { addr: shown, source })?;
        let connection = Connection::new(options);
        let mut client = Self { stream, connection, reply_timeout: options.reply_timeout };
        if let Some(token) = &options.token {
            client.call(&request::Hello::new().token(token.reveal())).await?;
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
        self.connection.send(request)
    }

    /// Waits for a reply. Those to earlier requests that nobody has received are passed over.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`Error::PassedOver`] if this reply itself was.
    pub async fn receive<T>(&mut self, pending: Pending<T>) -> Result<T, Error> {
        loop {
            if let Some(reply) = self.connection.receive(&pending)? {
                return Ok(reply);
            }
            self.turn().await;
        }
    }

    /// Sends what is queued. Replies that arrive meanwhile are kept, so a server that waits for its replies to be
    /// read cannot hold this up. A failure of the connection is told by the next [`receive`](Self::receive).
    pub async fn flush(&mut self) {
        while !self.connection.unsent().is_empty() {
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
    pub async fn watch(&mut self, watch: Watch<'_>) -> Result<Watcher<'_>, Error> {
        let version = self.call(&Begin(watch)).await?;
        Ok(Watcher { client: self, follow: Follow::new(version) })
    }

    /// Moves bytes in whichever direction they can move, waiting until one can.
    async fn turn(&mut self) {
        let idle = self.connection.unsent().is_empty();
        let interest = if idle { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = match within(self.reply_timeout, self.stream.ready(interest)).await {
            Ok(ready) => ready,
            Err(error) => return self.connection.end(wait_error(error, self.reply_timeout)),
        };
        if ready.is_writable() && !idle {
            match self.stream.try_write(self.connection.unsent()) {
                Ok(length) => self.connection.sent(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.connection.write_failed(error),
            }
        }
        if ready.is_readable() {
            match self.stream.try_read_buf(self.connection.inbox()) {
                Ok(0) => self.connection.end(Error::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.connection.end(Error::Io(error)),
            }
        }
    }
}

impl<P: Paged> Items<'_, P> {
    /// The next item; `None` after the last, and after an error.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn next(&mut self) -> Result<Option<P::Item>, Error> {
        loop {
            if let Some(item) = self.walk.next_item() {
                return Ok(Some(item));
            }
            let sent = match self.walk.next_page() {
                Some(request) => self.client.send(&request),
                None => return Ok(None),
            };
            let page = match sent {
                Ok(pending) => self.client.receive(pending).await,
                Err(error) => Err(error),
            };
            match page {
                Ok(page) => self.walk.turn(page),
                Err(error) => {
                    self.walk.end();
                    return Err(error);
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

    /// The next event; `None` after an error. This may be dropped before it is done, and loses no event.
    ///
    /// # Errors
    /// As [`Client::call`]; with [`Code::Slow`](crate::Code::Slow) the server has cut a client that does not keep up.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        while !self.follow.has_ended() {
            if let Some(event) = self.follow.receive(&mut self.client.connection)? {
                return Ok(Some(event));
            }
            self.client.turn().await;
        }
        Ok(None)
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.client.connection.abandon();
    }
}

async fn within<T>(limit: Option<Duration>, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match limit {
        Some(limit) => timeout(limit, future).await.map_err(io::Error::from)?,
        None => future.await,
    }
}

fn wait_error(error: io::Error, limit: Option<Duration>) -> Error {
    match limit {
        Some(limit) if error.kind() == io::ErrorKind::TimedOut => Error::Timeout(limit),
        _ => Error::Io(error),
    }
}
