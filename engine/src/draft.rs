//! A directory under construction, of sealed segments and a manifest: a backup, or a store that is being restored.
//!
//! It is either complete or recognisably not. First a marker file is there, durably; then come the segments, as links
//! to the same files where the file system allows it and as copies elsewhere (a sealed segment never changes, so both
//! are as good); once all of them are durable, the manifest is written into the marker, which is then renamed to what a
//! complete directory has. Whoever finds a marker finds what an interruption left, and may begin again over it: nothing
//! but segments is ever removed there.

use crate::disk::{Disk, DiskLock, can_copy_instead, read_exact_at, write_all_at};
use crate::error::{Error, Result};
use crate::log::check::file_bytes;
use crate::log::manifest::{BACKUP_FILE, MANIFEST_FILE, Manifest, Sealed};
use crate::log::segment::{file_name, parse_file_name};
use crate::recovery;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 1 << 20;

/// How far a backup or a restore has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes done: taken into a backup, or verified in a restored store.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

/// What is under construction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    /// In words.
    pub(crate) what: &'static str,
    marker: &'static str,
    complete: &'static str,
}

pub(crate) const BACKUP: Stage = Stage { what: "backup", marker: "BACKUP.new", complete: BACKUP_FILE };
pub(crate) const RESTORE: Stage = Stage { what: "restore", marker: "RESTORE.new", complete: MANIFEST_FILE };

impl Stage {
    /// What was being made of a directory with these names, if that was interrupted.
    pub(crate) fn of(names: &[String]) -> Option<&'static Stage> {
        [&BACKUP, &RESTORE].into_iter().find(|stage| names.iter().any(|name| name == stage.marker))
    }
}

/// See the module. Dropped before it is complete, it removes what it has made, as far as that is possible.
#[derive(Debug)]
pub(crate) struct Draft {
    disk: Arc<dyn Disk>,
    stage: &'static Stage,
    segments: Vec<u32>,
    is_complete: bool,
    /// Keeps a second one out, and everybody who would open the directory meanwhile.
    _lock: Box<dyn DiskLock>,
}

impl Draft {
    /// Begins in an empty directory, or in one where the same was interrupted.
    pub(crate) fn begin(disk: &Arc<dyn Disk>, stage: &'static Stage) -> Result<Draft> {
        // Before the lock too: a directory of somebody else's gets no lock file.
        leftovers(&**disk, stage)?;
        let lock = recovery::own(&**disk)?;
        let disk = Arc::clone(disk);
        let segments = leftovers(&*disk, stage)?;
        let draft = Draft { disk, stage, segments: Vec::new(), is_complete: false, _lock: lock };
        draft.mark(&segments).map_err(|error| draft.failed("begin", error))?;
        Ok(draft)
    }

    /// Makes sure that there is a marker and nothing else.
    fn mark(&self, leftovers: &[u32]) -> io::Result<()> {
        for id in leftovers {
            self.disk.remove(&file_name(*id))?;
        }
        match self.disk.create(self.stage.marker) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => drop(created?),
        }
        self.disk.sync_dir()
    }

    /// Takes a segment over from `source`, under the same name. Returns whether it was linked, and not copied. `told` is given
    /// the bytes that were taken since it was called last.
    pub(crate) fn take(
        &mut self,
        source: &Arc<dyn Disk>,
        sealed: &Sealed,
        mut told: impl FnMut(u64),
    ) -> Result<bool> {
        let name = file_name(sealed.segment);
        self.segments.push(sealed.segment);
        let linked = match self.disk.link_from(&**source, &name) {
            Ok(()) => {
                told(file_bytes(sealed));
                Ok(true)
            }
            Err(error) if can_copy_instead(&error) => {
                self.copy(&**source, &name, file_bytes(sealed), told).map(|()| false)
            }
            Err(error) => Err(error),
        };
        linked.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => {
                Error::damaged(path_in(&**source, &name), 0, "the file is missing, or shorter than it was")
            }
            _ => self.failed(&format!("take {name} over"), error),
        })
    }

    fn copy(&self, source: &dyn Disk, name: &str, length: u64, mut told: impl FnMut(u64)) -> io::Result<()> {
        let (from, to) = (source.open(name)?, self.disk.create(name)?);
        let mut buffer = vec![0; PIECE_BYTES];
        let mut at = 0;
        while at < length {
            let count = usize::try_from(length - at).unwrap_or(usize::MAX).min(buffer.len());
            read_exact_at(&*from, &mut buffer[..count], at)?;
            write_all_at(&*to, &buffer[..count], at)?;
            at += count as u64;
            told(count as u64);
        }
        to.sync()
    }

    /// Completes the directory with its manifest.
    pub(crate) fn complete(mut self, manifest: &Manifest) -> Result<()> {
        self.put_in_force(manifest).map_err(|error| self.failed("complete", error))?;
        self.is_complete = true;
        Ok(())
    }

    fn put_in_force(&self, manifest: &Manifest) -> io::Result<()> {
        // The segments first: what is complete names nothing that a power cut can take away.
        self.disk.sync_dir()?;
        let marker = self.disk.open(self.stage.marker)?;
        let bytes = manifest.encode();
        write_all_at(&*marker, &bytes, 0)?;
        // An interrupted attempt may have left a longer one.
        marker.set_len(bytes.len() as u64)?;
        marker.sync()?;
        self.disk.rename(self.stage.marker, self.stage.complete)?;
        self.disk.sync_dir()
    }

    /// What takes the directory back to what it was, in an order that keeps it recognisable all the way.
    fn discard(&self) -> io::Result<()> {
        // Completing it may have failed with the last step.
        match self.disk.rename(self.stage.complete, self.stage.marker) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => {
                renamed?;
                self.disk.sync_dir()?;
            }
        }
        for id in &self.segments {
            match self.disk.remove(&file_name(*id)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        self.disk.sync_dir()?;
        self.disk.remove(self.stage.marker)?;
        self.disk.sync_dir()
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        let location = self.disk.location();
        Error::of_disk(format!("{what} the {} in {location}", self.stage.what), location, error)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_complete {
            // Whatever cannot be removed is recognised by its marker.
            let _ = self.discard();
        }
    }
}

