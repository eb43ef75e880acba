//! The end of the log: the frame that is being gathered, and the frames that are not yet acknowledged.
//!
//! A write is encoded straight into the open frame, at the position that it will have in the segment, so that the
//! index can point at it at once. Whoever flushes closes the frame and hands it to the disk. Frames stay here until
//! they are acknowledged, for two reasons: until they are in the file, readers find their records in them; and should
//! the log fail, what was not acknowledged is taken back out of the index, by the notes that each frame keeps.
//!
//! Whoever finds a record that is not in the file yet goes away with a copy. There is one of each record, which all share:
//! however many wait for the disk with it, it takes no more memory than what is pending does.

use crate::index::{Held, Slot};
use crate::log::catalog::Need;
use crate::log::format::{FRAME_BYTES_SOFT, VERSION_BLOCK};
use crate::log::frame::{HEADER_BYTES as FRAME_HEADER_BYTES, Header as FrameHeader};
use crate::log::header::{FOOTER_BYTES, Footer};
use crate::log::record;
use crate::log::segment::Segment;
use crate::sync::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};

/// How to take one record's change back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Undo {
    /// Where the record starts in its frame.
    pub(crate) at: usize,
    /// What the index held before.
    pub(crate) previous: Held,
}

/// Where a record got to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    /// Where it starts in the segment.
    pub(crate) position: u32,
    /// Where it starts in its frame.
    pub(crate) frame_at: usize,
}

/// A frame as it goes to disk.
#[derive(Debug)]
pub(crate) struct ClosedFrame {
    pub(crate) segment: Arc<Segment>,
    pub(crate) position: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) undo: Vec<Undo>,
    pub(crate) last_sequence: u64,
    pub(crate) ceiling: u64,
}

impl ClosedFrame {
    /// Where the frame ends in its segment.
    pub(crate) fn end(&self) -> u32 {
        self.position + length_u32(self.bytes.len())
    }
}

/// A segment that is full, waiting to be durable and then sealed.
#[derive(Debug, Clone)]
pub(crate) struct Full {
    pub(crate) segment: Arc<Segment>,
    pub(crate) footer: Footer,
}

/// The end of the log.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The segment in use. None after an open without room for one: until there is, nothing is written, and the open
    /// frame is empty.
    segment: Option<Arc<Segment>>,
    /// What the frames closed in this segment amount to; its `end` is where the open frame starts.
    summary: Footer,
    /// The open frame: room for its header, then records.
    bytes: Vec<u8>,
    sums: Vec<u32>,
    undo: Vec<Undo>,
    first_sequence: u64,
    /// Highest ceiling announced in a closed frame, or in the manifest.
    ceiling: u64,
    closed: VecDeque<Arc<ClosedFrame>>,
    /// Bytes in `closed` and in the open frame.
    pending_bytes: u64,
    /// Copies of pending records that were asked for, by sequence.
    copies: Mutex<BTreeMap<u64, Arc<[u8]>>>,
    full: VecDeque<Full>,
}

impl Tail {
    /// A log that goes on in the empty `segment`, or as soon as there is one, chained to `chain`.
    pub(crate) fn new(segment: Option<Arc<Segment>>, chain: u32, ceiling: u64, time_ms: u64) -> Tail {
        let summary = empty_summary(segment.as_deref(), chain, time_ms);
        Tail {
            segment,
            summary,
            bytes: vec![0; FRAME_HEADER_BYTES],
            sums: Vec::new(),
            undo: Vec::new(),
            first_sequence: 0,
            ceiling,
            closed: VecDeque::new(),
            pending_bytes: 0,
            copies: Mutex::default(),
            full: VecDeque::new(),
        }
    }

    /// Whether `payload` bytes more belong into the open frame. If not, it must be closed first.
    pub(crate) fn frame_has_room(&self, need: Need, payload: usize) -> bool {
        self.is_frame_empty()
            || (self.bytes.len() + payload <= FRAME_HEADER_BYTES + FRAME_BYTES_SOFT
                && self.segment_has_room(need, payload))
    }

    /// Whether `payload` bytes more fit into the segment. If not, it must be left for the next one.
    pub(crate) fn segment_has_room(&self, need: Need, payload: usize) -> bool {
        let end = self.summary.end + (self.bytes.len() + payload + FOOTER_BYTES) as u64;
        self.segment.as_ref().is_some_and(|segment| {
            end <= u64::from(segment.capacity) && (need == Need::Removals || !segment.reserved)
        })
    }

