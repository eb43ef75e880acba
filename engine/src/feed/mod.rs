//! The change feed: every committed change, in commit order, once it is durable.
//!
//! The log itself is the feed. A subscriber is a version, a filter and a place in the log; it reads segments and keeps
//! nothing of its own, neither a queue nor a lock nor an open segment, so it holds up nobody, and reading history and
//! following what happens are one thing. `docs/feed.md` has the argument why nothing is left out or given twice; the
//! steps are marked with its numbers.

mod change;
mod news;
mod walk;

use crate::address::Tenant;
use crate::error::{Error, Result};
use crate::log::record::{Outline, Record};
use crate::log::segment::SegmentTable;
use crate::store::{Inner, Store};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use walk::{Place, Walk};

pub use change::{Change, ChangeKind, Changes};
pub use news::News;

/// A read ends once it has walked over so many bytes of the log, however few of them are watched.
const WALKED_BYTES: u64 = 1 << 20;

/// What to watch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watch<'a> {
    /// Only changes of this tenant; `None` for all.
    pub tenant: Option<Tenant>,
    /// Only changes in this namespace; `None` for all.
    pub namespace: Option<&'a str>,
    /// Only changes of keys that start with this.
    pub prefix: &'a str,
    /// Every change after this version; `None`: after what is durable now.
    pub from: Option<u64>,
    /// With values and descriptions. Without, they are not read at all.
    pub values: bool,
}

/// Changes that the log holds and will hold, from one version on. See [`Store::watch`].
///
/// ```
/// use larder_engine::{Address, ChangeKind, Put, Store, Tenant, Watch};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::open(directory.path())?;
/// let mut feed = store.watch(&Watch { prefix: "user:", values: true, ..Watch::default() })?;
/// store.put(Address::new(Tenant::DEFAULT, "app", "user:1")?, &Put::new(b"1"))?.expect("there was no condition");
///
/// let changes = feed.next(64 << 10)?;
/// let change = changes.iter().next().expect("it was waited for");
/// assert_eq!((change.kind, change.key, change.value), (ChangeKind::Set, "user:1", &b"1"[..]));
/// // With this a feed can be resumed after a restart: `Watch::from`.
/// assert_eq!(feed.version(), change.version);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Feed {
    inner: Arc<Inner>,
    scope: Scope,
    version: u64,
    /// Where to go on reading, unless that segment is gone.
    place: Option<Place>,
}

impl Store {
    /// Watches what is committed, from a version on or from now on. It becomes visible there once it is durable, at level
    /// [`Buffered`](crate::Durability::Buffered) too.
    ///
    /// # Errors
    /// [`Error::Compacted`], [`Error::VersionAhead`], [`Error::Closed`].
    pub fn watch(&self, watch: &Watch<'_>) -> Result<Feed> {
        let inner = &self.inner;
        let version = watch.from.unwrap_or_else(|| inner.progress.durable());
        let newest = {
            let state = inner.state();
            if state.closed {
                return Err(Error::Closed);
            }
            state.next_sequence - 1
        };
        if version > newest {
            return Err(Error::VersionAhead { version, newest });
        }
        let feed = Feed::new(inner, Scope::of(watch), version);
        feed.check_floor()?;
        Ok(feed)
    }
}

impl Feed {
    fn new(inner: &Arc<Inner>, scope: Scope, version: u64) -> Feed {
        inner.feeds.fetch_add(1, Ordering::Relaxed);
        Feed { inner: Arc::clone(inner), scope, version, place: None }
    }

