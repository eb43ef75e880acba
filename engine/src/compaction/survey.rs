//! What becomes of each record of the inputs.

use super::{Input, Pace, RECORDS_A_LOCK, Stop};
use crate::error::Error;
use crate::index::{Held, Tag};
use crate::log::frame::Verify;
use crate::log::record::Record;
use crate::log::scan::scan;
use crate::log::segment::file_name;
use crate::store::Inner;
use hashbrown::HashTable;

/// The address of a record, and its sequence.
pub(super) type Dropped = (Tag, u64);

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

/// What becomes of all records.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// In the order in which they are to be copied.
    pub(super) kept: Vec<Kept>,
    /// There are newer records of their addresses.
    pub(super) superseded: Vec<Dropped>,
    /// Tombstones that cover nothing any more.
    pub(super) uncovering: Vec<Dropped>,
    /// Tombstones that are the newest record of their address.
    tombstones: Vec<Tombstone>,
    /// How many records below such a tombstone are dropped.
    uncovered: HashTable<(Tag, u32)>,
}

/// A tombstone to be decided on.
#[derive(Debug)]
struct Tombstone {
    tag: Tag,
    sequence: u64,
    /// Older records of its address in the log.
    older: u32,
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
            let Input { sealed, segment } = input;
            let mut portion = Vec::with_capacity(RECORDS_A_LOCK);
            let read = scan(&*segment.file, sealed, Verify::Everything, |position, record| {
                let Some(at) = record.address() else { return Ok(()) };
                let length = u32::try_from(record.encoded_len()).unwrap_or(u32::MAX);
                let kept = Kept { hour: hour(record), input: number, position, length };
                portion.push(Seen { tag: tagger.tag(at), sequence: record.sequence, kept });
                if portion.len() == RECORDS_A_LOCK {
                    survey.decide(inner, input, &mut portion)?;
                }
                pace.spend(inner, length.into()).map_err(Stop::Failed)
            });
            read.and_then(|()| survey.decide(inner, input, &mut portion))
                .map_err(|stop| stop.about(input))?;
        }
        survey.decide_tombstones();
        survey.kept.sort_unstable();
        Ok(survey)
    }

    /// Decides on the next records of an input.
    fn decide(&mut self, inner: &Inner, input: &Input, portion: &mut Vec<Seen>) -> Result<(), Stop> {
        let state = inner.state();
        for Seen { tag, sequence, kept } in portion.drain(..) {
            match state.index.held(tag) {
                Held::Live(slot, _) if sequence < slot.sequence => self.superseded.push((tag, sequence)),
                Held::Gone(tombstone, _) if sequence < tombstone.sequence => {
                    self.superseded.push((tag, sequence));
                    let count = self
                        .uncovered
                        .entry(tag.hash(), |(other, _)| *other == tag, |(other, _)| other.hash())
                        .or_insert((tag, 0));
                    count.into_mut().1 += 1;
                }
                Held::Gone(tombstone, older)
                    if is_at(input, tombstone.segment, sequence, tombstone.sequence)
                        && tombstone.length == kept.length =>
                {
                    self.tombstones.push(Tombstone { tag, sequence, older, kept });
                }
                Held::Live(slot, _)
                    if is_at(input, slot.segment, sequence, slot.sequence)
                        && (slot.position, slot.length) == (kept.position, kept.length) =>
                {
                    self.kept.push(kept);
                }
                // To copy it would not do: nobody would know of the copy, which would be copied again and again.
                Held::Live(..) | Held::Gone(..) | Held::Nothing => {
                    let (segment, what) = (input.sealed.segment, "the index does not know this record");
                    return Err(Error::damaged(file_name(segment), kept.position.into(), what).into());
                }
            }
        }
        Ok(())
    }

    /// A tombstone is kept for as long as an older record of its address is left.
    fn decide_tombstones(&mut self) {
        for Tombstone { tag, sequence, older, kept } in self.tombstones.drain(..) {
            let dropped =
                self.uncovered.find(tag.hash(), |(other, _)| *other == tag).map_or(0, |(_, count)| *count);
            if older > dropped {
                self.kept.push(kept);
            } else {
                self.uncovering.push((tag, sequence));
            }
        }
    }
}

/// Whether what the index holds is the record that was read.
fn is_at(input: &Input, segment: u32, sequence: u64, held: u64) -> bool {
    (input.sealed.segment, sequence) == (segment, held)
}

impl Stop {
    /// An input that cannot be read is left alone; an end of the store is not its fault.
    fn about(self, input: &Input) -> Stop {
        match self {
            Stop::Failed(error @ (Error::Damaged { .. } | Error::Io { .. })) => {
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
