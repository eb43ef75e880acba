//! Copying what is kept into new segments.
//!
//! What expires in the same hour is put in the order of its addresses, as far as that can be done in memory: a stretch of
//! [`SORTED_BYTES`] is read, sorted and written at a time. A listing of neighbouring keys then finds them side by side on few pages,
//! where the log has them in the order in which they were written.

use super::survey::Kept;
use super::{Input, Pace, Stop};
use crate::error::Result;
use crate::index::{Tag, Tagger};
use crate::log::frame::HEADER_BYTES as FRAME_HEADER_BYTES;
use crate::log::header::{FOOTER_BYTES, HEADER_BYTES, SegmentHeader, SegmentKind};
use crate::log::manifest::Sealed;
use crate::log::record::Record;
use crate::log::segment::{Segment, file_name};
use crate::log::writer::{Marks, SegmentWriter};
use crate::store::Inner;
use std::sync::Arc;

/// A new segment, and what was copied into it.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) sealed: Sealed,
    pub(super) segment: Arc<Segment>,
    pub(super) moved: Vec<Moved>,
}

/// Where a record was copied to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    pub(super) tag: Tag,
    pub(super) sequence: u64,
    pub(super) position: u32,
    pub(super) length: u32,
}

/// Bytes of records that are sorted at a time, unless a single record has more.
const SORTED_BYTES: usize = 32 << 20;

/// Most records that are sorted at a time: however short they are, what is known of them takes some 16 MiB.
const SORTED_RECORDS: usize = 1 << 17;

impl Inner {
    /// Copies records into new segments, which are durable then, and not yet part of the store.
    pub(super) fn copy(&self, inputs: &[Input], kept: &[Kept], pace: &mut Pace) -> Result<Vec<Output>, Stop> {
        let mut copying = Copying {
            inner: self,
            tagger: self.state().index.tagger(),
            numbers: Vec::new(),
            outputs: Vec::new(),
            writer: None,
            moved: Vec::new(),
        };
        let copied = copying.all(inputs, kept, pace);
        match copied {
            Ok(()) => Ok(copying.outputs),
            Err(stop) => {
                self.catalog.abandon(&copying.numbers);
                Err(stop)
            }
        }
    }
}

struct Copying<'i> {
    inner: &'i Inner,
    tagger: Tagger,
    /// Numbers of all outputs, the unfinished one included.
    numbers: Vec<u32>,
    outputs: Vec<Output>,
    writer: Option<SegmentWriter>,
    /// What the writer has been given.
    moved: Vec<Moved>,
}

impl Copying<'_> {
    fn all(&mut self, inputs: &[Input], mut kept: &[Kept], pace: &mut Pace) -> Result<(), Stop> {
        let mut left: u64 = kept.iter().map(|kept| u64::from(kept.length)).sum();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        while !kept.is_empty() {
            let (stretch, later) = kept.split_at(stretch(kept));
            kept = later;
            read(inputs, stretch, &mut bytes, &mut ends)?;
            for record in in_order(stretch, &bytes, &ends) {
                self.append(&record, &mut left, pace)?;
            }
        }
        Ok(self.finish()?)
    }

    fn append(&mut self, record: &Record<'_>, left: &mut u64, pace: &mut Pace) -> Result<(), Stop> {
        let Some(at) = record.address() else { return Ok(()) };
        let full = self.inner.catalog.segment_bytes() - FOOTER_BYTES as u64;
        if self.writer.as_ref().is_some_and(|writer| writer.end_with(record.encoded_len()) > full) {
            self.finish()?;
        }
        let position = self.writer(*left, record.encoded_len())?.append(record)?;
        let length = u32::try_from(record.encoded_len()).unwrap_or(u32::MAX);
        let (tag, sequence) = (self.tagger.tag(at), record.sequence);
        self.moved.push(Moved { tag, sequence, position, length });
        *left -= u64::from(length);
        Ok(pace.spend(self.inner, length.into())?)
    }

    /// The segment that is being written; if there is none, a new one for a record of `first` bytes and what follows,
    /// `left` bytes with it.
    fn writer(&mut self, left: u64, first: usize) -> Result<&mut SegmentWriter> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.create(left, first)?,
        };
        Ok(self.writer.insert(writer))
    }

    fn create(&mut self, left: u64, first: usize) -> Result<SegmentWriter> {
        let catalog = &self.inner.catalog;
        let manifest = catalog.number_output()?;
        let segment = manifest.next_segment - 1;
        self.numbers.push(segment);
        let time_ms = self.inner.clock.now_ms();
        let header = SegmentHeader {
            store: manifest.store,
            segment,
            kind: SegmentKind::Compacted,
            created_at: time_ms,
        };
        let marks = Marks { durable: self.inner.progress.durable(), ceiling: manifest.ceiling, time_ms };
        let overhead = (HEADER_BYTES + FRAME_HEADER_BYTES + FOOTER_BYTES) as u64;
        let most = catalog.segment_bytes().max(overhead + first as u64);
        // With some room for the headers of further frames.
        let expected = (overhead + left + left / 1024).min(most);
        let disk = &**catalog.disk();
        catalog.with_reserve(expected, || {
            SegmentWriter::create(disk, header, marks, expected).inspect_err(|_| {
                let _ = disk.remove(&file_name(segment));
            })
        })
    }

    fn finish(&mut self) -> Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let (sealed, file) = writer.finish()?;
        let end = u32::try_from(sealed.end).unwrap_or(u32::MAX);
        let segment = Arc::new(Segment::new(sealed.segment, sealed.kind, sealed.salt(), file, end, end)?);
        self.outputs.push(Output { sealed, segment, moved: std::mem::take(&mut self.moved) });
        Ok(())
    }
}

