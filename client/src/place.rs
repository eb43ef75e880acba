//! Where a client connects to, and how a connection begins. No I/O.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::options::Options;
use crate::request::Hello;

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) addr: String,
    pub(crate) options: Options,
}

impl Place {
    pub(crate) fn new(addr: &impl ToString, options: &Options) -> Self {
        Self { addr: addr.to_string(), options: options.clone() }
    }

    /// A connection of which nothing was sent yet.
    pub(crate) fn exchange(&self) -> Result<Exchange, Error> {
        #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "only TLS changes it"))]
        let mut exchange = Exchange::new(self.options.reply_bytes_max);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.options.tls {
            exchange.seal(tls.session(&self.addr).map_err(|error| self.unreached(error))?);
        }
        Ok(exchange)
    }

    /// What every connection begins with: it says who is there, and finds out whether that is a server that takes it.
    pub(crate) fn greeting(&self) -> Hello<'_> {
        let mut hello = Hello::new();
        if let Some(token) = &self.options.token {
            hello = hello.token(token.reveal());
        }
        match &self.options.name {
            Some(name) => hello.name(name),
            None => hello,
        }
    }

    pub(crate) fn backoff(&self) -> Backoff {
        // Whoever asks for no wait at all still leaves the processor to others.
        let least = Duration::from_millis(1);
        Backoff::new(self.options.backoff_min.max(least), self.options.backoff_max.max(least))
    }

    /// The failure to connect.
    pub(crate) fn unreached(&self, error: io::Error) -> Error {
        Error::Connect { addr: self.addr.clone(), source: Arc::new(error) }
    }

    /// The failure of a connection that had still to be agreed on: nothing was sent that anybody asked for.
    pub(crate) fn unopened(&self, error: Error) -> Error {
        match error {
            Error::Io(source) => Error::Connect { addr: self.addr.clone(), source },
            Error::Closed => self.unreached(io::ErrorKind::UnexpectedEof.into()),
            Error::Timeout(_) => self.unreached(io::ErrorKind::TimedOut.into()),
            error => error,
        }
    }
}
