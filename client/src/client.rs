//! The async client.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::connection::Connection;
use crate::driver::{Caller, Job, Load, Progress, Seat, drive};
use crate::error::Error;
use crate::items::Items;
use crate::lane::Flight;
use crate::options::Options;
use crate::place::Place;
use crate::request::{Paged, Repeat, Request, Watch};
use crate::resume::Resume;
use crate::verbs::verbs;
use crate::watcher::Watcher;
use crate::{reply, request};

/// What a request takes of [`Options::queue_bytes_max`] beside its own bytes.
const REQUEST_OVERHEAD_BYTES: usize = 256;

/// A client for tokio, made once and kept: cheap to clone, and used by any number of tasks at once.
///
/// Requests of all tasks share a few connections, and go out without waiting for the replies to those before. A connection
/// that fails is made again; what happens to requests that it had under way stands in [`crate`], and so does what
/// [`Options`] bound. The runtime needs its I/O and time drivers (`enable_all`), and has to be the one that the client was
/// made in.
///
/// Requests that are awaited one after the other are carried out in that order, and so are those of one
/// [`pipeline`](Self::pipeline). Any future here may be dropped before it is done; a write may then happen, or not.
///
/// ```no_run
/// # async fn example() -> Result<(), larder_client::Error> {
/// let client = larder_client::Client::connect("127.0.0.1:5273").await?;
/// let _ = client.set("greeting", "\"hello\"").await?;
/// assert_eq!(client.get("greeting").await?.map(|value| value.json).as_deref(), Some("\"hello\""));
///
/// let sessions = client.namespace("sessions");
/// let _ = sessions.set("42", r#"{"user":"u_456"}"#).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    namespace: Option<Arc<str>>,
}

struct Shared {
    place: Arc<Place>,
    runtime: Handle,
    lanes: Box<[OnceLock<Sender>]>,
    /// How many more bytes of requests may be under way.
    room: Arc<Semaphore>,
    room_max: u32,
}

/// The way to the task behind a connection.
struct Sender {
    jobs: mpsc::UnboundedSender<Job>,
    /// Requests under way there.
    requests: Arc<AtomicUsize>,
}