/// How many of the records are sorted together.
fn stretch(kept: &[Kept]) -> usize {
    let mut bytes = 0;
    let fits = |kept: &&Kept| {
        bytes += kept.length as usize;
        bytes <= SORTED_BYTES
    };
    kept.iter().take(SORTED_RECORDS).take_while(fits).count().max(1)
}

/// Reads records one after the other into `bytes`, and where each ends.
fn read(inputs: &[Input], kept: &[Kept], bytes: &mut Vec<u8>, ends: &mut Vec<usize>) -> Result<(), Stop> {
    bytes.clear();
    ends.clear();
    let mut scratch = Vec::new();
    for Kept { input, position, length, .. } in kept {
        if let Some(Input { sealed, segment }) = inputs.get(*input as usize) {
            // Verified once more: between the survey and now it may have rotted.
            segment
                .read_record(*position, *length, &mut scratch)
                .map_err(|error| Stop::Damaged { segment: sealed.segment, error })?;
            bytes.extend_from_slice(&scratch);
        }
        ends.push(bytes.len());
    }
    Ok(())
}

/// The records that were read, in the order in which they are to be written.
fn in_order<'b>(
    kept: &[Kept],
    bytes: &'b [u8],
    ends: &[usize],
) -> impl Iterator<Item = Record<'b>> + use<'b> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let places = starts.zip(ends).map(|(start, end)| &bytes[start..*end]);
    let records =
        kept.iter().zip(places).filter_map(|(kept, bytes)| Some((kept.hour, Record::trusted(bytes)?)));
    let mut records: Vec<(u32, Record<'b>)> = records.collect();
    records.sort_unstable_by_key(|(hour, Record { tenant, namespace, key, sequence, .. })| {
        (*hour, *tenant, *namespace, *key, *sequence)
    });
    records.into_iter().map(|(_, record)| record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Tenant;
    use crate::log::record::Kind;

    fn kept(hour: u32, length: usize) -> Kept {
        Kept { hour, input: 0, position: 0, length: u32::try_from(length).unwrap() }
    }

    #[test]
    fn what_expires_together_is_in_the_order_of_its_addresses() {
        let names =
            [(2, 0, "n", "a"), (1, 0, "n", "c"), (1, 0, "m", "d"), (1, 0, "n", "b"), (1, 7, "a", "a")];
        let (mut bytes, mut ends, mut stretch) = (Vec::new(), Vec::new(), Vec::new());
        for (hour, tenant, namespace, key) in names {
            let record = Record {
                kind: Kind::Put,
                tag: 0,
                tenant: Tenant(tenant),
                namespace,
                key,
                description: "",
                value: b"1",
                sequence: 1,
                deadline: u64::from(hour) * 3_600_000,
                created_at: 0,
                updated_at: 0,
                creation: 1,
            };
            record.encode(&mut bytes);
            ends.push(bytes.len());
            stretch.push(kept(hour, record.encoded_len()));
        }
        let found: Vec<_> = in_order(&stretch, &bytes, &ends)
            .map(|record| (record.deadline / 3_600_000, record.tenant.0, record.namespace, record.key))
            .collect();
        let expected =
            [(1, 0, "m", "d"), (1, 0, "n", "b"), (1, 0, "n", "c"), (1, 7, "a", "a"), (2, 0, "n", "a")];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stretch_is_bounded_and_never_empty() {
        assert_eq!(stretch(&[kept(0, SORTED_BYTES / 2), kept(0, SORTED_BYTES / 2), kept(0, 1)]), 2);
        assert_eq!(stretch(&[kept(0, 2 * SORTED_BYTES), kept(0, 1)]), 1);
        assert_eq!(stretch(&vec![kept(0, 100); SORTED_RECORDS + 1]), SORTED_RECORDS);
    }
}
