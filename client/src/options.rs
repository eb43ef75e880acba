//! What a client may be told when it connects.

use std::time::Duration;

#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::token::Token;

/// Options of a client, and of a single connection, for which only those up to `tls` count.
///
/// ```
/// use larder_client::Options;
///
/// let options = Options { namespace: Some("sessions".into()), ..Options::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest wait for a connection, its TLS session and the server's greeting; default 5 s, `None` waits as long as the
    /// system does.
    pub connect_timeout: Option<Duration>,
    /// Longest wait for a reply without a byte moving; default 30 s, `None` waits for ever. What ends is the connection: a
    /// server that is there but cannot be heard is found out by this.
    pub reply_timeout: Option<Duration>,
    /// Largest reply, all its lines together, in bytes; default 256 MiB. A bound against a peer that never ends a line.
    pub reply_bytes_max: usize,
    /// The namespace of each request that names none itself; default `None`, which leaves it to the server.
    pub namespace: Option<String>,
    /// The access token, sent at the beginning of every connection; default `None`.
    pub token: Option<Token>,
    /// What the server's logs are to call this client; default `None`.
    pub name: Option<String>,
    /// TLS, and whom to trust; default `None`, which sends all in the clear.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
    /// Most connections, each made when those before are busy; default 4, at least 1. Every watch has one of its own.
    pub connections: usize,
    /// Longest wait for the answer to a request, whatever happens meanwhile; default 60 s, `None` waits for ever.
    pub request_timeout: Option<Duration>,
    /// How long, from the first failure on, to try to bring a request to the server; default 10 s. Zero never tries again.
    pub retry_for: Duration,
    /// The wait before the second try, of which up to a half is left to chance; it doubles with every failure. Default 50 ms.
    pub backoff_min: Duration,
    /// The longest that it becomes; default 5 s.
    pub backoff_max: Duration,
    /// A connection that was not used for so long is asked whether it still holds before a request is trusted to it;
    /// default 15 s.
    pub idle_check: Duration,
    /// Most bytes of requests that are not yet answered, over all connections of an async client; default 8 MiB. Whoever
    /// wants to send more waits for room.
    pub queue_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Some(Duration::from_secs(5)),
            reply_timeout: Some(Duration::from_secs(30)),
            reply_bytes_max: 256 * 1024 * 1024,
            namespace: None,
            token: None,
            name: None,
            #[cfg(feature = "tls")]
            tls: None,
            connections: 4,
            request_timeout: Some(Duration::from_secs(60)),
            retry_for: Duration::from_secs(10),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            idle_check: Duration::from_secs(15),
            queue_bytes_max: 8 * 1024 * 1024,
        }
    }
}
