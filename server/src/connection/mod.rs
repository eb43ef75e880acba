//! One connection: from the bytes of a client to the replies it gets, turn by turn.
//!
//! A turn is one run of commands under one lock of the store, one wait for durability and one write to the socket;
//! that is what makes a pipelining client cheap. Nothing is read from a client that does not read its replies, and
//! an idle connection holds no large buffer.

mod admit;
mod round;
mod socket;
mod sweep;
#[cfg(test)]
mod tests;
mod turn;
mod watching;

use std::future::pending;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::{io, iter};

use bytes::BytesMut;
use larder_protocol::reply::write;
use larder_protocol::{Code, Frame, LineCodec, LineLimits, ParseError, lines};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_util::codec::Decoder;
use tokio_util::sync::CancellationToken;

use crate::access::Session;
use crate::command::{SHUTDOWN, refusal, refuse};
use crate::compaction;
use crate::metrics::Interface;
use crate::shared::{Shared, Tally};
use crate::stream::Stream;
use crate::tls::Spoken;
use crate::watching::Watching;
use round::Round;
use socket::Socket;
use turn::{Namespaces, Next, Turn};

/// Most commands for which room is set aside before they are parsed.
const TURN_CAPACITY_MAX: usize = 64;

/// What a client is told that speaks plain text where TLS is spoken.
const TLS_ALONE: &[u8] = b"ERR HTTP this port speaks TLS alone; connect with TLS\n";

/// Serves a client until it leaves, or the server shuts down.
pub(crate) async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let opened = tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        opened = Stream::open(stream, &shared.terms, Spoken::Lines, TLS_ALONE) => opened,
    };
    let Some(stream) = opened else { return Ok(()) };
    let mut connection = Connection::new(stream, shared, shutdown);
    connection.run().await?;
    connection.socket.close().await
}

/// Tells a client that there is no room for it.
pub(crate) async fn turn_away(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let Some(stream) = Stream::open(stream, &shared.terms, Spoken::Lines, TLS_ALONE).await else {
        return Ok(());
    };
    let text = format!("all {} connections are taken; try again later", shared.terms.connections_max);
    let mut socket = Socket::new(stream, shared);
    write::err(&mut socket.output, Code::TooManyConn, &text);
    socket.close().await
}

/// A client at work.
struct Connection {
    shared: Arc<Shared>,
    session: Session,
    /// When the connection is closed, unless it has authenticated by then; `None` for one that need not.
    auth_by: Option<Instant>,
    socket: Socket,
    codec: LineCodec,
    namespaces: Namespaces,
    watching: Option<Watching>,
    shutdown: CancellationToken,
    /// When the line began that is not complete yet.
    line_since: Option<Instant>,
    /// Commands of the last turn: a client that pipelines sends about as many again.
    turn_capacity: usize,
}

impl Connection {
    fn new(stream: Stream, shared: Arc<Shared>, shutdown: CancellationToken) -> Connection {
        let socket = Socket::new(stream, Arc::clone(&shared));
        let mut connection = Connection {
            session: shared.session(socket.is_local()),
            auth_by: None,
            socket,
            codec: LineCodec::new(shared.limits.lines()),
            namespaces: Namespaces::new(),
            watching: None,
            shutdown,
            line_since: None,
            turn_capacity: 1,
            shared,
        };
        connection.settle();
        connection
    }

