//! What a server says about a compaction.

use larder_protocol::reply::ReplyError;

use super::object::Object;

/// A server's answer to `COMPACT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Files of the log that were replaced.
    pub segments_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Files that were made of them.
    pub segments_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Damaged places that were met; their files are left as they are.
    pub damaged: u64,
    /// All of the answer as a JSON object.
    pub json: String,
}

impl Compaction {
    /// Reads the reply to `COMPACT`.
    pub(crate) fn parse(json: &str) -> Result<Self, ReplyError> {
        let object = Object(json);
        Ok(Self {
            segments_in: object.number("/segments_in")?,
            bytes_in: object.number("/bytes_in")?,
            segments_out: object.number("/segments_out")?,
            bytes_out: object.number("/bytes_out")?,
            damaged: object.number("/damaged")?,
            json: json.to_owned(),
        })
    }
}
