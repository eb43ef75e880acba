//! A watch over all its connections, without the I/O: what it asks for, and where it goes on.

use crate::error::Error;
use crate::exchange::Exchange;
use crate::follow::Follow;
use crate::reply::Event;
use crate::request::{Begin, Watch};

#[derive(Debug)]
pub(crate) struct Resume {
    prefix: String,
    namespace: Option<String>,
    all: bool,
    values: bool,
    /// The version to begin after; none before the server has named one.
    from: Option<u64>,
    follow: Option<Follow>,
}

impl Resume {
    pub(crate) fn new(watch: &Watch<'_>, namespace: Option<&str>) -> Self {
        Self {
            prefix: watch.prefix.to_owned(),
            namespace: watch.namespace.or(namespace).map(str::to_owned),
            all: watch.all,
            values: watch.values,
            from: watch.from,
            follow: None,
        }
    }

    /// What the next connection is to be asked for.
    pub(crate) fn begin(&self) -> Begin<'_> {
        Begin(Watch {
            prefix: &self.prefix,
            all: self.all,
            from: self.from,
            values: self.values,
            namespace: self.namespace.as_deref(),
        })
    }

    /// Begins on a connection that named this version.
    pub(crate) fn begun(&mut self, version: u64) {
        self.from = Some(version);
        self.follow = Some(Follow::new(version));
    }

    /// Everything up to this version has been told.
    pub(crate) fn version(&self) -> u64 {
        self.from.unwrap_or_default()
    }

    /// Takes the next event from what has arrived; `None` if it needs more bytes.
    pub(crate) fn receive(&mut self, exchange: &mut Exchange) -> Result<Option<Event>, Error> {
        let Some(follow) = &mut self.follow else { return Ok(None) };
        let event = follow.receive(exchange)?;
        self.from = Some(follow.version());
        Ok(event)
    }
}
