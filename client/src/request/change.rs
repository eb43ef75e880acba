//! Commands that change values, or many entries, on the server.

use std::time::Duration;

use larder_protocol::reply::{No, Reply, ReplyError};
use larder_protocol::{RequestError, RequestLine, Ttl, Verb};

use super::read::{number, value};
use super::write::{after, with_ttl};
use super::{Options, Repeat, Replies, Request, in_namespace};
use crate::reply::{Number, Patched};

/// `INCR`: adds to a number.
#[derive(Clone, Copy, Debug)]
pub struct Incr<'a> {
    key: &'a str,
    by: i64,
    init: i64,
    ttl: Option<Ttl>,
    namespace: Option<&'a str>,
}

/// `PATCH`: merges a JSON merge patch (RFC 7396) into a value.
#[derive(Clone, Copy, Debug)]
pub struct Patch<'a> {
    key: &'a str,
    json: &'a str,
    version: Option<u64>,
    namespace: Option<&'a str>,
}

/// `DELPREFIX`: deletes all entries whose keys begin so, a portion at a time, and tells how many.
#[derive(Clone, Copy, Debug)]
pub struct DelPrefix<'a> {
    prefix: &'a str,
    dry: bool,
    namespace: Option<&'a str>,
}

in_namespace! { Incr Patch DelPrefix }

impl<'a> Incr<'a> {
    /// By 1; an absent entry counts as 0.
    #[must_use]
    pub const fn new(key: &'a str) -> Self {
        Self { key, by: 1, init: 0, ttl: None, namespace: None }
    }

    /// By so much, which may be less than zero.
    #[must_use]
    pub const fn by(self, by: i64) -> Self {
        Self { by, ..self }
    }

    /// An absent entry counts as this, to which is added.
    #[must_use]
    pub const fn init(self, init: i64) -> Self {
        Self { init, ..self }
    }

    /// An entry that this creates expires after so long; the expiry of one that is there stays.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.expiring(after(ttl))
    }

    /// As [`ttl`](Self::ttl), after so long or at that instant.
    #[must_use]
    pub const fn expiring(self, ttl: Ttl) -> Self {
        Self { ttl: Some(ttl), ..self }
    }
}

impl<'a> Patch<'a> {
    /// With this merge patch, JSON text.
    #[must_use]
    pub const fn new(key: &'a str, json: &'a str) -> Self {
        Self { key, json, version: None, namespace: None }
    }

    /// Only if the entry has this version.
    #[must_use]
    pub const fn if_version(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }
}

impl<'a> DelPrefix<'a> {
    /// Those whose keys begin so; all of the namespace, if it is empty.
    #[must_use]
    pub const fn new(prefix: &'a str) -> Self {
        Self { prefix, dry: false, namespace: None }
    }

    /// Only counts them.
    #[must_use]
    pub const fn dry(self) -> Self {
        Self { dry: true, ..self }
    }
}

impl Request for Incr<'_> {
    type Reply = Number;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let line = RequestLine::new(out, Verb::Incr).token(self.key);
        let line = if self.by == 1 { line } else { line.option("by", &self.by.to_string()) };
        let line = if self.init == 0 { line } else { line.option("init", &self.init.to_string()) };
        let line = match self.ttl {
            None => line,
            Some(Ttl::At(unix_ms)) => line.option("ttl", &larder_protocol::rfc3339(unix_ms)),
            Some(ttl) => with_ttl(line, ttl),
        };
        line.option_if_some("ns", self.namespace.or(namespace)).end()
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Val { version, expires_ms, json } => {
                let number = json.parse().map_err(|_| ReplyError::Fields)?;
                Ok(Number { version, expires_ms, number })
            }
            _ => Err(ReplyError::Kind),
        }
    }
}

impl Request for Patch<'_> {
    type Reply = Patched;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let line = RequestLine::new(out, Verb::Patch).token(self.key);
        let line = match self.version {
            Some(version) => line.option_number("if", version),
            None => line,
        };
        line.option_if_some("ns", self.namespace.or(namespace)).json(self.json).end()
    }

    fn repeat(&self) -> Repeat {
        if self.version.is_some() { Repeat::UnderVersion } else { Repeat::Never }
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Nil => Ok(Patched::Absent),
            Reply::No(No::Version(version)) => Ok(Patched::Refused { version }),
            reply => value(&reply).map(Patched::Done).ok_or(ReplyError::Kind),
        }
    }
}

impl Request for DelPrefix<'_> {
    type Reply = u64;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let line = RequestLine::new(out, Verb::Delprefix).token(self.prefix).flag("dry", self.dry);
        line.option_if_some("ns", self.namespace.or(namespace)).end()
    }

    fn repeat(&self) -> Repeat {
        if self.dry { Repeat::Freely } else { Repeat::Never }
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        number(replies.one()?)
    }
}
