//! A connection that watches: what is committed goes out to it as it becomes durable, see [`Watching`].
//!
//! If it takes nothing while the log goes on, or the log has lost what comes next, it is cut, and told the version after
//! which it can resume.

use std::future::pending;
use std::io;
use std::ops::ControlFlow;

use larder_engine::{ChangeKind, Changes, Error};
use larder_protocol::reply::{EventKind, write};
use larder_protocol::{Code, Command, Lines, ParseError, Watch, parse};
use tokio::time::{sleep, timeout};

use super::Connection;
use crate::access::{Denial, Grant, Session};
use crate::command::{denial, refusal};
use crate::shared::Tally;
use crate::watching::{CUT_PATIENCE, LAG_CHECK, Watching};

/// Waits until a watching connection has something to do.
pub(super) async fn due(watching: Option<&Watching>, session: &Session, unsent: bool) {
    match watching {
        None => pending().await,
        Some(_) if unsent => {}
        Some(watching) => watching.due(session).await,
    }
}

fn render(watching: &Watching, changes: &Changes, grant: &Grant, out: &mut Vec<u8>) {
    for (change, with_value) in watching.told(changes, grant) {
        let kind = match change.kind {
            ChangeKind::Set => EventKind::Set,
            ChangeKind::Delete => EventKind::Del,
            ChangeKind::Expire => EventKind::Expire,
        };
        let expires_at = change.expires_at.filter(|_| kind != EventKind::Del);
        let json = with_value.then_some(change.value);
        write::event(out, kind, change.version, change.namespace, change.key, expires_at, json);
    }
}

impl Connection {
    /// Answers `WATCH`.
    pub(super) fn watch(&mut self, watch: &Watch<'_>, namespace: Option<&str>) {
        let namespace = namespace.unwrap_or(self.namespaces.last());
        match Watching::begin(&self.shared, self.session.grant(), watch, namespace) {
            Ok(watching) => {
                self.shared.counters.add(Tally { commands: 1, errors: 0 });
                write::ok_number(&mut self.socket.output, watching.version());
                self.watching = Some(watching);
            }
            Err(error) => {
                let error = refusal(&error);
                self.refuse(error.code, &error.text);
            }
        }
    }

    /// Answers lines that come while this connection watches. The answers wait to be sent with what comes next.
    pub(super) fn while_watching(&mut self, lines: Lines<'_>) -> ControlFlow<()> {
        for line in lines {
            match parse(line, &self.shared.limits).map(|request| request.command) {
                Ok(Command::Quit) => {
                    self.shared.counters.add(Tally { commands: 1, errors: 0 });
                    write::ok(&mut self.socket.output);
                    return ControlFlow::Break(());
                }
                Ok(command) => {
                    let verb = command.verb().as_str();
                    let text =
                        format!("this connection watches, and takes QUIT alone; use another for {verb}");
                    self.refuse(Code::BadCmd, &text);
                }
                Err(error) => self.refuse(error.code, &error.text),
            }
        }
        ControlFlow::Continue(())
    }

    /// Sends what there is to send to a connection that watches.
    pub(super) async fn watch_on(&mut self) -> io::Result<ControlFlow<()>> {
        let Some(watching) = self.watching.take() else { return Ok(ControlFlow::Continue(())) };
        if let Err(denied) = self.may_watch() {
            return self.end_watch(&denial(denied)).await;
        }
        let (mut watching, room, changes) = watching.read(&self.shared).await?;
        self.socket.hold_for_replies(room);
        // Nothing that was read meanwhile is told to whoever may not watch any more.
        if let Err(denied) = self.may_watch() {
            return self.end_watch(&denial(denied)).await;
        }
        match changes {
            Ok(changes) => render(&watching, &changes, self.session.grant(), &mut self.socket.output),
            Err(Error::Compacted { .. }) => return self.cut(watching).await,
            Err(error) => return self.end_watching(&error).await,
        }
        if self.socket.output.is_empty() && watching.is_quiet() {
            write::event_progress(&mut self.socket.output, watching.version());
        }
        if !self.socket.output.is_empty() {
            if !self.is_taken(&watching).await? {
                return match self.may_watch() {
                    Ok(()) => self.cut(watching).await,
                    Err(denied) => self.end_watch(&denial(denied)).await,
                };
            }
            watching.note_sent();
        }
        self.socket.release_output();
        if let Some(rest) = self.shared.watchers.rest().filter(|_| !watching.is_behind()) {
            sleep(rest).await;
        }
        self.watching = Some(watching);
        Ok(ControlFlow::Continue(()))
    }

    /// Whether the client may go on watching.
    fn may_watch(&mut self) -> Result<(), Denial> {
        self.keep_up();
        self.session.grant().check_on(self.session.now_ms())
    }

    /// Writes out. False if the client takes nothing, and is too far behind by now, or that for too long; or if it may not watch
    /// any more.
    async fn is_taken(&mut self, watching: &Watching) -> io::Result<bool> {
        loop {
            tokio::select! {
                biased;
                flushed = self.socket.flush() => return match flushed {
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
                    flushed => flushed.map(|()| true),
                },
                () = sleep(LAG_CHECK) => if watching.is_too_far_behind() || self.may_watch().is_err() {
                    return Ok(false);
                }
            }
        }
    }

    /// Ends a watch whose client is too slow, and the connection. All up to the feed's version has been sent, or will be
    /// before the client reads that.
    async fn cut(&mut self, watching: Watching) -> io::Result<ControlFlow<()>> {
        let version = watching.version();
        drop(watching);
        self.shared.watchers.note_cut();
        self.refuse(Code::Slow, &version.to_string());
        match timeout(CUT_PATIENCE, self.socket.flush()).await {
            Ok(flushed) => flushed.map(ControlFlow::Break),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Ends a watch that cannot go on. The connection does, unless the error is of those that close it.
    async fn end_watching(&mut self, error: &Error) -> io::Result<ControlFlow<()>> {
        if let Error::Failed { .. } = error {
            self.shared.log_failure(error);
        }
        self.end_watch(&refusal(error)).await
    }

    /// Ends a watch with this error. The connection goes on, unless the error is of those that close it.
    async fn end_watch(&mut self, error: &ParseError) -> io::Result<ControlFlow<()>> {
        self.refuse(error.code, &error.text);
        timeout(CUT_PATIENCE, self.socket.flush())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let closes = error.code.closes_connection();
        Ok(if closes { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}
