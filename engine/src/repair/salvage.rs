//! Copies what is intact in a store into a new one, and says what is missing.
//!
//! First everything is read, and of each entry it is noted what its newest record is. A record whose head is intact counts
//! also if its body is not: the entry is lost then, and told so; an older version is not taken for it unless that is
//! asked for. Deletes and expiries count likewise. Then the newest records are copied, each as it is: with its version,
//! its times, its deadline. Removals need no copy, as nothing that they removed is copied.
//!
//! What cannot be known is told: in bytes that cannot be made out there may have been newer versions of any entry, or
//! deletes. In a log segment the versions of what is missing are known; only entries that are older can be out of date.
//!
//! The new store has an identity of its own, and its versions go on above all that were given out or reserved.

use super::damage::{Damage, EntryName, Event, LostEntry};
use super::survey::{Surveyed, survey};
use super::walk::Visitor;
use super::{list, lock, lock_store, open_directory};
use crate::address::Tenant;
use crate::disk::{Disk, DiskLock, RealDisk};
use crate::error::{Error, Result};
use crate::log::format::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Salt, StoreId, VERSION_BLOCK, VERSION_MAX};
use crate::log::header::{FOOTER_BYTES, SegmentHeader, SegmentKind};
use crate::log::manifest::{MANIFEST_FILE, MANIFEST_NEW_FILE, Manifest, Sealed};
use crate::log::record::{Kind, Record};
use crate::log::segment::{Segment, file_name};
use crate::log::writer::{Marks, SegmentWriter};
use crate::recovery::new_store_id;
use std::collections::BTreeMap;
use std::path::Path;

/// How much of a segment is allocated ahead.
const ALLOCATE_BYTES: u64 = 16 << 20;

/// How a store is salvaged.
#[derive(Debug, Clone)]
pub struct SalvageOptions {
    keep_older: bool,
    segment_bytes: u64,
}

impl Default for SalvageOptions {
    fn default() -> SalvageOptions {
        SalvageOptions { keep_older: false, segment_bytes: 256 << 20 }
    }
}

impl SalvageOptions {
    /// The defaults: nothing older in the place of what is lost, segments of 256 MiB.
    pub fn new() -> SalvageOptions {
        SalvageOptions::default()
    }

    /// Whether the newest intact version of an entry is saved where a newer one is known and damaged. It keeps its own
    /// version number, and is told as a [`LostEntry`] all the same. Default false.
    pub fn keep_older(mut self, keep: bool) -> SalvageOptions {
        self.keep_older = keep;
        self
    }

    /// Size of a segment of the new store, in bytes: 1 MiB to 2 GiB, default 256 MiB.
    pub fn segment_bytes(mut self, bytes: u64) -> SalvageOptions {
        self.segment_bytes = bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        self
    }
}

/// What was saved, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// Entries in the new store, those past their deadline included.
    pub saved: u64,
    /// Entries whose newest known version is damaged, and that are not in the new store for it.
    pub lost: u64,
    /// Entries of which an older version was saved, as [`SalvageOptions::keep_older`] asks for.
    pub older: u64,
    /// Saved entries that may be out of date, or deleted: records are missing that may have been newer.
    pub doubtful: u64,
    /// Damaged places in the old store.
    pub damaged: u64,
    /// Damaged places where records are missing that nobody knows by name.
    pub gaps: u64,
    /// Bytes in the old store that cannot be used, those of damaged values included.
    pub unreadable_bytes: u64,
    /// Bytes at the end of the log that an interrupted write left. They were never acknowledged as durable, and are not
    /// saved, as an open would not have kept them.
    pub loose_end_bytes: u64,
    /// Whether the old store's manifest was there and intact. Without it nobody knows whether a segment is missing.
    pub has_manifest: bool,
    /// The new store gives out versions above this one.
    pub version: u64,
}

impl SalvageReport {
    /// Whether the new store certainly holds all that the old one did.
    pub fn is_complete(&self) -> bool {
        self.lost == 0 && self.older == 0 && self.gaps == 0 && self.has_manifest
    }
}

/// Where an intact put stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    sequence: u64,
    segment: u32,
    position: u32,
    length: u32,
}

/// What is known of an entry.
#[derive(Debug, Default)]
struct Known {
    /// Its newest record, damaged or not.
    newest: u64,
    /// Its newest removal.
    removed: u64,
    /// Its newest put that is intact.
    intact: Option<Place>,
}

type Namespaces = BTreeMap<Box<str>, BTreeMap<Box<str>, Known>>;

struct Salvager<'w> {
    watch: &'w mut dyn FnMut(Event<'_>),
    entries: BTreeMap<Tenant, Namespaces>,
    report: SalvageReport,
    /// Records with versions up to this one are missing.
    missing_up_to: Option<u64>,
}

