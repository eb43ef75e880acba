//! What becomes of each record of the inputs.

use super::{Input, Pace, RECORDS_A_LOCK, Stop};
use crate::index::{Held, Tag};
use crate::log::frame::Verify;
use crate::log::record::Record;
use crate::store::Inner;
use hashbrown::HashTable;

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// Dropped: there is a newer record of its address.
    Superseded,
    /// Dropped: a tombstone that covers nothing any more.
    Uncovering,
}

/// A record that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kept {
    /// The hour of its deadline, so that what expires together is put together.
    pub(super) hour: u32,
    /// Number of its input, and place in it.
    pub(super) input: u32,
    pub(super) position: u32,
    pub(super) length: u32,
}

/// The decisions on all records.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// By input, in the order of the records.
    pub(super) fates: Vec<Vec<Fate>>,
    /// In the order in which they are to be copied.
    pub(super) kept: Vec<Kept>,
    /// Tombstones that are the newest record of their address.
    tombstones: Vec<Tombstone>,
    /// How many records below such a tombstone are dropped.
    uncovered: HashTable<(Tag, u32)>,
}

/// A tombstone to be decided on.
#[derive(Debug)]
struct Tombstone {
    tag: Tag,
    /// Older records of its address in the log.
    older: u32,
    /// Its number among the records of its input.
    number: usize,
    kept: Kept,
}

/// A record to be decided on.
struct Seen {
    tag: Tag,
    sequence: u64,
    kept: Kept,
}

const HOUR_MS: u64 = 3_600_000;

impl Survey {
    /// Reads all inputs, verifies them, and decides.
    pub(super) fn take(inner: &Inner, inputs: &[Input], pace: &mut Pace) -> Result<Survey, Stop> {
        let tagger = inner.state().index.tagger();
        let mut survey = Survey::default();
        for (number, input) in (0..).zip(inputs) {
            survey.fates.push(Vec::with_capacity(input.sealed.records as usize));
            let mut portion = Vec::with_capacity(RECORDS_A_LOCK);
            let read = input.records(Verify::Everything, |position, record| {
                let Some(at) = record.address() else { return Ok(()) };
                let length = u32::try_from(record.encoded_len()).unwrap_or(u32::MAX);
                let kept = Kept { hour: hour(record), input: number, position, length };
                portion.push(Seen { tag: tagger.tag(at), sequence: record.sequence, kept });
                if portion.len() == RECORDS_A_LOCK {
                    survey.decide(inner, &mut portion);
                }
                pace.spend(inner, length.into()).map_err(Stop::Failed)
            });
            read.map_err(|stop| stop.about(input))?;
            survey.decide(inner, &mut portion);
        }
        survey.decide_tombstones();
        survey.kept.sort_unstable();
        Ok(survey)
    }

    /// Decides on the next records of the last input.
    fn decide(&mut self, inner: &Inner, portion: &mut Vec<Seen>) {
        let Survey { fates, kept, tombstones, uncovered } = self;
        let Some(fates) = fates.last_mut() else { return };
        let state = inner.state();
        for seen in portion.drain(..) {
            let fate = match state.index.held(seen.tag) {
                Held::Live(slot, _) if seen.sequence < slot.sequence => Fate::Superseded,
                Held::Gone(tombstone, _) if seen.sequence < tombstone.sequence => {
                    let count = uncovered
                        .entry(seen.tag.hash(), |(tag, _)| *tag == seen.tag, |(tag, _)| tag.hash())
                        .or_insert((seen.tag, 0));
                    count.into_mut().1 += 1;
                    Fate::Superseded
                }
                Held::Gone(tombstone, older) if seen.sequence == tombstone.sequence => {
                    let (tag, number, kept) = (seen.tag, fates.len(), seen.kept);
                    tombstones.push(Tombstone { tag, older, number, kept });
                    Fate::Kept
                }
                // The newest put; or a record that the index does not know, which would be a doubt.
                Held::Live(..) | Held::Gone(..) | Held::Nothing => {
                    kept.push(seen.kept);
                    Fate::Kept
                }
            };
            fates.push(fate);
        }
    }

    /// A tombstone is kept for as long as an older record of its address is left.
    fn decide_tombstones(&mut self) {
        for Tombstone { tag, older, number, kept } in self.tombstones.drain(..) {
            let dropped =
                self.uncovered.find(tag.hash(), |(other, _)| *other == tag).map_or(0, |(_, count)| *count);
            if older > dropped {
                self.kept.push(kept);
            } else if let Some(fates) = self.fates.get_mut(kept.input as usize) {
                fates[number] = Fate::Uncovering;
            }
        }
    }

    pub(super) fn count(&self, fate: Fate) -> u64 {
        self.fates.iter().flatten().filter(|other| **other == fate).count() as u64
    }
}

impl Stop {
    /// An input that cannot be read is left alone; an end of the store is not its fault.
    fn about(self, input: &Input) -> Stop {
        match self {
            Stop::Failed(error @ (crate::Error::Damaged { .. } | crate::Error::Io { .. })) => {
                Stop::Damaged { segment: input.sealed.segment, error }
            }
            stop => stop,
        }
    }
}

/// All ones where there is no deadline: what never expires comes last.
fn hour(record: &Record<'_>) -> u32 {
    u32::try_from(record.deadline / HOUR_MS).unwrap_or(u32::MAX)
}
