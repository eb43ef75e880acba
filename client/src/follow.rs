//! Following events, without the I/O: where a watch is, and which line it waits for.

use crate::error::Error;
use crate::exchange::{Exchange, Pending};
use crate::reply::Event;

#[derive(Debug)]
pub(crate) struct Follow {
    /// Kept until the event is here, so that a caller that stops waiting loses none.
    next: Option<Pending<Event>>,
    version: u64,
    ended: bool,
}

impl Follow {
    pub(crate) fn new(version: u64) -> Self {
        Self { next: None, version, ended: false }
    }

    /// Everything up to this version has been told.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes the next event from what has arrived; `None` if it needs more bytes.
    pub(crate) fn receive(&mut self, exchange: &mut Exchange) -> Result<Option<Event>, Error> {
        let received = self.try_receive(exchange);
        self.ended = received.is_err();
        if let Ok(Some(event)) = &received {
            self.version = event.version();
        }
        received
    }

    fn try_receive(&mut self, exchange: &mut Exchange) -> Result<Option<Event>, Error> {
        let pending = match self.next.take() {
            Some(pending) => pending,
            None => exchange.expect(Event::read)?,
        };
        let received = exchange.receive(&pending)?;
        if received.is_none() {
            self.next = Some(pending);
        }
        Ok(received)
    }
}
