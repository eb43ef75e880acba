//! What a watching connection is told.

use larder_protocol::reply::{self, Reply, ReplyError};

pub use larder_protocol::reply::EventKind;

use crate::request::Replies;

/// A change to an entry, or that there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An entry was set, deleted, or expired.
    Change(Change),
    /// Every change up to this version has been told.
    Progress {
        /// The version.
        version: u64,
    },
}

/// A change to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: EventKind,
    /// The version of the change.
    pub version: u64,
    /// The entry's namespace.
    pub namespace: String,
    /// The entry's key.
    pub key: String,
    /// When the entry expires, or has, in Unix milliseconds; nothing where it was deleted.
    pub expires_ms: Option<u64>,
    /// Its value in compact JSON, where values were asked for and it was set.
    pub json: Option<String>,
}

impl Event {
    /// Its version: everything up to it has been told.
    #[must_use]
    pub const fn version(&self) -> u64 {
        match self {
            Self::Change(change) => change.version,
            Self::Progress { version } => *version,
        }
    }

    pub(crate) fn read(replies: Replies<'_>) -> Result<Self, ReplyError> {
        let Reply::Evt(event) = replies.one()? else { return Err(ReplyError::Kind) };
        Ok(match event {
            reply::Event::Change { kind, version, namespace, key, expires_ms, json } => {
                Self::Change(Change {
                    kind,
                    version,
                    namespace: namespace.into_owned(),
                    key: key.into_owned(),
                    expires_ms,
                    json: json.map(str::to_owned),
                })
            }
            reply::Event::Progress { version } => Self::Progress { version },
        })
    }
}
