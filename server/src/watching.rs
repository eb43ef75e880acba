//! A client that watches: what is committed is read for it as it becomes durable, a piece at a time, however it is then sent.
//!
//! Its buffer is the log. It is read as far as the client takes it; so a client that does not keep up costs one piece of
//! memory and holds up nobody. How far behind it is tells whether it has to be cut.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use larder_engine::{Change, ChangeKind, Changes, Error, Feed, Watch};
use larder_protocol as protocol;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use crate::access::{Grant, Session};
use crate::command::OUTPUT_BYTES;
use crate::rooms::Room;
use crate::shared::Shared;
use crate::watchers::Seat;

/// Time without an event after which progress is told.
const PROGRESS_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked whether a client that takes nothing is too far behind. What is written in between comes on top of
/// its lag, and off the rest of what is retained, in which it can still come back.
pub(crate) const LAG_CHECK: Duration = Duration::from_millis(20);
/// How long it is waited at most for a key to expire, before it is looked at again.
const EXPIRY_LOOK: Duration = Duration::from_secs(3600);
/// How long a client that was cut has to take what was sent, and to learn of it.
pub(crate) const CUT_PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct Watching {
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

impl Watching {
    pub(crate) fn begin(
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
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Has everything durable sent before anything else happens.
    pub(crate) fn hurry(&mut self) {
        self.behind = true;
    }

    /// Reads on: here what is in memory, and on a thread that is there for that what may not be. Gives the place for it too.
    pub(crate) async fn read(
        mut self,
        shared: &Shared,
    ) -> io::Result<(Watching, Room, Result<Changes, Error>)> {
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

    pub(crate) fn is_too_far_behind(&self) -> bool {
        self.lag_bytes_max.is_some_and(|limit| self.lag_bytes() > limit)
    }

    /// Of a store that is closed nothing follows; the next read tells.
    fn lag_bytes(&self) -> u64 {
        self.feed.lag_bytes().unwrap_or(0)
    }

    /// Every change up to this version was read, or is not watched: the one to resume after.
    pub(crate) fn version(&self) -> u64 {
        self.feed.version()
    }

    /// Those of the changes that a client may see, and of each whether its value is to be told.
    pub(crate) fn told<'c>(
        &self,
        changes: &'c Changes,
        grant: &'c Grant,
    ) -> impl Iterator<Item = (Change<'c>, bool)> {
        let values = self.values;
        let seen = changes.iter().filter(|change| grant.holds(change.namespace));
        seen.map(move |change| (change, values && change.kind == ChangeKind::Set))
    }

    /// Whether nothing was sent for so long that progress is to be told.
    pub(crate) fn is_quiet(&self) -> bool {
        self.progress_at <= Instant::now()
    }

    /// Something was sent.
    pub(crate) fn note_sent(&mut self) {
        self.progress_at = Instant::now() + PROGRESS_PAUSE;
    }

    /// Waits until there is something to do: more to read, progress to tell, or something about the client has changed.
    pub(crate) async fn due(&self, session: &Session) {
        if self.behind {
            return;
        }
        tokio::select! {
            () = self.feed.news() => {}
            () = sleep_until(self.progress_at) => {}
            () = session.news() => {}
            () = expiry(session) => {}
        }
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
