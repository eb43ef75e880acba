//! A watch as an async stream that goes on over failures of its connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::error::Error;
use crate::place::Place;
use crate::reply::Event;
use crate::resume::Resume;

/// Changes as they become durable; see [`Client::watch`](crate::Client::watch). A [`Stream`], and good without that trait
/// too.
///
/// Every change comes once and in the order of versions, whatever happens to connections and servers in between: when a
/// connection fails, or the server cuts it since events were not taken quickly enough, another is made, as often and for
/// as long as it takes, and the watch goes on after the last version that was told. [`Event::Progress`] comes while nothing
/// changes.
///
/// It ends, after an error, when that is not possible: with [`Error::Compacted`] if the log does not go back to that version
/// any more, after a longer break as a rule; with [`Error::Server`] if the server refuses, as when the token is revoked, or
/// when the store is another one that has not reached that version.
pub struct Watcher {
    line: Line,
    version: u64,
}

/// A watcher's line to the server.
enum Line {
    Free(Box<Following>),
    /// Something is waited for.
    Busy(Pin<Box<dyn Future<Output = Result<Box<Following>, Error>> + Send>>),
    Ended,
}

struct Following {
    place: Arc<Place>,
    resume: Resume,
    /// None while there is none.
    connection: Option<Connection>,
    backoff: Backoff,
}

impl Watcher {
    /// Begins, and tries to for as long as a read would be tried.
    pub(crate) async fn begin(place: Arc<Place>, resume: Resume) -> Result<Self, Error> {
        let start = Instant::now();
        let mut following = Following { backoff: place.backoff(), resume, connection: None, place };
        loop {
            match following.connect().await {
                Ok(()) => break,
                Err(error)
                    if !error.is_retryable() || start.elapsed() >= following.place.options.retry_for =>
                {
                    return Err(error);
                }
                Err(_) => sleep(following.backoff.next()).await,
            }
        }
        Ok(Self { version: following.resume.version(), line: Line::Free(Box::new(following)) })
    }

    /// Everything up to this version has been told: the one to begin after, should the application be started again.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The next event; `None` after an error. This may be dropped before it is done, and loses no event.
    ///
    /// # Errors
    /// Those that [`Watcher`] ends with.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        poll_fn(|context| self.poll_event(context)).await.transpose()
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        loop {
            match mem::replace(&mut self.line, Line::Ended) {
                Line::Ended => return Poll::Ready(None),
                Line::Busy(mut future) => match future.as_mut().poll(context) {
                    Poll::Ready(Ok(following)) => self.line = Line::Free(following),
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Pending => {
                        self.line = Line::Busy(future);
                        return Poll::Pending;
                    }
                },
                Line::Free(mut following) => match following.event() {
                    Ok(Some(event)) => {
                        self.version = event.version();
                        self.line = Line::Free(following);
                        return Poll::Ready(Some(Ok(event)));
                    }
                    Ok(None) => self.line = Line::Busy(Box::pin(following.go_on())),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
            }
        }
    }
}

impl Following {
    /// The next event that has arrived. A connection that has failed is let go.
    fn event(&mut self) -> Result<Option<Event>, Error> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        match self.resume.receive(connection.exchange()) {
            Ok(event) => {
                if event.is_some() {
                    self.backoff.reset();
                }
                Ok(event)
            }
            Err(error) if error.is_retryable() => {
                self.connection = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for bytes, or for a connection that goes on where the last one was.
    async fn go_on(mut self: Box<Self>) -> Result<Box<Self>, Error> {
        if let Some(connection) = &mut self.connection {
            connection.turn().await;
            return Ok(self);
        }
        loop {
            sleep(self.backoff.next()).await;
            match self.connect().await {
                Ok(()) => return Ok(self),
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let mut connection = Connection::open(&self.place, true).await?;
        let version = connection.call(&self.resume.begin()).await?;
        self.resume.begun(version);
        self.connection = Some(connection);
        Ok(())
    }
}

impl Stream for Watcher {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(context)
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("version", &self.version).finish_non_exhaustive()
    }
}
