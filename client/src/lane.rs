//! The requests of a client on their way over one connection after the other: what is sent again when a connection fails,
//! and what the callers are told. No I/O, and time is an argument.
//!
//! 1. A request that did not go out in full was not carried out, and goes out again, whatever it is.
//! 2. One that only reads goes out again.
//! 3. A write under a version goes out again: versions are never used twice, so it cannot happen a second time. If its
//!    condition fails then, or the server refuses it for another reason, the first try may have happened, and that is told.
//! 4. Any other write is not sent again. `if=absent` is no exception: the entry of the first try may be gone meanwhile, as
//!    a job that somebody took, and the second would bring it back.
//!
//! What goes out again does so in the order of before.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::error::{Error, server_error};
use crate::exchange::Exchange;
use crate::request::{Repeat, Request, Shape};

/// How many bytes of requests are made ready for the socket ahead of it.
const AHEAD_BYTES: usize = 64 * 1024;

/// Whoever waits for a reply.
pub(crate) trait Ticket {
    /// Whether the request is still wanted.
    fn is_wanted(&self) -> bool;

    /// Whether the request is still wanted; if so, it is taken for sent from here on.
    fn depart(&self) -> bool;
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    line: Vec<u8>,
    shape: Shape,
    repeat: Repeat,
    /// When it was first held up.
    held_up: Option<Instant>,
    /// It is a write that was sent, and that nobody knows the end of.
    in_doubt: bool,
    ticket: T,
}

/// What became of a request.
pub(crate) type Landed<T> = (T, Result<BytesMut, Error>);

/// The requests of one lane, in order. The first `departed` of them are with the connection.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    flights: VecDeque<Flight<T>>,
    departed: usize,
    retry_for: Duration,
}

impl<T> Flight<T> {
    pub(crate) fn new<R: Request>(line: Vec<u8>, request: &R, ticket: T) -> Self {
        Self {
            line,
            shape: request.shape(),
            repeat: request.repeat(),
            held_up: None,
            in_doubt: false,
            ticket,
        }
    }

    fn land(self, reply: Result<BytesMut, Error>) -> Landed<T> {
        let reply = match reply {
            Ok(lines) if self.in_doubt && is_refusal(&lines) => {
                let reply = String::from_utf8_lossy(&lines).trim_end().to_owned();
                Err(Error::Overtaken { reply }.in_doubt())
            }
            Err(error) if self.in_doubt => Err(error.in_doubt()),
            reply => reply,
        };
        (self.ticket, reply)
    }

    fn fail(self, error: Error) -> Landed<T> {
        let known_unsent = self.repeat != Repeat::Freely && !self.in_doubt;
        self.land(Err(if known_unsent { error.not_sent() } else { error }))
    }
}

impl<T: Ticket> Lane<T> {
    pub(crate) fn new(retry_for: Duration) -> Self {
        Self { flights: VecDeque::new(), departed: 0, retry_for }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.flights.len()
    }

    pub(crate) fn submit(&mut self, flight: Flight<T>) {
        self.flights.push_back(flight);
    }

    /// Hands requests to the connection as it has room.
    pub(crate) fn feed(&mut self, exchange: &mut Exchange) {
        while exchange.unsent_bytes() < AHEAD_BYTES
            && let Some(flight) = self.flights.get(self.departed)
        {
            if flight.ticket.depart() {
                exchange.send_line(&flight.line, flight.shape);
                self.departed += 1;
            } else {
                self.flights.remove(self.departed);
            }
        }
    }

    /// Forgets what nobody waits for, while there is no connection.
    #[cfg(feature = "async")]
    pub(crate) fn prune(&mut self) {
        if self.departed == 0 {
            self.flights.retain(|flight| flight.ticket.is_wanted());
        }
    }

    /// The next request that is answered; `None` if it needs more bytes. An error ends the connection; see
    /// [`lost`](Self::lost).
    pub(crate) fn land(&mut self, exchange: &mut Exchange) -> Result<Option<Landed<T>>, Error> {
        let Some((_, lines)) = exchange.next_reply()? else { return Ok(None) };
        let reply = match server_error(&lines)? {
            Some(error) if error.is_fatal() => return Err(error),
            Some(error) => Err(error),
            None => Ok(lines),
        };
        let Some(flight) = self.flights.pop_front() else { return Ok(None) };
        self.departed -= 1;
        Ok(Some(flight.land(reply)))
    }

    /// The connection is no more, or did not come about (`exchange` is none then), for this reason: keeps what is to be sent
    /// on the next one, and gives back the rest.
    pub(crate) fn lost(
        &mut self,
        exchange: Option<&Exchange>,
        error: &Error,
        now: Instant,
    ) -> Vec<Landed<T>> {
        let retry_for = self.retry_for;
        let mut kept = VecDeque::new();
        let mut landed = Vec::new();
        for (place, mut flight) in self.recall(exchange, error).into_iter().enumerate() {
            let held_up = *flight.held_up.get_or_insert(now);
            let in_time = now.saturating_duration_since(held_up) < retry_for;
            let safe = !flight.in_doubt || flight.repeat != Repeat::Never;
            // Nonsense in place of a reply is the answer to the request at the front. The others are not to blame, unless
            // there was no connection to begin with.
            let answered = !error.is_retryable() && (place == 0 || exchange.is_none());
            if safe && in_time && !answered && flight.ticket.is_wanted() {
                kept.push_back(flight);
            } else {
                landed.push(flight.fail(error.clone()));
            }
        }
        self.flights = kept;
        landed
    }

    /// How long it is until the first of those that wait has waited for long enough.
    pub(crate) fn patience(&self, now: Instant) -> Duration {
        let waited = |flight: &Flight<T>| flight.held_up.map(|since| now.saturating_duration_since(since));
        let longest = self.flights.iter().filter_map(waited).max().unwrap_or_default();
        self.retry_for.saturating_sub(longest)
    }

    /// As [`lost`](Self::lost), with nothing to be sent any more.
    pub(crate) fn give_up(&mut self, exchange: Option<&Exchange>, error: &Error) -> Vec<Landed<T>> {
        self.recall(exchange, error).into_iter().map(|flight| flight.fail(error.clone())).collect()
    }

    /// Takes all requests back from the connection, and notes which of them are in doubt.
    fn recall(&mut self, exchange: Option<&Exchange>, error: &Error) -> VecDeque<Flight<T>> {
        let mut flights = mem::take(&mut self.flights);
        let departed = mem::take(&mut self.departed);
        let sent = exchange.map_or(0, |exchange| departed.saturating_sub(exchange.unsent_requests()));
        if !error.is_unread() {
            for flight in flights.iter_mut().take(sent) {
                flight.in_doubt |= flight.repeat != Repeat::Freely;
            }
        }
        flights
    }
}

/// Whether the reply says that nothing was changed.
fn is_refusal(lines: &[u8]) -> bool {
    matches!(lines.split(u8::is_ascii_whitespace).next(), Some(b"NO" | b"NIL"))
}
