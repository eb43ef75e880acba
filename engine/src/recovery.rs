//! Opening: from the files of a directory to the index, and from whatever a crash left to a log that can go on.
//!
//! The manifest lists sealed segments, which are complete and durable, and then at most a few open ones, in the order
//! in which they were written. Sealed segments are read as they are; anything wrong in their structure is damage. In
//! the open ones the chain of frames is followed from where the sealed ones end. Where it breaks, there are two
//! possibilities:
//!
//! - The write of that frame, or of one before the next sync, was interrupted. Nothing from there on was acknowledged
//!   as durable. The log is cut off there.
//! - The frame was durable once, and is damaged now. Then the log must not be cut: that would lose acknowledged writes
//!   silently. The store refuses to open.
//!
//! Frames tell the two apart: each carries the highest sequence that was durable when it was closed. If any frame
//! behind the break, in this segment or a later one, knows a sequence to be durable that the intact log has not
//! reached, then what is missing was durable. (Damage to the very last frame looks like an interrupted write; nothing
//! can tell them apart.)
//!
//! The order in which the disk wrote the open segments does not matter: a frame counts only if all before it do.
//! So rotation need not wait for the sync of the old segment. A break ends the log only if the next segment does not
//! continue it: if it does, nothing is missing, and what was interrupted is the footer of a segment being sealed.
//!
//! What is left of the open segments is then sealed, which also syncs it: what was only in the page cache of a killed
//! process is durable before anybody is told of it. What no frame knows to be durable is written again before that:
//! should a sync have failed, the system takes it for written, and the next sync would do nothing. All steps up to the new manifest can be repeated, should a crash
//! interrupt them.

use crate::clock::{CarriedClock, Mark, Start};
use crate::disk::{Disk, DiskFile, DiskLock, LOCK_FILE, read_exact_at, write_all_at};
use crate::draft::Stage;
use crate::error::{Error, Result};
use crate::index::{self, Index, Tagger};
use crate::log::catalog::seal_file;
use crate::log::format::{FRAME_BYTES_SOFT, Salt, StoreId, VERSION_BLOCK};
use crate::log::frame::{self, Frame, FrameError, Verify};
use crate::log::header::{FOOTER_BYTES, Footer, HEADER_BYTES, HeaderError, SegmentHeader, SegmentKind};
use crate::log::hint::{self, Hint, records_max};
use crate::log::manifest::{BACKUP_FILE, MANIFEST_FILE, MANIFEST_NEW_FILE, Manifest, Sealed};
use crate::log::mark::TimeMark;
use crate::log::reserve::RESERVE_FILE;
use crate::log::scan;
use crate::log::segment::{Segment, SegmentTable, file_name, parse_file_name};
use crate::log::window::read_start;
use crate::report::{OpenProgress, OpenReport};
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, on_each, thread};
use crate::tail::absorb;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::{Arc, PoisonError};

/// What recovery found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) clock: CarriedClock,
    pub(crate) index: Index,
    pub(crate) segments: SegmentTable,
    /// The manifest to go on with; not written yet.
    pub(crate) manifest: Manifest,
    /// Segments that held nothing. To be removed once a manifest is written that has them as retired.
    pub(crate) obsolete: Vec<u32>,
    /// Sealed segments that have no hint file.
    pub(crate) unhinted: Vec<u32>,
    pub(crate) report: OpenReport,
}

/// Who wants to know how far an open has come.
pub(crate) type Progress<'p> = Option<&'p (dyn Fn(OpenProgress) + Send + Sync)>;

/// Recovers the store on `disk`, or prepares a new one if there is none and `create` is set. Uses so many threads.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    create: bool,
    start: &Start,
    threads: usize,
    progress: Progress<'_>,
) -> Result<Recovered> {
    let names = list(&**disk)?;
    if !names.iter().any(|name| name == MANIFEST_FILE) {
        return prepare_new(&**disk, &names, create, start);
    }
    let manifest = Manifest::read(&**disk, MANIFEST_FILE)?;
    let mut recovery = Recovery::new(&**disk, manifest, progress);
    recovery.set_aside(&names)?;
    recovery.load_sealed(threads)?;
    let tail = recovery.load_open(threads)?;
    let clock = recovery.start_clock(start)?;
    recovery.seal_tail(tail)?;
    Ok(recovery.finish(clock, threads))
}

