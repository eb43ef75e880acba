//! A watch as an iterator that goes on over failures of its connection.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Instant;

use super::connection::Connection;
use super::pool::Pool;
use crate::backoff::Backoff;
use crate::error::Error;
use crate::reply::Event;
use crate::resume::Resume;

/// Changes as they become durable; see [`Client::watch`](super::Client::watch).
///
/// Every change comes once and in the order of versions, whatever happens to connections and servers in between: when a
/// connection fails, or the server cuts it since events were not taken quickly enough, another is made, as often and for
/// as long as it takes, and the watch goes on after the last version that was told. [`Event::Progress`] comes while nothing
/// changes.
///
/// It ends, after an error, when that is not possible: with [`Error::Compacted`] if the log does not go back to that version
/// any more, after a longer break as a rule; with [`Error::Server`] if the server refuses, as when the token is revoked, or
/// when the store is another one that has not reached that version.
#[derive(Debug)]
pub struct Watcher {
    pool: Arc<Pool>,
    resume: Resume,
    /// None while there is none.
    connection: Option<Connection>,
    backoff: Backoff,
    ended: bool,
}

impl Watcher {
    /// Begins, and tries to for as long as a read would be tried.
    pub(super) fn begin(pool: Arc<Pool>, resume: Resume) -> Result<Self, Error> {
        let start = Instant::now();
        let mut watcher =
            Self { backoff: pool.place.backoff(), pool, resume, connection: None, ended: false };
        loop {
            match watcher.connect() {
                Ok(()) => return Ok(watcher),
                Err(error)
                    if !error.is_retryable() || start.elapsed() >= watcher.pool.place.options.retry_for =>
                {
                    return Err(error);
                }
                Err(_) => sleep(watcher.backoff.next()),
            }
        }
    }

    /// Everything up to this version has been told: the one to begin after, should the application be started again.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.resume.version()
    }

    fn try_next(&mut self) -> Result<Event, Error> {
        loop {
            let Some(connection) = &mut self.connection else {
                sleep(self.backoff.next());
                match self.connect() {
                    Err(error) if !error.is_retryable() => return Err(error),
                    _ => continue,
                }
            };
            match self.resume.receive(connection.exchange()) {
                Ok(Some(event)) => {
                    self.backoff.reset();
                    return Ok(event);
                }
                Ok(None) => connection.turn(),
                Err(error) if error.is_retryable() => self.connection = None,
                Err(error) => return Err(error),
            }
        }
    }

    fn connect(&mut self) -> Result<(), Error> {
        let mut connection = Connection::open(&self.pool.place, true, None)?;
        let version = connection.call(&self.resume.begin())?;
        self.resume.begun(version);
        self.connection = Some(connection);
        Ok(())
    }
}

impl Iterator for Watcher {
    type Item = Result<Event, Error>;

    /// The next event, however long that takes; `None` after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.try_next();
        if next.is_err() {
            self.ended = true;
            self.connection = None;
        }
        Some(next)
    }
}