/// The segments that an interruption left; an error if there is anything else.
fn leftovers(disk: &dyn Disk, stage: &Stage) -> Result<Vec<u32>> {
    let location = disk.location();
    let names = disk.list().map_err(|error| Error::io(format!("list {location}"), error))?;
    let begun = names.iter().any(|name| name == stage.marker);
    let mut segments = Vec::new();
    for name in names {
        match parse_file_name(&name) {
            Some(id) if begun => segments.push(id),
            None if matches!(&*name, "LOCK" | "lost+found") || name == stage.marker => {}
            _ => return Err(Error::NotEmpty { location, found: name }),
        }
    }
    Ok(segments)
}

/// A file, for messages.
pub(crate) fn path_in(disk: &dyn Disk, name: &str) -> String {
    format!("{}/{name}", disk.location())
}

/// Adds up the bytes done, and tells somebody.
pub(crate) struct Meter<'m> {
    transfer: Transfer,
    tell: &'m mut dyn FnMut(Transfer),
}

impl<'m> Meter<'m> {
    pub(crate) fn new(sealed: &[Sealed], tell: &'m mut dyn FnMut(Transfer)) -> Meter<'m> {
        Meter { transfer: Transfer { bytes: 0, bytes_total: sealed.iter().map(file_bytes).sum() }, tell }
    }

    pub(crate) fn advance(&mut self, bytes: u64) {
        self.transfer.bytes += bytes;
        (self.tell)(self.transfer);
    }

    pub(crate) fn bytes_total(&self) -> u64 {
        self.transfer.bytes_total
    }
}

/// A directory that is to be made outside of another one, which is read meanwhile. Should the work fail, it goes again.
pub(crate) struct NewDirectory<'p> {
    path: &'p Path,
    is_new: bool,
}

impl<'p> NewDirectory<'p> {
    pub(crate) fn outside(path: &'p Path, within: Option<&Path>) -> Result<NewDirectory<'p>> {
        let text = |path: &Path| path.display().to_string();
        let real = |path: &Path| {
            real_path(path).map_err(|error| Error::io(format!("find the directory {}", text(path)), error))
        };
        if let Some(within) = within
            && real(path)?.starts_with(real(within)?)
        {
            return Err(Error::Inside { location: text(path), within: text(within) });
        }
        Ok(NewDirectory { path, is_new: !path.exists() })
    }

    /// Does `work` in the directory.
    pub(crate) fn make<R>(&self, work: impl FnOnce(&Arc<dyn Disk>) -> Result<R>) -> Result<R> {
        let disk = crate::disk::RealDisk::open(self.path, true).map_err(|error| {
            let location = self.path.display().to_string();
            Error::of_disk(format!("open the directory {location}"), location, error)
        })?;
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let result = work(&disk);
        if result.is_err() && self.is_new {
            // Nothing but the lock is in it, or it stays.
            let _ = std::fs::remove_file(self.path.join("LOCK"));
            let _ = std::fs::remove_dir(self.path);
        }
        result
    }
}

/// Where a path leads, of which the end may not exist yet.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
    Ok(existing.canonicalize()?.join(rest))
}
