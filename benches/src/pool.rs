//! All connections, driven by one thread: what the generator costs can be pinned to one core and told from the server.
//!
//! The loop is closed: a connection sends its next batch when the last one is answered. A server that stalls is
//! therefore asked less, and the percentiles say how long requests took, not how long users would have waited.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::Error;
use crate::connection::{Connection, INBOX_BYTES};
use crate::tally::Tally;
use crate::workload::Workload;

const EVENTS_PER_WAIT: usize = 1024;

/// A server may compact or sync in between, but not for so long without any reply.
const STALL: Duration = Duration::from_secs(30);

/// Open connections to one server.
pub struct Pool {
    poll: Poll,
    connections: Vec<Connection>,
    /// Where every read goes: one buffer that stays in the cache.
    inbox: Vec<u8>,
}

impl Pool {
    /// Opens so many connections.
    pub fn open(addr: SocketAddr, connections: usize) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let connections = (0..connections)
            .map(|number| Connection::open(addr, poll.registry(), Token(number)))
            .collect::<Result<_, _>>()?;
        Ok(Self { poll, connections, inbox: vec![0; INBOX_BYTES] })
    }

    /// Sends the workload until its budget is used up and every request is answered. After an error the connections
    /// are of no more use.
    pub fn drive(&mut self, mut workload: Workload<'_>) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        let started = Instant::now();
        for connection in &mut self.connections {
            connection.begin_batch(&mut workload, started)?;
        }
        let mut waiting = self.waiting();
        let mut events = Events::with_capacity(EVENTS_PER_WAIT);
        while waiting > 0 {
            match self.poll.poll(&mut events, Some(STALL)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            if events.is_empty() {
                return Err(Error::Stalled { after: STALL, waiting });
            }
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                let was_busy = connection.is_busy();
                connection.advance(event, &mut self.inbox, &mut workload, &mut tally)?;
                if was_busy && !connection.is_busy() {
                    waiting -= 1;
                }
            }
        }
        Ok(tally)
    }

    /// Stores a value under every key of the workload, and takes nothing but success for an answer.
    pub fn fill(&mut self, workload: Workload<'_>) -> Result<(), Error> {
        self.drive(workload)?.require_faultless()
    }

    fn waiting(&self) -> usize {
        self.connections.iter().filter(|connection| connection.is_busy()).count()
    }
}
