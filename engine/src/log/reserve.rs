//! The reserve: room on the disk that is kept for what makes room.
//!
//! Deleting takes room in the log before it gives any back. So that a full disk is no dead end, a file that holds
//! nothing is allocated ahead. It is cut shorter by as much as is needed when there is no other room for a removal, a
//! compaction or the manifest, and made whole again before a segment is allocated for anything else.
//!
//! The file is best effort: nothing of it is ever read, it is not synced, and an open takes it as it finds it. It is not
//! kept open either, so that somebody who removes it by hand gets its room.

use crate::disk::Disk;
use crate::sync::{Mutex, MutexGuard};
use std::io;
use std::sync::PoisonError;

/// Name of the file.
pub(crate) const RESERVE_FILE: &str = "RESERVE";

/// See the module.
#[derive(Debug)]
pub(crate) struct Reserve {
    /// Its size, when it is whole.
    bytes: u64,
    /// Whether it is known to be.
    whole: Mutex<bool>,
}

impl Reserve {
    /// A reserve of `bytes`, or none if that is 0; looked for when it is first filled.
    pub(crate) fn new(bytes: u64) -> Reserve {
        Reserve { bytes, whole: Mutex::new(false) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the reserve whole, if it is not.
    pub(crate) fn fill(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut whole = self.lock();
        if !*whole {
            match self.bytes {
                0 => remove(disk)?,
                _ => self.allocate(disk)?,
            }
            *whole = true;
        }
        Ok(())
    }

    fn allocate(&self, disk: &dyn Disk) -> io::Result<()> {
        let file = match disk.open(RESERVE_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(RESERVE_FILE)?,
            opened => opened?,
        };
        if file.len()? > self.bytes {
            file.set_len(self.bytes)?;
        }
        file.allocate(self.bytes)
    }

    /// How much of it there is, as far as that is known.
    pub(crate) fn left(&self, disk: &dyn Disk) -> u64 {
        let _whole = self.lock();
        disk.open(RESERVE_FILE).and_then(|file| file.len()).unwrap_or(0)
    }

    /// Frees `bytes` of it, or all but `rest` if that is less. Returns false if nothing was left, or could be had.
    pub(crate) fn draw(&self, disk: &dyn Disk, bytes: u64, rest: u64) -> bool {
        let mut whole = self.lock();
        *whole = false;
        let Ok(file) = disk.open(RESERVE_FILE) else { return false };
        let before = file.len().unwrap_or(0);
        let left = before.saturating_sub(bytes.max(1)).max(rest);
        if rest > 0 && left >= before {
            return false;
        }
        if left > 0 && file.set_len(left).is_ok() {
            return true;
        }
        // What is still open takes its room.
        drop(file);
        remove(disk).is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(disk: &dyn Disk) -> io::Result<()> {
    match disk.remove(RESERVE_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    #[test]
    fn it_is_drawn_piece_by_piece_and_made_whole_again() {
        let (disk, reserve) = (SimDisk::new(1), Reserve::new(100_000));
        assert!(!reserve.draw(&disk, 1, 0));
        reserve.fill(&disk).unwrap();
        disk.set_capacity(disk.used_bytes());
        for left in [60_000, 20_000] {
            assert!(reserve.draw(&disk, 40_000, 10_000));
            assert_eq!(disk.open(RESERVE_FILE).unwrap().len().unwrap(), left);
        }
        assert!(disk.free_bytes().unwrap() >= 76_000);
        assert!(reserve.draw(&disk, 40_000, 10_000) && !reserve.draw(&disk, 40_000, 10_000));
        assert_eq!(reserve.left(&disk), 10_000);
        reserve.fill(&disk).unwrap();
        reserve.fill(&disk).unwrap();
        assert!(reserve.draw(&disk, u64::MAX, 0) && !reserve.draw(&disk, 1, 0));
        assert!(disk.file_names().is_empty());
        disk.set_capacity(disk.used_bytes() + 90_000);
        assert_eq!(reserve.fill(&disk).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn another_size_is_taken_up_and_none_removes_it() {
        let disk = SimDisk::new(1);
        for bytes in [100_000, 50_000, 70_000] {
            Reserve::new(bytes).fill(&disk).unwrap();
            assert_eq!(disk.open(RESERVE_FILE).unwrap().len().unwrap(), bytes);
        }
        Reserve::new(0).fill(&disk).unwrap();
        assert!(disk.file_names().is_empty());
    }
}
