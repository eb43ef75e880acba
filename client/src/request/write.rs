//! Commands that write.

use std::time::Duration;

use larder_protocol::reply::{No, Reply, ReplyError};
use larder_protocol::{
    Condition, Expiry, RequestError, RequestLine, SetOptions, TransactionLine, Ttl, ValueType, Verb, rfc3339,
};

use super::read::{key_alone, value};
use super::{Options, Repeat, Replies, Request, in_namespace};
use crate::reply::{Deletion, Outcome, Refusal, Stamp, Value};

/// `SET`: creates or replaces an entry.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    key: &'a str,
    json: &'a str,
    expiry: Expiry,
    condition: Option<Condition>,
    value_type: Option<ValueType>,
    description: Option<&'a str>,
    namespace: Option<&'a str>,
}

/// `DEL`: deletes an entry.
#[derive(Clone, Copy, Debug)]
pub struct Del<'a> {
    key: &'a str,
    version: Option<u64>,
    namespace: Option<&'a str>,
}

/// `DEL get=1`: deletes an entry and hands back its value.
#[derive(Clone, Copy, Debug)]
pub struct Take<'a>(Del<'a>);

/// `TOUCH`: gives an entry a new expiry.
#[derive(Clone, Copy, Debug)]
pub struct Touch<'a> {
    key: &'a str,
    ttl: Ttl,
    namespace: Option<&'a str>,
}

/// `PERSIST`: takes the expiry from an entry.
#[derive(Clone, Copy, Debug)]
pub struct Persist<'a> {
    key: &'a str,
    namespace: Option<&'a str>,
}

in_namespace! { Set Del Touch Persist }

impl<'a> Set<'a> {
    /// To this JSON text. Without further options the entry never expires, whatever its expiry was before.
    #[must_use]
    pub const fn new(key: &'a str, json: &'a str) -> Self {
        Self {
            key,
            json,
            expiry: Expiry::Clear,
            condition: None,
            value_type: None,
            description: None,
            namespace: None,
        }
    }

    /// Expires after so long. What is finer than a millisecond counts as a whole one.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.expiry(Expiry::Set(after(ttl)))
    }

    /// With this expiry; [`Expiry::Keep`] leaves that of the entry as it is.
    #[must_use]
    pub const fn expiry(self, expiry: Expiry) -> Self {
        Self { expiry, ..self }
    }

    /// Only if there is no such live entry.
    #[must_use]
    pub const fn if_absent(self) -> Self {
        self.condition(Condition::Absent)
    }

    /// Only if there is such a live entry.
    #[must_use]
    pub const fn if_present(self) -> Self {
        self.condition(Condition::Present)
    }

    /// Only if the entry has this version.
    #[must_use]
    pub const fn if_version(self, version: u64) -> Self {
        self.condition(Condition::Version(version))
    }

    /// Only under this condition.
    #[must_use]
    pub const fn condition(self, condition: Condition) -> Self {
        Self { condition: Some(condition), ..self }
    }

    /// As this type, where the value alone does not tell.
    #[must_use]
    pub const fn value_type(self, value_type: ValueType) -> Self {
        Self { value_type: Some(value_type), ..self }
    }

    /// With a note of at most 1,000 characters.
    #[must_use]
    pub const fn description(self, description: &'a str) -> Self {
        Self { description: Some(description), ..self }
    }
}

impl Set<'_> {
    /// As an operation of a transaction.
    pub(super) fn operate<'o>(&self, line: TransactionLine<'o>) -> TransactionLine<'o> {
        let Self { key, json, expiry, value_type, description, namespace, condition: _ } = *self;
        line.set(key, json, SetOptions { ns: namespace, expiry, value_type, description })
    }

    /// The namespace, if it has one of its own, and the key.
    pub(super) const fn target(&self) -> (Option<&str>, &str) {
        (self.namespace, self.key)
    }

    pub(super) const fn is_conditional(&self) -> bool {
        self.condition.is_some()
    }
}

impl Del<'_> {
    /// As an operation of a transaction.
    pub(super) fn operate<'o>(&self, line: TransactionLine<'o>) -> TransactionLine<'o> {
        line.del(self.namespace, self.key)
    }

    /// The namespace, if it has one of its own, and the key.
    pub(super) const fn target(&self) -> (Option<&str>, &str) {
        (self.namespace, self.key)
    }

    pub(super) const fn is_conditional(&self) -> bool {
        self.version.is_some()
    }
}

impl<'a> Del<'a> {
    /// This entry.
    #[must_use]
    pub const fn new(key: &'a str) -> Self {
        Self { key, version: None, namespace: None }
    }

    /// Only if the entry has this version.
    #[must_use]
    pub const fn if_version(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// And hands back what it deletes.
    #[must_use]
    pub const fn taking(self) -> Take<'a> {
        Take(self)
    }

