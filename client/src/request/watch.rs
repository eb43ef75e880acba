//! Following changes. The reply has no end, so a client has a method of its own for it.

use larder_protocol::reply::ReplyError;
use larder_protocol::{RequestError, RequestLine, Verb};

use super::read::number;
use super::{Options, Repeat, Replies, Request, in_namespace};

/// `WATCH`: follows changes. To be given to `watch` of a client.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) all: bool,
    pub(crate) from: Option<u64>,
    pub(crate) values: bool,
    pub(crate) namespace: Option<&'a str>,
}

in_namespace! { Watch }

impl<'a> Watch<'a> {
    /// All of the namespace, from now on.
    #[must_use]
    pub const fn all() -> Self {
        Self::prefix("")
    }

    /// Entries whose keys begin so, from now on.
    #[must_use]
    pub const fn prefix(prefix: &'a str) -> Self {
        Self { prefix, all: false, from: None, values: false, namespace: None }
    }

    /// In all namespaces of the organization, whatever the client's is.
    #[must_use]
    pub const fn in_all_namespaces(self) -> Self {
        Self { all: true, namespace: None, ..self }
    }

    /// Everything after this version: that of the last event, as a rule.
    #[must_use]
    pub const fn from(self, version: u64) -> Self {
        Self { from: Some(version), ..self }
    }

    /// With the values.
    #[must_use]
    pub const fn values(self) -> Self {
        Self { values: true, ..self }
    }
}

/// The request that begins it, and whose reply is the version after which events come.
pub(crate) struct Begin<'w>(pub(crate) Watch<'w>);

impl Request for Begin<'_> {
    type Reply = u64;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let watch = &self.0;
        let line = RequestLine::new(out, Verb::Watch)
            .option_if_some("prefix", Some(watch.prefix).filter(|prefix| !prefix.is_empty()))
            .flag("all", watch.all)
            .flag("values", watch.values);
        let line = match watch.from {
            Some(version) => line.option_number("from", version),
            None => line,
        };
        line.option_if_some("ns", watch.namespace.or(namespace).filter(|_| !watch.all)).end()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Freely
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        number(replies.one()?)
    }
}
