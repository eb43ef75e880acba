//! Backups: exactly one version of a store, taken while reads and writes go on.
//!
//! The log is rotated at the cut, into a segment that was prepared before: that is all that writers may notice. What
//! lies before the cut is then brought to disk and sealed, as it would be anyway, and the sealed segments, which never
//! change, are linked into the backup's directory. Until it is known which these are, nobody else seals, and nothing is
//! compacted: compaction would drop what is superseded behind the cut. Until the last is linked, no segment's file is
//! removed.
//!
//! A backup costs no space and no time where links are possible, but it then shares its bytes with the store: it guards
//! against mistakes, and against damage only once it is copied to another disk.

use crate::disk::{Disk, RealDisk};
use crate::draft::{self, Draft, Meter, NewDirectory, Transfer};
use crate::error::{Error, Result};
use crate::log::catalog::Need;
use crate::log::manifest::{MANIFEST_FILE, Manifest};
use crate::options::Options;
use crate::recovery;
use crate::state::State;
use crate::store::{Inner, Store};
use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the cut is put off because another rotation has used up the segment that was prepared for it.
const CUT_ATTEMPTS: usize = 8;

/// What a backup holds, and what it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// The version that was backed up: every change up to this one is in the backup, and none after it.
    pub version: u64,
    /// Segments of the log in it.
    pub segments: usize,
    /// How many of them are links, which take no space of their own; the others were copied.
    pub linked: usize,
    /// Bytes of its segments.
    pub bytes: u64,
    /// For how long writes were held up at the cut.
    pub pause: Duration,
    /// How long it took in all.
    pub duration: Duration,
}

/// Where a store was cut.
pub(crate) struct Cut {
    sequence: u64,
    /// No version above this one was answered so far.
    ceiling: u64,
    time_ms: u64,
    pause: Duration,
}

impl Store {
    /// Backs the store up into `directory`, which is missing, empty, or holds what an interrupted backup left. Reads and
    /// writes go on meanwhile; every change acknowledged before the call is in the backup.
    ///
    /// [`restore`](crate::restore) makes a store of it again. Blocks until the backup is durable.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Inside`], [`Error::InUse`] (by another backup), [`Error::NoSpace`], [`Error::Io`];
    /// [`Error::Failed`], [`Error::Closed`]. What was made in the directory is removed again as far as possible, and the
    /// store goes on undisturbed.
    pub fn backup(&self, directory: impl AsRef<Path>) -> Result<BackupReport> {
        self.backup_with(directory, |_| ())
    }

    /// As [`Store::backup`], and tells every now and then how far it has got.
    ///
    /// # Errors
    /// As [`Store::backup`].
    pub fn backup_with(
        &self,
        directory: impl AsRef<Path>,
        progress: impl FnMut(Transfer),
    ) -> Result<BackupReport> {
        let disk: &dyn Any = &**self.inner.catalog.disk();
        let own = disk.downcast_ref().map(RealDisk::directory);
        NewDirectory::outside(directory.as_ref(), own)?.make(|target| self.backup_on(target, progress))
    }

    /// As [`Store::backup_with`], onto a disk, which may be a simulated one.
    ///
    /// # Errors
    /// As [`Store::backup`].
    pub fn backup_on(
        &self,
        target: &Arc<dyn Disk>,
        mut progress: impl FnMut(Transfer),
    ) -> Result<BackupReport> {
        let started = Instant::now();
        let catalog = &self.inner.catalog;
        let draft = Draft::begin(target, &draft::BACKUP)?;
        let _hold = catalog.hold();
        let cut = self.inner.cut();
        self.inner.after_turn();
        let (manifest, pause) = cut?;
        let filled = fill(draft, catalog.disk(), &manifest, &mut progress);
        // Once the store is closed nobody keeps its files where they are.
        let report = filled.map_err(|error| if self.inner.state().closed { Error::Closed } else { error })?;
        Ok(BackupReport { pause, duration: started.elapsed(), ..report })
    }
}

/// Backs up the store in `directory` that no process has open, into `target`. If it was not closed in order it is opened
/// for that, and so recovered, and closed.
///
/// # Errors
/// Those of [`Options::open`] and of [`Store::backup`].
pub fn backup(
    directory: impl AsRef<Path>,
    target: impl AsRef<Path>,
    progress: impl FnMut(Transfer),
) -> Result<BackupReport> {
    let directory = directory.as_ref();
    let location = || directory.display().to_string();
    let store = RealDisk::open(directory, false).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Missing { location: location() },
        _ => Error::io(format!("open the directory {}", location()), error),
    })?;
    let store: Arc<dyn Disk> = Arc::new(store);
    NewDirectory::outside(target.as_ref(), Some(directory))?
        .make(|target| backup_on(&store, target, progress))
}

