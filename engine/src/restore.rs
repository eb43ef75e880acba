//! Restoring: from a backup to a new store.
//!
//! The new store has an id of its own, while its segments keep the id that they were written with: their bytes are those of
//! the backup. Every record is verified on the way, values too, because this is the moment when one must know. The
//! store answers no version again that the original had answered, or reserved, at the cut: its numbering goes on above
//! them. For the same reason its change feed begins there: what a watcher saw of the original after the cut has not
//! happened in this store.

use crate::disk::{Disk, RealDisk};
use crate::draft::{self, Draft, Meter, NewDirectory, Transfer, path_in};
use crate::error::{Error, Result};
use crate::log::check::check_sealed;
use crate::log::manifest::{BACKUP_FILE, Manifest};
use crate::log::segment::file_name;
use crate::recovery;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a restored store holds, and what it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// The version that was backed up, and is now restored.
    pub version: u64,
    /// New changes get versions above this one.
    pub versions_above: u64,
    /// Segments of the log in it.
    pub segments: usize,
    /// How many of them are links to those of the backup; the others were copied.
    pub linked: usize,
    /// Records that were verified.
    pub records: u64,
    /// Bytes that were verified.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
}

/// Makes a store of the backup in `backup`, in `directory`, which is missing, empty, or holds what an interrupted restore
/// left. The backup stays as it is. Tells every now and then how far it has got.
///
/// # Errors
/// [`Error::NotABackup`], [`Error::Damaged`], [`Error::Unsupported`]; [`Error::NotEmpty`], [`Error::Inside`],
/// [`Error::InUse`], [`Error::NoSpace`], [`Error::Io`]. What was made in the directory is removed again as far as
/// possible; it does not open as a store before all is verified and durable.
pub fn restore(
    backup: impl AsRef<Path>,
    directory: impl AsRef<Path>,
    progress: impl FnMut(Transfer),
) -> Result<RestoreReport> {
    let backup = backup.as_ref();
    let location = || backup.display().to_string();
    let source = RealDisk::open(backup, false).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotABackup { location: location() },
        _ => Error::io(format!("open the directory {}", location()), error),
    })?;
    let source: Arc<dyn Disk> = Arc::new(source);
    let new = NewDirectory::outside(directory.as_ref(), Some(backup))?;
    // Before anything is made: most mistakes are in the name of the backup.
    let manifest = read_backup(&*source)?;
    new.make(|target| restore_manifest(&source, manifest, target, progress))
}

/// As [`restore`], on disks, which may be simulated ones.
///
/// # Errors
/// As [`restore`].
pub fn restore_on(
    backup: &Arc<dyn Disk>,
    target: &Arc<dyn Disk>,
    progress: impl FnMut(Transfer),
) -> Result<RestoreReport> {
    restore_manifest(backup, read_backup(&**backup)?, target, progress)
}

fn restore_manifest(
    backup: &Arc<dyn Disk>,
    manifest: Manifest,
    target: &Arc<dyn Disk>,
    mut progress: impl FnMut(Transfer),
) -> Result<RestoreReport> {
    let started = Instant::now();
    let mut draft = Draft::begin(target, &draft::RESTORE)?;
    let mut meter = Meter::new(&manifest.sealed, &mut progress);
    let mut linked = 0;
    for sealed in &manifest.sealed {
        linked += usize::from(draft.take(backup, sealed, |_| ())?);
        let name = file_name(sealed.segment);
        let file = target.open(&name).map_err(|error| Error::io(format!("open {name}"), error))?;
        // What is found there is what was in the backup.
        check_sealed(&*file, &path_in(&**backup, &name), sealed, |bytes| meter.advance(bytes))?;
    }
    let version = manifest.sequence;
    let versions_above = version.max(manifest.ceiling);
    let report = RestoreReport {
        version,
        versions_above,
        segments: manifest.sealed.len(),
        linked,
        records: manifest.sealed.iter().map(|sealed| u64::from(sealed.records)).sum(),
        bytes: meter.bytes_total(),
        duration: Duration::ZERO,
    };
    draft.complete(&Manifest {
        store: recovery::new_store_id()?,
        generation: manifest.generation + 1,
        sequence: versions_above,
        ceiling: versions_above,
        feed_floor: versions_above,
        ..manifest
    })?;
    Ok(RestoreReport { duration: started.elapsed(), ..report })
}

/// The manifest of a backup, if it can be one.
fn read_backup(disk: &dyn Disk) -> Result<Manifest> {
    let location = disk.location();
    let names = disk.list().map_err(|error| Error::io(format!("list {location}"), error))?;
    if !names.iter().any(|name| name == BACKUP_FILE) {
        return Err(Error::NotABackup { location });
    }
    let manifest = Manifest::read(disk, BACKUP_FILE)?;
    let numbers: BTreeSet<u32> = manifest.sealed.iter().map(|sealed| sealed.segment).collect();
    let is_possible = manifest.clean
        && manifest.open.is_empty()
        && manifest.retired.is_empty()
        && numbers.len() == manifest.sealed.len()
        && numbers.last().is_none_or(|last| *last < manifest.next_segment)
        && manifest.sealed.iter().all(|sealed| sealed.highest_sequence <= manifest.sequence);
    if !is_possible {
        return Err(Error::damaged(path_in(disk, BACKUP_FILE), 0, "it is intact, but not that of a backup"));
    }
    Ok(manifest)
}
