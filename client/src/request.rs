//! Requests. Each is a small value that borrows what it says, has a method for each option of its command, and knows
//! the type of its reply.
//!
//! What only the server can judge (limits, spellings, whether a cursor is its own) is left to the server.

mod change;
mod list;
mod read;
mod server;
mod transaction;
mod watch;
mod write;

use larder_protocol::reply::{Reply, ReplyError};
use larder_protocol::{Lines, RequestError, RequestLine, lines};

pub use change::{DelPrefix, Incr, Patch};
pub use list::{List, Namespaces, Paged};
pub use read::{Count, Entry, Exists, Get, GetPath, Mget, TimeToLive};
pub use server::{Backup, Compact, Hello, Ping, Stats, Sync};
pub use transaction::{Transaction, TransactionText};
pub(crate) use watch::Begin;
pub use watch::Watch;
pub use write::{Del, Persist, Set, Take, Touch};

/// A command with its arguments. It can be implemented for commands that this crate has no type for.
pub trait Request {
    /// What the server answers, where it does not answer with an error.
    type Reply: Send + 'static;

    /// Appends exactly one line, or nothing on an error. `namespace` is the client's, for a request that names none.
    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError>;

    /// Of how many lines the reply is.
    fn shape(&self) -> Shape {
        Shape::Line
    }

    /// Whether a client may send it again, when the connection failed and nobody knows whether it was carried out.
    fn repeat(&self) -> Repeat {
        Repeat::Never
    }

    /// Reads the reply; an `ERR` never comes here.
    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError>;
}

/// So that a request can be sent without being given away.
impl<R: Request> Request for &R {
    type Reply = R::Reply;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        (*self).write(namespace, out)
    }

    fn shape(&self) -> Shape {
        (*self).shape()
    }

    fn repeat(&self) -> Repeat {
        (*self).repeat()
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        R::read(replies)
    }
}

/// Of how many lines a reply is; in any case it may be one `ERR` line instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One.
    Line,
    /// So many, each a `VAL` or a `NIL`.
    Lines(usize),
    /// As many `ITEM` lines as there are, closed by `END` (or `ERR`).
    Listing,
}

/// Whether a request may be sent again, when nobody knows whether it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing.
    Freely,
    /// It changes an entry that must have a certain version, and gives it another. Versions are never used twice, so it
    /// cannot happen a second time.
    UnderVersion,
    /// It may happen twice, and whoever sends it does not mind.
    Anyway,
    /// It would happen twice.
    Never,
}

/// A write that a client sends again when nobody knows whether it was carried out, since its sender does not mind if it
/// happens twice, or later than something else.
///
/// ```
/// use larder_client::request::{Again, Set};
///
/// let heartbeat = Again(Set::new("alive", "true"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Again<R>(pub R);

impl<R: Request> Request for Again<R> {
    type Reply = R::Reply;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        self.0.write(namespace, out)
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn repeat(&self) -> Repeat {
        match self.0.repeat() {
            Repeat::Never => Repeat::Anyway,
            repeat => repeat,
        }
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        R::read(replies)
    }
}

/// The lines of one reply, parsed one after the other.
#[derive(Clone, Debug)]
pub struct Replies<'a>(Lines<'a>);

impl<'a> Replies<'a> {
    pub(crate) fn new(reply: &'a [u8]) -> Self {
        Self(lines(reply))
    }

    /// The lines as they came, without their line ends.
    #[must_use]
    pub fn lines(self) -> Lines<'a> {
        self.0
    }

    /// The one line of a reply of [`Shape::Line`].
    pub fn one(mut self) -> Result<Reply<'a>, ReplyError> {
        self.next().unwrap_or(Err(ReplyError::Kind))
    }
}

impl<'a> Iterator for Replies<'a> {
    type Item = Result<Reply<'a>, ReplyError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Reply::parse)
    }
}

/// The options that requests have in common, left out where they have nothing to say.
trait Options {
    fn option_if_some(self, name: &str, value: Option<&str>) -> Self;
    fn flag(self, name: &str, set: bool) -> Self;
}

impl Options for RequestLine<'_> {
    fn option_if_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.option(name, value),
            None => self,
        }
    }

    fn flag(self, name: &str, set: bool) -> Self {
        if set { self.option(name, "1") } else { self }
    }
}

/// The method that every request to a namespace has.
macro_rules! in_namespace {
    ($($request:ident)*) => {$(
        impl<'a> $request<'a> {
            /// In this namespace, whatever the client's is.
            #[must_use]
            pub const fn in_namespace(self, namespace: &'a str) -> Self {
                Self { namespace: Some(namespace), ..self }
            }
        }
    )*};
}
use in_namespace;
