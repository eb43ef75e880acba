//! The real disk: a directory of the file system, through positioned reads and writes.
//!
//! Syncing. A file system notes in its journal that a block which was allocated holds data now. On ext4, should the
//! journal be aborted (by an I/O error, a forced shutdown, a remount with `abort`) while an `fdatasync` runs, that note is
//! dropped silently: Linux 6.18 reports success, and after a remount the block reads as zeroes. Nor is a second
//! `fdatasync` certain to tell. What does tell is anything that has to begin a transaction: it is refused once the journal
//! is aborted, which lasts until the next mount. So [`DiskFile::sync`] is an `fdatasync` followed by an allocation of what is
//! allocated. If that succeeds, the journal was still working after the `fdatasync`, which then has done what it said.
//!
//! To write over blocks whose note is in the journal for certain needs no note, and so no proof:
//! [`DiskFile::sync_overwritten`] is an `fdatasync` alone. It stays true even if the journal is aborted then, as the bytes go
//! where the blocks are.

use super::{Disk, DiskFile, DiskLock, LOCK_FILE, Map};
use rustix::fs::{self, FallocateFlags, FlockOperation, FsWord, SeekFrom};
use rustix::io::Errno;
use std::any::Any;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory on a real file system.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    handle: File,
    overwrites_in_place: bool,
}

/// The file systems that are known to write in place, as `statfs` numbers them: ext2 to ext4, and XFS.
const IN_PLACE: [FsWord; 2] = [0xef53, 0x5846_5342];

/// Longest content of a lock file that is read.
const LOCK_BYTES_MAX: u64 = 64;

impl RealDisk {
    /// Opens the directory at `path`; creates it, and its missing parents, if `create` is set.
    pub fn open(path: &Path, create: bool) -> io::Result<RealDisk> {
        if create && !path.is_dir() {
            std::fs::create_dir_all(path)?;
            // The new names live in the parents; they must survive a power cut as the files in them do.
            for parent in path.ancestors().skip(1) {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                File::open(parent)?.sync_all()?;
            }
        }
        let handle = File::open(path)?;
        if !handle.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a directory"));
        }
        let overwrites_in_place = IN_PLACE.contains(&fs::fstatfs(&handle)?.f_type);
        Ok(RealDisk { directory: path.to_owned(), handle, overwrites_in_place })
    }

    /// Where this is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the owner of the directory has said of itself in the lock file, if there is an owner. Takes the lock for no longer
    /// than it takes to see that it is free.
    pub(crate) fn owner(&self) -> io::Result<Option<String>> {
        let file = match File::open(self.path(LOCK_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        match fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(Errno::WOULDBLOCK) => {
                let mut owner = String::new();
                // A line that only people and this look read.
                file.take(LOCK_BYTES_MAX).read_to_string(&mut owner)?;
                Ok(Some(owner.trim().to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        debug_assert!(!name.contains('/'), "{name:?} is a name, not a path");
        self.directory.join(name)
    }
}

impl Disk for RealDisk {
    fn location(&self) -> String {
        self.directory.display().to_string()
    }

    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path(LOCK_FILE))?;
        // flock, unlike fcntl locks, belongs to the open file: it also keeps out a second open by the same process.
        fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // For people who look; a full disk must not keep a store from being opened.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Box::new(RealLock { _file: file }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            // A name that is not UTF-8 is none of the engine's.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let path = self.path(name);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            // A backup may well lie where nobody can change it.
            Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => File::open(path)?,
            opened => opened?,
        };
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn link_from(&self, source: &(dyn Disk + 'static), name: &str) -> io::Result<()> {
        let source: &dyn Any = source;
        let source: &RealDisk = source.downcast_ref().ok_or(io::ErrorKind::Unsupported)?;
        std::fs::hard_link(source.path(name), self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn overwrites_in_place(&self) -> bool {
        self.overwrites_in_place
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = fs::fstatvfs(&self.handle)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl DiskLock for RealLock {}

/// A file of a [`RealDisk`].
#[derive(Debug)]
pub(super) struct RealFile(File);

impl RealFile {
    pub(super) fn as_file(&self) -> &File {
        &self.0
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()?;
        let prove = || fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, 0, 1);
        match rustix::io::retry_on_intr(prove) {
            // Where it cannot be asked, or takes new room, nothing is known to be wrong.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOSPC | Errno::DQUOT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_overwritten(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let allocate = || fs::fallocate(&self.0, FallocateFlags::empty(), 0, length);
        Ok(rustix::io::retry_on_intr(allocate)?)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn data_len(&self) -> io::Result<u64> {
        // Allocated and never written counts as a hole, so that a mostly empty segment is not read through.
        let length = self.len()?;
        let mut end = 0;
        loop {
            match fs::seek(&self.0, SeekFrom::Data(end)) {
                Ok(data) => end = fs::seek(&self.0, SeekFrom::Hole(data))?,
                Err(Errno::NXIO) => return Ok(end),
                Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(length),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn map(&self, length: u64) -> io::Result<Option<Map>> {
        Map::new(self, length).map(Some)
    }
}
