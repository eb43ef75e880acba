//! `TXN`: checks and writes, all or nothing.

use larder_protocol::reply::{No, Reply, ReplyError};
use larder_protocol::{RequestError, RequestLine, Verb};

use super::{Del, Options, Repeat, Replies, Request, Set, in_namespace};
use crate::reply::Commit;

/// `TXN`: at most 1,000 checks, decided on the state before, and at most 1,000 operations, done in order if all of them hold.
///
/// ```
/// use larder_client::request::{Del, Request, Set, Transaction};
///
/// let transaction = Transaction::new().check("a", 7).set(Set::new("a", "1")).del(Del::new("b"));
/// let mut line = Vec::new();
/// transaction.write(None, &mut line)?;
/// assert_eq!(line, br#"TXN {"check":[{"key":"a","version":7}],"ops":[["set","a",1],["del","b"]]}
/// "#);
/// # Ok::<(), larder_client::RequestError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Transaction<'a> {
    checks: Vec<Check<'a>>,
    operations: Vec<Operation<'a>>,
    namespace: Option<&'a str>,
}

/// `TXN`, whose document is there already. Nested as deeply as it is, values within it may have 125 levels of their own.
#[derive(Clone, Copy, Debug)]
pub struct TransactionText<'a> {
    json: &'a str,
    namespace: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
struct Check<'a> {
    key: &'a str,
    namespace: Option<&'a str>,
    version: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Operation<'a> {
    Set(Set<'a>),
    Del(Del<'a>),
}

in_namespace! { TransactionText }

impl<'a> Transaction<'a> {
    /// Without checks and operations.
    #[must_use]
    pub const fn new() -> Self {
        Self { checks: Vec::new(), operations: Vec::new(), namespace: None }
    }

    /// In this namespace, whatever the client's is. An operation may still have one of its own.
    #[must_use]
    pub fn in_namespace(self, namespace: &'a str) -> Self {
        Self { namespace: Some(namespace), ..self }
    }

    /// Only if this entry has this version.
    #[must_use]
    pub fn check(self, key: &'a str, version: u64) -> Self {
        self.with(Check { key, namespace: None, version: Some(version) })
    }

    /// Only if there is no such live entry.
    #[must_use]
    pub fn check_absent(self, key: &'a str) -> Self {
        self.with(Check { key, namespace: None, version: None })
    }

    /// As [`check`](Self::check) and, for no version, [`check_absent`](Self::check_absent), in a namespace of its own.
    #[must_use]
    pub fn check_in(self, namespace: &'a str, key: &'a str, version: Option<u64>) -> Self {
        self.with(Check { key, namespace: Some(namespace), version })
    }

    /// Sets an entry. It may have all options of a [`Set`] but a condition.
    #[must_use]
    pub fn set(self, set: Set<'a>) -> Self {
        self.then(Operation::Set(set))
    }

    /// Deletes an entry, if it is there. It may have no condition.
    #[must_use]
    pub fn del(self, del: Del<'a>) -> Self {
        self.then(Operation::Del(del))
    }

    fn with(mut self, check: Check<'a>) -> Self {
        self.checks.push(check);
        self
    }

    fn then(mut self, operation: Operation<'a>) -> Self {
        self.operations.push(operation);
        self
    }
}

impl<'a> TransactionText<'a> {
    /// This one.
    #[must_use]
    pub const fn new(json: &'a str) -> Self {
        Self { json, namespace: None }
    }
}

impl Operation<'_> {
    const fn is_conditional(&self) -> bool {
        match self {
            Self::Set(set) => set.is_conditional(),
            Self::Del(del) => del.is_conditional(),
        }
    }

    /// The namespace, if it has one of its own, and the key.
    const fn target(&self) -> (Option<&str>, &str) {
        match self {
            Self::Set(set) => set.target(),
            Self::Del(del) => del.target(),
        }
    }
}

impl Request for Transaction<'_> {
    type Reply = Commit;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        if self.operations.iter().any(Operation::is_conditional) {
            return Err(RequestError::Condition);
        }
        let line = RequestLine::new(out, Verb::Txn).option_if_some("ns", self.namespace.or(namespace));
        let checked = self
            .checks
            .iter()
            .fold(line.transaction(), |line, check| line.check(check.namespace, check.key, check.version));
        let operations = self.operations.iter().fold(checked, |line, operation| match operation {
            Operation::Set(set) => set.operate(line),
            Operation::Del(del) => del.operate(line),
        });
        operations.end()
    }

    /// Safe if a check on a version is of an entry that the transaction changes: then the check does not hold a second time.
    fn repeat(&self) -> Repeat {
        let changes =
            |check: &Check<'_>| self.operations.iter().any(|it| it.target() == (check.namespace, check.key));
        if self.operations.is_empty() {
            Repeat::Freely
        } else if self.checks.iter().any(|check| check.version.is_some() && changes(check)) {
            Repeat::UnderVersion
        } else {
            Repeat::Never
        }
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        commit(replies)
    }
}

impl Request for TransactionText<'_> {
    type Reply = Commit;

    fn write(&self, namespace: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let line = RequestLine::new(out, Verb::Txn).option_if_some("ns", self.namespace.or(namespace));
        line.json(self.json).end()
    }

    fn read(replies: Replies<'_>) -> Result<Self::Reply, ReplyError> {
        commit(replies)
    }
}

fn commit(replies: Replies<'_>) -> Result<Commit, ReplyError> {
    match replies.one()? {
        Reply::Ok(fields) => {
            let version = fields.number()?;
            // No change has version 0.
            Ok(Commit::Done { version: (version > 0).then_some(version) })
        }
        Reply::No(No::Check(check)) => Ok(Commit::Refused { check }),
        _ => Err(ReplyError::Kind),
    }
}