impl Visitor for Salvager<'_> {
    fn record(&mut self, segment: u32, position: u32, record: &Record<'_>, intact: bool) {
        let known = known(&mut self.entries, record);
        known.newest = known.newest.max(record.sequence);
        if record.kind != Kind::Put {
            known.removed = known.removed.max(record.sequence);
        } else if intact && known.intact.is_none_or(|place| place.sequence <= record.sequence) {
            let length = u32::try_from(record.encoded_len()).unwrap_or(u32::MAX);
            known.intact = Some(Place { sequence: record.sequence, segment, position, length });
        }
    }

    fn damage(&mut self, damage: Damage) {
        self.report.damaged += 1;
        if let Some(versions) = damage.versions {
            self.report.gaps += 1;
            self.missing_up_to = self.missing_up_to.max(Some(versions.last.unwrap_or(u64::MAX)));
        }
        (self.watch)(Event::Damage(&damage));
    }

    fn progress(&mut self, done: u64, total: u64) {
        (self.watch)(Event::Progress { done, total });
    }
}

fn known<'e>(entries: &'e mut BTreeMap<Tenant, Namespaces>, record: &Record<'_>) -> &'e mut Known {
    let namespaces = entries.entry(record.tenant).or_default();
    if !namespaces.contains_key(record.namespace) {
        namespaces.insert(record.namespace.into(), BTreeMap::new());
    }
    // Looked up before it is made: most names are there already, and making one allocates.
    let keys = namespaces.get_mut(record.namespace).expect("it was just put there");
    if !keys.contains_key(record.key) {
        keys.insert(record.key.into(), Known::default());
    }
    keys.get_mut(record.key).expect("it was just put there")
}

impl Salvager<'_> {
    /// Decides what becomes of each entry. Returns what is to be copied, in the order of the log.
    fn choose(&mut self, keep_older: bool) -> Vec<Place> {
        let mut places = Vec::new();
        let Salvager { entries, report, watch, missing_up_to } = self;
        for (tenant, namespaces) in std::mem::take(entries) {
            for (namespace, keys) in namespaces {
                for (key, known) in keys {
                    if known.removed >= known.newest {
                        continue;
                    }
                    let newest = known.intact.filter(|place| place.sequence == known.newest);
                    let older = known.intact.filter(|place| keep_older && place.sequence > known.removed);
                    if newest.is_none() {
                        let name = EntryName {
                            tenant: tenant.0,
                            namespace: namespace.to_string(),
                            key: key.into(),
                            version: known.newest,
                        };
                        *if older.is_some() { &mut report.older } else { &mut report.lost } += 1;
                        let kept = older.map(|place| place.sequence);
                        watch(Event::Lost(&LostEntry { entry: name, kept }));
                    }
                    places.extend(newest.or(older));
                }
            }
        }
        let is_doubtful = |place: &&Place| missing_up_to.is_some_and(|missing| place.sequence < missing);
        report.doubtful = places.iter().filter(is_doubtful).count() as u64;
        report.saved = places.len() as u64;
        places.sort_unstable_by_key(|place| (place.segment, place.position));
        places
    }
}

