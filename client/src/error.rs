//! What can go wrong. A condition that did not hold is none of it.

use std::io;
use std::time::Duration;

use larder_protocol::reply::ReplyError;
use larder_protocol::{Code, RequestError};

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection came about.
    #[error("cannot connect to {addr}: {source}")]
    Connect {
        /// Where to.
        addr: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection failed. A write that was not yet answered may or may not have happened.
    #[error("the connection failed: {0}")]
    Io(#[source] io::Error),
    /// The server ended the connection before it had answered. As with [`Error::Io`], an unanswered write is in doubt.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// For that long not a byte moved while a reply was due. An unanswered write is in doubt.
    #[error("the server did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The server answered with an error. The connection goes on, unless the code says that the server closes it.
    #[error("{text} ({code})")]
    Server {
        /// The code, for programs.
        code: Code,
        /// The text, for people.
        text: String,
    },
    /// The server answered with an error whose code this version does not know.
    #[error("{text} ({code})")]
    UnknownCode {
        /// The code as it came.
        code: String,
        /// The text, for people.
        text: String,
    },
    /// The request cannot be written, as with a value that is not JSON. Nothing was sent, and the connection goes on.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What came is not a reply to what was sent.
    #[error("the peer does not keep to the protocol: {0}")]
    Protocol(#[from] ReplyError),
    /// A reply is larger than [`Options::reply_bytes_max`](crate::Options::reply_bytes_max).
    #[error("a reply is larger than {0} bytes, the limit reply_bytes_max")]
    TooLarge(usize),
    /// This reply was passed over, because one to a later request was received first, or it belongs to another
    /// connection.
    #[error("the reply was passed over: replies are received in the order of their requests")]
    PassedOver,
    /// An earlier error has made this connection unusable.
    #[error("an earlier error has made this connection unusable; open another")]
    Poisoned,
}

impl Error {
    /// The server's code, if this is an answer of the server's.
    #[must_use]
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Server { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the connection can be used no more after this.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        match self {
            Self::Server { code, .. } => code.closes_connection(),
            Self::UnknownCode { .. } | Self::Request(_) | Self::PassedOver => false,
            _ => true,
        }
    }
}
