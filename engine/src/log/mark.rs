//! The time mark: the highest time that anybody has been told, in a small file of its own.
//!
//! ```text
//!     0  first copy     20
//!  4096  second copy    20
//!
//!     0  magic          8   "LARDCLK\n"
//!     8  time           u64  Unix milliseconds
//!    16  checksum       u32  over the store id and everything before
//! ```
//!
//! Frames carry the time as well; this is for the time that passes while nothing is written. The two copies are written
//! in turns, in place and each in a block of its own: whatever becomes of one write, the copy before it is whole, and
//! marking the time takes neither room nor a name. The later copy that is whole counts. A file that is missing, or not
//! of this store, says nothing.

use super::format::{Fields, StoreId, array_at};
use crate::disk::{Disk, DiskFile, read_exact_at, write_all_at};
use crate::sync::{Mutex, MutexGuard};
use std::io;
use std::sync::{Arc, PoisonError};

/// Name of the file.
pub(crate) const MARK_FILE: &str = "CLOCK";

const MAGIC: [u8; 8] = *b"LARDCLK\n";
const COPY_BYTES: usize = 20;
/// Where the two copies are.
const PLACES: [u64; 2] = [0, 4096];
const FILE_BYTES: u64 = 8192;

/// Keeps the file.
#[derive(Debug)]
pub(crate) struct TimeMark {
    store: StoreId,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    file: Option<Arc<dyn DiskFile>>,
    /// Which copy is written next.
    next: usize,
    ended: bool,
}

impl TimeMark {
    /// The mark of a store, which is looked for when it is first written.
    pub(crate) fn new(store: StoreId) -> TimeMark {
        TimeMark { store, kept: Mutex::default() }
    }

    /// The time that is marked on a disk; 0 if there is none.
    pub(crate) fn read(disk: &dyn Disk, store: StoreId) -> u64 {
        let copies = disk.open(MARK_FILE).map(|file| read_copies(&*file, store));
        copies.unwrap_or_default().into_iter().flatten().max().unwrap_or(0)
    }

    /// Nothing is written any more: the directory may be somebody else's.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a time, durably.
    pub(crate) fn write(&self, disk: &dyn Disk, time_ms: u64) -> io::Result<()> {
        let mut kept = self.lock();
        if kept.ended {
            return Ok(());
        }
        let file = match &kept.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = open_or_create(disk)?;
                let [first, second] = read_copies(&*file, self.store);
                kept.next = usize::from(first > second);
                Arc::clone(kept.file.insert(file))
            }
        };
        write_all_at(&*file, &encode(self.store, time_ms), PLACES[kept.next])?;
        file.sync()?;
        kept.next = 1 - kept.next;
        Ok(())
    }
}

/// The file, with room for both copies.
fn open_or_create(disk: &dyn Disk) -> io::Result<Arc<dyn DiskFile>> {
    match disk.open(MARK_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let file = disk.create(MARK_FILE)?;
    let made = file.allocate(FILE_BYTES).and_then(|()| disk.sync_dir());
    if made.is_err() {
        let _ = disk.remove(MARK_FILE);
    }
    made.map(|()| file)
}

fn encode(store: StoreId, time_ms: u64) -> [u8; COPY_BYTES] {
    let mut bytes = [0; COPY_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&time_ms.to_le_bytes());
    let sum = checksum(store, &bytes);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The times of the copies that are whole.
fn read_copies(file: &dyn DiskFile, store: StoreId) -> [Option<u64>; 2] {
    PLACES.map(|place| {
        let mut bytes = [0; COPY_BYTES];
        read_exact_at(file, &mut bytes, place).ok()?;
        let is_whole = array_at(&bytes, 0) == Some(&MAGIC) && bytes.u32_at(16) == checksum(store, &bytes);
        is_whole.then(|| bytes.u64_at(8))
    })
}

fn checksum(store: StoreId, bytes: &[u8; COPY_BYTES]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&store.0);
    hasher.update(&bytes[..16]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::{Fault, OpKind, SimDisk, Survival, When};

    const STORE: StoreId = StoreId([1; 16]);

    #[test]
    fn the_last_time_marked_is_read_by_its_own_store() {
        let disk = SimDisk::new(1);
        assert_eq!(TimeMark::read(&disk, STORE), 0);
        for session in 0..3 {
            let mark = TimeMark::new(STORE);
            for time in 1..=5 {
                mark.write(&disk, session * 10 + time).unwrap();
                assert_eq!(TimeMark::read(&disk, STORE), session * 10 + time);
            }
        }
        assert_eq!(TimeMark::read(&disk, StoreId([2; 16])), 0);
        assert_eq!(disk.read_file(MARK_FILE).unwrap().len() as u64, FILE_BYTES);
    }

    #[test]
    fn whatever_becomes_of_a_write_the_mark_before_it_stands() {
        for number in 0..20 {
            for when in [When::Before, When::During, When::After] {
                let disk = SimDisk::new(number);
                disk.fail_at(number, Fault::Crash(when));
                let mark = TimeMark::new(STORE);
                let marked = (1..=5).take_while(|time| mark.write(&disk, *time).is_ok()).last().unwrap_or(0);
                for survival in Survival::ALL {
                    let found = TimeMark::read(&disk.crash(survival), STORE);
                    assert!((marked..=marked + 1).contains(&found), "{found} after {marked}, {survival:?}");
                }
            }
        }
    }

    #[test]
    fn any_damage_is_noticed_and_written_over() {
        let disk = SimDisk::new(1);
        TimeMark::new(STORE).write(&disk, 77).unwrap();
        let whole = disk.read_file(MARK_FILE).unwrap();
        for bit in 0..COPY_BYTES * 8 {
            let mut bad = whole.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            disk.write_file(MARK_FILE, &bad);
            assert_eq!(TimeMark::read(&disk, STORE), 0, "bit {bit}");
        }
        disk.write_file(MARK_FILE, b"short");
        TimeMark::new(STORE).write(&disk, 78).unwrap();
        assert_eq!(TimeMark::read(&disk, STORE), 78);
    }

    #[test]
    fn a_file_that_cannot_be_made_whole_leaves_nothing_behind() {
        let disk = SimDisk::new(1);
        let mark = TimeMark::new(STORE);
        disk.fail_next(OpKind::Allocate, Fault::Eio);
        mark.write(&disk, 1).unwrap_err();
        assert_eq!(disk.file_names(), [""; 0]);
        mark.write(&disk, 2).unwrap();
        assert_eq!(TimeMark::read(&disk, STORE), 2);
    }
}
