//! The connections of a blocking client. Each request, or pipeline of them, has one for itself as long as it lasts; who
//! finds all of them taken waits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Instant;

use super::connection::Connection;
use crate::backoff::Backoff;
use crate::error::Error;
use crate::lane::{Flight, Landed, Lane, Ticket};
use crate::place::Place;
use crate::request::Ping;

/// Most requests of a pipeline that are under way.
const REQUESTS_MAX: usize = 1_024;

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) place: Place,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Idle>,
    /// How many are taken.
    taken: usize,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// A place among the connections; the connection itself is made, and made anew, as it is needed.
#[derive(Debug)]
pub(super) struct Seat<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

/// The number of a request in its pipeline: its caller waits until all are done.
impl Ticket for usize {
    fn is_wanted(&self) -> bool {
        true
    }

    fn depart(&self) -> bool {
        true
    }
}

/// Requests on their way, and what is left of the time for them.
struct Run<'r> {
    lane: Lane<usize>,
    requests: &'r mut dyn Iterator<Item = Flight<usize>>,
    land: &'r mut dyn FnMut(Landed<usize>) -> Result<(), Error>,
    backoff: Backoff,
    /// Until when there must be the next reply.
    deadline: Option<Instant>,
}

/// Why a conversation is over before all is answered.
enum Cut {
    Failed(Error),
    Late,
}

impl Pool {
    pub(super) fn new(place: Place) -> Self {
        Self { place, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Takes a connection that is idle, or the place for another. Nothing if all are taken until the deadline.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Option<Seat<'_>> {
        let mut state = self.state();
        loop {
            if let Some(idle) = state.idle.pop() {
                state.taken += 1;
                drop(state);
                let mut seat = Seat { pool: self, connection: None };
                seat.connection = self.check(idle);
                return Some(seat);
            }
            if state.taken < self.place.options.connections.max(1) {
                state.taken += 1;
                return Some(Seat { pool: self, connection: None });
            }
            state = match deadline {
                None => self.freed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Adds a connection that is good.
    pub(super) fn add(&self, connection: Connection) {
        self.state().idle.push(Idle { connection, since: Instant::now() });
    }

    /// The connection, if it still holds.
    fn check(&self, idle: Idle) -> Option<Connection> {
        let Idle { mut connection, since } = idle;
        if connection.is_over() {
            return None;
        }
        if since.elapsed() < self.place.options.idle_check {
            return Some(connection);
        }
        let deadline = self.place.options.connect_timeout.map(|limit| Instant::now() + limit);
        let pending = connection.send(&Ping).ok()?;
        while connection.exchange().receive(&pending).ok()?.is_none() {
            if !connection.turn_until(deadline) {
                return None;
            }
        }
        Some(connection)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat<'_> {
    /// Brings all these requests to the server and back, over as many connections as it takes, and hands over what became of
    /// each. `land` fails if what came is no reply to its request.
    pub(super) fn fly(
        &mut self,
        requests: &mut dyn Iterator<Item = Flight<usize>>,
        deadline: Option<Instant>,
        land: &mut dyn FnMut(Landed<usize>) -> Result<(), Error>,
    ) {
        let options = &self.pool.place.options;
        let backoff = self.pool.place.backoff();
        let mut run = Run { lane: Lane::new(options.retry_for), requests, land, backoff, deadline };
        while let Err(cut) = self.converse(&mut run) {
            let connection = self.connection.take();
            let exchange = connection.as_ref().map(Connection::peek);
            let (error, landed) = match cut {
                Cut::Failed(error) => {
                    let landed = run.lane.lost(exchange, &error, Instant::now());
                    (error, landed)
                }
                Cut::Late => {
                    let error = Error::Timeout(options.request_timeout.unwrap_or_default());
                    let landed = run.lane.give_up(exchange, &error);
                    (error, landed)
                }
            };
            // Nobody is there, for as long as was to be waited.
            let hopeless = exchange.is_none() && !landed.is_empty();
            landed.into_iter().for_each(|landed| _ = (run.land)(landed));
            if hopeless {
                return run.abandon(&error);
            }
            if !run.lane.is_empty() {
                let left = run.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                let wait = run.backoff.next().min(run.lane.patience(Instant::now()));
                sleep(left.map_or(wait, |left| wait.min(left)));
            }
        }
    }

    /// Sends and receives until all is answered.
    fn converse(&mut self, run: &mut Run<'_>) -> Result<(), Cut> {
        let place = &self.pool.place;
        loop {
            run.fill();
            if run.lane.is_empty() {
                return Ok(());
            }
            if run.is_late() {
                return Err(Cut::Late);
            }
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => {
                    let opened = Connection::open(place, true, run.deadline).map_err(Cut::Failed)?;
                    self.connection.insert(opened)
                }
            };
            run.lane.feed(connection.exchange());
            while let Some(landed) = run.lane.land(connection.exchange()).map_err(Cut::Failed)? {
                run.backoff.reset();
                run.deadline = place.options.request_timeout.map(|limit| Instant::now() + limit);
                (run.land)(landed).map_err(Cut::Failed)?;
            }
            if !run.lane.is_empty() && !connection.turn_until(run.deadline) {
                return Err(Cut::Late);
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.taken -= 1;
        if let Some(mut connection) = self.connection.take()
            && connection.exchange().awaited() == 0
            && !connection.exchange().has_ended()
        {
            state.idle.push(Idle { connection, since: Instant::now() });
        }
        drop(state);
        self.pool.freed.notify_one();
    }
}

impl Run<'_> {
    /// Takes on requests as there is room.
    fn fill(&mut self) {
        while self.lane.len() < REQUESTS_MAX
            && let Some(flight) = self.requests.next()
        {
            self.lane.submit(flight);
        }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// All the rest meets the same end.
    fn abandon(&mut self, error: &Error) {
        loop {
            self.fill();
            if self.lane.is_empty() {
                return;
            }
            for landed in self.lane.give_up(None, error) {
                _ = (self.land)(landed);
            }
        }
    }
}
