//! Reads everything in a store and tells what is damaged; changes nothing.

use super::damage::{Damage, Event};
use super::survey::survey;
use super::walk::Visitor;
use super::{lock_store, open_directory};
use crate::disk::Disk;
use crate::error::Result;
use crate::log::record::{Kind, Record};
use std::path::Path;

/// What a store amounts to, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Damaged places. None: the store is intact.
    pub damaged: u64,
    /// Bytes that cannot be used, those of damaged values included.
    pub unreadable_bytes: u64,
    /// Bytes at the end of the log that an interrupted write left, as after a crash. They are no damage: the next open
    /// cuts them off.
    pub loose_end_bytes: u64,
    /// Whether the manifest is there and intact. Without it nobody knows which segments there were.
    pub has_manifest: bool,
    /// Segments that belong to the store.
    pub segments: u64,
    /// Frames in them.
    pub frames: u64,
    /// Records in them whose head is intact.
    pub records: u64,
    /// Those of them that set an entry.
    pub puts: u64,
    /// Those of them that delete one.
    pub deletes: u64,
    /// Those of them that remove an overdue one.
    pub expires: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Segment files that are not part of the store, and were not read.
    pub unnamed: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is damaged.
    pub fn is_intact(&self) -> bool {
        self.damaged == 0
    }
}

struct Verifier<'w> {
    watch: &'w mut dyn FnMut(Event<'_>),
    report: VerifyReport,
}

impl Visitor for Verifier<'_> {
    fn record(&mut self, _segment: u32, _position: u32, record: &Record<'_>, _intact: bool) {
        let count = match record.kind {
            Kind::Put => &mut self.report.puts,
            Kind::Delete => &mut self.report.deletes,
            Kind::Expire => &mut self.report.expires,
        };
        *count += 1;
    }

    fn damage(&mut self, damage: Damage) {
        self.report.damaged += 1;
        (self.watch)(Event::Damage(&damage));
    }

    fn progress(&mut self, done: u64, total: u64) {
        (self.watch)(Event::Progress { done, total });
    }
}

/// Reads everything in the store in `directory`, values included, and tells `watch` of every damaged place.
///
/// Nothing is changed but the lock file, which keeps others out meanwhile. What is not acknowledged and only half there
/// after a crash is no damage, see [`VerifyReport::loose_end_bytes`].
///
/// # Errors
/// [`Error::InUse`](crate::Error::InUse), [`Error::Missing`](crate::Error::Missing),
/// [`Error::NotAStore`](crate::Error::NotAStore), [`Error::Unsupported`](crate::Error::Unsupported) or
/// [`Error::Io`](crate::Error::Io): then the store could not be examined. Damage is no error here.
pub fn verify(directory: impl AsRef<Path>, watch: &mut dyn FnMut(Event<'_>)) -> Result<VerifyReport> {
    verify_on(&open_directory(directory.as_ref())?, watch)
}

/// As [`verify`], on a disk, which may be a simulated one.
///
/// # Errors
/// As [`verify`].
pub fn verify_on(disk: &dyn Disk, watch: &mut dyn FnMut(Event<'_>)) -> Result<VerifyReport> {
    let _lock = lock_store(disk)?;
    let mut verifier = Verifier { watch, report: VerifyReport::default() };
    let surveyed = survey(disk, &mut verifier)?;
    Ok(VerifyReport {
        unreadable_bytes: surveyed.unreadable_bytes,
        loose_end_bytes: surveyed.loose_end_bytes,
        has_manifest: surveyed.has_manifest,
        segments: surveyed.segments.len() as u64,
        frames: surveyed.frames,
        records: surveyed.records,
        bytes: surveyed.bytes,
        unnamed: surveyed.unnamed,
        ..verifier.report
    })
}
