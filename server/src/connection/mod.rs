//! One connection: from the bytes of a client to the replies it gets, turn by turn.
//!
//! A turn is one run of commands under one lock of the store, one wait for durability and one write to the socket;
//! that is what makes a pipelining client cheap. Nothing is read from a client that does not read its replies, and
//! an idle connection holds no large buffer.

mod round;
mod socket;
mod sweep;
#[cfg(test)]
mod tests;
mod turn;
mod watching;

use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use larder_protocol::reply::write;
use larder_protocol::{Code, Frame, LineCodec, ParseError, lines};
use tokio::net::TcpStream;
use tokio_util::codec::Decoder;
use tokio_util::sync::CancellationToken;

use crate::command::{SHUTDOWN, refusal, refuse};
use crate::compaction;
use crate::shared::{Shared, Tally};
use round::Round;
use socket::Socket;
use turn::{Namespaces, Next, Turn};
use watching::Watching;

/// Most commands for which room is set aside before they are parsed.
const TURN_CAPACITY_MAX: usize = 64;

/// Serves a client until it leaves, or the server shuts down.
pub(crate) async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut connection = Connection::new(stream, shared, shutdown);
    connection.run().await?;
    connection.socket.close().await
}

/// Tells a client that there is no room for it.
pub(crate) async fn turn_away(stream: TcpStream, connections_max: u32) -> io::Result<()> {
    let mut socket = Socket::new(stream);
    let text = format!("all {connections_max} connections are taken; try again later");
    write::err(&mut socket.output, Code::TooManyConn, &text);
    socket.close().await
}

/// A client at work.
struct Connection {
    shared: Arc<Shared>,
    socket: Socket,
    codec: LineCodec,
    namespaces: Namespaces,
    watching: Option<Watching>,
    shutdown: CancellationToken,
    /// Commands of the last turn: a client that pipelines sends about as many again.
    turn_capacity: usize,
}

impl Connection {
    fn new(stream: TcpStream, shared: Arc<Shared>, shutdown: CancellationToken) -> Connection {
        Connection {
            socket: Socket::new(stream),
            codec: LineCodec::new(shared.limits.lines()),
            namespaces: Namespaces::new(),
            watching: None,
            shutdown,
            turn_capacity: 1,
            shared,
        }
    }

    async fn run(&mut self) -> io::Result<()> {
        let shutdown = self.shutdown.clone();
        let mut input = BytesMut::new();
        let mut stopped = pin!(shutdown.cancelled());
        let mut at_end = false;
        while !at_end || self.watching.as_ref().is_some_and(Watching::is_behind) {
            // Of a watching connection, answers go out with the changes; until then nothing more is read.
            let unsent = !self.socket.output.is_empty();
            let read = tokio::select! {
                biased;
                () = &mut stopped => {
                    self.refuse(Code::Shutdown, SHUTDOWN);
                    return Ok(());
                }
                read = self.socket.read(&mut input), if !at_end && !unsent => Some(read?),
                () = watching::due(self.watching.as_ref(), unsent) => None,
            };
            let Some(read) = read else {
                if self.watch_on().await?.is_break() {
                    return Ok(());
                }
                continue;
            };
            while let Some(frame) = self.codec.decode(&mut input)? {
                if self.frame(frame).await?.is_break() {
                    return Ok(());
                }
            }
            if read == 0 {
                at_end = true;
                self.watching.iter_mut().for_each(Watching::hurry);
            }
        }
        self.end_of_input(input).await
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

    async fn frame(&mut self, frame: Frame) -> io::Result<ControlFlow<()>> {
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
        while let Some(turn) = Turn::take(&mut lines, &limits, &mut self.namespaces, self.turn_capacity) {
            self.turn_capacity = turn.steps.len().clamp(1, TURN_CAPACITY_MAX);
            let mut round =
                Round { shared: &self.shared, namespaces: &self.namespaces, socket: &mut self.socket };
            round.steps(&turn.steps).await?;
            match turn.next {
                Next::Turn => {}
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
            self.socket.flush().await?;
            if self.watching.is_some() {
                return Ok(self.while_watching(lines));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn sync(&mut self) {
        match self.shared.store.sync().await {
            Ok(version) => {
                self.shared.counters.add(Tally { commands: 1, errors: 0 });
                write::ok_number(&mut self.socket.output, version);
            }
            Err(error) => {
                let error = refusal(&error);
                self.refuse(error.code, &error.text);
            }
        }
    }

    async fn backup(&mut self, name: &str) {
        if self.is_operator() {
            let made = self.shared.backups.make(&self.shared.store, name).await;
            self.answer_object(made);
        }
    }

    async fn compact(&mut self) {
        if self.is_operator() {
            let compacted = compaction::compact(&self.shared.compaction, &self.shared.store).await;
            self.answer_object(compacted);
        }
    }

    /// Whether the client may do what is for the operator alone. If not it is told so.
    fn is_operator(&mut self) -> bool {
        let is_local = self.socket.is_local();
        if !is_local {
            self.refuse(Code::Denied, "only clients on the server's own machine may do this");
        }
        is_local
    }

    fn answer_object(&mut self, object: Result<Vec<u8>, ParseError>) {
        match object {
            Ok(json) => {
                self.shared.counters.add(Tally { commands: 1, errors: 0 });
                write::ok_json(&mut self.socket.output, &json);
            }
            Err(error) => self.refuse(error.code, &error.text),
        }
    }

    fn too_long(&mut self) {
        let lines = self.shared.limits.lines();
        let text = format!(
            "the line is over its limit of {} bytes ({} for TXN), and was discarded",
            lines.line_bytes, lines.transaction_bytes
        );
        self.refuse(Code::TooLong, &text);
    }

    /// An answer to what is no command.
    fn refuse(&mut self, code: Code, text: &str) {
        let mut tally = Tally { commands: 1, errors: 0 };
        refuse(&mut self.socket.output, &mut tally, code, text);
        self.shared.counters.add(tally);
    }
}