    pub(crate) fn is_frame_empty(&self) -> bool {
        self.undo.is_empty()
    }

    pub(crate) fn segment(&self) -> Option<&Arc<Segment>> {
        self.segment.as_ref()
    }

    /// Whether the segment holds no closed frame, or there is none.
    pub(crate) fn is_segment_empty(&self) -> bool {
        self.summary.frames == 0
    }

    /// No version above this one was answered so far.
    pub(crate) fn ceiling(&self) -> u64 {
        self.ceiling
    }

    /// Whether more than half of the segment is used.
    pub(crate) fn is_past_half(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| self.summary.end * 2 > u64::from(segment.capacity))
    }

    pub(crate) fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// Puts an encoded record into the open frame, with its checksums. Does nothing if there is no segment.
    pub(crate) fn push(&mut self, encoded: &[u8], sequence: u64) -> Option<Place> {
        let Segment { id, salt, .. } = **self.segment.as_ref()?;
        let at = self.bytes.len();
        let position = length_u32(usize::try_from(self.summary.end).unwrap_or(usize::MAX)) + length_u32(at);
        if self.is_frame_empty() {
            self.first_sequence = sequence;
        }
        self.bytes.extend_from_slice(encoded);
        self.sums.push(record::seal(&mut self.bytes[at..], salt, position));
        self.pending_bytes += encoded.len() as u64;
        Some(Place { segment: id, position, frame_at: at })
    }

    /// Notes how to take back the record at `at`.
    pub(crate) fn note(&mut self, undo: Undo) {
        self.undo.push(undo);
    }

    /// Closes the open frame, if it holds anything, and chains it to the one before.
    pub(crate) fn close_frame(&mut self, durable: u64, time_ms: u64, spare: Vec<u8>) {
        let Some(segment) = self.segment.clone().filter(|_| !self.is_frame_empty()) else { return };
        let records = length_u32(self.undo.len());
        let last_sequence = self.first_sequence + u64::from(records) - 1;
        if last_sequence + VERSION_BLOCK / 2 > self.ceiling {
            self.ceiling = last_sequence + VERSION_BLOCK;
        }
        let mut header = FrameHeader {
            payload_bytes: length_u32(self.bytes.len() - FRAME_HEADER_BYTES),
            records,
            first_sequence: self.first_sequence,
            durable,
            ceiling: self.ceiling,
            time_ms,
            previous: self.summary.chain,
            checksum: 0,
        };
        let position = length_u32(usize::try_from(self.summary.end).unwrap_or(usize::MAX));
        let head = header.seal(&self.sums, segment.salt, position);
        self.bytes[..FRAME_HEADER_BYTES].copy_from_slice(&head);
        self.sums.clear();
        self.pending_bytes += FRAME_HEADER_BYTES as u64;

        let mut next = spare;
        next.clear();
        next.resize(FRAME_HEADER_BYTES, 0);
        let frame = ClosedFrame {
            segment,
            position,
            bytes: std::mem::replace(&mut self.bytes, next),
            undo: std::mem::take(&mut self.undo),
            last_sequence,
            ceiling: self.ceiling,
        };
        absorb(&mut self.summary, &header, frame.bytes.len());
        self.closed.push_back(Arc::new(frame));
    }

    /// Goes on in the empty segment `next`; the open frame must be empty.
    pub(crate) fn rotate(&mut self, next: Arc<Segment>) {
        debug_assert!(self.is_frame_empty());
        let summary = empty_summary(Some(&next), self.summary.chain, self.summary.time_ms);
        let footer = std::mem::replace(&mut self.summary, summary);
        let next_id = next.id;
        if let Some(segment) = self.segment.replace(next) {
            debug_assert!(next_id > segment.id);
            self.full.push_back(Full { segment, footer });
        }
    }

    /// The closed frames after `sequence`, oldest first.
    pub(crate) fn closed_after(&self, sequence: u64) -> impl Iterator<Item = &Arc<ClosedFrame>> {
        let from = self.closed.partition_point(|frame| frame.last_sequence <= sequence);
        self.closed.range(from..)
    }

    /// Lets go of the frames up to `sequence`, which are acknowledged. Returns a used buffer, if one came free.
    pub(crate) fn retire(&mut self, sequence: u64) -> Option<Vec<u8>> {
        let copies = self.copies.get_mut().unwrap_or_else(PoisonError::into_inner);
        while copies.first_entry().is_some_and(|copy| *copy.key() <= sequence) {
            copies.pop_first();
        }
        let mut buffer = None;
        while let Some(frame) = self.closed.pop_front_if(|frame| frame.last_sequence <= sequence) {
            self.pending_bytes -= frame.bytes.len() as u64;
            if frame.bytes.capacity() <= 2 * FRAME_BYTES_SOFT {
                buffer = Arc::try_unwrap(frame).ok().map(|frame| frame.bytes).or(buffer);
            }
        }
        buffer
    }

    /// The copy of a record that is not in the file yet.
    pub(crate) fn copy(&self, slot: &Slot) -> Option<Arc<[u8]>> {
        let bytes = self.unwritten(slot)?;
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(copies.entry(slot.sequence).or_insert_with(|| Arc::from(bytes))))
    }

    /// The bytes of a record that is not in the file yet.
    pub(crate) fn unwritten(&self, slot: &Slot) -> Option<&[u8]> {
        let length = slot.length as usize;
        let active = self.segment.as_ref().is_some_and(|segment| segment.id == slot.segment);
        if active && u64::from(slot.position) >= self.summary.end {
            let at = usize::try_from(u64::from(slot.position) - self.summary.end).ok()?;
            return self.bytes.get(at..at + length);
        }
        let key = (slot.segment, slot.position);
        let after = self.closed.partition_point(|frame| (frame.segment.id, frame.position) <= key);
        let frame = self.closed.get(after.checked_sub(1)?)?;
        let at = slot.position.checked_sub(frame.position)? as usize;
        (frame.segment.id == slot.segment).then(|| frame.bytes.get(at..at + length))?
    }

    /// Takes back everything after `acknowledged`: calls `undo` with each record's bytes and what was there before it,
    /// newest first, and drops the frames.
    pub(crate) fn roll_back(&mut self, acknowledged: u64, mut undo: impl FnMut(&[u8], Held)) {
        for note in self.undo.drain(..).rev() {
            undo(&self.bytes[note.at..], note.previous);
        }
        self.bytes.truncate(FRAME_HEADER_BYTES);
        self.sums.clear();
        while let Some(frame) = self.closed.pop_back_if(|frame| frame.last_sequence > acknowledged) {
            for note in frame.undo.iter().rev() {
                undo(&frame.bytes[note.at..], note.previous);
            }
        }
        self.closed.clear();
        self.copies.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        self.pending_bytes = 0;
    }

    /// The first of the full segments, if its frames are durable, all of them up to `sequence`; it can be sealed.
    pub(crate) fn first_full(&self, sequence: u64) -> Option<Full> {
        self.full.front().filter(|full| full.footer.highest_sequence <= sequence).cloned()
    }

    /// Forgets the first of the full segments, which is sealed.
    pub(crate) fn drop_first_full(&mut self) {
        self.full.pop_front();
    }

    /// Ends the log: what the segment in use amounts to, or nothing if it is empty.
    pub(crate) fn finish(&self) -> Option<Full> {
        debug_assert!(self.is_frame_empty());
        let segment = self.segment.clone().filter(|_| self.summary.frames > 0)?;
        Some(Full { segment, footer: self.summary })
    }
}

fn empty_summary(segment: Option<&Segment>, chain: u32, time_ms: u64) -> Footer {
    Footer {
        frames: 0,
        records: 0,
        lowest_sequence: 0,
        highest_sequence: 0,
        end: segment.map_or(0, |segment| segment.written().into()),
        ceiling: 0,
        time_ms,
        chain,
    }
}

/// Adds a frame of `bytes` to what a segment amounts to.
pub(crate) fn absorb(summary: &mut Footer, frame: &FrameHeader, bytes: usize) {
    if summary.records == 0 {
        summary.lowest_sequence = frame.first_sequence;
    }
    summary.frames += 1;
    summary.records += frame.records;
    summary.highest_sequence = frame.last_sequence();
    summary.end += bytes as u64;
    summary.ceiling = summary.ceiling.max(frame.ceiling);
    summary.time_ms = summary.time_ms.max(frame.time_ms);
    summary.chain = frame.checksum;
}

/// Frames and segments are far shorter than 4 GiB; the format's constants assert it.
fn length_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