/// As [`backup`], on disks, which may be simulated ones.
///
/// # Errors
/// As [`backup`].
pub fn backup_on(
    store: &Arc<dyn Disk>,
    target: &Arc<dyn Disk>,
    mut progress: impl FnMut(Transfer),
) -> Result<BackupReport> {
    let started = Instant::now();
    if let Some(report) = backup_clean(store, target, &mut progress)? {
        return Ok(BackupReport { duration: started.elapsed(), ..report });
    }
    let store = Options::new().create(false).open_on(Arc::clone(store))?;
    let report = store.backup_on(target, progress)?;
    store.close()?;
    Ok(BackupReport { duration: started.elapsed(), ..report })
}

/// Backs up a store that was closed in order: its manifest is as good as that of a backup. `None` if it was not.
fn backup_clean(
    store: &Arc<dyn Disk>,
    target: &Arc<dyn Disk>,
    progress: &mut dyn FnMut(Transfer),
) -> Result<Option<BackupReport>> {
    let names = store.list().map_err(|error| Error::io(format!("list {}", store.location()), error))?;
    if !names.iter().any(|name| name == MANIFEST_FILE) {
        return Ok(None);
    }
    let _lock = recovery::own(&**store)?;
    let manifest = Manifest::read(&**store, MANIFEST_FILE)?;
    if !manifest.clean {
        return Ok(None);
    }
    let manifest = Manifest { retired: Vec::new(), ..manifest };
    fill(Draft::begin(target, &draft::BACKUP)?, store, &manifest, progress).map(Some)
}

/// Makes a backup of the segments that `manifest` names.
fn fill(
    mut draft: Draft,
    source: &Arc<dyn Disk>,
    manifest: &Manifest,
    progress: &mut dyn FnMut(Transfer),
) -> Result<BackupReport> {
    let mut meter = Meter::new(&manifest.sealed, progress);
    let mut linked = 0;
    for sealed in &manifest.sealed {
        linked += usize::from(draft.take(source, sealed, |bytes| meter.advance(bytes))?);
    }
    draft.complete(manifest)?;
    Ok(BackupReport {
        version: manifest.sequence,
        segments: manifest.sealed.len(),
        linked,
        bytes: meter.bytes_total(),
        ..BackupReport::default()
    })
}

impl Inner {
    /// Cuts the log, brings what lies before the cut to disk, and seals it. Gives the manifest of exactly that, and for how
    /// long writes were held up.
    fn cut(&self) -> Result<(Manifest, Duration)> {
        // What supersedes a record behind the cut must not have it dropped from before the cut.
        let _no_compaction = self.take_turn()?;
        let _sealing = self.lock_sealing();
        let cut = self.rotate_at_cut()?;
        self.sync_quietly(cut.sequence);
        if self.progress.failure().is_some() {
            return Err(self.failed_error());
        }
        self.seal_up_to(cut.sequence)?;
        // Nothing behind the cut is sealed yet, so all that is sealed lies before it.
        let sealed = self.catalog.manifest()?;
        debug_assert_eq!(
            sealed.sequence, cut.sequence,
            "what lies before the cut is sealed, and nothing else"
        );
        let time_ms = sealed.time_ms.max(cut.time_ms);
        let (open, retired) = (Vec::new(), Vec::new());
        let manifest = Manifest { clean: true, ceiling: cut.ceiling, time_ms, open, retired, ..sealed };
        Ok((manifest, cut.pause))
    }

    /// Lets the log go on in the prepared segment, so that nothing touches the disk while writers wait. Short of space,
    /// it goes on in one for removals.
    pub(crate) fn rotate_at_cut(&self) -> Result<Cut> {
        let mut attempts = 0;
        loop {
            let is_short = match self.catalog.prepare(&self.clock) {
                Err(Error::NoSpace { .. }) => true,
                prepared => prepared.map(|()| false)?,
            };
            let mut state = self.state_mut();
            if state.closed || state.failed {
                return Err(if state.closed { Error::Closed } else { self.failed_error() });
            }
            attempts += 1;
            if is_short || self.catalog.is_prepared() || attempts == CUT_ATTEMPTS {
                return self.cut_here(&mut state);
            }
        }
    }

    fn cut_here(&self, state: &mut State) -> Result<Cut> {
        let started = Instant::now();
        let time_ms = self.clock.now_ms();
        let buffer = std::mem::take(&mut state.frame_buffer);
        state.tail.close_frame(self.progress.durable(), time_ms, buffer);
        self.note_pending(state);
        if !state.tail.is_segment_empty() {
            state.rotate(self.catalog.take(Need::Removals, 0, &self.clock)?);
        }
        let (sequence, ceiling) = (state.next_sequence - 1, state.tail.ceiling());
        Ok(Cut { sequence, ceiling, time_ms, pause: started.elapsed() })
    }
}
