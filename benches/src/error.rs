//! What can end a run. An error reply by itself does not: it is counted, and the first one reported.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::dialect::Dialect;

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not take the connection.
    #[error(
        "cannot connect to {addr}: {source}; is the server running, and is its connection limit high enough?"
    )]
    Connect {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A socket failed in the middle of the run.
    #[error("a connection failed: {0}")]
    Socket(#[from] io::Error),
    /// The server ended a connection that still awaited replies.
    #[error("the server closed a connection that awaited {awaited} replies")]
    Closed {
        /// Requests written and not answered.
        awaited: usize,
    },
    /// The bytes are no reply in this dialect, so nothing after them can be trusted.
    #[error("not a reply in this dialect: {start:?}; is --dialect right?")]
    Malformed {
        /// The first bytes of it.
        start: String,
    },
    /// One reply is larger than anything that was stored.
    #[error("a reply is longer than {limit} bytes")]
    ReplyTooLong {
        /// What fits.
        limit: usize,
    },
    /// Nothing arrived for a long time.
    #[error("no reply for {} s on {waiting} connections", after.as_secs())]
    Stalled {
        /// How long.
        after: Duration,
        /// Connections with requests in flight.
        waiting: usize,
    },
    /// Replies were errors, or no answer to what was asked, where only success will do.
    #[error("{count} faulty replies, the first: {first}")]
    Faults {
        /// How many.
        count: u64,
        /// The first of them.
        first: String,
    },
    /// The load has scans, and the dialect has none.
    #[error("{dialect:?} has no scans; leave them out of the mix")]
    NoScans {
        /// The dialect.
        dialect: Dialect,
    },
    /// The thread cannot run on that core.
    #[error("cannot pin to core {core}: {source}")]
    Pin {
        /// The core asked for.
        core: usize,
        /// What the system said.
        source: io::Error,
    },
    /// It is not known which cores a thread may run on, or they cannot be given back to it.
    #[error("cannot ask for the cores of this thread, or return to them: {0}")]
    Cores(io::Error),
    /// A counter of a process cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Procfs {
        /// The file.
        path: PathBuf,
        /// What the system said, or that the text is not as expected.
        source: io::Error,
    },
    /// The disk failed under the loop that is set against a server's writes.
    #[error("the loop of write and fdatasync failed: {0}")]
    Disk(io::Error),
    /// A server for a comparison did not come up.
    #[error("cannot start {program}: {reason}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        reason: String,
    },
}
