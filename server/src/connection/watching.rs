//! A connection that watches: what is committed goes out to it as it becomes durable.
//!
//! Its buffer is the log. It is read as far as the client takes it, a piece at a time; so a client that does not keep up
//! costs one piece of memory and holds up nobody. If it takes nothing while the log goes on, or the log has lost what comes
//! next, it is cut, and told the version after which it can resume.

use std::future::pending;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use larder_engine::{ChangeKind, Changes, Error, Feed, Watch};
use larder_protocol::reply::{EventKind, write};
use larder_protocol::{self as protocol, Code, Command, Lines, ParseError, parse};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Connection;
use crate::access::{Denial, Grant, Session};
use crate::command::{OUTPUT_BYTES, denial, refusal};
use crate::rooms::Room;
use crate::shared::{Shared, Tally};
use crate::watchers::Seat;

/// Time without an event after which progress is told.
const PROGRESS_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked whether a client that takes nothing is too far behind. What is written in between comes on top of
/// its lag, and off the rest of what is retained, in which it can still come back.
const LAG_CHECK: Duration = Duration::from_millis(20);
/// How long it is waited at most for a key to expire, before it is looked at again.
const EXPIRY_LOOK: Duration = Duration::from_secs(3600);
/// How long a client that was cut has to take what was sent, and to learn of it.
const CUT_PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Watching {
    feed: Feed,
    values: bool,
    /// There may be much to read, and it may be on disk only: nothing was read yet, or the last read did not get to the end.
    behind: bool,
    /// Most bytes of the log that may follow while the client takes nothing; known after the first read. Who begins with
    /// history may be as much more behind as it was at the start, until it has caught up.
    lag_bytes_max: Option<u64>,
    progress_at: Instant,
    _seat: Seat,
}

/// Waits until a watching connection has something to do.
pub(super) async fn due(watching: Option<&Watching>, session: &Session, unsent: bool) {
    match watching {
        None => pending().await,
        Some(watching) if watching.behind || unsent => {}
        Some(watching) => tokio::select! {
            () = watching.feed.news() => {}
            () = sleep_until(watching.progress_at) => {}
            () = session.news() => {}
            () = expiry(session) => {}
        },
    }
}

/// Waits until the client's key expires.
async fn expiry(session: &Session) {
    match session.grant().expires_at_ms() {
        Some(at_ms) => {
            let left = Duration::from_millis(at_ms.saturating_sub(session.now_ms()));
            sleep(left.min(EXPIRY_LOOK)).await;
        }
        None => pending().await,
    }
}

impl Watching {
    fn begin(
        shared: &Arc<Shared>,
        grant: &Grant,
        watch: &protocol::Watch<'_>,
        namespace: &str,
    ) -> Result<Watching, Error> {
        let feed = shared.store.watch(&Watch {
            tenant: Some(grant.tenant()),
            namespace: (!watch.all).then_some(namespace),
            prefix: &watch.prefix,
            from: watch.from,
            values: watch.values,
        })?;
        Ok(Watching {
            feed,
            values: watch.values,
            behind: true,
            lag_bytes_max: None,
            progress_at: Instant::now() + PROGRESS_PAUSE,
            _seat: Seat::take(shared),
        })
    }

    /// Whether there is, or may be, more to be read at once.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Has everything durable sent before anything else happens.
    pub(super) fn hurry(&mut self) {
        self.behind = true;
    }

    /// Reads on: here what is in memory, and on a thread that is there for that what may not be. Gives the place for it too.
    async fn read(mut self, shared: &Shared) -> io::Result<(Watching, Room, Result<Changes, Error>)> {
        let room;
        let (mut watching, changes) = if self.behind {
            let _turn = shared.watchers.history.acquire().await;
            room = shared.terms.replies.take().await?;
            let work = move || {
                let changes = self.feed.read(OUTPUT_BYTES);
                (self, changes)
            };
            spawn_blocking(work).await.map_err(io::Error::other)?
        } else {
            room = shared.terms.replies.take().await?;
            let changes = self.feed.read(OUTPUT_BYTES);
            (self, changes)
        };
        if let Ok(changes) = &changes {
            watching.behind = changes.more();
            watching.note_lag(shared.watchers.lag_bytes_max);
        }
        Ok((watching, room, changes))
    }

    fn note_lag(&mut self, limit: u64) {
        if !self.behind {
            self.lag_bytes_max = Some(limit);
        } else if self.lag_bytes_max.is_none() {
            self.lag_bytes_max = Some(limit.saturating_add(self.lag_bytes()));
        }
    }

    fn is_too_far_behind(&self) -> bool {
        self.lag_bytes_max.is_some_and(|limit| self.lag_bytes() > limit)
    }

    /// Of a store that is closed nothing follows; the next read tells.
    fn lag_bytes(&self) -> u64 {
        self.feed.lag_bytes().unwrap_or(0)
    }

    fn render(&self, changes: &Changes, grant: &Grant, out: &mut Vec<u8>) {
        for change in changes.iter().filter(|change| grant.holds(change.namespace)) {
            let kind = match change.kind {
                ChangeKind::Set => EventKind::Set,
                ChangeKind::Delete => EventKind::Del,
                ChangeKind::Expire => EventKind::Expire,
            };
            let expires_at = change.expires_at.filter(|_| kind != EventKind::Del);
            let json = (self.values && kind == EventKind::Set).then_some(change.value);
            write::event(out, kind, change.version, change.namespace, change.key, expires_at, json);
        }
    }
}

impl Connection {
    /// Answers `WATCH`.
    pub(super) fn watch(&mut self, watch: &protocol::Watch<'_>, namespace: Option<&str>) {
        let namespace = namespace.unwrap_or(self.namespaces.last());
        match Watching::begin(&self.shared, self.session.grant(), watch, namespace) {
            Ok(watching) => {
                self.shared.counters.add(Tally { commands: 1, errors: 0 });
                write::ok_number(&mut self.socket.output, watching.feed.version());
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
            Ok(changes) => watching.render(&changes, self.session.grant(), &mut self.socket.output),
            Err(Error::Compacted { .. }) => return self.cut(watching).await,
            Err(error) => return self.end_watching(&error).await,
        }
        if self.socket.output.is_empty() && watching.progress_at <= Instant::now() {
            write::event_progress(&mut self.socket.output, watching.feed.version());
        }
        if !self.socket.output.is_empty() {
            if !self.is_taken(&watching).await? {
                return match self.may_watch() {
                    Ok(()) => self.cut(watching).await,
                    Err(denied) => self.end_watch(&denial(denied)).await,
                };
            }
            watching.progress_at = Instant::now() + PROGRESS_PAUSE;
        }
        self.socket.release_output();
        if let Some(rest) = self.shared.watchers.rest().filter(|_| !watching.behind) {
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
        let version = watching.feed.version();
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