    fn line<'o>(&self, namespace: Option<&str>, out: &'o mut Vec<u8>) -> RequestLine<'o> {
        let line = RequestLine::new(out, Verb::Del).token(self.key);
        let line = match self.version {
            Some(version) => line.option_number("if", version),
            None => line,
        };
        line.option_if_some("ns", self.namespace.or(namespace))
    }
}

impl<'a> Touch<'a> {
    /// With this expiry.
    #[must_use]
    pub const fn new(key: &'a str, ttl: Ttl) -> Self {
        Self { key, ttl, namespace: None }
    }

    /// After so long. What is finer than a millisecond counts as a whole one.
    #[must_use]
    pub fn after(key: &'a str, ttl: Duration) -> Self {
        Self::new(key, after(ttl))
    }
}

impl<'a> Persist<'a> {
    /// This entry.
    #[must_use]
    pub const fn new(key: &'a str) -> Self {
        Self { key, namespace: None }
    }
}

impl Request for Set<'_> {
    type Reply = Outcome<Stamp>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let line = RequestLine::new(out, Verb::Set).token(self.key);
        let line = match self.expiry {
            Expiry::Clear => line,
            Expiry::Keep => line.flag("keepttl", true),
            Expiry::Set(ttl) => with_ttl(line, ttl),
        };
        let line = match self.condition {
            None => line,
            Some(Condition::Absent) => line.option("if", "absent"),
            Some(Condition::Present) => line.option("if", "present"),
            Some(Condition::Version(version)) => line.option_number("if", version),
        };
        line.option_if_some("type", self.value_type.map(ValueType::as_str))
            .option_if_some("desc", self.description)
            .option_if_some("ns", self.namespace.or(namespace))
            .json(self.json)
            .end()
    }

    fn repeat(&self) -> Repeat {
        match self.condition {
            Some(Condition::Version(_)) => Repeat::UnderVersion,
            Some(Condition::Absent | Condition::Present) | None => Repeat::Never,
        }
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Ok(fields) => fields.written().map(|written| Outcome::Done(Stamp::from(written))),
            Reply::No(No::Exists(version)) => Ok(Outcome::Refused(Refusal::Exists { version })),
            Reply::No(No::Version(version)) => Ok(Outcome::Refused(Refusal::Version { version })),
            Reply::No(No::Absent) => Ok(Outcome::Refused(Refusal::Absent)),
            _ => Err(ReplyError::Kind),
        }
    }
}

impl Request for Del<'_> {
    type Reply = Deletion<u64>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        self.line(namespace, out).end()
    }

    fn repeat(&self) -> Repeat {
        if self.version.is_some() { Repeat::UnderVersion } else { Repeat::Never }
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        match replies.one()? {
            Reply::Ok(fields) => fields.number().map(Deletion::Deleted),
            reply => undeleted(&reply),
        }
    }
}

impl Request for Take<'_> {
    type Reply = Deletion<Value>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        self.0.line(namespace, out).flag("get", true).end()
    }

    fn repeat(&self) -> Repeat {
        self.0.repeat()
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        let reply = replies.one()?;
        value(&reply).map_or_else(|| undeleted(&reply), |value| Ok(Deletion::Deleted(value)))
    }
}

impl Request for Touch<'_> {
    type Reply = Option<Stamp>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let line = with_ttl(RequestLine::new(out, Verb::Touch).token(self.key), self.ttl);
        line.option_if_some("ns", self.namespace.or(namespace)).end()
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        stamp_or_nil(replies.one()?)
    }
}

impl Request for Persist<'_> {
    type Reply = Option<Stamp>;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        key_alone(out, Verb::Persist, self.key, self.namespace.or(namespace))
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        stamp_or_nil(replies.one()?)
    }
}

/// Milliseconds of a duration, a part of one counting as a whole: an entry never expires early.
pub(super) fn after(ttl: Duration) -> Ttl {
    let ms = ttl.as_nanos().div_ceil(1_000_000);
    Ttl::After(u64::try_from(ms).unwrap_or(u64::MAX))
}

pub(super) fn with_ttl(line: RequestLine<'_>, ttl: Ttl) -> RequestLine<'_> {
    match ttl {
        Ttl::After(ms) => line.option("ttl", &format!("{ms}ms")),
        Ttl::At(unix_ms) => line.option("at", &rfc3339(unix_ms)),
    }
}

fn stamp_or_nil(reply: Reply<'_>) -> Result<Option<Stamp>, ReplyError> {
    match reply {
        Reply::Ok(fields) => fields.written().map(|written| Some(Stamp::from(written))),
        Reply::Nil => Ok(None),
        _ => Err(ReplyError::Kind),
    }
}

fn undeleted<T>(reply: &Reply<'_>) -> Result<Deletion<T>, ReplyError> {
    match *reply {
        Reply::Nil => Ok(Deletion::Absent),
        Reply::No(No::Version(version)) => Ok(Deletion::Refused { version }),
        _ => Err(ReplyError::Kind),
    }
}
