//! The disk as the engine sees it: one flat directory of files behind two small traits.
//!
//! Everything the engine asks of storage goes through [`Disk`] and [`DiskFile`], so that tests can put a simulated
//! disk in place of the real one: it loses unsynced sectors, tears writes and fails on demand, all from one seed.
//! Names are plain file names within the store's directory, never paths.
//!
//! The traits promise no more than POSIX does: data is durable after [`DiskFile::sync`], a directory entry after
//! [`Disk::sync_dir`], and whatever was not synced may survive a crash in any part.

mod map;
mod real;
pub mod sim;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;

pub use map::Map;
pub use real::RealDisk;

/// Name of the file whose advisory lock makes a process the owner of a directory.
pub(crate) const LOCK_FILE: &str = "LOCK";

/// A directory of files.
pub trait Disk: Any + Debug + Send + Sync {
    /// Where this is, for messages to people.
    fn location(&self) -> String;

    /// Takes the directory for this process; fails with [`io::ErrorKind::WouldBlock`] if another owner holds it.
    ///
    /// The lock is let go when the returned guard is dropped and, whatever happens, when the process ends.
    fn lock(&self) -> io::Result<Box<dyn DiskLock>>;

    /// The names of all files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates a file that does not exist yet, for reading and writing.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that exists, for reading, and for writing where that is allowed.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file, replacing `to` if it exists, atomically with regard to a crash.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name; its space is free once nobody holds it open.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives the file `name` of another directory that name in this one too, without copying it: one file with two names.
    ///
    /// Fails with a kind that [`can_copy_instead`] knows where the two cannot share files. That is always so for disks
    /// of different kinds, and for those that do not say otherwise; such a file is copied through these traits.
    fn link_from(&self, source: &(dyn Disk + 'static), name: &str) -> io::Result<()> {
        let _ = (source, name);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes all creations, links, renames and removals so far durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Whether what is written already is written over where it is: without new room, and so that
    /// [`DiskFile::sync_overwritten`] gains something.
    fn overwrites_in_place(&self) -> bool {
        false
    }

    /// Bytes that can still be allocated.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// Exclusive ownership of a directory, for as long as it lives.
pub trait DiskLock: Debug + Send + Sync {}

/// An open file, read and written at offsets.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads into `buffer` from `offset`; returns how many bytes there were, 0 at or past the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes from `bytes` at `offset`, growing the file if need be; may write fewer bytes than asked.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the file's bytes and length durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;

    /// Does the same for bytes that replace ones that were durable when it began, through [`DiskFile::sync`]; they are durable
    /// when this returns, and nothing is said of others. Where that is no cheaper, it is a [`DiskFile::sync`].
    fn sync_overwritten(&self) -> io::Result<()> {
        self.sync()
    }

    /// Cuts the file off, or extends it with zeroes, to `length` bytes.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Allocates space for `length` bytes from the start, so that writing there cannot fail for want of it. The file
    /// reads as zeroes where it was not written.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// A position behind which nothing but zeroes was ever written: where a preallocated file may be taken to end.
    fn data_len(&self) -> io::Result<u64> {
        self.len()
    }

    /// Whether the file holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// A mapping of the first `length` bytes, which stays coherent with later writes; `None` where the disk has none.
    ///
    /// The file must be at least `length` bytes long, and whoever holds the mapping must not read past the file's
    /// end if it is cut off later.
    fn map(&self, length: u64) -> io::Result<Option<Map>>;
}

/// Whether a link failed because the two directories cannot share this file, and not because something is wrong: other
/// file system (`EXDEV`), links not known (`EOPNOTSUPP`), not allowed (`EPERM`), or too many of them (`EMLINK`).
pub fn can_copy_instead(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
}

/// Reads exactly `buffer.len()` bytes; a file that ends before is an [`io::ErrorKind::UnexpectedEof`].
pub(crate) fn read_exact_at(file: &dyn DiskFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer = buffer.get_mut(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes`; a write that makes no progress is an [`io::ErrorKind::WriteZero`].
pub(crate) fn write_all_at(file: &dyn DiskFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
