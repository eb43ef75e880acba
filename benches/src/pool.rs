//! All connections, driven by one thread: what the generator costs can be pinned to one core and told from the server.
//!
//! In a closed loop a connection sends its next batch when the last one is answered. A server that stalls is therefore
//! asked less, and the percentiles say how long requests took, not how long users would have waited. In an open loop
//! requests come at their times ([`crate::arrivals`]), each on the next connection that has room.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::Error;
use crate::connection::{Connection, INBOX_BYTES};
use crate::tally::Tally;
use crate::workload::{Pace, Workload};

const EVENTS_PER_WAIT: usize = 1024;

/// A server may compact or sync in between, but not for so long without any reply.
const STALL: Duration = Duration::from_secs(30);

/// Open connections to one server.
pub struct Pool {
    poll: Poll,
    connections: Vec<Connection>,
    /// The connection that the next request of an open loop goes to, if it has room.
    turn: usize,
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
        Ok(Self { poll, connections, turn: 0, inbox: vec![0; INBOX_BYTES] })
    }

    /// Sends the workload until its budget is used up and every request is answered. After an error the connections
    /// are of no more use.
    pub fn drive(&mut self, mut workload: Workload<'_>) -> Result<Tally, Error> {
        workload.require_dialect()?;
        let is_closed = matches!(workload.pace, Pace::Closed);
        let now = Instant::now();
        workload.begin(now);
        if is_closed {
            for connection in &mut self.connections {
                connection.begin_batch(&mut workload, now)?;
            }
        } else {
            be_woken_in_time();
        }
        let mut tally = Tally::default();
        let mut events = Events::with_capacity(EVENTS_PER_WAIT);
        let mut heard = now;
        loop {
            let next_due = self.ask_what_is_due(&mut workload)?;
            let waiting = self.connections.iter().filter(|connection| connection.in_flight() > 0).count();
            if waiting == 0 && next_due.is_none() {
                return Ok(tally);
            }
            self.wait(&mut events, next_due)?;
            if !events.is_empty() || waiting == 0 {
                heard = Instant::now();
            } else if heard.elapsed() > STALL {
                return Err(Error::Stalled { after: STALL, waiting });
            }
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                let was_busy = connection.in_flight() > 0;
                connection.advance(event, &mut self.inbox, &workload, &mut tally)?;
                if !is_closed {
                    connection.follow(&mut workload, Instant::now());
                    connection.flush()?;
                } else if was_busy && connection.in_flight() == 0 {
                    connection.begin_batch(&mut workload, Instant::now())?;
                }
            }
        }
    }

    /// Stores a value under every key of the workload, and takes nothing but success for an answer.
    pub fn fill(&mut self, workload: Workload<'_>) -> Result<(), Error> {
        self.drive(workload)?.require_faultless()
    }

    /// Sends the requests of an open loop whose time has come, as long as there is room. Returns when the next one is
    /// due; `None` if there is none, or no room for it before something is answered.
    fn ask_what_is_due(&mut self, workload: &mut Workload<'_>) -> Result<Option<Instant>, Error> {
        while let Some(due) = workload.next_due() {
            let now = Instant::now();
            if due > now {
                return Ok(Some(due));
            }
            let Some(number) = self.with_room(workload.pipeline) else { return Ok(None) };
            let connection = &mut self.connections[number];
            if let Some((step, since)) = workload.next(now) {
                connection.ask(step, 0, since, workload);
                connection.flush()?;
            }
            self.turn = number + 1;
        }
        Ok(None)
    }

    /// The next connection with fewer requests in flight than there may be.
    fn with_room(&self, pipeline: usize) -> Option<usize> {
        let count = self.connections.len();
        (0..count)
            .map(|step| (self.turn + step) % count)
            .find(|number| self.connections[*number].in_flight() < pipeline)
    }

    /// Waits until a socket is ready, but not beyond `until`, if that is given, nor for longer than a server may stall.
    fn wait(&mut self, events: &mut Events, until: Option<Instant>) -> Result<(), Error> {
        let mut patience = STALL;
        if let Some(until) = until {
            // Waiting for events counts in milliseconds, and this in nanoseconds.
            let left = until.saturating_duration_since(Instant::now()).min(STALL);
            let left = Timespec::try_from(left).unwrap_or_default();
            let mut epoll = [PollFd::from_borrowed_fd(self.poll.registry().as_fd(), PollFlags::IN)];
            match rustix::event::poll(&mut epoll, Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => patience = Duration::ZERO,
                Err(error) => return Err(Error::Socket(error.into())),
            }
        }
        match self.poll.poll(events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

/// By default the system may let a thread sleep for 50 microseconds more than it has asked for. Where that cannot be
/// changed, it shows in the latencies.
fn be_woken_in_time() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}