/// Takes the directory for this process.
pub(crate) fn own(disk: &dyn Disk) -> Result<Box<dyn DiskLock>> {
    disk.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::InUse { location: disk.location() },
        _ => Error::of_disk(format!("lock the directory {}", disk.location()), disk.location(), error),
    })
}

/// Refuses a directory that no store is or is to be in, so that not even a lock is left in it.
///
/// This is no more than a look: it decides nothing if there is a lock, whose owner may be changing the directory, and
/// what it lets pass is looked at again under the lock.
pub(crate) fn look(disk: &dyn Disk, create: bool) -> Result<()> {
    let names = list(disk)?;
    let is_ours = names.iter().any(|name| name == LOCK_FILE || name == MANIFEST_FILE);
    if is_ours { Ok(()) } else { check_new(disk, &names, create) }
}

/// Refuses a directory without a store in it.
pub(crate) fn check_there(disk: &dyn Disk) -> Result<()> {
    let names = list(disk)?;
    if names.iter().any(|name| name == MANIFEST_FILE) { Ok(()) } else { check_new(disk, &names, false) }
}

fn list(disk: &dyn Disk) -> Result<Vec<String>> {
    disk.list().map_err(|error| {
        let location = disk.location();
        Error::of_disk(format!("list {location}"), location, error)
    })
}

/// Whether a directory without a manifest may become a store.
fn check_new(disk: &dyn Disk, names: &[String], create: bool) -> Result<()> {
    let location = disk.location();
    if names.iter().any(|name| name == BACKUP_FILE) {
        return Err(Error::IsBackup { location });
    }
    if let Some(stage) = Stage::of(names) {
        return Err(Error::Unfinished { location, what: stage.what });
    }
    if names.iter().any(|name| parse_file_name(name).is_some()) {
        return Err(Error::damaged(MANIFEST_FILE, 0, "it is missing, though there are segments of a store"));
    }
    let ours = |name: &str| matches!(name, LOCK_FILE | "lost+found" | MANIFEST_NEW_FILE | RESERVE_FILE);
    if let Some(found) = names.iter().find(|name| !ours(name)) {
        return Err(Error::NotAStore { location, found: found.clone() });
    }
    if create { Ok(()) } else { Err(Error::Missing { location }) }
}

fn prepare_new(disk: &dyn Disk, names: &[String], create: bool, start: &Start) -> Result<Recovered> {
    check_new(disk, names, create)?;
    let clock = CarriedClock::start(start, Mark { time_ms: 0, exact: true })?;
    let time_ms = clock.now_ms();
    let new = Manifest::new(new_store_id()?);
    let manifest = Manifest { ceiling: VERSION_BLOCK, clean: false, time_ms, ..new };
    let report = OpenReport { created: true, clean: true, ..OpenReport::default() };
    Ok(Recovered {
        clock,
        index: Index::new(Tagger::new(), time_ms),
        segments: SegmentTable::new(),
        manifest,
        obsolete: Vec::new(),
        unhinted: Vec::new(),
        report,
    })
}

/// The identity of a new store.
pub(crate) fn new_store_id() -> Result<StoreId> {
    let mut id = [0; 16];
    rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::io("get random bytes for the store's id", error.into()))?;
    Ok(StoreId(id))
}

/// A recovery under way.
struct Recovery<'d> {
    disk: &'d dyn Disk,
    progress: Progress<'d>,
    manifest: Manifest,
    hints: Vec<Hint>,
    unhinted: Vec<u32>,
    segments: SegmentTable,
    report: OpenReport,
    ceiling: u64,
    obsolete: Vec<u32>,
    /// Frames that no later frame knows to be durable.
    unproven: VecDeque<Unproven>,
}

/// A frame that may be in the page cache only.
struct Unproven {
    segment: u32,
    position: u64,
    last_sequence: u64,
}

/// A sealed segment that was found whole.
struct Whole {
    segment: Segment,
    hint: Hint,
    has_hint_file: bool,
}

/// An open segment as far as its frames are good.
struct TailSegment {
    id: u32,
    hints: Vec<Hint>,
    file: Arc<dyn DiskFile>,
    salt: Salt,
    summary: Footer,
}

/// Where the intact log ends so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Last {
    pub(crate) sequence: u64,
    pub(crate) chain: u32,
}

