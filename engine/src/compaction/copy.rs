//! Copying what is kept into new segments.

use super::survey::Kept;
use super::{Input, Pace, Stop};
use crate::error::Result;
use crate::index::Tag;
use crate::log::frame::HEADER_BYTES as FRAME_HEADER_BYTES;
use crate::log::header::{FOOTER_BYTES, HEADER_BYTES, SegmentHeader, SegmentKind};
use crate::log::manifest::Sealed;
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

impl Inner {
    /// Copies records into new segments, which are durable then, and not yet part of the store.
    pub(super) fn copy(&self, inputs: &[Input], kept: &[Kept], pace: &mut Pace) -> Result<Vec<Output>, Stop> {
        let mut copying = Copying {
            inner: self,
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
    /// Numbers of all outputs, the unfinished one included.
    numbers: Vec<u32>,
    outputs: Vec<Output>,
    writer: Option<SegmentWriter>,
    /// What the writer has been given.
    moved: Vec<Moved>,
}

impl Copying<'_> {
    fn all(&mut self, inputs: &[Input], kept: &[Kept], pace: &mut Pace) -> Result<(), Stop> {
        let mut scratch = Vec::new();
        let tagger = self.inner.state().index.tagger();
        let mut left: u64 = kept.iter().map(|kept| u64::from(kept.length)).sum();
        for Kept { input, position, length, .. } in kept {
            let Some(input) = inputs.get(*input as usize) else { continue };
            // Verified once more: between the survey and now it may have rotted.
            let record = input
                .segment
                .read_record(*position, *length, &mut scratch)
                .map_err(|error| Stop::Damaged { segment: input.sealed.segment, error })?;
            let Some(at) = record.address() else { continue };
            let full = self.inner.catalog.segment_bytes() - FOOTER_BYTES as u64;
            if self.writer.as_ref().is_some_and(|writer| writer.end_with(record.encoded_len()) > full) {
                self.finish()?;
            }
            let position = self.writer(left, record.encoded_len())?.append(&record)?;
            let (tag, sequence) = (tagger.tag(at), record.sequence);
            self.moved.push(Moved { tag, sequence, position, length: *length });
            left -= u64::from(*length);
            pace.spend(self.inner, (*length).into())?;
        }
        Ok(self.finish()?)
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
