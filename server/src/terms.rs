//! What every connection is held to.

use std::time::Duration;

use crate::rooms::Rooms;
use crate::seldom::Seldom;
use crate::tls::Tls;

/// Long lines at a time, of up to 2 MiB of memory each.
const LINES: usize = 64;
/// Transactions at a time that are longer than any other line, of up to 32 MiB of memory each: the line, and what it is
/// made into.
const TRANSACTIONS: usize = 4;
/// Long listings at a time, whose keys take up to 6 MiB each.
const LISTINGS: usize = 16;
/// Connections at a time with long replies, of up to 1 MiB each, or 2 MiB where the log is not mapped.
const REPLIES: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Terms {
    /// How many there may be at a time.
    pub(crate) connections_max: u32,
    /// How long a client may say nothing, if there is a bound.
    pub(crate) idle_timeout: Option<Duration>,
    /// How long a line may take from its first byte to its last, or a TLS handshake.
    pub(crate) line_timeout: Duration,
    /// How long a client may take nothing of the replies that are ready for it.
    pub(crate) write_timeout: Duration,
    /// What is spoken on the port: TLS if it is there, else plain text.
    pub(crate) tls: Option<Tls>,
    /// Room for long lines.
    pub(crate) lines: Rooms,
    /// Room for transactions that are longer than any other line.
    pub(crate) transactions: Rooms,
    /// Room for long listings.
    pub(crate) listings: Rooms,
    /// Room for long replies.
    pub(crate) replies: Rooms,
    /// Clients that speak something else than is spoken here.
    pub(crate) strangers: Seldom,
}

impl Terms {
    /// So many connections, and for all else the defaults.
    pub(crate) fn new(connections_max: u32) -> Terms {
        Terms {
            connections_max,
            idle_timeout: None,
            line_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            tls: None,
            lines: Rooms::of(LINES),
            transactions: Rooms::of(TRANSACTIONS),
            listings: Rooms::of(LISTINGS),
            replies: Rooms::of(REPLIES),
            strangers: Seldom::default(),
        }
    }
}
