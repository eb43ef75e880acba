//! One connection of the load: it writes a batch, awaits every reply of it, and begins the next.
//!
//! Readiness is edge-triggered. A read that returns less than there is room for has emptied the socket, so the read
//! that would only say so is saved; and once a batch is answered nothing more can come.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::Error;
use crate::dialect::Malformed;
use crate::tally::{Tally, excerpt};
use crate::value::VALUE_BYTES_MAX;
use crate::workload::{Operation, Workload};

/// Room for one read of any connection, and so the longest reply.
pub(crate) const INBOX_BYTES: usize = 2 << 20;
const REPLY_OVERHEAD_BYTES_MAX: usize = 1 << 10;
const _: () = assert!(VALUE_BYTES_MAX + REPLY_OVERHEAD_BYTES_MAX <= INBOX_BYTES);

pub(crate) struct Connection {
    socket: TcpStream,
    /// The batch, encoded, of which `written` bytes are with the system.
    outbox: Vec<u8>,
    written: usize,
    /// The batch, of which `answered` requests have their reply.
    asked: Vec<Operation>,
    answered: usize,
    begun_at: Instant,
    /// The start of a reply whose end has not arrived.
    carried: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(addr: SocketAddr, registry: &Registry, token: Token) -> Result<Self, Error> {
        let connect = || -> io::Result<TcpStream> {
            let socket = std::net::TcpStream::connect(addr)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(socket)
        };
        Ok(Self {
            socket: connect().map_err(|source| Error::Connect { addr, source })?,
            outbox: Vec::new(),
            written: 0,
            asked: Vec::new(),
            answered: 0,
            begun_at: Instant::now(),
            carried: Vec::new(),
        })
    }

    /// True while replies are awaited.
    pub(crate) fn is_busy(&self) -> bool {
        self.answered < self.asked.len()
    }

    /// Writes the next batch, if the workload has one.
    pub(crate) fn begin_batch(&mut self, workload: &mut Workload<'_>, now: Instant) -> Result<(), Error> {
        debug_assert!(!self.is_busy() && self.written == self.outbox.len() && self.carried.is_empty());
        self.outbox.clear();
        self.written = 0;
        self.asked.clear();
        self.answered = 0;
        workload.next_batch(now, &mut self.outbox, &mut self.asked);
        self.begun_at = now;
        self.write()
    }

    /// Does what the socket is ready for.
    pub(crate) fn advance(
        &mut self,
        event: &Event,
        inbox: &mut [u8],
        workload: &mut Workload<'_>,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        if event.is_writable() {
            self.write()?;
        }
        if event.is_readable() {
            self.read(inbox, workload, tally)?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        while self.written < self.outbox.len() {
            match self.socket.write(&self.outbox[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        inbox: &mut [u8],
        workload: &mut Workload<'_>,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        while self.is_busy() {
            let carried = self.carried.len();
            inbox[..carried].copy_from_slice(&self.carried);
            let room = inbox.len() - carried;
            if room == 0 {
                return Err(Error::ReplyTooLong { limit: inbox.len() });
            }
            match self.socket.read(&mut inbox[carried..]) {
                Ok(0) => return Err(Error::Closed { awaited: self.asked.len() - self.answered }),
                Ok(count) => {
                    let now = Instant::now();
                    self.recognise(&inbox[..carried + count], now, workload, tally)?;
                    if !self.is_busy() {
                        return self.begin_batch(workload, now);
                    }
                    if count < room {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Counts every complete reply and carries the rest. All that one read returned arrived at one time.
    fn recognise(
        &mut self,
        received: &[u8],
        now: Instant,
        workload: &Workload<'_>,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let malformed = |bytes| Error::Malformed { start: excerpt(bytes) };
        let answered_before = self.answered;
        let mut rest = received;
        while let Some(&asked) = self.asked.get(self.answered) {
            let found = workload.dialect.recognise(rest).map_err(|Malformed| malformed(rest))?;
            let Some(found) = found else { break };
            let (text, after) = rest.split_at(found.length);
            tally.count(asked, found.reply, workload.values.bytes(), text);
            self.answered += 1;
            rest = after;
        }
        if !self.is_busy() && !rest.is_empty() {
            return Err(malformed(rest));
        }
        self.carried.clear();
        self.carried.extend_from_slice(rest);

        let latency_ns = u64::try_from((now - self.begun_at).as_nanos()).unwrap_or(u64::MAX);
        let count = (self.answered - answered_before) as u64;
        tally.latency_ns.saturating_record_n(latency_ns, count);
        Ok(())
    }
}
