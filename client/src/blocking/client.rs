//! The blocking client.

use std::sync::Arc;
use std::time::Instant;

use super::connection::Connection;
use super::items::Items;
use super::pool::Pool;
use super::watcher::Watcher;
use crate::error::Error;
use crate::lane::Flight;
use crate::options::Options;
use crate::place::Place;
use crate::request::{Paged, Replies, Request, Watch};
use crate::resume::Resume;
use crate::verbs::verbs;
use crate::{reply, request};

/// A client without a runtime, made once and kept: cheap to clone, and used by any number of threads at once.
///
/// Each request has a connection for itself while it lasts, of up to [`Options::connections`]; threads beyond that wait. A
/// connection that fails is made again; what happens to requests that it had under way stands in [`crate`], and so does what
/// [`Options`] bound.
///
/// ```no_run
/// let client = larder_client::blocking::Client::connect("127.0.0.1:5273")?;
/// let _ = client.set("greeting", "\"hello\"")?;
/// assert_eq!(client.get("greeting")?.map(|value| value.json).as_deref(), Some("\"hello\""));
///
/// let sessions = client.namespace("sessions");
/// let _ = sessions.set("42", r#"{"user":"u_456"}"#)?;
/// # Ok::<(), larder_client::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    pool: Arc<Pool>,
    namespace: Option<Arc<str>>,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $reply:ty = $request:expr;)*) => {
        /// The everyday verbs. Each is one [`call`](Client::call), and has its errors.
        impl Client {
            $(
                $(#[$doc])*
                pub fn $name(&self, $($argument: $type),*) -> Result<$reply, Error> {
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
    /// As [`connect_with`](Self::connect_with).
    pub fn connect(addr: impl ToString) -> Result<Self, Error> {
        Self::connect_with(addr, &Options::default())
    }

    /// Connects to `host:port`. The first connection is made at once, so that what is wrong is known at once.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody answers there in time; [`Error::Server`] if the server does not take the client, as with
    /// [`Code::NoAuth`](crate::Code::NoAuth); [`Error::Protocol`] if it is another kind of server.
    pub fn connect_with(addr: impl ToString, options: &Options) -> Result<Self, Error> {
        let client = Self::lazy(addr, options);
        let first = Connection::open(&client.pool.place, true, None)?;
        client.pool.add(first);
        Ok(client)
    }

    /// A client that connects when it has something to send: for an application that is to start before its server.
    #[must_use]
    pub fn lazy(addr: impl ToString, options: &Options) -> Self {
        let namespace = options.namespace.as_deref().map(Arc::from);
        Self { pool: Arc::new(Pool::new(Place::new(&addr, options))), namespace }
    }

    /// A handle on the same connections, for another namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Self {
        Self { pool: self.pool.clone(), namespace: Some(Arc::from(name)) }
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// See [`Error`], and of each whether a write [may have happened](Error::may_have_happened).
    pub fn call<R: Request>(&self, request: &R) -> Result<R::Reply, Error> {
        let mut replies = self.pipeline(std::slice::from_ref(request));
        replies.pop().unwrap_or(Err(Error::PassedOver))
    }

    /// Creates or replaces an entry that does not expire with a value of a type of the application. Options are had by
    /// [`to_json`](crate::to_json) and [`request::Set`].
    ///
    /// # Errors
    /// [`Error::Encode`], and as [`call`](Self::call).
    #[cfg(feature = "serde")]
    pub fn set_as<T: serde::Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
    ) -> Result<reply::Outcome<reply::Stamp>, Error> {
        let json = crate::to_json(value)?;
        self.set(key, &json)
    }

    /// Reads a value as a type of the application.
    ///
    /// # Errors
    /// [`Error::Decode`] if it is not of this type, and as [`call`](Self::call).
    #[cfg(feature = "serde")]
    pub fn get_as<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<reply::Typed<T>>, Error> {
        self.get(key)?.map(reply::Value::typed).transpose()
    }

    /// Sends many requests of one kind over one connection, one behind the other, and waits for all replies. They are
    /// carried out in this order.
    ///
    /// # Errors
    /// Each reply has its own, as of [`call`](Self::call).
    pub fn pipeline<R: Request>(&self, requests: &[R]) -> Vec<Result<R::Reply, Error>> {
        let limit = self.pool.place.options.request_timeout;
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut replies: Vec<Option<Result<R::Reply, Error>>> = Vec::new();
        replies.resize_with(requests.len(), || None);
        let Some(mut seat) = self.pool.take(deadline) else {
            let late = || Err(Error::Timeout(limit.unwrap_or_default()).not_sent());
            return requests.iter().map(|_| late()).collect();
        };
        let refused = std::cell::RefCell::new(Vec::new());
        let mut flights = requests.iter().enumerate().filter_map(|(number, request)| {
            let mut line = Vec::new();
            match request.write(self.namespace.as_deref(), &mut line) {
                Ok(()) => Some(Flight::new(line, request, number)),
                Err(error) => {
                    refused.borrow_mut().push((number, error));
                    None
                }
            }
        });
        seat.fly(&mut flights, deadline, &mut |(number, reply)| {
            let answer = reply.and_then(|lines| R::read(Replies::new(&lines)).map_err(Error::Protocol));
            let nonsense = matches!(answer, Err(Error::Protocol(_)));
            replies[number] = Some(answer);
            if nonsense { Err(Error::astray()) } else { Ok(()) }
        });
        drop(flights);
        for (number, error) in refused.into_inner() {
            replies[number] = Some(Err(error.into()));
        }
        replies.into_iter().map(|reply| reply.unwrap_or(Err(Error::PassedOver))).collect()
    }

    /// Walks over all pages of a listing.
    #[must_use]
    pub fn items<P: Paged>(&self, listing: P) -> Items<P> {
        Items::new(self.clone(), listing)
    }

    /// Follows changes, from now on or from a version on, over failures of its connection (it has one of its own): see
    /// [`Watcher`].
    ///
    /// # Errors
    /// As [`call`](Self::call); [`Error::Compacted`] if the server does not have all changes from that version on any more.
    pub fn watch(&self, watch: Watch<'_>) -> Result<Watcher, Error> {
        Watcher::begin(self.pool.clone(), Resume::new(&watch, self.namespace.as_deref()))
    }
}
