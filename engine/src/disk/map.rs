//! The one place with `unsafe`: a read-only mapping of a file.
//!
//! Memory maps are unsafe because another writer can change or cut off the file underneath. The engine rules that
//! out: it holds the directory's lock, writes each byte of a segment at most once and only before any reader is told
//! of it, and never shortens a file below what readers were told. Two dangers remain, and are accepted: somebody
//! else truncating a segment by hand, and a media error under a page that is not resident; both end the process with
//! SIGBUS rather than with a wrong answer.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; see the module's head")]

use crate::disk::real::RealFile;
use memmap2::{Advice, Mmap, MmapOptions};
use std::io;
use std::ops::Range;

/// As much as a system reads ahead at once where nobody has changed that: of longer requests it leaves out the rest.
const AHEAD_BYTES: usize = 128 * 1024;

/// A read-only, shared mapping of the start of a file.
#[derive(Debug)]
pub struct Map(Mmap);

impl Map {
    /// Maps the first `length` bytes of `file`.
    pub(super) fn new(file: &RealFile, length: u64) -> io::Result<Map> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the file is a segment of a directory that this process holds locked. Its bytes are written once,
        // before a reader learns their position, and it is never cut off below a position that a reader knows.
        let map = unsafe { MmapOptions::new().len(length).map(file.as_file()) }?;
        // What lies next to a value is seldom asked for next, and around a page that is not in memory the system would read some
        // hundred kilobytes, or megabytes. Should it not take the advice, reads are slower, and as right.
        _ = map.advise(Advice::Random);
        Ok(Map(map))
    }

    /// Has bytes that are about to be read come from the disk together, and not a page at a time.
    pub fn read_ahead(&self, bytes: Range<usize>) {
        for start in bytes.clone().step_by(AHEAD_BYTES) {
            _ = self.0.advise_range(Advice::WillNeed, start, AHEAD_BYTES.min(bytes.end - start));
        }
    }

    /// The bytes from `start`, `length` of them, or `None` if they are not all within the mapping.
    pub fn get(&self, start: usize, length: usize) -> Option<&[u8]> {
        self.0.get(start..start.checked_add(length)?)
    }
}