impl Last {
    /// Whether a frame is the next one of the log.
    pub(crate) fn is_continued_by(self, header: &frame::Header) -> bool {
        header.previous == self.chain && header.first_sequence == self.sequence + 1 && header.records > 0
    }
}

/// Where the chain of frames breaks.
struct Break {
    file: String,
    position: u64,
    error: FrameError,
}

impl<'d> Recovery<'d> {
    fn new(disk: &'d dyn Disk, manifest: Manifest, progress: Progress<'d>) -> Recovery<'d> {
        let report = OpenReport { clean: manifest.clean, ..OpenReport::default() };
        let ceiling = manifest.ceiling;
        Recovery {
            disk,
            progress,
            manifest,
            hints: Vec::new(),
            unhinted: Vec::new(),
            segments: SegmentTable::new(),
            report,
            ceiling,
            obsolete: Vec::new(),
            unproven: VecDeque::new(),
        }
    }

    /// Deals with files of segments that are not part of the store: retired and unfinished ones are removed, others
    /// renamed.
    fn set_aside(&mut self, names: &[String]) -> Result<()> {
        let sealed: HashSet<u32> = self.manifest.sealed.iter().map(|sealed| sealed.segment).collect();
        let retired: HashSet<u32> = self.manifest.retired.iter().copied().collect();
        for name in names {
            if hint::parse_file_name(name).is_some_and(|id| !sealed.contains(&id)) {
                // Its segment is no more. Should it stay, no segment will ever have its number.
                let _ = self.disk.remove(name);
            }
            let Some(id) = parse_file_name(name) else { continue };
            if sealed.contains(&id) || self.manifest.open.contains(&id) {
                continue;
            }
            let failed = |error| Error::io(format!("set {name} aside"), error);
            if retired.contains(&id) || self.was_never_used(id) {
                self.disk.remove(name).map_err(failed)?;
            } else {
                self.disk.rename(name, &format!("{name}.orphan")).map_err(failed)?;
                self.report.set_aside.push(name.clone());
            }
        }
        // The next manifest is written after a sync of the directory.
        self.manifest.retired.clear();
        Ok(())
    }

    /// Whether a segment that the manifest does not name never held anything: no manifest has ever named it, and its
    /// creation was interrupted; or it was prepared, and then not needed.
    fn was_never_used(&self, id: u32) -> bool {
        (id >= self.manifest.next_segment && !self.holds_frames(id)) || self.is_blank(id).unwrap_or(false)
    }

    /// Whether there is nothing behind a segment's header.
    fn is_blank(&self, id: u32) -> io::Result<bool> {
        let file = self.disk.open(&file_name(id))?;
        let end = file.data_len()?;
        let mut buffer = vec![0; FRAME_BYTES_SOFT];
        let mut at = HEADER_BYTES as u64;
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            read_exact_at(&*file, &mut buffer[..length], at)?;
            if !is_zero(&buffer[..length]) {
                return Ok(false);
            }
            at += length as u64;
        }
        Ok(true)
    }

    /// Whether a segment holds anything. One that cannot be read might.
    fn holds_frames(&self, id: u32) -> bool {
        let mut bytes = [0; frame::HEADER_BYTES];
        let read = self
            .disk
            .open(&file_name(id))
            .and_then(|file| read_exact_at(&*file, &mut bytes, HEADER_BYTES as u64));
        match read {
            Ok(()) => {
                let salt = Salt::new(self.manifest.store, id);
                frame::Header::decode(&bytes, salt, length_u32(HEADER_BYTES)).is_some()
            }
            Err(error) => error.kind() != io::ErrorKind::UnexpectedEof,
        }
    }

    fn open_segment(&self, id: u32, store: StoreId) -> Result<(Arc<dyn DiskFile>, SegmentKind)> {
        let name = file_name(id);
        let file = self.disk.open(&name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::damaged(&name, 0, "the file is missing"),
            _ => Error::of_disk(format!("open {name}"), self.disk.location(), error),
        })?;
        let mut bytes = [0; HEADER_BYTES];
        read_exact_at(&*file, &mut bytes, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::damaged(&name, 0, "the file is shorter than its header"),
            _ => Error::io(format!("read {name}"), error),
        })?;
        let header = SegmentHeader::decode(&bytes).map_err(|error| match error {
            HeaderError::Damaged => Error::damaged(&name, 0, "the header does not match its checksum"),
            HeaderError::Unsupported { version, features } => {
                Error::Unsupported { file: name.clone(), version, features }
            }
        })?;
        if header.store != store || header.segment != id {
            return Err(Error::damaged(&name, 0, "the file belongs to another store, or was renamed"));
        }
        Ok((file, header.kind))
    }

    /// Loads the sealed segments, several at a time. Of several that are damaged, the first is told.
    fn load_sealed(&mut self, threads: usize) -> Result<()> {
        let sealed = &self.manifest.sealed;
        let bytes_total = sealed.iter().map(|sealed| sealed.end).sum();
        let (next, bytes_done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let found = Mutex::new(Vec::new());
        let work = || {
            while let Some((number, sealed)) = {
                let number = next.fetch_add(1, Ordering::Relaxed);
                sealed.get(number).map(|sealed| (number, sealed))
            } {
                let whole = self.read_sealed(sealed);
                found.lock().unwrap_or_else(PoisonError::into_inner).push((number, whole));
                let bytes_done = bytes_done.fetch_add(sealed.end, Ordering::Relaxed) + sealed.end;
                if let Some(tell) = self.progress {
                    tell(OpenProgress { bytes_done, bytes_total });
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads.min(sealed.len()) {
                scope.spawn(work);
            }
            work();
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_unstable_by_key(|(number, _)| *number);
        for (_, whole) in found {
            let Whole { segment, hint, has_hint_file } = whole?;
            if !has_hint_file {
                self.unhinted.push(segment.id);
            }
            self.hints.push(hint);
            self.add_segment(segment);
        }
        Ok(())
    }

    fn read_sealed(&self, sealed: &Sealed) -> Result<Whole> {
        let name = file_name(sealed.segment);
        let (file, kind) = self.open_segment(sealed.segment, sealed.store)?;
        let salt = sealed.salt();
        let mut foot = [0; FOOTER_BYTES];
        let footer = match read_exact_at(&*file, &mut foot, sealed.end) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(Error::io(format!("read {name}"), error));
            }
            _ => Footer::decode(&foot, salt, sealed.end),
        };
        let footer = footer.filter(|footer| {
            kind == sealed.kind && (footer.chain, footer.records) == (sealed.chain, sealed.records)
        });
        if footer.is_none() {
            return Err(Error::damaged(&name, sealed.end, "the footer is missing or not the one written"));
        }
        if sealed.highest_sequence > self.manifest.sequence {
            return Err(Error::damaged(MANIFEST_FILE, 0, "a sealed segment is newer than the store"));
        }
        let from_file = Hint::read(self.disk, sealed);
        let has_hint_file = from_file.is_some();
        let hint = match from_file {
            Some(hint) => hint,
            None => scan::hint(&*file, sealed)?,
        };
        let end = u32::try_from(sealed.end).unwrap_or(u32::MAX);
        let segment = Segment::new(sealed.segment, kind, salt, file, end, end)?;
        Ok(Whole { segment, hint, has_hint_file })
    }

    /// Follows the chain through the open segments, which are read and verified by several threads. Returns those with frames
    /// in them.
    fn load_open(&mut self, threads: usize) -> Result<Vec<TailSegment>> {
        let mut tail = Vec::new();
        let mut last = Last { sequence: self.manifest.sequence, chain: self.manifest.chain };
        let mut broken: Option<Break> = None;
        for id in std::mem::take(&mut self.manifest.open) {
            let (file, kind) = self.open_segment(id, self.manifest.store)?;
            if kind != SegmentKind::Log {
                return Err(Error::damaged(file_name(id), 0, "a compacted segment is listed as open"));
            }
            let name = file_name(id);
            let salt = Salt::new(self.manifest.store, id);
            let data_len = file.data_len().map_err(|error| Error::io(format!("read {name}"), error))?;
            let content = read_start(&*file, &name, data_len.max(HEADER_BYTES as u64), threads)?;
            let mut summary = Footer {
                frames: 0,
                records: 0,
                lowest_sequence: 0,
                highest_sequence: 0,
                end: HEADER_BYTES as u64,
                ceiling: 0,
                time_ms: 0,
                chain: last.chain,
            };
            let (frames, stop) = chained(&content, salt, last);
            let (hints, good, bad) = verify(id, &content, salt, &frames, threads);
            self.take_in(id, &content, salt, &frames[..good], &mut last, &mut summary);
            let stop = bad.or(stop);
            if summary.frames > 0 || broken.is_none() {
                broken = stop.map(|error| Break { file: name.clone(), position: summary.end, error });
            }
            let rest = content.get(usize::try_from(summary.end).unwrap_or(usize::MAX)..);
            self.check_remainder(rest.unwrap_or_default(), summary.end, salt, last, broken.as_ref(), &name)?;
            self.ceiling = self.ceiling.max(summary.ceiling);
            self.manifest.time_ms = self.manifest.time_ms.max(summary.time_ms);
            if summary.frames > 0 {
                tail.push(TailSegment { id, hints, file, salt, summary });
            } else {
                if rest.is_some_and(is_zero) {
                    // The room that was allocated for it may be all there is for the next one. Else it is kept longer.
                    let _ = file.set_len(HEADER_BYTES as u64);
                }
                self.obsolete.push(id);
            }
        }
        Ok(tail)
    }

    /// Goes on with the frames of an open segment, which are good.
    fn take_in(
        &mut self,
        segment: u32,
        bytes: &[u8],
        salt: Salt,
        frames: &[u32],
        last: &mut Last,
        summary: &mut Footer,
    ) {
        for position in frames {
            let Some(header) = header_at(bytes, salt, *position) else {
                debug_assert!(false, "it was there when the chain was followed");
                return;
            };
            absorb(summary, &header, header.frame_bytes());
            let (durable, position, last_sequence) =
                (header.durable, (*position).into(), summary.highest_sequence);
            while self.unproven.pop_front_if(|frame| frame.last_sequence <= durable).is_some() {}
            self.unproven.push_back(Unproven { segment, position, last_sequence });
            *last = Last { sequence: summary.highest_sequence, chain: summary.chain };
        }
    }

    /// Looks through what follows the intact log in one segment, `rest` at position `start`, for proof that more of it
    /// was durable once.
    fn check_remainder(
        &mut self,
        rest: &[u8],
        start: u64,
        salt: Salt,
        last: Last,
        broken: Option<&Break>,
        name: &str,
    ) -> Result<()> {
        let base = u32::try_from(start).unwrap_or(u32::MAX);
        let mut from = 0;
        while let Some((found, header)) = frame::find_header(rest, base, from, salt) {
            if header.durable > last.sequence {
                return Err(match broken {
                    Some(Break { file, position, error }) => {
                        Error::damaged(file, *position, error.describe())
                    }
                    None => Error::damaged(name, start, "frames that were durable are missing"),
                });
            }
            // A version that was reserved in a frame now cut off may have been answered all the same.
            self.ceiling = self.ceiling.max(header.ceiling);
            from = found + 1;
        }
        if !is_footer(rest, salt, start) {
            let garbage = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            self.report.cut_bytes += garbage as u64;
        }
        Ok(())
    }

    /// Seals what is left of the open segments, so that it is durable and the log can go on in a new one.
    fn seal_tail(&mut self, tail: Vec<TailSegment>) -> Result<()> {
        for TailSegment { id, hints, file, salt, summary } in tail {
            let end = u32::try_from(summary.end).unwrap_or(u32::MAX);
            let segment = Segment::new(id, SegmentKind::Log, salt, Arc::clone(&file), end, end)?;
            let unproven = self.unproven.iter().find(|frame| frame.segment == id);
            let rewritten = unproven.map_or(Ok(()), |frame| rewrite(&*file, frame.position, summary.end));
            rewritten.and_then(|()| seal_file(&segment, &summary)).map_err(|error| {
                Error::of_disk(format!("seal {}", file_name(id)), self.disk.location(), error)
            })?;
            self.manifest.sealed.push(Sealed {
                segment: id,
                kind: SegmentKind::Log,
                end: summary.end,
                highest_sequence: summary.highest_sequence,
                chain: summary.chain,
                records: summary.records,
                store: self.manifest.store,
            });
            self.manifest.sequence = summary.highest_sequence;
            self.manifest.chain = summary.chain;
            self.hints.extend(hints);
            self.unhinted.push(id);
            self.add_segment(segment);
        }
        Ok(())
    }

    fn add_segment(&mut self, segment: Segment) {
        self.report.segments += 1;
        self.report.log_bytes += u64::from(segment.capacity);
        self.segments.insert(segment.id, Arc::new(segment));
    }

    /// Starts the clock, not below the highest time found.
    fn start_clock(&self, start: &Start) -> Result<CarriedClock> {
        let Manifest { time_ms, clean, store, .. } = self.manifest;
        let time_ms = time_ms.max(TimeMark::read(self.disk, store));
        CarriedClock::start(start, Mark { time_ms, exact: clean })
    }

    fn finish(mut self, clock: CarriedClock, threads: usize) -> Recovered {
        let manifest = &mut self.manifest;
        manifest.time_ms = clock.now_ms();
        if !manifest.clean {
            // Versions up to the ceiling may have been answered; none of them may name anything else.
            manifest.sequence = manifest.sequence.max(self.ceiling);
        }
        manifest.clean = false;
        manifest.retired.clone_from(&self.obsolete);
        manifest.ceiling = manifest.sequence + VERSION_BLOCK;
        let index = index::load(self.hints, threads, Tagger::new(), self.manifest.time_ms);
        self.report.entries = index.entries();
        Recovered {
            clock,
            index,
            segments: self.segments,
            manifest: self.manifest,
            obsolete: self.obsolete,
            unhinted: self.unhinted,
            report: self.report,
        }
    }
}

/// Where the frames of an open segment are, by their headers, for as long as each continues the one before. Also why they
/// end, if that is not where nothing more was written.
fn chained(bytes: &[u8], salt: Salt, mut last: Last) -> (Vec<u32>, Option<FrameError>) {
    let mut frames = Vec::new();
    let mut at = length_u32(HEADER_BYTES);
    loop {
        let rest = bytes.get(at as usize..).unwrap_or_default();
        let broken = match header_at(bytes, salt, at) {
            Some(header) if header.frame_bytes() > rest.len() => FrameError::CutOff,
            Some(header) if last.is_continued_by(&header) => {
                frames.push(at);
                last = Last { sequence: header.last_sequence(), chain: header.checksum };
                at = at.saturating_add(length_u32(header.frame_bytes()));
                continue;
            }
            Some(_) => FrameError::Chain,
            None => FrameError::Header,
        };
        let is_end = is_zero(rest) || is_footer(rest, salt, at.into());
        return (frames, (!is_end).then_some(broken));
    }
}

fn header_at(bytes: &[u8], salt: Salt, position: u32) -> Option<frame::Header> {
    frame::Header::decode(bytes.get(position as usize..)?, salt, position)
}

/// Verifies what is in the frames of an open segment, on so many threads. Gives hints of those that are good, how many these
/// are, and what is wrong with the one after them, if there is one.
fn verify(
    segment: u32,
    bytes: &[u8],
    salt: Salt,
    frames: &[u32],
    threads: usize,
) -> (Vec<Hint>, usize, Option<FrameError>) {
    let share = |number| frames.len() * number / threads;
    let verified = on_each(threads, |number| {
        let (from, to) = (share(number), share(number + 1));
        let frames = &frames[from..to];
        let headers = frames.iter().filter_map(|position| header_at(bytes, salt, *position));
        let records = headers.map(|header| records_max(header.records, header.payload_bytes.into())).sum();
        let mut hint = Hint::with_capacity(segment, records);
        for (good, position) in (from..).zip(frames) {
            let rest = bytes.get(*position as usize..).unwrap_or_default();
            match Frame::decode(rest, salt, *position, SegmentKind::Log, Verify::Everything) {
                Ok(frame) => {
                    let records = frame.records(salt, Verify::Heads).flatten();
                    records.for_each(|(position, record)| hint.push(&record, position));
                }
                Err(error) => return (hint, good, Some(error)),
            }
        }
        (hint, to, None)
    });
    let mut hints = Vec::new();
    for (hint, good, bad) in verified {
        if hint.records > 0 {
            hints.push(hint);
        }
        if bad.is_some() {
            return (hints, good, bad);
        }
    }
    (hints, frames.len(), None)
}

/// Writes what is in a file once more, from `start` to `end`.
fn rewrite(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<()> {
    let mut buffer = vec![0; FRAME_BYTES_SOFT];
    let mut at = start;
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        read_exact_at(file, &mut buffer[..length], at)?;
        write_all_at(file, &buffer[..length], at)?;
        at += length as u64;
    }
    Ok(())
}

pub(crate) fn is_footer(bytes: &[u8], salt: Salt, position: u64) -> bool {
    Footer::decode(bytes, salt, position).is_some()
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Positions in a segment fit 32 bits.
fn length_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