    async fn run(&mut self) -> io::Result<()> {
        let shutdown = self.shutdown.clone();
        let mut input = BytesMut::new();
        let mut stopped = pin!(shutdown.cancelled());
        let mut at_end = false;
        while !at_end || self.watching.as_ref().is_some_and(Watching::is_behind) {
            // Of a watching connection, answers go out with the changes; until then nothing more is read.
            let unsent = !self.socket.output.is_empty();
            let deadline = self.deadline();
            let read = tokio::select! {
                biased;
                () = &mut stopped => {
                    self.refuse(Code::Shutdown, SHUTDOWN);
                    return Ok(());
                }
                read = self.socket.read(&mut input), if !at_end && !unsent => match read {
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        self.too_slow();
                        return Ok(());
                    }
                    read => Some(read?),
                },
                () = watching::due(self.watching.as_ref(), &self.session, unsent) => None,
                () = passed(deadline), if !at_end && !unsent => {
                    self.too_slow();
                    return Ok(());
                }
                () = admit::deadline(self.auth_by) => return self.time_out().await,
            };
            let Some(read) = read else {
                if self.watch_on().await?.is_break() {
                    return Ok(());
                }
                continue;
            };
            while let Some(frame) = self.codec.decode(&mut input)? {
                self.line_since = None;
                if self.frame(frame).await?.is_break() {
                    return Ok(());
                }
            }
            if self.codec.is_within_line(&input) {
                self.line_since.get_or_insert_with(Instant::now);
            }
            if read == 0 {
                at_end = true;
                self.watching.iter_mut().for_each(Watching::hurry);
            }
        }
        self.end_of_input(input).await
    }

    /// When the client must have sent more: the end of the line that it has begun, or anything.
    fn deadline(&self) -> Option<Instant> {
        let terms = &self.shared.terms;
        match self.line_since {
            Some(since) => Some(since + terms.line_timeout),
            None if self.watching.is_some() => None,
            None => terms.idle_timeout.map(|timeout| Instant::now() + timeout),
        }
    }

    /// Answers a client that has not sent it by then.
    fn too_slow(&mut self) {
        let terms = &self.shared.terms;
        let text = match (self.line_since, terms.idle_timeout) {
            (None, Some(timeout)) => format!("nothing came for {timeout:?}"),
            _ => {
                format!("a line must be complete within {:?}; this one was not executed", terms.line_timeout)
            }
        };
        self.refuse(Code::Idle, &text);
    }

    /// Everything complete has been answered; what is left is an unterminated line, if anything.
    async fn end_of_input(&mut self, mut input: BytesMut) -> io::Result<()> {
        while let Some(frame) = self.codec.decode_eof(&mut input)? {
            if self.frame(frame).await?.is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn answer(&mut self, frame: Frame) -> io::Result<ControlFlow<()>> {
        match frame {
            Frame::Lines(chunk) => return self.chunk(&chunk).await,
            Frame::TooLong => self.too_long(),
            Frame::Overrun => {
                self.too_long();
                return Ok(ControlFlow::Break(()));
            }
            Frame::Http => {
                self.refuse(Code::Http, "this is no HTTP port; it speaks the line protocol, see HELP");
                return Ok(ControlFlow::Break(()));
            }
            Frame::Tls => {
                let peer = self.socket.peer();
                let text = format_args!("{peer} speaks TLS, and this port plain text; see --tls-cert");
                self.shared.terms.strangers.warn(text);
                self.refuse(Code::Http, "this port speaks no TLS; connect without it");
                return Ok(ControlFlow::Break(()));
            }
            Frame::Incomplete => {
                self.refuse(Code::Incomplete, "the input ended within a line, which was not executed");
                return Ok(ControlFlow::Break(()));
            }
        }
        if self.watching.is_none() {
            self.socket.flush().await?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Answers a run of complete lines.
    async fn chunk(&mut self, chunk: &[u8]) -> io::Result<ControlFlow<()>> {
        let mut lines = lines(chunk);
        let limits = self.shared.limits;
        if self.watching.is_some() {
            return Ok(self.while_watching(lines));
        }
        loop {
            self.keep_up();
            let (namespaces, grant) = (&mut self.namespaces, self.session.grant());
            let Some(turn) = Turn::take(&mut lines, &limits, namespaces, grant, self.turn_capacity) else {
                break;
            };
            self.turn_capacity = turn.steps.len().clamp(1, TURN_CAPACITY_MAX);
            let mut round = Round {
                shared: &self.shared,
                session: &mut self.session,
                namespaces: &self.namespaces,
                socket: &mut self.socket,
            };
            round.steps(&turn.steps).await?;
            if turn.next != Next::Turn {
                self.socket.vacate().await?;
            }
            let next = self.admitted(turn.next);
            let timed = next.verb().map(|verb| (verb, Instant::now()));
            match next {
                Next::Turn => {}
                Next::Authenticate { token, greets } => self.authenticate(&token.0, greets),
                Next::Manage(command) => self.manage(&command),
                Next::Sync => self.sync().await,
                Next::Backup(name) => self.backup(&name).await,
                Next::Compact => self.compact().await,
                Next::Delprefix(prefix, namespace) => {
                    let namespace = namespace.as_deref().unwrap_or(self.namespaces.last()).to_owned();
                    if self.delete_prefix(&namespace, &prefix).await.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Next::Watch(watch, namespace) => self.watch(&watch, namespace.as_deref()),
                Next::Close => return Ok(ControlFlow::Break(())),
            }
            if let Some((verb, started)) = timed {
                let metrics = &self.shared.metrics;
                metrics.carried_out(Interface::Lines, iter::once(verb), started.elapsed());
            }
            self.socket.flush().await?;
            if self.watching.is_some() {
                return Ok(self.while_watching(lines));
            }
            if lines.clone().next().is_some() {
                // However much a client sends at once, those that wait with one command come between.
                yield_now().await;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn sync(&mut self) {
        match self.shared.store.sync().await {
            Ok(version) => {
                self.shared.tally(Tally { commands: 1, ..Tally::default() });
                write::ok_number(&mut self.socket.output, version);
            }
            Err(error) => {
                let error = refusal(&error);
                self.refuse(error.code, &error.text);
            }
        }
    }

    async fn backup(&mut self, name: &str) {
        let made = self.shared.backups.make(&self.shared.store, name).await;
        self.answer_object(made);
    }

    async fn compact(&mut self) {
        let compacted = compaction::compact(&self.shared.compaction, &self.shared.store).await;
        self.answer_object(compacted);
    }

    fn answer_object(&mut self, object: Result<Vec<u8>, ParseError>) {
        match object {
            Ok(json) => {
                self.shared.tally(Tally { commands: 1, ..Tally::default() });
                write::ok_json(&mut self.socket.output, &json);
            }
            Err(error) => self.refuse(error.code, &error.text),
        }
    }

    fn too_long(&mut self) {
        let LineLimits { line_bytes, transaction_bytes } = self.line_limits();
        let of_transactions = match transaction_bytes {
            more if more > line_bytes => format!(" ({more} for TXN)"),
            _ => String::new(),
        };
        let text =
            format!("the line is over its limit of {line_bytes} bytes{of_transactions}, and was discarded");
        self.refuse(Code::TooLong, &text);
    }

    /// An answer to what is no command.
    fn refuse(&mut self, code: Code, text: &str) {
        let mut tally = Tally { commands: 1, ..Tally::default() };
        refuse(&mut self.socket.output, &mut tally, code, text);
        self.shared.tally(tally);
    }
}

/// Waits for an instant, if there is one.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
