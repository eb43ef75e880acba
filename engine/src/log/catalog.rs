//! The catalog: keeper of the manifest, and the only place that makes, seals and drops segment files.
//!
//! Order of things, which recovery relies on:
//! - A segment file is created, allocated and headed, and all that synced, before the manifest names it; and it is
//!   named before a frame goes into it.
//! - The next segment is prepared before it is needed, and named in the manifest while still empty, so that rotation
//!   itself touches no disk. Segments are filled in the order of their numbers.
//! - A segment is sealed (cut to length, footer, synced) before the manifest lists it as sealed.
//!
//! Short of space. Whether there is room for the log to grow is decided here and nowhere else:
//! - A segment for puts is only allocated while the reserve is whole (see `reserve`). So puts stop before the room for
//!   deletes is touched, and a store that takes puts has its reserve.
//! - If no such segment can be had, the store *is short of space*, until one can. Each put that needs a segment tries
//!   again, and so does upkeep: that is how writing resumes by itself.
//! - Then, and only then, what makes room draws on the reserve: removals, compaction, sealing and closing. Removals get
//!   a small segment, marked as `reserved`: the writer puts nothing but removals into it, so puts never use up what was
//!   given back for deletes. A put moves on from it as soon as a regular segment can be had. A part of the reserve is
//!   not for removals: however many there are, compaction can follow and take away what they have made dead.
//!
//! In doubt. If it is not known which manifest is in force, nothing may be changed any more that depends on it, until
//! the next open reads it. Whoever works with the catalog asks for that, and has the whole store fail.
//!
//! Locks: `spare` may be held while `manifest` is taken, never the other way round; neither is held while the store's
//! state is locked by the same thread afterwards. `removals` is taken alone, the reserve's last and alone.

use super::format::{Salt, StoreId};
use super::header::{FOOTER_BYTES, Footer, HEADER_BYTES, SegmentHeader, SegmentKind};
use super::hint::{self, Hint};
use super::manifest::{MANIFEST_FILE, MANIFEST_NEW_FILE, Manifest, Sealed};
use super::reserve::Reserve;
use super::segment::{Segment, file_name};
use crate::clock::CarriedClock;
use crate::disk::{Disk, DiskFile, write_all_at};
use crate::error::{Error, Result};
use crate::shortage::Shortage;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering};
use std::io;
use std::sync::{Arc, OnceLock, PoisonError};

/// A segment for removals takes this share of the reserve…
const REMOVALS_SHARE: u64 = 8;
/// …but has at least this many bytes…
const REMOVALS_BYTES_MIN: u64 = 64 << 10;
/// …and leaves this share of the reserve to compaction.
const COMPACTION_SHARE: u64 = 4;
/// What a new file takes beside its length, and a manifest beside its bytes, at most: whole blocks, and names.
const OVERHEAD_BYTES: u64 = 64 << 10;

/// Keeps the manifest and the next segment.
#[derive(Debug)]
pub(crate) struct Catalog {
    disk: Arc<dyn Disk>,
    store: StoreId,
    segment_bytes: u64,
    reserve: Reserve,
    manifest: Mutex<Kept>,
    spare: Mutex<Option<Spare>>,
    removals: Mutex<Removals>,
    /// Why it is not known which manifest is in force, if it is not.
    in_doubt: OnceLock<Arc<str>>,
    short: AtomicBool,
    /// That of the manifest in force, for those who must not wait for its lock.
    feed_floor: AtomicU64,
}

/// Segments that are to be removed once nobody holds on to the names any more.
#[derive(Debug, Default)]
struct Removals {
    holds: usize,
    deferred: Vec<u32>,
}

/// As long as it lives, no segment's file is removed, whatever the manifest says: a backup links or copies files by
/// their names.
#[derive(Debug)]
pub(crate) struct Hold<'c>(&'c Catalog);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut removals = lock(&self.0.removals);
        removals.holds -= 1;
        if removals.holds == 0 {
            let deferred = std::mem::take(&mut removals.deferred);
            drop(removals);
            self.0.unlink(&deferred);
        }
    }
}

