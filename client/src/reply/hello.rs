//! What a server says about itself.

use larder_protocol::reply::ReplyError;

use super::object::Object;

/// A server's answer to `HELLO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The server's version.
    pub version: String,
    /// The version of the protocol that it speaks.
    pub protocol: u64,
    /// When it acknowledges a write.
    pub durability: String,
    /// All of the answer, limits included, as a JSON object.
    pub json: String,
}

impl Hello {
    /// Reads the reply to `HELLO`.
    pub(crate) fn parse(json: &str) -> Result<Self, ReplyError> {
        let object = Object(json);
        if object.text("/server")? != "larder" {
            return Err(ReplyError::Kind);
        }
        Ok(Self {
            version: object.text("/version")?,
            protocol: object.number("/protocol")?,
            durability: object.text("/durability")?,
            json: json.to_owned(),
        })
    }
}
