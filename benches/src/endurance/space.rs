//! How much room a store takes, measured from outside, as often as one looks.
//!
//! The active segment, the prepared one and hints do not count, but everything else does that stands in the directory: also the
//! inputs and the outputs of a compaction that is under way.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use larder_engine::Store;
use larder_engine::log::header::{HEADER_BYTES, SegmentHeader, SegmentKind};

use super::Result;

/// Looks at the room that a store takes.
#[derive(Debug)]
pub struct Gauge {
    directory: PathBuf,
    /// What was read from the heads of the segments.
    kinds: BTreeMap<u32, SegmentKind>,
    /// All looks so far.
    pub space: Space,
}

/// Space amplification over a time: bytes of the log for each live byte in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Space {
    samples: u32,
    log: Ratio,
    files: Ratio,
}

/// The highest, and what the average comes from.
#[derive(Debug, Clone, Copy, Default)]
struct Ratio {
    max: f64,
    sum: f64,
}

impl Ratio {
    fn add(&mut self, bytes: u64, live: u64) {
        let ratio = bytes as f64 / live.max(1) as f64;
        self.max = self.max.max(ratio);
        self.sum += ratio;
    }
}

impl Space {
    /// Highest and average ratio of what the store keeps account of: the records in its log.
    #[must_use]
    pub fn log(&self) -> (f64, f64) {
        (self.log.max, self.log.sum / f64::from(self.samples.max(1)))
    }

    /// Highest and average ratio of the files, with all that stands in them, and what compaction has under way.
    #[must_use]
    pub fn files(&self) -> (f64, f64) {
        (self.files.max, self.files.sum / f64::from(self.samples.max(1)))
    }
}

impl Gauge {
    /// Looks at the store in `directory`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), kinds: BTreeMap::new(), space: Space::default() }
    }

    /// Looks once.
    pub fn sample(&mut self, store: &Store) -> Result<()> {
        // In this order: what is in the table has a file with a head.
        let stats = store.stats();
        let files = self.files()?;
        let is_log = |id: &u32| self.kinds.get(id) == Some(&SegmentKind::Log);
        // The newest segment of the log proper that is in use; what is prepared for later is not in the table.
        let active = stats.segments.iter().map(|segment| segment.segment).filter(is_log).max();
        let is_counted = |id: u32| !is_log(&id) || Some(id) < active;
        let sealed = || stats.segments.iter().filter(|segment| is_counted(segment.segment));
        let live = sealed().map(|segment| segment.live_bytes).sum();
        let in_files = files.iter().filter(|(id, _)| is_counted(*id)).map(|(_, bytes)| bytes).sum();
        self.space.samples += 1;
        self.space.log.add(sealed().map(|segment| segment.bytes).sum(), live);
        self.space.files.add(in_files, live);
        Ok(())
    }

    /// Number and allocated bytes of the segment files; notes the kinds of those not seen before.
    fn files(&mut self) -> Result<Vec<(u32, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".seg")?.parse().ok());
            let Some(number) = number else { continue };
            // Compaction may have removed it by now.
            let Ok(file) = File::open(&path) else { continue };
            if let Entry::Vacant(unknown) = self.kinds.entry(number) {
                let mut head = [0; HEADER_BYTES];
                // One that has no head yet is only being made.
                let Ok(()) = file.read_exact_at(&mut head, 0) else { continue };
                let Ok(header) = SegmentHeader::decode(&head) else { continue };
                unknown.insert(header.kind);
            }
            files.push((number, file.metadata()?.blocks() * 512));
        }
        Ok(files)
    }
}
