//! A connection of a thread of its own, which asks one thing at a time or is told things.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Error;
use crate::dialect::Malformed;
use crate::tally::excerpt;

/// Nothing that is awaited takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 64 << 10;

pub(crate) struct Stream {
    socket: TcpStream,
    /// What was received, of which all up to `taken` was recognised.
    received: Vec<u8>,
    taken: usize,
}

impl Stream {
    pub(crate) fn open(addr: SocketAddr) -> Result<Self, Error> {
        let connect = || -> io::Result<TcpStream> {
            let socket = TcpStream::connect(addr)?;
            socket.set_nodelay(true)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(socket)
        };
        let socket = connect().map_err(|source| Error::Connect { addr, source })?;
        Ok(Self { socket, received: Vec::new(), taken: 0 })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self.socket.write_all(bytes) {
            Err(error) if is_late(&error) => Err(Error::Stalled { after: PATIENCE, waiting: 1 }),
            outcome => Ok(outcome?),
        }
    }

    /// What is recognised next at the start of what was received, with its bytes; `None` while that is incomplete.
    pub(crate) fn next<T>(
        &mut self,
        recognise: impl FnOnce(&[u8]) -> Result<Option<(T, usize)>, Malformed>,
    ) -> Result<Option<(T, &[u8])>, Error> {
        let rest = &self.received[self.taken..];
        let found = recognise(rest).map_err(|Malformed| Error::Malformed { start: excerpt(rest) })?;
        Ok(found.map(|(what, length)| {
            self.taken += length;
            (what, &rest[..length])
        }))
    }

    /// Waits until more has arrived.
    pub(crate) fn receive(&mut self) -> Result<(), Error> {
        if self.receive_within(PATIENCE)? {
            Ok(())
        } else {
            Err(Error::Stalled { after: PATIENCE, waiting: 1 })
        }
    }

    /// Waits until more has arrived, or the time is over. Returns whether it has.
    pub(crate) fn receive_within(&mut self, time: Duration) -> Result<bool, Error> {
        self.received.drain(..self.taken);
        self.taken = 0;
        if time.is_zero() {
            return Ok(false);
        }
        self.socket.set_read_timeout(Some(time))?;
        let before = self.received.len();
        self.received.resize(before + READ_BYTES, 0);
        let outcome = self.socket.read(&mut self.received[before..]);
        self.received.truncate(before + outcome.as_ref().copied().unwrap_or(0));
        match outcome {
            Ok(0) => Err(Error::Closed { awaited: 1 }),
            Ok(_) => Ok(true),
            Err(error) if is_late(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