/// Copies what is intact in the store in `from` into a new store in `to`, which must be an empty directory or none, and
/// tells `watch` what is damaged and what is lost. The old store stays as it is.
///
/// # Errors
/// Those of [`verify`](crate::verify) for the old store; [`Error::NotEmpty`], [`Error::NoSpace`] or [`Error::Io`] for
/// the new one, of which nothing is left then.
pub fn salvage(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &SalvageOptions,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<SalvageReport> {
    let from = open_directory(from.as_ref())?;
    let _lock = lock_store(&from)?;
    let to = to.as_ref();
    let disk = RealDisk::open(to, true)
        .map_err(|error| Error::io(format!("make the directory {}", to.display()), error))?;
    salvage_locked(&from, &disk, options, watch)
}

/// As [`salvage`], on disks, which may be simulated ones.
///
/// # Errors
/// As [`salvage`].
pub fn salvage_on(
    from: &dyn Disk,
    to: &dyn Disk,
    options: &SalvageOptions,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<SalvageReport> {
    let _lock = lock_store(from)?;
    salvage_locked(from, to, options, watch)
}

fn salvage_locked(
    from: &dyn Disk,
    to: &dyn Disk,
    options: &SalvageOptions,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<SalvageReport> {
    let _lock = lock_empty(to)?;
    let report = SalvageReport::default();
    let mut salvager = Salvager { watch, entries: BTreeMap::new(), report, missing_up_to: None };
    let surveyed = survey(from, &mut salvager)?;
    let places = salvager.choose(options.keep_older);
    let version = version_to_go_on(&surveyed, salvager.report.damaged > 0);
    let mut copy = Copy::new(to, &surveyed, version, options.segment_bytes)?;
    let copied = copy.all(from, &surveyed.segments, &places).and_then(|()| copy.found());
    if let Err(error) = copied {
        copy.remove();
        return Err(error);
    }
    Ok(SalvageReport {
        unreadable_bytes: surveyed.unreadable_bytes,
        loose_end_bytes: surveyed.loose_end_bytes,
        has_manifest: surveyed.has_manifest,
        version,
        ..salvager.report
    })
}

/// Takes a directory that holds nothing.
fn lock_empty(disk: &dyn Disk) -> Result<Box<dyn DiskLock>> {
    let is_other = |name: &String| !matches!(&**name, "LOCK" | "lost+found");
    if let Some(found) = list(disk)?.into_iter().find(is_other) {
        return Err(Error::NotEmpty { location: disk.location(), found });
    }
    lock(disk)
}

/// What damage has swallowed may have reserved a block of versions more than is known.
fn version_to_go_on(surveyed: &Surveyed, is_damaged: bool) -> u64 {
    let unknown = if is_damaged { VERSION_BLOCK } else { 0 };
    surveyed.highest.saturating_add(unknown).min(VERSION_MAX)
}

/// The new store in the making.
struct Copy<'d> {
    disk: &'d dyn Disk,
    manifest: Manifest,
    marks: Marks,
    segment_bytes: u64,
    writer: Option<SegmentWriter>,
}

impl<'d> Copy<'d> {
    fn new(disk: &'d dyn Disk, surveyed: &Surveyed, version: u64, segment_bytes: u64) -> Result<Copy<'d>> {
        let time_ms = surveyed.time_ms;
        let manifest = Manifest {
            sequence: version,
            ceiling: version,
            time_ms,
            feed_floor: version,
            ..Manifest::new(new_store_id()?)
        };
        let marks = Marks { durable: version, ceiling: version, time_ms };
        Ok(Copy { disk, manifest, marks, segment_bytes, writer: None })
    }

    /// Copies the records at these places, which are in the order of the old log.
    fn all(&mut self, from: &dyn Disk, segments: &[(u32, StoreId)], places: &[Place]) -> Result<()> {
        let mut scratch = Vec::new();
        for places in places.chunk_by(|one, next| one.segment == next.segment) {
            let segment = open_segment(from, segments, places)?;
            for place in places {
                let record = segment.record(place.position, place.length, &mut scratch)?;
                self.append(&record)?;
            }
        }
        self.seal()
    }

    fn append(&mut self, record: &Record<'_>) -> Result<()> {
        let is_full = |writer: &SegmentWriter| {
            writer.end_with(record.encoded_len()) + FOOTER_BYTES as u64 > self.segment_bytes
        };
        if self.writer.as_ref().is_some_and(is_full) {
            self.seal()?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let segment = self.manifest.next_segment;
                self.manifest.next_segment += 1;
                let header = SegmentHeader {
                    store: self.manifest.store,
                    segment,
                    kind: SegmentKind::Compacted,
                    created_at: self.manifest.time_ms,
                };
                let expected = self.segment_bytes.min(ALLOCATE_BYTES);
                self.writer.insert(SegmentWriter::create(self.disk, header, self.marks, expected)?)
            }
        };
        writer.append(record)?;
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            let (sealed, _): (Sealed, _) = writer.finish()?;
            self.manifest.sealed.push(sealed);
        }
        Ok(())
    }

    /// Writes the manifest: from then on it is a store.
    fn found(&mut self) -> Result<()> {
        let written = self.manifest.write_beside(self.disk);
        written
            .and_then(|()| self.disk.rename(MANIFEST_NEW_FILE, MANIFEST_FILE))
            .and_then(|()| self.disk.sync_dir())
            .map_err(|error| Error::of_disk("write the manifest", self.disk.location(), error))
    }

    /// Takes away what was written, as far as that is possible.
    fn remove(&self) {
        let segments = (1..self.manifest.next_segment).map(file_name);
        // The manifest first: without it, what is left over is no store.
        for name in [MANIFEST_FILE, MANIFEST_NEW_FILE].map(str::to_owned).into_iter().chain(segments) {
            let _ = self.disk.remove(&name);
        }
    }
}

/// Opens the segment of these places, which lie in one.
fn open_segment(disk: &dyn Disk, segments: &[(u32, StoreId)], places: &[Place]) -> Result<Segment> {
    let id = places.first().map_or(0, |place| place.segment);
    let name = file_name(id);
    let store = segments.iter().find(|(segment, _)| *segment == id).map(|(_, store)| *store);
    let store = store.ok_or_else(|| Error::damaged(&name, 0, "the file is missing"))?;
    let file = disk.open(&name).map_err(|error| Error::io(format!("open {name}"), error))?;
    let end = places.iter().map(|place| place.position.saturating_add(place.length)).max().unwrap_or(0);
    // Records are read one by one: their order does not matter.
    Segment::new(id, SegmentKind::Compacted, Salt::new(store, id), file, end, end)
}
