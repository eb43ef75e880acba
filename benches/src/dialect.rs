//! What the load generator has to know of a protocol: how a request is written, and where a reply ends.
//!
//! All dialects answer in the order asked, and so replies carry no identity here. A reply is recognised, not parsed:
//! its kind, the size of its value and, for a swap, its version are all that is looked at. Of what is announced to who
//! watches, it is which entry has expired.

mod larder;
mod memcached;
mod resp;

use std::str::FromStr;

use clap::ValueEnum;
use memchr::memchr;
use serde::Serialize;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// The line protocol of Larder, version 1.
    Larder,
    /// RESP2, as Redis and its relatives speak it.
    Resp,
    /// The text protocol of memcached.
    Memcached,
}

/// What is asked of a server. A swap stores a value if nobody has changed the entry since its [`Operation::GetToSwap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read one key.
    Get,
    /// Read one key, with what a swap needs.
    GetToSwap,
    /// Store a value under one key.
    Set,
    /// Store a value under one key if there is none.
    Add,
    /// Store a value under one key if it is as it was read.
    Swap,
    /// List entries with their values.
    Scan,
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// [`Operation::Get`]
    Get,
    /// [`Operation::GetToSwap`]
    GetToSwap,
    /// [`Operation::Set`]
    Set(Stored<'a>),
    /// [`Operation::Add`]
    Add(Stored<'a>),
    /// [`Operation::Swap`], with the version that was read.
    Swap(Stored<'a>, u64),
    /// [`Operation::Scan`]; of the keys that begin as this one, all but its last two bytes, so many at most.
    Scan(u32),
}

/// What is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// A JSON text without line feeds.
    pub value: &'a [u8],
    /// When it expires.
    pub expiry: Expiry,
}

/// When an entry expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Not at all.
    Never,
    /// So long after it is stored.
    After {
        /// Seconds, at least one.
        seconds: u32,
    },
    /// At a time.
    At {
        /// Unix milliseconds.
        unix_ms: u64,
    },
}

/// What a server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A write is done.
    Done,
    /// A condition did not hold, and nothing is changed.
    Refused,
    /// A value.
    Value {
        /// Its size.
        bytes: usize,
        /// Its version, where one was asked for and the dialect has one.
        version: u64,
    },
    /// So many entries.
    Entries(u64),
    /// No such key.
    Nil,
    /// The server refused; the text says why.
    Error,
}

/// A reply at the start of the bytes received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognised {
    /// What it says.
    pub reply: Reply,
    /// The bytes it takes, its end included.
    pub length: usize,
}

/// What a server tells a connection that watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// From now on everything is announced.
    Begun,
    /// The entry of this key number has expired.
    Expired(u64),
    /// Something else, and not of interest.
    Other,
    /// The server refused, or ends the watch; the text says why.
    Error,
}

/// The bytes are not the start of anything that a server could say here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Request<'_> {
    /// What it asks for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::Get => Operation::Get,
            Self::GetToSwap => Operation::GetToSwap,
            Self::Set(_) => Operation::Set,
            Self::Add(_) => Operation::Add,
            Self::Swap(..) => Operation::Swap,
            Self::Scan(_) => Operation::Scan,
        }
    }
}

impl Dialect {
    /// Whether it can list entries by their keys.
    #[must_use]
    pub fn has_scans(self) -> bool {
        self == Self::Larder
    }

    /// Appends a request about `key`.
    pub fn encode(self, key: &[u8], request: &Request<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Larder => larder::encode(key, request, out),
            Self::Resp => resp::encode(key, request, out),
            Self::Memcached => memcached::encode(key, request, out),
        }
    }

    /// The reply that `bytes` starts with, or `None` while it is incomplete.
    pub fn recognise(self, asked: Operation, bytes: &[u8]) -> Result<Option<Recognised>, Malformed> {
        match self {
            Self::Larder => larder::recognise(asked, bytes),
            Self::Resp => resp::recognise(asked, bytes),
            Self::Memcached => memcached::recognise(bytes),
        }
    }

    /// Appends a request to be told which entries expire, if the dialect has one.
    pub fn encode_watch(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Larder => larder::WATCH,
            Self::Resp => resp::WATCH,
            Self::Memcached => b"",
        });
    }

    /// The notice that `bytes` starts with and its length, or `None` while it is incomplete.
    pub fn recognise_notice(self, bytes: &[u8]) -> Result<Option<(Notice, usize)>, Malformed> {
        match self {
            Self::Larder => larder::recognise_notice(bytes),
            Self::Resp => resp::recognise_notice(bytes),
            Self::Memcached => Err(Malformed),
        }
    }
}

/// The line that `bytes` starts with, without its CR LF, and its length with them.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    let Some(end) = memchr(b'\n', bytes) else { return Ok(None) };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    Ok(Some((line, end + 1)))
}

/// A number that is nothing but digits.
fn decimal<T: FromStr>(text: &[u8]) -> Option<T> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn encode_decimal(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply with a value and no version.
    pub(super) fn value(bytes: usize) -> Reply {
        Reply::Value { bytes, version: 0 }
    }

    /// What is stored for ever.
    pub(super) fn stored(value: &str) -> Stored<'_> {
        Stored { value: value.as_bytes(), expiry: Expiry::Never }
    }

    /// The requests about `user:1`, one after the other.
    pub(super) fn encoded(dialect: Dialect, requests: &[Request<'_>]) -> String {
        let mut out = Vec::new();
        for request in requests {
            dialect.encode(b"user:1", request, &mut out);
        }
        String::from_utf8(out).expect("text")
    }

    /// Feeds the replies cut in two at every byte, keeping what is incomplete, as a connection does.
    pub(super) fn recognised_at_every_split(dialect: Dialect, expected: &[(Operation, &str, Reply)]) {
        let stream: String = expected.iter().map(|(_, text, _)| *text).collect();
        let stream = stream.as_bytes();
        for split in 0..=stream.len() {
            let (mut start, mut awaited) = (0, expected.iter());
            for end in [split, stream.len()] {
                while let Some((asked, text, reply)) = awaited.as_slice().first() {
                    let found = dialect.recognise(*asked, &stream[start..end]).expect("well formed");
                    let Some(found) = found else { break };
                    assert_eq!((found.reply, found.length), (*reply, text.len()), "split at {split}");
                    start += found.length;
                    awaited.next();
                }
            }
            assert_eq!(start, stream.len(), "split at {split}");
        }
    }

    /// The same of what is announced.
    pub(super) fn noticed_at_every_split(dialect: Dialect, stream: &[u8], expected: &[Notice]) {
        for split in 0..=stream.len() {
            let (mut notices, mut start) = (Vec::new(), 0);
            for end in [split, stream.len()] {
                while let Some((notice, length)) =
                    dialect.recognise_notice(&stream[start..end]).expect("well formed")
                {
                    notices.push(notice);
                    start += length;
                }
            }
            assert_eq!(notices, expected, "split at {split}");
            assert_eq!(start, stream.len(), "split at {split}");
        }
    }
}
