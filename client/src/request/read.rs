//! Commands that read.

use larder_protocol::reply::{No, Reply, ReplyError};
use larder_protocol::{RequestError, RequestLine, Verb};

use super::{Options, Repeat, Replies, Request, Shape, in_namespace};
use crate::reply::{self, AtPath, TimeLeft, Value};

/// `GET`: reads a value.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    key: &'a str,
    namespace: Option<&'a str>,
}

/// `GET path=`: reads one place of a value.
#[derive(Clone, Copy, Debug)]
pub struct GetPath<'a> {
    key: &'a str,
    path: &'a str,
    namespace: Option<&'a str>,
}

/// `ENTRY`: reads an entry with all its fields.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    key: &'a str,
    namespace: Option<&'a str>,
}

/// `MGET`: reads up to 1,000 values, in order.
#[derive(Clone, Copy, Debug)]
pub struct Mget<'a> {
    keys: &'a [&'a str],
    namespace: Option<&'a str>,
}

/// `EXISTS`: counts how many of up to 1,000 keys are live.
#[derive(Clone, Copy, Debug)]
pub struct Exists<'a> {
    keys: &'a [&'a str],
    namespace: Option<&'a str>,
}

/// `TTL`: tells how long an entry still lives.
#[derive(Clone, Copy, Debug)]
pub struct TimeToLive<'a> {
    key: &'a str,
    namespace: Option<&'a str>,
}

/// `COUNT`: counts live entries.
#[derive(Clone, Copy, Debug)]
pub struct Count<'a> {
    prefix: &'a str,
    namespace: Option<&'a str>,
}

in_namespace! { Get GetPath Entry Mget Exists TimeToLive Count }

impl<'a> Get<'a> {
    /// Of this entry.
    #[must_use]
    pub const fn new(key: &'a str) -> Self {
        Self { key, namespace: None }
    }

    /// Only the place of the value that this JSON pointer (RFC 6901) names.
    #[must_use]
    pub const fn path(self, pointer: &'a str) -> GetPath<'a> {
        GetPath { key: self.key, path: pointer, namespace: self.namespace }
    }
}

impl<'a> Entry<'a> {
    /// This entry.
    #[must_use]
    pub const fn new(key: &'a str) -> Self {
        Self { key, namespace: None }
    }
}

impl<'a> Mget<'a> {
    /// Of these entries.
    #[must_use]
    pub const fn new(keys: &'a [&'a str]) -> Self {
        Self { keys, namespace: None }
    }
}

impl<'a> Exists<'a> {
    /// These keys; one named twice counts twice.
    #[must_use]
    pub const fn new(keys: &'a [&'a str]) -> Self {
        Self { keys, namespace: None }
    }
}

impl<'a> TimeToLive<'a> {
    /// Of this entry.
    #[must_use]
    pub const fn new(key: &'a str) -> Self {
        Self { key, namespace: None }
    }
}

impl<'a> Count<'a> {
    /// All of the namespace.
    #[must_use]
    pub const fn all() -> Self {
        Self::prefix("")
    }

    /// Those whose keys begin so.
    #[must_use]
    pub const fn prefix(prefix: &'a str) -> Self {
        Self { prefix, namespace: None }
    }
}

impl Request for Get<'_> {
    type Reply = Option<Value>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        key_alone(out, Verb::Get, self.key, self.namespace.or(namespace))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        value_or_nil(replies.one()?)
    }
}

impl Request for GetPath<'_> {
    type Reply = AtPath;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let line = RequestLine::new(out, Verb::Get).token(self.key).option("path", self.path);
        line.option_if_some("ns", self.namespace.or(namespace)).end()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::No(No::Path) => Ok(AtPath::Nothing),
            reply => Ok(value_or_nil(reply)?.map_or(AtPath::Absent, AtPath::Value)),
        }
    }
}

impl Request for Entry<'_> {
    type Reply = Option<reply::Entry>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        key_alone(out, Verb::Entry, self.key, self.namespace.or(namespace))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Ok(fields) => reply::Entry::parse(fields.text()).map(Some),
            Reply::Nil => Ok(None),
            _ => Err(ReplyError::Kind),
        }
    }
}

impl Request for Mget<'_> {
    type Reply = Vec<Option<Value>>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        keys(out, Verb::Mget, self.keys, self.namespace.or(namespace))
    }

    fn shape(&self) -> Shape {
        Shape::Lines(self.keys.len())
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        replies.map(|reply| value_or_nil(reply?)).collect()
    }
}

impl Request for Exists<'_> {
    type Reply = u64;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        keys(out, Verb::Exists, self.keys, self.namespace.or(namespace))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        number(replies.one()?)
    }
}

impl Request for TimeToLive<'_> {
    type Reply = Option<TimeLeft>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        key_alone(out, Verb::Ttl, self.key, self.namespace.or(namespace))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Ok(fields) => Ok(Some(fields.number_or_none()?.map_or(TimeLeft::Unlimited, TimeLeft::Ms))),
            Reply::Nil => Ok(None),
            _ => Err(ReplyError::Kind),
        }
    }
}

impl Request for Count<'_> {
    type Reply = u64;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let prefix = Some(self.prefix).filter(|prefix| !prefix.is_empty());
        let line = RequestLine::new(out, Verb::Count).option_if_some("prefix", prefix);
        line.option_if_some("ns", self.namespace.or(namespace)).end()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        number(replies.one()?)
    }
}

pub(super) fn key_alone(
    out: &mut Vec<u8>,
    verb: Verb,
    key: &str,
    namespace: Option<&str>,
) -> Result<(), RequestError> {
    RequestLine::new(out, verb).token(key).option_if_some("ns", namespace).end()
}

fn keys(out: &mut Vec<u8>, verb: Verb, keys: &[&str], namespace: Option<&str>) -> Result<(), RequestError> {
    let line = keys.iter().fold(RequestLine::new(out, verb), |line, key| line.token(key));
    line.option_if_some("ns", namespace).end()
}

pub(super) fn value(reply: &Reply<'_>) -> Option<Value> {
    match *reply {
        Reply::Val { version, expires_ms, json } => {
            Some(Value { version, expires_ms, json: json.to_owned() })
        }
        _ => None,
    }
}

fn value_or_nil(reply: Reply<'_>) -> Result<Option<Value>, ReplyError> {
    match reply {
        Reply::Nil => Ok(None),
        reply => value(&reply).map(Some).ok_or(ReplyError::Kind),
    }
}

pub(super) fn number(reply: Reply<'_>) -> Result<u64, ReplyError> {
    match reply {
        Reply::Ok(fields) => fields.number(),
        _ => Err(ReplyError::Kind),
    }
}
