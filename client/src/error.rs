//! What can go wrong, and whether a write may have happened all the same. A condition that did not hold is none of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use larder_protocol::reply::{Reply, ReplyError};
use larder_protocol::{Code, RequestError};

/// Why there is no reply. `docs/client.md` tells of each what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No connection came about, so nothing was sent. Kind and text are those of the system, of the resolver of names, or of
    /// TLS.
    #[error("cannot connect to {addr}: {source}")]
    Connect {
        /// Where to.
        addr: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[source] Arc<io::Error>),
    /// The server ended the connection before it had answered.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// For that long there was no answer, or not a byte of one.
    #[error("the server did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// A client knows that the request was not sent in full, so it was not carried out.
    #[error("the request was not sent: {cause}")]
    NotSent {
        /// Why not.
        cause: Box<Error>,
    },
    /// A client has sent a write and was not told what became of it: it may have happened, or may happen yet.
    #[error("it is not known whether the write has happened: {cause}")]
    InDoubt {
        /// What kept the answer.
        cause: Box<Error>,
    },
    /// A write under a version was sent a second time, as nothing was known of the first, and its condition did not hold any
    /// more: either the first has changed the entry, or somebody else has. This is the cause of an [`Error::InDoubt`].
    #[error("sent again, the condition did not hold any more: {reply}")]
    Overtaken {
        /// What the server said, as `NO VERSION 7`.
        reply: String,
    },
    /// The server answered with an error. The connection goes on, unless the code says that the server closes it.
    #[error("{text} ({code})")]
    Server {
        /// The code, for programs.
        code: Code,
        /// The text, for people.
        text: String,
    },
    /// The server's log does not go back to the version that a watch is to begin after. Begin anew, with a listing.
    #[error("{text} ({})", Code::Compacted)]
    Compacted {
        /// The lowest version that a watch can begin after at the moment.
        floor: u64,
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
    /// A value is not of the type that it was to be read as.
    #[cfg(feature = "serde")]
    #[error("the value is not of this type: {0}")]
    Decode(#[source] Arc<serde_json::Error>),
    /// A value cannot be put into JSON, and nothing was sent.
    #[cfg(feature = "serde")]
    #[error("the value cannot be written as JSON: {0}")]
    Encode(#[source] Arc<serde_json::Error>),
    /// What came is not a reply to what was sent.
    #[error("the peer does not keep to the protocol: {0}")]
    Protocol(#[from] ReplyError),
    /// A reply is larger than [`Options::reply_bytes_max`](crate::Options::reply_bytes_max).
    #[error("a reply is larger than {0} bytes, the limit reply_bytes_max")]
    TooLarge(usize),
    /// Of a single connection: this reply was passed over, because one to a later request was received first, or it belongs
    /// to another connection.
    #[error("the reply was passed over: replies are received in the order of their requests")]
    PassedOver,
    /// Of a single connection: an earlier error has made it unusable.
    #[error("an earlier error has made this connection unusable; open another")]
    Poisoned,
}

impl Error {
    /// The server's code, if an answer of the server's is at the bottom of this.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Server { code, .. } => Some(*code),
            Self::Compacted { .. } => Some(Code::Compacted),
            Self::NotSent { cause } | Self::InDoubt { cause } => cause.code(),
            _ => None,
        }
    }

    /// Whether a write may have happened although this is what became of its request, or may happen yet. Always said where
    /// it is not certain that it has not.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::NotSent { .. } | Self::Request(_) | Self::Compacted { .. } => false,
            #[cfg(feature = "serde")]
            Self::Encode(_) => false,
            Self::Server { code, .. } => {
                matches!(code, Code::InDoubt | Code::Internal | Code::Shutdown)
            }
            _ => true,
        }
    }

    /// Whether the same request may be answered at another time. Of a write see first whether it
    /// [may have happened](Self::may_have_happened), and so may happen twice.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Unsupported
            ),
            Self::Io(_) | Self::Closed | Self::Timeout(_) => true,
            Self::NotSent { cause } | Self::InDoubt { cause } => cause.is_retryable(),
            Self::Server { code, .. } => matches!(
                code,
                Code::Rate
                    | Code::NoSpace
                    | Code::AuthTimeout
                    | Code::TooManyConn
                    | Code::Slow
                    | Code::Idle
                    | Code::Incomplete
                    | Code::Shutdown
            ),
            _ => false,
        }
    }

    /// How long to wait before the next try, where the server says so: with [`Code::Rate`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server { code: Code::Rate, text } => {
                let (_, after) = text.split_once("retry_ms=")?;
                let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
                digits.parse().ok().map(Duration::from_millis)
            }
            Self::NotSent { cause } | Self::InDoubt { cause } => cause.retry_after(),
            _ => None,
        }
    }

    /// Whether a single connection can be used no more after this.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Server { code, .. } => code.closes_connection(),
            Self::UnknownCode { .. } | Self::Compacted { .. } | Self::Request(_) | Self::PassedOver => false,
            #[cfg(feature = "serde")]
            Self::Decode(_) | Self::Encode(_) => false,
            _ => true,
        }
    }

    /// Whether the server says with this that it has not looked at what was sent to it.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(
            self,
            Self::Server { code: Code::TooManyConn | Code::AuthTimeout | Code::Idle | Code::Http, .. }
        )
    }

    /// What happens to those behind a reply that was none of the protocol's.
    pub(crate) fn astray() -> Self {
        Self::Io(Arc::new(io::Error::new(
            io::ErrorKind::InvalidData,
            "an earlier reply was none of the protocol's",
        )))
    }

    /// As what became of a write that was sent.
    pub(crate) fn in_doubt(self) -> Self {
        Self::InDoubt { cause: Box::new(self) }
    }

    /// As what became of a request that was not sent.
    pub(crate) fn not_sent(self) -> Self {
        if self.may_have_happened() { Self::NotSent { cause: Box::new(self) } } else { self }
    }
}

