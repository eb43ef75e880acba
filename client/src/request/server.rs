//! Commands to the server as a whole.

use larder_protocol::reply::{Reply, ReplyError};
use larder_protocol::{RequestError, RequestLine, Verb};

use super::read::number;
use super::{Options, Repeat, Replies, Request};
use crate::reply;

/// `HELLO`: introduces the client, and asks for the server's version and limits. Optional.
#[derive(Clone, Copy, Default)]
pub struct Hello<'a> {
    token: Option<&'a str>,
    name: Option<&'a str>,
}

/// `PING`: asks whether anybody is there.
#[derive(Clone, Copy, Debug)]
pub struct Ping;

/// `SYNC`: is answered once all writes before it are durable, with the version of the last.
#[derive(Clone, Copy, Debug)]
pub struct Sync;

/// `STATS`: asks for counters, sizes and lag, as a JSON object.
#[derive(Clone, Copy, Debug)]
pub struct Stats;

/// `COMPACT`: gives the disk space of all that is dead back now. Is answered once that is done.
#[derive(Clone, Copy, Debug)]
pub struct Compact;

/// `BACKUP`: writes a backup under the server's directory for them. Is answered once it is durable.
#[derive(Clone, Copy, Debug)]
pub struct Backup<'a> {
    name: &'a str,
}

impl<'a> Backup<'a> {
    /// Of this name: up to 128 letters, digits, dots, `_` and `-`, without a dot in front.
    #[must_use]
    pub const fn new(name: &'a str) -> Self {
        Self { name }
    }
}

impl<'a> Hello<'a> {
    /// Without saying anything.
    #[must_use]
    pub const fn new() -> Self {
        Self { token: None, name: None }
    }

    /// With an access token.
    #[must_use]
    pub const fn token(self, token: &'a str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// With a name for the server's logs.
    #[must_use]
    pub const fn name(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }
}

/// The token is not shown.
impl std::fmt::Debug for Hello<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Request for Hello<'_> {
    type Reply = reply::Hello;

    fn write(&self, _: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let line = RequestLine::new(out, Verb::Hello).option_if_some("token", self.token);
        line.option_if_some("name", self.name).end()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Ok(fields) => reply::Hello::parse(fields.text()),
            _ => Err(ReplyError::Kind),
        }
    }
}

impl Request for Ping {
    type Reply = ();

    fn write(&self, _: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        RequestLine::new(out, Verb::Ping).end()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Ok(fields) => fields.none(),
            _ => Err(ReplyError::Kind),
        }
    }
}

impl Request for Sync {
    type Reply = u64;

    fn write(&self, _: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        RequestLine::new(out, Verb::Sync).end()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        number(replies.one()?)
    }
}

impl Request for Stats {
    type Reply = String;

    fn write(&self, _: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        RequestLine::new(out, Verb::Stats).end()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Ok(fields) if fields.text().starts_with('{') => Ok(fields.text().to_owned()),
            _ => Err(ReplyError::Kind),
        }
    }
}

impl Request for Backup<'_> {
    type Reply = reply::Backup;

    fn write(&self, _: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        RequestLine::new(out, Verb::Backup).token(self.name).end()
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Ok(fields) => reply::Backup::parse(fields.text()),
            _ => Err(ReplyError::Kind),
        }
    }
}

impl Request for Compact {
    type Reply = reply::Compaction;

    fn write(&self, _: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        RequestLine::new(out, Verb::Compact).end()
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Ok(fields) => reply::Compaction::parse(fields.text()),
            _ => Err(ReplyError::Kind),
        }
    }
}
