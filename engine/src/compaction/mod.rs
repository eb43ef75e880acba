//! Compaction: copies what is of use out of segments that are mostly dead, and lets those go.
//!
//! The argument why this neither loses nor brings back anything is `docs/compaction.md`; the steps here are its steps. One
//! job runs at a time. It holds no lock while it reads or writes files, and locks the state for a few hundred records
//! at a time.

mod copy;
mod policy;
mod survey;
mod throttle;
mod turn;

use crate::commit::Mark;
use crate::error::{Error, Result};
use crate::index::{Copied, Index};
use crate::log::manifest::Sealed;
use crate::log::segment::Segment;
use crate::report::CompactionReport;
use crate::store::Inner;
use crate::sync::{Mutex, MutexGuard, thread};
use copy::{Moved, Output};
use policy::{Aim, Figures};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};
use survey::{Dropped, Survey};
use throttle::Throttle;
use turn::{Turn, Turns};

/// When the log is compacted, and how fast. See `docs/compaction.md`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compaction {
    /// Whether it is done in the background, by a thread of the store. [`Store::compact`](crate::Store::compact) works
    /// all the same. Default true.
    pub background: bool,
    /// How many times the bytes of what is of use the log may take before something is done about it: the segment in
    /// use and what the change feed retains are not counted. Default 1.4, at least 1.05.
    pub space_amplification: f64,
    /// How many times these bytes the log may take, counted in the same way, before writers are held to what compaction in
    /// the background gives back. What a job is about to copy comes on top, at most a segment. Default 1.5, at least
    /// [`space_amplification`](Compaction::space_amplification); infinite for never.
    pub space_amplification_max: f64,
    /// How many bytes a second are read and written in the background, as long as no writer waits for it. Default 128 MiB;
    /// 0 for no limit.
    pub bytes_per_second: u64,
}

impl Default for Compaction {
    fn default() -> Compaction {
        Compaction {
            background: true,
            space_amplification: 1.4,
            space_amplification_max: 1.5,
            bytes_per_second: 128 << 20,
        }
    }
}

impl Compaction {
    pub(crate) fn clamped(self) -> Compaction {
        let space_amplification = self.space_amplification.max(1.05);
        let space_amplification_max = self.space_amplification_max.max(space_amplification);
        Compaction { space_amplification, space_amplification_max, ..self }
    }
}

/// What compaction keeps from job to job.
#[derive(Debug, Default)]
pub(crate) struct Compactor {
    /// One is held while a job runs. While somebody waits for his, the background hurries, and begins nothing new.
    turns: Turns,
    pub(crate) throttle: Throttle,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    total: CompactionReport,
    /// Segments that are damaged, and stay as they are.
    shunned: BTreeSet<u32>,
    /// Segments that were let go of, with their lengths, as long as somebody still reads them.
    pinned: Vec<(Weak<Segment>, u64)>,
}

/// Why a job ended early.
enum Stop {
    /// An input is damaged: it is left alone, and the job begun anew without it.
    Damaged { segment: u32, error: Error },
    /// Something failed. Nothing has changed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

/// How many records are looked up or entered under one lock.
const RECORDS_A_LOCK: usize = 256;
/// How long others have between two portions that are entered. A lock that is taken again at once is had before those who wait
/// for it are awake.
const PAUSE: Duration = Duration::from_micros(50);

/// An open sealed segment, and what the manifest says of it.
#[derive(Debug, Clone)]
struct Input {
    sealed: Sealed,
    segment: Arc<Segment>,
}

/// How fast a job may go.
#[derive(Debug)]
struct Pace {
    started: Instant,
    bytes: u64,
    /// 0: no limit.
    bytes_per_second: u64,
}

impl Compactor {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no job runs; none begins while the turn lasts.
    pub(crate) fn pause(&self) -> Turn<'_> {
        self.turns.take()
    }

    /// All jobs of this session together.
    pub(crate) fn total(&self) -> CompactionReport {
        self.notes().total.clone()
    }