/// The error that a whole reply ends with, if it does.
pub(crate) fn server_error(lines: &[u8]) -> Result<Option<Error>, ReplyError> {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let last = lines.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    if !last.starts_with(b"ERR") {
        return Ok(None);
    }
    let last = last.strip_suffix(b"\r").unwrap_or(last);
    let Reply::Err { code, text } = Reply::parse(last)? else { return Err(ReplyError::Kind) };
    let floor = || text.split(' ').next().and_then(|floor| floor.parse().ok());
    let text = text.to_owned();
    Ok(Some(match Code::from_name(code) {
        Some(Code::Compacted) if let Some(floor) = floor() => Error::Compacted { floor, text },
        Some(code) => Error::Server { code, text },
        None => Error::UnknownCode { code: code.to_owned(), text },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: Code) -> Error {
        Error::Server { code, text: String::new() }
    }

    /// A code that is forgotten in the lists above is neither tried again nor taken for harmless by chance.
    #[test]
    fn every_code_is_judged() {
        let of = |judge: fn(&Error) -> bool| -> Vec<_> {
            Code::ALL.iter().filter(|&&code| judge(&server(code))).map(|code| code.as_str()).collect()
        };
        assert_eq!(of(Error::may_have_happened), ["INDOUBT", "INTERNAL", "SHUTDOWN"]);
        assert_eq!(
            of(Error::is_retryable),
            ["RATE", "NOSPACE", "AUTHTIMEOUT", "TOOMANYCONN", "SLOW", "IDLE", "INCOMPLETE", "SHUTDOWN"]
        );
    }

    #[test]
    fn a_cause_is_looked_through() {
        let closed = || Error::Closed.in_doubt();
        assert!(closed().may_have_happened() && closed().is_retryable() && closed().code().is_none());
        let down = server(Code::Shutdown).not_sent();
        assert!(!down.may_have_happened() && down.is_retryable());
        assert_eq!(down.code(), Some(Code::Shutdown));
        assert!(matches!(server(Code::NoAuth).not_sent(), Error::Server { code: Code::NoAuth, .. }));
    }

    #[test]
    fn how_long_to_wait_is_read_where_it_stands() {
        let rate = |text: &str| Error::Server { code: Code::Rate, text: text.to_owned() }.retry_after();
        assert_eq!(rate("too many; retry_ms=250"), Some(Duration::from_millis(250)));
        assert_eq!(rate("retry_ms=7, then"), Some(Duration::from_millis(7)));
        assert_eq!(
            (rate("too many"), rate("retry_ms="), server(Code::Quota).retry_after()),
            (None, None, None)
        );
    }

    #[test]
    fn a_floor_is_read_where_there_is_one() {
        let read = |line: &str| server_error(line.as_bytes()).unwrap().unwrap();
        let error = read("ERR COMPACTED 7 is the lowest\n");
        assert!(matches!(error, Error::Compacted { floor: 7, .. }), "{error:?}");
        assert_eq!(error.to_string(), "7 is the lowest (COMPACTED)");
        assert_eq!(read("ERR COMPACTED gone\n").code(), Some(Code::Compacted));
    }
}
