//! What the load generator has to know of a protocol: how a GET and a SET are written, and where a reply ends.
//!
//! Both dialects answer in the order asked, and so replies carry no identity here. A reply is recognised, not parsed:
//! its kind and the size of its value are all that the check needs. Of what is announced to who watches, it is which
//! entry has expired.

mod larder;
mod resp;

use clap::ValueEnum;
use serde::Serialize;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// The line protocol of Larder, version 1.
    Larder,
    /// RESP2, as Redis and its relatives speak it.
    Resp,
}

/// What a server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A write is done.
    Done,
    /// A value of this many bytes.
    Value(usize),
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

impl Dialect {
    /// Appends a request for the value of `key`.
    pub fn encode_get(self, key: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Larder => larder::encode_get(key, out),
            Self::Resp => resp::encode_get(key, out),
        }
    }

    /// Appends a request to store `value`, a JSON text without line feeds, under `key`.
    pub fn encode_set(self, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Larder => larder::encode_set(key, value, out),
            Self::Resp => resp::encode_set(key, value, out),
        }
    }

    /// Appends a request to store `value` under `key` until a time in Unix milliseconds.
    pub fn encode_set_until(self, key: &[u8], value: &[u8], deadline_ms: u64, out: &mut Vec<u8>) {
        match self {
            Self::Larder => larder::encode_set_until(key, value, deadline_ms, out),
            Self::Resp => resp::encode_set_until(key, value, deadline_ms, out),
        }
    }

    /// Appends a request to be told which entries expire.
    pub fn encode_watch(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Larder => larder::WATCH,
            Self::Resp => resp::WATCH,
        });
    }

    /// The notice that `bytes` starts with and its length, or `None` while it is incomplete.
    pub fn recognise_notice(self, bytes: &[u8]) -> Result<Option<(Notice, usize)>, Malformed> {
        match self {
            Self::Larder => larder::recognise_notice(bytes),
            Self::Resp => resp::recognise_notice(bytes),
        }
    }

    /// The reply that `bytes` starts with, or `None` while it is incomplete.
    pub fn recognise(self, bytes: &[u8]) -> Result<Option<Recognised>, Malformed> {
        match self {
            Self::Larder => larder::recognise(bytes),
            Self::Resp => resp::recognise(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the stream cut in two at every byte, keeping what is incomplete, as a connection does.
    pub(super) fn recognised_at_every_split(dialect: Dialect, stream: &[u8], expected: &[Reply]) {
        for split in 0..=stream.len() {
            let mut replies = Vec::new();
            let mut start = 0;
            for end in [split, stream.len()] {
                while let Some(found) = dialect.recognise(&stream[start..end]).expect("well formed") {
                    replies.push(found.reply);
                    start += found.length;
                }
            }
            assert_eq!(replies, expected, "split at {split}");
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
