//! Zeroes ahead of the log, so that most syncs of it are cheap.
//!
//! A sync makes first writes to allocated space durable only if the file system can note in its journal that those
//! blocks hold data now; to write over bytes that are durable already takes no note. So `DiskFile::sync` costs more
//! than `DiskFile::sync_overwritten`: a commit of the journal, and a look at whether it is still working.
//!
//! The log grows into stretches of zeroes that were written and synced before. The rule: **a sync is the cheap one if
//! and only if all frames that it is for lie in a stretch that a full sync, which began after its zeroes were written,
//! has made durable.** When frames were written does not matter, only where they are when the sync begins. A sync that
//! finds frames behind the end of the stretch has to be a full one, and so takes the next stretch along: its zeroes are
//! written right before it, behind all frames written so far. There is no other moment at which zeroes are written, no
//! thread that does it, and nobody who waits for it: whoever outruns the zeroes pays for a full sync.
//!
//! Zeroes never meet a frame: both are written under the same lock (see `flush`), zeroes only behind what was written. They
//! change nothing that can be read, the file read as zeroes before. So it does not matter whether they get to the
//! disk, and if they cannot be written they are done without; the log finds out by itself whether the disk is ill. There is
//! no want of space, since the segment is allocated.
//!
//! What is not filled: a store at level buffered, which syncs too seldom for it to pay; a disk that does not write in
//! place, where zeroes would only use up the room that frames were promised; and what large syncs write, which
//! gain little and would be written twice.

use super::segment::Segment;
use crate::disk::write_all_at;
use std::ops::Range;

/// Length of a stretch. Chosen by measurement, see `docs/performance.md`.
const FILL_BYTES: u32 = 1 << 20;
/// What a sync is for may be up to this share of a stretch, if it is to take one along.
const SMALL_SHARE: u32 = 8;

static ZEROES: [u8; FILL_BYTES as usize] = [0; FILL_BYTES as usize];

/// A stretch of a segment whose bytes are all written and durable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stretch {
    segment: u32,
    range: Range<u32>,
}

impl Stretch {
    /// Whether all of `frames`, positions in `segment`, are in it.
    pub(crate) fn covers(&self, segment: u32, frames: &Range<u32>) -> bool {
        self.segment == segment && self.range.start <= frames.start && frames.end <= self.range.end
    }

    /// Writes zeroes behind `frames`, the last ones of `segment` so far. The stretch is one once a full sync has followed.
    /// None if they are not worth it, or cannot be written.
    pub(crate) fn write_behind(segment: &Segment, frames: &Range<u32>) -> Option<Stretch> {
        let end = frames.end.saturating_add(FILL_BYTES).min(segment.capacity);
        if frames.end - frames.start > FILL_BYTES / SMALL_SHARE || end <= frames.end {
            return None;
        }
        let zeroes = &ZEROES[..(end - frames.end) as usize];
        write_all_at(&*segment.file, zeroes, frames.end.into()).ok()?;
        Some(Stretch { segment: segment.id, range: frames.end..end })
    }
}