    /// Whether any segment turned out to be damaged.
    #[cfg(debug_assertions)]
    pub(crate) fn has_found_damage(&self) -> bool {
        !self.notes().shunned.is_empty()
    }

    /// Bytes of segments that are no longer part of the store, but still being read.
    pub(crate) fn pinned_bytes(&self) -> u64 {
        let mut notes = self.notes();
        notes.pinned.retain(|(segment, _)| segment.strong_count() > 0);
        notes.pinned.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Inner {
    /// Compacts for as long as something is worth it, and nobody else wants a turn.
    pub(crate) fn compact_as_needed(&self) -> Result<()> {
        let throttle = self.background.then(|| self.compactor.throttle.hold());
        loop {
            let _turn = self.take_turn()?;
            let (candidates, aim) = (self.candidates(), self.aim());
            let chosen = policy::choose(&candidates, &aim);
            if chosen.is_empty() || self.compactor.turns.is_waited_for() {
                return Ok(());
            }
            if let Some(throttle) = &throttle {
                let slack = policy::slack(&candidates, &chosen, self.compaction.space_amplification_max);
                throttle.begin_job(slack, policy::freed_share(&chosen));
            }
            self.compact_segments(&chosen, self.compaction.bytes_per_second)?;
        }
    }

    /// Compacts everything that has anything dead in it. What dies meanwhile need not go with it: else this would not end
    /// under a load of overwrites.
    pub(crate) fn compact_all(&self) -> Result<CompactionReport> {
        self.end_segment_in_use()?;
        let mut report = CompactionReport::default();
        // The first round takes all superseded records away. A tombstone may have been read before the last of those that
        // it covered; in the second round it covers nothing.
        for _ in 0..2 {
            let end = self.catalog.manifest()?.next_segment;
            while let Some(done) = self.compact_some_below(end)? {
                report.add(&done);
            }
        }
        Ok(report)
    }

    /// Seals all that was written so far, as far as the feed's retention allows any of it to be compacted.
    fn end_segment_in_use(&self) -> Result<()> {
        let _turn = self.take_turn()?;
        if self.feed_retention_bytes == 0 {
            match self.rotate_at_cut() {
                // Then what is in the segment in use stays where it is.
                Ok(_) | Err(Error::NoSpace { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.settle()?;
        self.seal_full()
    }

    /// A job for some of the segments below number `end` that have anything dead in them; `None` if there are none.
    fn compact_some_below(&self, end: u32) -> Result<Option<CompactionReport>> {
        let _turn = self.take_turn()?;
        let mut candidates = self.candidates();
        candidates.retain(|figures| figures.segment < end);
        match policy::choose_all(&candidates, &self.aim()) {
            None => Ok(None),
            Some(chosen) if chosen.is_empty() => Err(self.catalog.no_space()),
            Some(chosen) => self.compact_segments(&chosen, 0).map(Some),
        }
    }

    /// Waits for one's turn to change which segments there are.
    pub(crate) fn take_turn(&self) -> Result<Turn<'_>> {
        let turn = self.compactor.pause();
        let state = self.state();
        match (state.closed, state.failed) {
            (true, _) => Err(Error::Closed),
            (false, true) => Err(self.failed_error()),
            (false, false) => Ok(turn),
        }
    }

    fn aim(&self) -> Aim {
        Aim {
            space_amplification: self.compaction.space_amplification,
            segment_bytes: self.catalog.segment_bytes(),
            room: self.catalog.room_to_compact(),
            is_short: self.catalog.is_short(),
        }
    }

    /// Figures of the segments that may be compacted.
    fn candidates(&self) -> Vec<Figures> {
        let sealed = self.catalog.sealed_segments();
        let shunned = self.compactor.notes().shunned.clone();
        let state = self.state();
        let figures = |sealed: &Sealed| {
            let usage = state.index.usage(sealed.segment);
            Figures {
                segment: sealed.segment,
                kind: sealed.kind,
                highest_sequence: sealed.highest_sequence,
                records: sealed.records,
                bytes: usage.record_bytes,
                useful: usage.live_bytes + usage.covering_bytes,
            }
        };
        let figures: Vec<Figures> = sealed.iter().map(figures).collect();
        let sealed_ids: HashSet<u32> = sealed.iter().map(|sealed| sealed.segment).collect();
        let open = state.segments.iter().filter(|(id, _)| !sealed_ids.contains(id));
        let open_bytes = open.map(|(_, segment)| u64::from(segment.written())).sum();
        let mut candidates = policy::older_than(self.feed_retention_bytes, open_bytes, &figures);
        candidates.retain(|figures| !shunned.contains(&figures.segment));
        candidates
    }

    /// Compacts some segments, but for those that turn out to be damaged.
    fn compact_segments(&self, chosen: &[Figures], bytes_per_second: u64) -> Result<CompactionReport> {
        let started = Instant::now();
        let mut inputs = self.inputs(chosen);
        let mut report = CompactionReport::default();
        while !inputs.is_empty() {
            let mut pace = Pace { started, bytes: 0, bytes_per_second };
            match self.job(&inputs, &mut pace, &mut report) {
                Ok(()) => break,
                Err(Stop::Damaged { segment, error }) => {
                    self.compactor.notes().shunned.insert(segment);
                    inputs.retain(|input| input.sealed.segment != segment);
                    report = CompactionReport { damaged: report.damaged, ..CompactionReport::default() };
                    report.damaged.push(error);
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        if self.catalog.is_short() {
            // What has come free is for puts, if it is enough.
            let _ = self.catalog.prepare(&self.clock);
        }
        report.duration = started.elapsed();
        self.compactor.notes().total.add(&report);
        Ok(report)
    }

    fn inputs(&self, chosen: &[Figures]) -> Vec<Input> {
        let table = Arc::clone(&self.state().segments);
        let input = |figures: &Figures| {
            let segment = Arc::clone(table.get(&figures.segment)?);
            Some(Input { sealed: self.catalog.sealed(figures.segment)?, segment })
        };
        chosen.iter().filter_map(input).collect()
    }

    /// One job: steps 2 to 9.
    fn job(&self, inputs: &[Input], pace: &mut Pace, report: &mut CompactionReport) -> Result<(), Stop> {
        let survey = Survey::take(self, inputs, pace)?;
        let outputs = self.copy(inputs, &survey.kept, pace)?;
        let numbers: Vec<u32> = outputs.iter().map(|output| output.sealed.segment).collect();
        if let Err(error) = self.swap(inputs, &outputs) {
            self.catalog.abandon(&numbers);
            return Err(error.into());
        }
        self.point_at(&outputs);
        self.forget(&survey.superseded);
        self.forget(&survey.uncovering);
        // The notes of what is not acknowledged may still hold slots of the inputs.
        self.settle()?;
        self.let_go(inputs);
        self.unhinted().extend(numbers);

        report.segments_in += inputs.len();
        report.bytes_in += inputs.iter().map(|input| input.sealed.end).sum::<u64>();
        report.segments_out += outputs.len();
        report.bytes_out += outputs.iter().map(|output| output.sealed.end).sum::<u64>();
        report.records_dropped += survey.superseded.len() as u64;
        report.tombstones_dropped += survey.uncovering.len() as u64;
        Ok(())
    }

    /// Makes everything written so far durable. The caller has the turn.
    fn settle(&self) -> Result<()> {
        self.sync_quietly(self.last_sequence());
        self.progress.failure().map_or(Ok(()), |_| Err(self.failed_error()))
    }

    /// Steps 5 and 6.
    fn swap(&self, inputs: &[Input], outputs: &[Output]) -> Result<()> {
        self.settle()?;
        let before: Vec<Sealed> = inputs.iter().map(|input| input.sealed).collect();
        let after: Vec<Sealed> = outputs.iter().map(|output| output.sealed).collect();
        self.catalog.swap(&before, &after)?;
        let mut state = self.state_mut();
        let table = Arc::make_mut(&mut state.segments);
        table.extend(outputs.iter().map(|output| (output.sealed.segment, Arc::clone(&output.segment))));
        Ok(())
    }

    /// Step 7, for what was copied.
    fn point_at(&self, outputs: &[Output]) {
        for output in outputs {
            let segment = output.sealed.segment;
            self.enter(&output.moved, |index, moved| {
                let Moved { tag, sequence, position, length } = *moved;
                index.relocate(tag, sequence, &Copied { segment, position, length });
            });
        }
    }

    /// Step 7, for what was not copied. Tombstones go when everything that they covered has gone.
    fn forget(&self, dropped: &[Dropped]) {
        self.enter(dropped, |index, (tag, sequence)| index.forget(*tag, *sequence));
    }

    /// Enters what became of records into the index, in portions between which everybody has a turn.
    fn enter<T>(&self, records: &[T], mut enter: impl FnMut(&mut Index, &T)) {
        for portion in records.chunks(RECORDS_A_LOCK) {
            {
                let mut state = self.state_mut();
                portion.iter().for_each(|record| enter(&mut state.index, record));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Step 9.
    fn let_go(&self, inputs: &[Input]) {
        let ids: Vec<u32> = inputs.iter().map(|input| input.sealed.segment).collect();
        {
            let mut state = self.state_mut();
            // Frames that are acknowledged may still be in memory, and hold on to their segments.
            state.tail.retire(self.progress.acknowledged());
            self.note_pending(&state);
            state.snapshots.pin(inputs.iter().map(|input| &input.segment));
            let table = Arc::make_mut(&mut state.segments);
            ids.iter().for_each(|id| drop(table.remove(id)));
            ids.iter().for_each(|id| state.index.drop_usage(*id));
        }
        let weak = |input: &Input| (Arc::downgrade(&input.segment), input.sealed.end);
        let mut notes = self.compactor.notes();
        notes.pinned.retain(|(segment, _)| segment.strong_count() > 0);
        notes.pinned.extend(inputs.iter().map(weak));
        drop(notes);
        self.catalog.remove(&ids);
    }
}

impl Pace {
    /// Notes that so many bytes were read or written, and waits if that is faster than allowed.
    ///
    /// # Errors
    /// [`Error::Closed`] if the store is about to close.
    fn spend(&mut self, inner: &Inner, bytes: u64) -> Result<()> {
        const STEP_BYTES: u64 = 256 << 10;
        let before = self.bytes / STEP_BYTES;
        self.bytes += bytes;
        if self.bytes / STEP_BYTES == before {
            return Ok(());
        }
        if inner.compactor.throttle.is_on() {
            inner.compactor.throttle.earn(STEP_BYTES);
            // A waker must not run here: the log's thread wakes who waits.
            inner.request(Mark::Acknowledged, 0);
        }
        let is_urgent = inner.compactor.turns.is_waited_for() || !inner.compactor.throttle.admits();
        let ahead = if is_urgent { Duration::ZERO } else { self.ahead(self.started.elapsed()) };
        if inner.signal.is_stopping_within(ahead) { Err(Error::Closed) } else { Ok(()) }
    }

    /// By how much the job is faster than allowed, after so long.
    fn ahead(&self, elapsed: Duration) -> Duration {
        let due_ms = self.bytes.saturating_mul(1000).checked_div(self.bytes_per_second).unwrap_or(0);
        Duration::from_millis(due_ms).saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_faster_than_allowed_waits() {
        let ahead = |bytes, bytes_per_second, elapsed_ms| {
            let pace = Pace { started: Instant::now(), bytes, bytes_per_second };
            pace.ahead(Duration::from_millis(elapsed_ms))
        };
        assert_eq!(ahead(256 << 10, 1 << 20, 0), Duration::from_millis(250));
        assert_eq!(ahead(256 << 10, 1 << 20, 200), Duration::from_millis(50));
        assert_eq!(ahead(256 << 10, 1 << 20, 300), Duration::ZERO);
        assert_eq!(ahead(256 << 10, 0, 0), Duration::ZERO, "no limit");
        assert!(ahead(u64::MAX, 1, 0) > Duration::from_secs(1 << 40), "however slow");
    }
}
