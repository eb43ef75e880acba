//! One connection of the load: it writes requests, recognises their replies, and goes on with what follows from them.
//!
//! Readiness is edge-triggered. A read that returns less than there is room for has emptied the socket, so the read
//! that would only say so is saved; and once everything is answered nothing more can come.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::Error;
use crate::dialect::{Malformed, Operation, Reply};
use crate::tally::{Tally, excerpt};
use crate::value::VALUE_BYTES_MAX;
use crate::workload::{Step, Workload};

/// Room for one read of any connection, and so the longest reply.
pub(crate) const INBOX_BYTES: usize = 2 << 20;
const REPLY_OVERHEAD_BYTES_MAX: usize = 1 << 10;
const _: () = assert!(VALUE_BYTES_MAX + REPLY_OVERHEAD_BYTES_MAX <= INBOX_BYTES);

pub(crate) struct Connection {
    socket: TcpStream,
    /// Requests, encoded, of which `written` bytes are with the system.
    outbox: Vec<u8>,
    written: usize,
    /// What was asked and is not answered yet.
    asked: VecDeque<Asked>,
    /// What follows from replies, and is not asked yet; with the version that was read.
    following: Vec<(Step, u64)>,
    /// The start of a reply whose end has not arrived.
    carried: Vec<u8>,
    /// Room for a key.
    key: Vec<u8>,
}

struct Asked {
    step: Step,
    /// Its latency counts from here.
    since: Instant,
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
            asked: VecDeque::new(),
            following: Vec::new(),
            carried: Vec::new(),
            key: Vec::new(),
        })
    }

    /// Requests that are not answered yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.asked.len()
    }

    /// Writes the next batch: what follows from the last one, and new requests up to the depth of the workload.
    pub(crate) fn begin_batch(&mut self, workload: &mut Workload<'_>, now: Instant) -> Result<(), Error> {
        debug_assert!(self.asked.is_empty() && self.outbox.is_empty() && self.carried.is_empty());
        self.follow(workload, now);
        while self.asked.len() < workload.pipeline {
            let Some((step, since)) = workload.next(now) else { break };
            self.ask(step, 0, since, workload);
        }
        self.flush()
    }

    /// Asks what follows from replies.
    pub(crate) fn follow(&mut self, workload: &mut Workload<'_>, now: Instant) {
        for (step, version) in std::mem::take(&mut self.following) {
            self.ask(step, version, now, workload);
        }
    }

    /// Adds a request to those that are to be written.
    pub(crate) fn ask(&mut self, step: Step, version: u64, since: Instant, workload: &mut Workload<'_>) {
        workload.encode(step, version, &mut self.key, &mut self.outbox);
        self.asked.push_back(Asked { step, since });
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        while self.written < self.outbox.len() {
            match self.socket.write(&self.outbox[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.outbox.clear();
        self.written = 0;
        Ok(())
    }

    /// Does what the socket is ready for.
    pub(crate) fn advance(
        &mut self,
        event: &Event,
        inbox: &mut [u8],
        workload: &Workload<'_>,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        if event.is_writable() {
            self.flush()?;
        }
        if event.is_readable() {
            self.read(inbox, workload, tally)?;
        }
        Ok(())
    }

    fn read(&mut self, inbox: &mut [u8], workload: &Workload<'_>, tally: &mut Tally) -> Result<(), Error> {
        while !self.asked.is_empty() {
            let carried = self.carried.len();
            inbox[..carried].copy_from_slice(&self.carried);
            let room = inbox.len() - carried;
            if room == 0 {
                return Err(Error::ReplyTooLong { limit: inbox.len() });
            }
            match self.socket.read(&mut inbox[carried..]) {
                Ok(0) => return Err(Error::Closed { awaited: self.asked.len() }),
                Ok(count) => {
                    self.recognise(&inbox[..carried + count], Instant::now(), workload, tally)?;
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
        let mut rest = received;
        while let Some(Asked { step, since }) = self.asked.front() {
            let found =
                workload.dialect.recognise(step.operation, rest).map_err(|Malformed| malformed(rest))?;
            let Some(found) = found else { break };
            let (text, after) = rest.split_at(found.length);
            tally.count(step.operation, found.reply, workload.values.bytes(), text);
            let latency = now.saturating_duration_since(*since);
            tally.latency_ns.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
            self.following.extend(following(step, found.reply));
            self.asked.pop_front();
            rest = after;
        }
        if self.asked.is_empty() && !rest.is_empty() {
            return Err(malformed(rest));
        }
        self.carried.clear();
        self.carried.extend_from_slice(rest);
        Ok(())
    }
}

/// What is to be asked after this reply, and the version that was read. There is nothing to swap where nothing was read.
fn following(step: &Step, reply: Reply) -> Option<(Step, u64)> {
    let next = |operation| Step { operation, number: step.number, then: None };
    match (step.then?, reply) {
        (Operation::Swap, Reply::Value { version, .. }) => Some((next(Operation::Swap), version)),
        (Operation::Swap, _) => None,
        (operation, _) => Some((next(operation), 0)),
    }
}