/// What a segment is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Anything. It must not touch the reserve.
    Puts,
    /// Nothing but removals, which make room in the end; or nothing yet, but that the segment before is ended.
    Removals,
}

/// The manifest to go on from.
#[derive(Debug)]
struct Kept {
    manifest: Manifest,
    /// Segments that an older manifest may name and this one does not. Their files are removed once it is in force.
    obsolete: Vec<u32>,
    /// The directory may be another's by now.
    ended: bool,
}

/// A segment that is named in the manifest, and still empty.
#[derive(Debug)]
struct Spare {
    id: u32,
    file: Arc<dyn DiskFile>,
    capacity: u64,
    /// See [`Segment::reserved`].
    reserved: bool,
}

impl Catalog {
    /// `manifest` is to be written with the first change; the segments in `obsolete` are removed then.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        manifest: Manifest,
        obsolete: Vec<u32>,
        segment_bytes: u64,
        reserve_bytes: u64,
    ) -> Catalog {
        Catalog {
            disk,
            store: manifest.store,
            segment_bytes,
            reserve: Reserve::new(reserve_bytes),
            feed_floor: AtomicU64::new(manifest.feed_floor),
            manifest: Mutex::new(Kept { manifest, obsolete, ended: false }),
            spare: Mutex::new(None),
            removals: Mutex::default(),
            in_doubt: OnceLock::new(),
            short: AtomicBool::new(false),
        }
    }

    /// Whether there was no room for puts when a segment was last wanted.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Acquire)
    }

    /// The change feed can be resumed after any version from here on.
    pub(crate) fn feed_floor(&self) -> u64 {
        self.feed_floor.load(Ordering::Acquire)
    }

    /// Why nothing may be changed any more, if so.
    pub(crate) fn in_doubt(&self) -> Option<&str> {
        self.in_doubt.get().map(|cause| &**cause)
    }

    /// Writes the first manifest of a new store.
    pub(crate) fn found(&self) -> Result<()> {
        let mut kept = lock(&self.manifest);
        let first = kept.manifest.clone();
        self.replace(&mut kept, first)
    }

    /// Makes sure that the reserve is whole, and a segment ready for the next rotation.
    pub(crate) fn prepare(&self, clock: &CarriedClock) -> Result<()> {
        let mut spare = lock(&self.spare);
        self.check(&lock(&self.manifest))?;
        if spare.is_some() {
            return self.fill_reserve();
        }
        *spare = Some(self.create_for_puts(self.segment_bytes, clock)?);
        Ok(())
    }

    /// Whether the next rotation finds its segment ready. False also while one is being prepared.
    pub(crate) fn is_prepared(&self) -> bool {
        self.spare.try_lock().is_ok_and(|spare| spare.is_some())
    }

    /// Takes the next segment, with room for `frame_bytes`; makes one on the spot if none is ready.
    pub(crate) fn take(&self, need: Need, frame_bytes: u64, clock: &CarriedClock) -> Result<Arc<Segment>> {
        // Held throughout: segments are used in the order in which they were made.
        let mut guard = lock(&self.spare);
        let needed = (HEADER_BYTES + FOOTER_BYTES) as u64 + frame_bytes;
        let mut spare = match guard.take() {
            Some(spare) => spare,
            None => self.create_for(need, needed, clock)?,
        };
        if spare.capacity < needed {
            let grow = || spare.file.allocate(needed).map_err(|error| self.error("allocate", error));
            let grown = if need == Need::Puts { grow() } else { self.with_reserve_of_removals(needed, grow) };
            if let Err(error) = grown {
                *guard = Some(spare);
                return Err(error);
            }
            spare.capacity = needed;
        }
        let capacity = u32::try_from(spare.capacity).unwrap_or(u32::MAX);
        let salt = Salt::new(self.store, spare.id);
        let file = Arc::clone(&spare.file);
        match Segment::new(spare.id, SegmentKind::Log, salt, file, capacity, HEADER_LENGTH) {
            Ok(mut segment) => {
                segment.reserved = spare.reserved;
                Ok(Arc::new(segment))
            }
            Err(error) => {
                *guard = Some(spare);
                Err(error)
            }
        }
    }

    fn create_for(&self, need: Need, needed: u64, clock: &CarriedClock) -> Result<Spare> {
        let bytes = self.segment_bytes.max(needed);
        let regular =
            if self.is_hopeless(bytes) { Err(self.no_space()) } else { self.create_for_puts(bytes, clock) };
        if need == Need::Puts || !matches!(regular, Err(Error::NoSpace { .. })) {
            return regular;
        }
        let share = (self.reserve.bytes() / REMOVALS_SHARE).max(REMOVALS_BYTES_MIN);
        let capacity = share.min(self.segment_bytes).max(needed);
        let small = self.with_reserve_of_removals(capacity, || self.create(capacity, clock))?;
        Ok(Spare { reserved: true, ..small })
    }

    /// Whether the disk says that it still has less than `bytes`. Then a write need not try, while everybody waits for
    /// it. Upkeep does, whatever the disk says.
    fn is_hopeless(&self, bytes: u64) -> bool {
        self.is_short() && self.disk.free_bytes().is_ok_and(|free| free < bytes)
    }

    fn create_for_puts(&self, capacity: u64, clock: &CarriedClock) -> Result<Spare> {
        let created = self.fill_reserve().and_then(|()| self.create(capacity, clock));
        if let Ok(_) | Err(Error::NoSpace { .. }) = created {
            self.short.store(created.is_err(), Ordering::Release);
        }
        created
    }

    fn fill_reserve(&self) -> Result<()> {
        self.reserve.fill(&*self.disk).map_err(|error| self.error("keep a reserve for", error))
    }

    /// Runs `work`, which makes room in the end. For as long as there is no room for it now, frees some of the reserve,
    /// `bytes` at a time and what a manifest takes, and runs it again.
    pub(crate) fn with_reserve<T>(&self, bytes: u64, work: impl FnMut() -> Result<T>) -> Result<T> {
        self.with_reserve_but(0, bytes, work)
    }

    fn with_reserve_of_removals<T>(&self, bytes: u64, work: impl FnMut() -> Result<T>) -> Result<T> {
        self.with_reserve_but(self.reserve.bytes() / COMPACTION_SHARE, bytes, work)
    }

    fn with_reserve_but<T>(&self, rest: u64, bytes: u64, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        loop {
            let result = work();
            let Err(Error::NoSpace { shortage, .. }) = &result else { return result };
            if !shortage.is_of_room() || !self.reserve.draw(&*self.disk, bytes + OVERHEAD_BYTES, rest) {
                return result;
            }
        }
    }

    /// How many bytes compaction can write, as far as the disk tells.
    pub(crate) fn room_to_compact(&self) -> u64 {
        let free = self.disk.free_bytes().unwrap_or(u64::MAX);
        free.saturating_add(self.reserve.left(&*self.disk)).saturating_sub(OVERHEAD_BYTES)
    }

    pub(crate) fn no_space(&self) -> Error {
        Error::NoSpace { location: self.disk.location(), shortage: Shortage::Space }
    }

    fn create(&self, capacity: u64, clock: &CarriedClock) -> Result<Spare> {
        let mut kept = lock(&self.manifest);
        self.check(&kept)?;
        let mut next = kept.manifest.clone();
        let id = next.take_number()?;
        next.open.push(id);
        let name = file_name(id);
        let created = self
            .create_file(&name, id, capacity, clock.now_ms())
            .and_then(|file| self.replace(&mut kept, next).map(|()| file));
        if created.is_err() && self.in_doubt().is_none() {
            // It is in no manifest. If removing it fails too, the next open finds an unfinished file and drops it.
            let _ = self.disk.remove(&name);
        }
        Ok(Spare { id, file: created?, capacity, reserved: false })
    }

    fn create_file(&self, name: &str, id: u32, capacity: u64, created_at: u64) -> Result<Arc<dyn DiskFile>> {
        let header = SegmentHeader { store: self.store, segment: id, kind: SegmentKind::Log, created_at };
        let file = self.disk.create(name).map_err(|error| self.error("create", error))?;
        file.allocate(capacity).map_err(|error| self.error("allocate", error))?;
        write_all_at(&*file, &header.encode(), 0)
            .and_then(|()| file.sync())
            .and_then(|()| self.disk.sync_dir())
            .map_err(|error| self.error("write", error))?;
        Ok(file)
    }

    /// Seals a segment whose frames, up to `footer.end`, are durable; one without frames is dropped.
    pub(crate) fn seal(&self, segment: &Segment, footer: &Footer) -> Result<()> {
        let sealed = Sealed {
            segment: segment.id,
            kind: SegmentKind::Log,
            end: footer.end,
            highest_sequence: footer.highest_sequence,
            chain: footer.chain,
            records: footer.records,
            store: self.store,
        };
        self.check(&lock(&self.manifest))?;
        let is_empty = footer.frames == 0;
        if !is_empty {
            let seal = || seal_file(segment, footer).map_err(|error| self.error("seal", error));
            self.with_reserve(0, seal)?;
        }
        let mut kept = lock(&self.manifest);
        let mut next = kept.manifest.clone();
        // Out of order, the chain through the open segments would break.
        debug_assert_eq!(next.open.first(), Some(&segment.id), "segments are sealed in the order of the log");
        next.open.retain(|id| *id != segment.id);
        if is_empty {
            next.retired.push(segment.id);
        } else {
            next.sealed.push(sealed);
        }
        next.sequence = next.sequence.max(footer.highest_sequence);
        next.ceiling = next.ceiling.max(footer.ceiling);
        next.time_ms = next.time_ms.max(footer.time_ms);
        next.chain = footer.chain;
        self.replace_with_reserve(&mut kept, &next)?;
        drop(kept);
        if is_empty {
            self.remove(&[segment.id]);
        }
        Ok(())
    }

    /// Takes the number of a segment that compaction is about to write. Gives the manifest, in which it is the last
    /// number and retired: should compaction not come to its end, the next open removes the file.
    pub(crate) fn number_output(&self) -> Result<Manifest> {
        let mut kept = lock(&self.manifest);
        let mut next = kept.manifest.clone();
        let id = next.take_number()?;
        next.retired.push(id);
        self.replace_with_reserve(&mut kept, &next)?;
        Ok(kept.manifest.clone())
    }

    /// Puts the segments `outputs` in the place of `inputs`, which are retired. Everything dropped on the way is below the
    /// change feed's new floor.
    pub(crate) fn swap(&self, inputs: &[Sealed], outputs: &[Sealed]) -> Result<()> {
        let is_one_of = |some: &[Sealed], id: u32| some.iter().any(|sealed| sealed.segment == id);
        let mut kept = lock(&self.manifest);
        let mut next = kept.manifest.clone();
        next.sealed.retain(|sealed| !is_one_of(inputs, sealed.segment));
        next.sealed.extend_from_slice(outputs);
        next.retired.retain(|id| !is_one_of(outputs, *id));
        next.retired.extend(inputs.iter().map(|input| input.segment));
        let highest = inputs.iter().map(|input| input.highest_sequence).max();
        next.feed_floor = next.feed_floor.max(highest.unwrap_or(0));
        self.replace_with_reserve(&mut kept, &next)?;
        self.feed_floor.store(next.feed_floor, Ordering::Release);
        Ok(())
    }

    /// Removes segments that compaction has written in vain. If it is not known whether they are part of the store, the
    /// next open decides.
    pub(crate) fn abandon(&self, segments: &[u32]) {
        if self.in_doubt().is_none() {
            self.remove(segments);
        }
    }

    /// Ends the session: drops the segment `empty` and the spare, and marks the store as closed in order, with
    /// `sequence` its last one.
    pub(crate) fn close(&self, empty: Option<u32>, sequence: u64, time_ms: u64) -> Result<()> {
        let spare = lock(&self.spare).take().map(|spare| spare.id);
        let mut kept = lock(&self.manifest);
        let dropped: Vec<u32> = empty.into_iter().chain(spare).collect();
        let mut next = kept.manifest.clone();
        next.open.retain(|id| !dropped.contains(id));
        debug_assert!(next.open.is_empty(), "everything is sealed or empty at the end");
        next.retired.extend_from_slice(&dropped);
        next.clean = true;
        next.sequence = next.sequence.max(sequence);
        next.ceiling = next.sequence;
        next.time_ms = next.time_ms.max(time_ms);
        self.replace_with_reserve(&mut kept, &next)?;
        drop(kept);
        self.remove(&dropped);
        Ok(())
    }

    /// From here on nothing is changed any more: the directory's lock is about to be let go of. The caller keeps others from
    /// sealing, and from compaction.
    pub(crate) fn end(&self) {
        let _spare = lock(&self.spare);
        lock(&self.manifest).ended = true;
    }

    /// Replaces the manifest by one that gives room back, or is the last.
    fn replace_with_reserve(&self, kept: &mut Kept, next: &Manifest) -> Result<()> {
        self.with_reserve(next.encode().len() as u64, || self.replace(kept, next.clone()))
    }

    fn replace(&self, kept: &mut Kept, mut next: Manifest) -> Result<()> {
        self.check(kept)?;
        let failed = |error| self.error("write the manifest for", error);
        next.write_beside(&*self.disk).map_err(failed)?;
        match self.disk.rename(MANIFEST_NEW_FILE, MANIFEST_FILE) {
            // This is answered before anything is done.
            Err(error) if Shortage::of(&error).is_some() => return Err(failed(error)),
            renamed => renamed.and_then(|()| self.disk.sync_dir()).map_err(|error| self.doubt(error))?,
        }
        kept.manifest = next;
        // No backup takes them: they hold nothing.
        let gone = self.remove_files(&std::mem::take(&mut kept.obsolete));
        kept.manifest.retired.retain(|id| !gone.contains(id));
        Ok(())
    }

    /// The manifest that is in force.
    pub(crate) fn manifest(&self) -> Result<Manifest> {
        let kept = lock(&self.manifest);
        self.check(&kept)?;
        Ok(kept.manifest.clone())
    }

    /// Keeps the files of all segments where they are. Taken before the manifest is looked at.
    pub(crate) fn hold(&self) -> Hold<'_> {
        lock(&self.removals).holds += 1;
        Hold(self)
    }

    /// Removes segments that the manifest names as retired, later if somebody [holds](Catalog::hold) on to them. Should
    /// that fail, or not be durable, the next open does it.
    pub(crate) fn remove(&self, segments: &[u32]) {
        let mut removals = lock(&self.removals);
        if removals.holds > 0 {
            removals.deferred.extend_from_slice(segments);
            return;
        }
        drop(removals);
        self.unlink(segments);
    }

    fn unlink(&self, segments: &[u32]) {
        let gone = self.remove_files(segments);
        // The next manifest need not name them any more.
        lock(&self.manifest).manifest.retired.retain(|id| !gone.contains(id));
    }

    /// Returns those that are gone, durably.
    fn remove_files(&self, segments: &[u32]) -> Vec<u32> {
        let mut gone = Vec::new();
        for id in segments {
            match self.disk.remove(&file_name(*id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => gone.push(*id),
            }
            let _ = self.disk.remove(&hint::file_name(*id));
        }
        if gone.is_empty() || self.disk.sync_dir().is_err() {
            return Vec::new();
        }
        gone
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Size of a segment.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// The sealed segments, as the manifest knows them.
    pub(crate) fn sealed_segments(&self) -> Vec<Sealed> {
        lock(&self.manifest).manifest.sealed.clone()
    }

    /// A sealed segment, as the manifest knows it.
    pub(crate) fn sealed(&self, id: u32) -> Option<Sealed> {
        lock(&self.manifest).manifest.sealed.iter().find(|sealed| sealed.segment == id).copied()
    }

    /// Writes the hint file of a sealed segment, if that succeeds.
    pub(crate) fn write_hint(&self, hint: &Hint, sealed: &Sealed) {
        if hint.write(&*self.disk, sealed).is_err() {
            let _ = self.disk.remove(&hint::file_name(sealed.segment));
        }
    }

    /// Notes that nobody knows which manifest is in force.
    fn doubt(&self, error: io::Error) -> Error {
        let _ = self.in_doubt.set(format!("cannot replace the manifest: {error}").into());
        Error::io(format!("replace the manifest in {}", self.disk.location()), error)
    }

    /// Whether anything may be changed.
    fn check(&self, kept: &Kept) -> Result<()> {
        if kept.ended {
            return Err(Error::Closed);
        }
        self.in_doubt.get().map_or(Ok(()), |cause| Err(Error::Failed { cause: Arc::clone(cause) }))
    }

    /// An error of the disk. All that can be short is wanted before any byte of a frame is written.
    fn error(&self, what: &str, error: io::Error) -> Error {
        let location = self.disk.location();
        Error::of_disk(format!("{what} a segment in {location}"), location, error)
    }
}

/// Where the first frame of a segment stands.
#[expect(clippy::cast_possible_truncation, reason = "64 fits")]
pub(crate) const HEADER_LENGTH: u32 = HEADER_BYTES as u32;

/// Cuts the file off behind its footer, and syncs it. It keeps the footer's room throughout: on a full disk, what is
/// given back may be gone.
pub(crate) fn seal_file(segment: &Segment, footer: &Footer) -> io::Result<()> {
    cut_and_seal(&*segment.file, segment.salt, footer)
}

/// As [`seal_file`], of a file that is no [`Segment`] yet.
pub(super) fn cut_and_seal(file: &dyn DiskFile, salt: Salt, footer: &Footer) -> io::Result<()> {
    file.set_len(footer.end + FOOTER_BYTES as u64)?;
    write_all_at(file, &footer.encode(salt), footer.end)?;
    file.sync()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::{Fault, OpKind, SimDisk};

    #[test]
    fn what_is_held_is_removed_when_the_last_lets_go() {
        let disk = SimDisk::new(1);
        for id in 1..=3 {
            disk.write_file(&file_name(id), b"");
        }
        let catalog =
            Catalog::new(Arc::new(disk.clone()), Manifest::new(StoreId([1; 16])), Vec::new(), 1 << 20, 0);
        catalog.remove(&[1]);
        assert_eq!(disk.file_names(), [file_name(2), file_name(3)]);
        let (first, second) = (catalog.hold(), catalog.hold());
        catalog.remove(&[2]);
        drop(first);
        catalog.remove(&[3]);
        assert_eq!(disk.file_names(), [file_name(2), file_name(3)]);
        drop(second);
        assert_eq!(disk.file_names(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_removed_stays_retired() {
        let disk = SimDisk::new(1);
        (1..=2).for_each(|id| disk.write_file(&file_name(id), b""));
        let manifest = Manifest { retired: vec![1, 2], ..Manifest::new(StoreId([1; 16])) };
        let catalog = Catalog::new(Arc::new(disk.clone()), manifest, Vec::new(), 1 << 20, 0);
        disk.fail_next(OpKind::Remove, Fault::Eio);
        catalog.remove(&[1, 2]);
        assert_eq!(disk.file_names(), [file_name(1)]);
        assert_eq!(catalog.manifest().unwrap().retired, [1]);
    }
}
