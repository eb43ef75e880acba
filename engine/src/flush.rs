//! Bringing the end of the log to disk: writing frames, and syncing what was written.
//!
//! One thread writes at a time and one syncs at a time; they can be different threads, at different frames. Whoever
//! waits may do the work: a blocked caller does it itself, for awaiting callers a thread of the store does. While one
//! sync runs, further writes gather in the open frame; the next sync takes them all. That is the group commit.

use crate::commit::Mark;
use crate::error::Error;
use crate::log::fill::Stretch;
use crate::log::segment::{Segment, file_name};
use crate::options::Durability;
use crate::store::Inner;
use crate::sync::MutexGuard;
use crate::tail::ClosedFrame;
use std::io;
use std::mem;
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Written but acknowledged frames may stay in memory up to this many bytes, for the next flush to let go of.
const LAZY_BYTES: u64 = 256 << 10;

/// What was written, for whoever syncs next.
#[derive(Debug)]
pub(crate) struct Written {
    /// Last sequence written.
    sequence: u64,
    /// Highest version ceiling announced in what was written.
    ceiling: u64,
    /// What was written since the last sync, oldest first.
    unsynced: Vec<Unsynced>,
    /// Where the log can be synced for less.
    filled: Stretch,
}

/// What was written into one segment since the last sync.
#[derive(Debug)]
struct Unsynced {
    segment: Arc<Segment>,
    frames: Range<u32>,
}

impl Written {
    pub(crate) fn new(sequence: u64, ceiling: u64) -> Written {
        Written { sequence, ceiling, unsynced: Vec::new(), filled: Stretch::default() }
    }

    fn note(&mut self, frame: &ClosedFrame) {
        (self.sequence, self.ceiling) = (frame.last_sequence, frame.ceiling);
        match self.unsynced.last_mut().filter(|last| last.segment.id == frame.segment.id) {
            Some(last) => last.frames.end = frame.end(),
            None => {
                let segment = Arc::clone(&frame.segment);
                self.unsynced.push(Unsynced { segment, frames: frame.position..frame.end() });
            }
        }
    }

    fn is_filled(&self, part: &Unsynced) -> bool {
        self.filled.covers(part.segment.id, &part.frames)
    }
}

impl Unsynced {
    fn sync(&self, is_filled: bool) -> io::Result<()> {
        if is_filled { self.segment.file.sync_overwritten() } else { self.segment.file.sync() }
    }
}

impl Inner {
    /// Writes all that is pending to the log, and wakes whom that helps. Does nothing once the log has failed.
    pub(crate) fn flush(&self) {
        self.write_pending();
        self.progress.wake();
    }

    fn write_pending(&self) {
        let mut written = self.lock_written();
        let frames = self.close_frames(written.sequence);
        for frame in &frames {
            if let Err(error) = write_frame(frame) {
                // With the lock still held: nobody else may try that frame again.
                return self.fail(&format!("cannot write {}: {error}", file_name(frame.segment.id)));
            }
            written.note(frame);
        }
        let sequence = written.sequence;
        drop(written);
        drop(frames);
        self.progress.advance_written(sequence);
        self.retire();
    }

    /// Closes the open frame and returns all frames after `sequence`.
    fn close_frames(&self, sequence: u64) -> Vec<Arc<ClosedFrame>> {
        let mut state = self.state_mut();
        if let Some(buffer) = state.tail.retire(self.progress.acknowledged()) {
            state.frame_buffer = buffer;
        }
        let buffer = mem::take(&mut state.frame_buffer);
        let (durable, now_ms) = (self.progress.durable(), self.clock.now_ms());
        state.tail.close_frame(durable, now_ms, buffer);
        self.note_pending(&state);
        state.tail.closed_after(sequence).map(Arc::clone).collect()
    }

    /// Syncs the log up to everything that is pending now, so that `sequence` is durable; waits if another thread is
    /// at it.
    pub(crate) fn sync_until(&self, sequence: u64) {
        if self.progress.durability() == Durability::Buffered && self.progress.durable() < sequence {
            // Who waits for no more than this is not to wait for the sync.
            self.flush();
        }
        self.sync(sequence);
        self.progress.wake();
    }

    /// As [`Inner::sync_until`], for those who hold a lock, under which no waker may run: the log's thread wakes them. In a
    /// store without threads the caller does, once he has let go, by [`Inner::after_turn`].
    pub(crate) fn sync_quietly(&self, sequence: u64) {
        self.sync(sequence);
        self.request(Mark::Acknowledged, sequence);
    }

    fn sync(&self, sequence: u64) {
        while let Some(_turn) = self.progress.sync_turn(sequence) {
            self.write_pending();
            self.sync_written();
        }
    }

    /// Syncs what was written. The caller has the turn.
    fn sync_written(&self) {
        let (sequence, ceiling, unsynced, zeroes) = {
            let mut written = self.lock_written();
            let unsynced = mem::take(&mut written.unsynced);
            let unsynced: Vec<_> =
                unsynced.into_iter().map(|part| (written.is_filled(&part), part)).collect();
            // With the lock held: nobody writes a frame where the zeroes go.
            let zeroes = unsynced.last().and_then(|(is_filled, last)| self.fill_behind(last, *is_filled));
            (written.sequence, written.ceiling, unsynced, zeroes)
        };
        let started = Instant::now();
        // In the order of the log: `durable` must never be ahead of a hole.
        for (is_filled, part) in &unsynced {
            if let Err(error) = part.sync(*is_filled) {
                return self.fail(&format!("cannot sync {}: {error}", file_name(part.segment.id)));
            }
        }
        self.sync_times.record(started.elapsed());
        if let Some(zeroes) = zeroes {
            self.lock_written().filled = zeroes;
        }
        self.progress.advance_durable(sequence, ceiling);
        self.retire();
    }

    /// Has a sync that is a full one in any case take zeroes along, where they are of use.
    fn fill_behind(&self, last: &Unsynced, is_filled: bool) -> Option<Stretch> {
        let is_of_use = self.progress.durability() == Durability::Durable
            && !is_filled
            && self.catalog.disk().overwrites_in_place();
        is_of_use.then(|| Stretch::write_behind(&last.segment, &last.frames))?
    }

    fn lock_written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of acknowledged frames, unless they are few: then the next flush does it, and saves taking the lock.
    fn retire(&self) {
        if self.pending_bytes() > LAZY_BYTES.min(self.pending_bytes_max / 2) {
            let mut state = self.state_mut();
            state.tail.retire(self.progress.acknowledged());
            self.note_pending(&state);
        }
    }

    /// Fail-stop: nothing more is acknowledged, and the state goes back to what was. The caller has all who wait woken.
    pub(crate) fn fail(&self, cause: &str) {
        // Under the lock of the state: whoever knows of the failure finds the state gone back.
        let mut state = self.state_mut();
        if self.progress.fail(cause) {
            state.roll_back(self.progress.acknowledged());
            self.note_pending(&state);
            drop(state);
            self.progress.note_all();
        }
    }

    /// Why the store takes no writes, if it does not.
    pub(crate) fn failed_error(&self) -> Error {
        let cause = self.progress.failure().unwrap_or_else(|| Arc::from("closed"));
        Error::Failed { cause }
    }
}

fn write_frame(frame: &ClosedFrame) -> io::Result<()> {
    // A short write goes on where it ended; only one that makes no progress is a failure.
    crate::disk::write_all_at(&*frame.segment.file, &frame.bytes, frame.position.into())?;
    frame.segment.publish_written(frame.end());
    Ok(())
}
