//! What a client may be told when it connects.

use std::time::Duration;

use crate::token::Token;

/// Options of a connection.
///
/// ```
/// use larder_client::Options;
///
/// let options = Options { namespace: Some("sessions".into()), ..Options::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Longest wait for a connection; default 5 s, `None` waits as long as the system does.
    pub connect_timeout: Option<Duration>,
    /// Longest wait for a reply without a byte moving in either direction; default 30 s, `None` waits for ever.
    pub reply_timeout: Option<Duration>,
    /// The namespace of each request that names none itself; default `None`, which leaves it to the server.
    pub namespace: Option<String>,
    /// The access token to authenticate with when connecting; default `None`, for a server without access keys.
    pub token: Option<Token>,
    /// Largest reply, all its lines together, in bytes; default 256 MiB. A bound against a peer that never ends a line.
    pub reply_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Some(Duration::from_secs(5)),
            reply_timeout: Some(Duration::from_secs(30)),
            namespace: None,
            token: None,
            reply_bytes_max: 256 * 1024 * 1024,
        }
    }
}