    /// Every change up to this version was given, or is not watched: the one to resume after.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The next changes that are durable, without waiting: as many as fit into `bytes_max`, but at least one if there is
    /// any within the next [megabyte](Changes::more) of the log.
    ///
    /// It reads files. What was changed lately is in memory as a rule; what was not may take as long as a disk does.
    ///
    /// # Errors
    /// [`Error::Compacted`] if the log has lost changes that were not given yet, [`Error::Damaged`] or [`Error::Io`] if one
    /// cannot be read; [`Error::Failed`] once all is given that was durable when the log failed; [`Error::Closed`].
    pub fn read(&mut self, bytes_max: usize) -> Result<Changes> {
        // After a failure the marks stand still: this one is then the last.
        let failure = self.inner.progress.failure();
        let durable = self.inner.progress.durable();
        let segments = self.segments()?;
        self.check_floor()?;
        let mut changes = Changes::default();
        if self.version >= durable {
            return failure.map_or(Ok(changes), |cause| Err(Error::Failed { cause }));
        }
        match self.collect(&segments, durable, bytes_max, &mut changes) {
            Err(error) if changes.is_empty() => Err(error),
            // After what was found before an error; the next read meets it again.
            _ => Ok(changes),
        }
    }

    /// Becomes ready once there is more to read, or an error to be told.
    pub fn news(&self) -> News {
        News::new(Arc::clone(&self.inner), self.version)
    }

    /// As [`Feed::read`], but blocks until there is a change.
    ///
    /// # Errors
    /// As [`Feed::read`].
    pub fn next(&mut self, bytes_max: usize) -> Result<Changes> {
        loop {
            let changes = self.read(bytes_max)?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            self.news().wait();
        }
    }

    /// About how many bytes of the log, watched or not, follow what was read.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn lag_bytes(&self) -> Result<u64> {
        Ok(walk::bytes_after(&*self.segments()?, self.place))
    }

    /// The segments of the log, all that hold anything above the floor as it is looked at after this.
    fn segments(&self) -> Result<Arc<SegmentTable>> {
        let state = self.inner.state();
        if state.closed { Err(Error::Closed) } else { Ok(Arc::clone(&state.segments)) }
    }

    /// Step 2: to be called after the segments were taken.
    fn check_floor(&self) -> Result<()> {
        let (version, floor) = (self.version, self.inner.catalog.feed_floor());
        if version < floor { Err(Error::Compacted { version, floor }) } else { Ok(()) }
    }

    /// Collects what is watched, up to the end of what is durable or until there is enough.
    fn collect(
        &mut self,
        segments: &SegmentTable,
        durable: u64,
        bytes_max: usize,
        changes: &mut Changes,
    ) -> Result<()> {
        let Some(mut walk) = Walk::resume(segments, self.place, self.version, durable)? else {
            self.version = durable;
            return Ok(());
        };
        let mut scratch = Vec::new();
        changes.more = true;
        while walk.walked < WALKED_BYTES {
            let header = walk.header(&mut scratch)?;
            self.place = Some(walk.place());
            let Some(header) = header else {
                self.version = durable;
                changes.more = false;
                break;
            };
            if header.last_sequence() > self.version {
                let take = |record: &Record<'_>| changes.take(record, bytes_max);
                if !walk.records(&header, &self.scope, &mut self.version, take)? {
                    break;
                }
            }
            walk.pass(&header);
        }
        Ok(())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.inner.feeds.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Which changes are watched, and how much of them.
#[derive(Debug)]
struct Scope {
    tenant: Option<Tenant>,
    namespace: Option<Box<str>>,
    prefix: Box<str>,
    values: bool,
}

impl Scope {
    fn of(watch: &Watch<'_>) -> Scope {
        Scope {
            tenant: watch.tenant,
            namespace: watch.namespace.map(Box::from),
            prefix: watch.prefix.into(),
            values: watch.values,
        }
    }

    fn holds(&self, record: &Outline<'_>) -> bool {
        self.tenant.is_none_or(|tenant| tenant == record.tenant)
            && self.namespace.as_deref().is_none_or(|namespace| namespace.as_bytes() == record.namespace)
            && record.key.starts_with(self.prefix.as_bytes())
    }

    /// As much of a record as is watched.
    fn cut<'r>(&self, record: Record<'r>) -> Record<'r> {
        if self.values { record } else { Record { description: "", value: b"", ..record } }
    }
}
