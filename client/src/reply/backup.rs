//! What a server says about a backup.

use larder_protocol::reply::ReplyError;

use super::object::Object;

/// A server's answer to `BACKUP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The version that was backed up: every change up to this one is in it, and none after it.
    pub version: u64,
    /// Where it is, on the server's machine.
    pub directory: String,
    /// Files of the log in it.
    pub segments: u64,
    /// How many of them are links, which take no space of their own.
    pub linked: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// All of the answer as a JSON object.
    pub json: String,
}

impl Backup {
    /// Reads the reply to `BACKUP`.
    pub(crate) fn parse(json: &str) -> Result<Self, ReplyError> {
        let object = Object(json);
        Ok(Self {
            version: object.number("/version")?,
            directory: object.text("/directory")?,
            segments: object.number("/segments")?,
            linked: object.number("/linked")?,
            bytes: object.number("/bytes")?,
            json: json.to_owned(),
        })
    }
}