/// A request that is under way.
struct Sent<T> {
    reply: oneshot::Receiver<Result<T, Error>>,
    progress: Arc<Progress>,
    repeat: Repeat,
    deadline: Option<Instant>,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $reply:ty = $request:expr;)*) => {
        /// The everyday verbs. Each is one [`call`](Client::call), and has its errors.
        impl Client {
            $(
                $(#[$doc])*
                pub async fn $name(&self, $($argument: $type),*) -> Result<$reply, Error> {
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
    /// As [`connect_with`](Self::connect_with).
    pub async fn connect(addr: impl ToString) -> Result<Self, Error> {
        Self::connect_with(addr, &Options::default()).await
    }

    /// Connects to `host:port`. The first connection is made at once, so that what is wrong is known at once.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there in time; [`Error::Server`] if the server does not take the client, as with
    /// [`Code::NoAuth`](crate::Code::NoAuth); [`Error::Protocol`] if it is another kind of server.
    pub async fn connect_with(addr: impl ToString, options: &Options) -> Result<Self, Error> {
        let place = Place::new(&addr, options);
        let first = Connection::open(&place, true).await?;
        let client = Self::new(place);
        client.shared.lane(0, Some(first));
        Ok(client)
    }

    /// A client that connects when it has something to send: for an application that is to start before its server.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn lazy(addr: impl ToString, options: &Options) -> Self {
        Self::new(Place::new(&addr, options))
    }

    fn new(place: Place) -> Self {
        let options = &place.options;
        let room_max = u32::try_from(options.queue_bytes_max.clamp(1, Semaphore::MAX_PERMITS));
        let room_max = room_max.unwrap_or(u32::MAX);
        let namespace = options.namespace.as_deref().map(Arc::from);
        let shared = Shared {
            runtime: Handle::current(),
            lanes: (0..options.connections.max(1)).map(|_| OnceLock::new()).collect(),
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            place: Arc::new(place),
        };
        Self { shared: Arc::new(shared), namespace }
    }

    /// A handle on the same connections, for another namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Self {
        Self { shared: self.shared.clone(), namespace: Some(Arc::from(name)) }
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// See [`Error`], and of each whether a write [may have happened](Error::may_have_happened).
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Reply, Error> {
        let lane = self.shared.idlest_lane();
        self.send(request, lane).await?.answer(&self.shared.place).await
    }

    /// Creates or replaces an entry that does not expire with a value of a type of the application. Options are had by
    /// [`to_json`](crate::to_json) and [`request::Set`].
    ///
    /// # Errors
    /// [`Error::Encode`], and as [`call`](Self::call).
    #[cfg(feature = "serde")]
    pub async fn set_as<T: serde::Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
    ) -> Result<reply::Outcome<reply::Stamp>, Error> {
        let json = crate::to_json(value)?;
        self.set(key, &json).await
    }

    /// Reads a value as a type of the application.
    ///
    /// # Errors
    /// [`Error::Decode`] if it is not of this type, and as [`call`](Self::call).
    #[cfg(feature = "serde")]
    pub async fn get_as<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<reply::Typed<T>>, Error> {
        self.get(key).await?.map(reply::Value::typed).transpose()
    }

    /// Sends many requests of one kind over one connection, one behind the other, and waits for all replies. They are
    /// carried out in this order.
    ///
    /// # Errors
    /// Each reply has its own, as of [`call`](Self::call).
    pub async fn pipeline<R: Request>(&self, requests: &[R]) -> Vec<Result<R::Reply, Error>> {
        let lane = self.shared.idlest_lane();
        let mut sent = Vec::with_capacity(requests.len());
        for request in requests {
            sent.push(self.send(request, lane).await);
        }
        let mut replies = Vec::with_capacity(sent.len());
        for sent in sent {
            replies.push(match sent {
                Ok(sent) => sent.answer(&self.shared.place).await,
                Err(error) => Err(error),
            });
        }
        replies
    }

    /// Walks over all pages of a listing, as a stream.
    #[must_use]
    pub fn items<'a, P: Paged + 'a>(&self, listing: P) -> Items<'a, P> {
        Items::new(self.clone(), listing)
    }

    /// Follows changes, from now on or from a version on, as a stream that goes on over failures of its connection (it has
    /// one of its own): see [`Watcher`].
    ///
    /// # Errors
    /// As [`call`](Self::call); [`Error::Compacted`] if the server does not have all changes from that version on any more.
    pub async fn watch(&self, watch: Watch<'_>) -> Result<Watcher, Error> {
        let resume = Resume::new(&watch, self.namespace.as_deref());
        Watcher::begin(self.shared.place.clone(), resume).await
    }

    /// Sends a request, once there is room for it.
    async fn send<R: Request>(&self, request: &R, lane: usize) -> Result<Sent<R::Reply>, Error> {
        let mut line = Vec::new();
        request.write(self.namespace.as_deref(), &mut line)?;
        let limit = self.shared.place.options.request_timeout;
        let deadline = limit.map(|limit| Instant::now() + limit);
        let bytes = u32::try_from(line.len() + REQUEST_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let room = self.shared.room.clone().acquire_many_owned(bytes.min(self.shared.room_max));
        let room = match by(deadline, room).await {
            // It is never closed.
            Some(room) => room.map_err(|_| Error::Closed.not_sent())?,
            None => return Err(Error::Timeout(limit.unwrap_or_default()).not_sent()),
        };
        let sender = self.shared.lane(lane, None);
        let progress = Arc::new(Progress::default());
        let (caller, reply) = oneshot::channel();
        let seat: Box<dyn Caller> = Box::new(Seat {
            reply: caller,
            read: R::read,
            progress: progress.clone(),
            load: Load::new(sender.requests.clone(), room),
        });
        // If the task is gone with its runtime, so is the other end of the reply.
        _ = sender.jobs.send(Flight::new(line, request, seat));
        Ok(Sent { reply, progress, repeat: request.repeat(), deadline })
    }
}

impl<T> Sent<T> {
    async fn answer(mut self, place: &Place) -> Result<T, Error> {
        let error = match by(self.deadline, &mut self.reply).await {
            Some(Ok(answer)) => return answer,
            Some(Err(_)) => Error::Closed,
            None => Error::Timeout(place.options.request_timeout.unwrap_or_default()),
        };
        if self.progress.cancel() {
            return Err(error.not_sent());
        }
        Err(if self.repeat == Repeat::Freely { error } else { error.in_doubt() })
    }
}

impl Shared {
    /// The first lane with nothing under way, or else the one with the least.
    fn idlest_lane(&self) -> usize {
        let requests =
            |lane: &OnceLock<Sender>| lane.get().map_or(0, |sender| sender.requests.load(Ordering::Relaxed));
        let lanes = self.lanes.iter().map(requests).enumerate();
        lanes.min_by_key(|&(_, requests)| requests).map_or(0, |(lane, _)| lane)
    }

    /// The lane of that number, begun if it has not been, with this connection if there is one already.
    fn lane(&self, number: usize, connection: Option<Connection>) -> &Sender {
        self.lanes[number].get_or_init(|| {
            let (sender, jobs) = mpsc::unbounded_channel();
            self.runtime.spawn(drive(self.place.clone(), connection, jobs));
            Sender { jobs: sender, requests: Arc::new(AtomicUsize::new(0)) }
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("addr", &self.shared.place.addr)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// What comes of it by the deadline; `None` if that passes first.
async fn by<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}
