//! The bytes of one file, whatever the disk can still read of them.
//!
//! A page of a mapping that the disk cannot read ends the process. So everything is read once before it is looked at
//! through a mapping, and a file with an unreadable place is held in memory instead, with zeroes there: no checksum
//! fits these.

use crate::disk::{DiskFile, Map, read_exact_at};
use std::io;

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// How much is given up at a time where the disk fails.
const PAGE_BYTES: usize = 4 << 10;

/// The first bytes of a file.
pub(super) enum Content {
    Mapped(Map, usize),
    Read(Vec<u8>),
}

impl Content {
    /// Loads up to `length` bytes, fewer if the file is shorter; `progress` is told how many more have been read.
    pub(super) fn load(
        file: &dyn DiskFile,
        length: u64,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<Content> {
        // Positions fit 32 bits: what lies beyond was never part of a segment.
        let length = usize::try_from(length.min(file.len()?).min(u32::MAX.into())).unwrap_or(usize::MAX);
        if length == 0 {
            return Ok(Content::Read(Vec::new()));
        }
        let mapped = file.map(length as u64)?.filter(|_| is_readable(file, length, progress));
        Ok(match mapped {
            Some(map) => Content::Mapped(map, length),
            None => Content::Read(read(file, length, progress)),
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Content::Mapped(map, length) => map.get(0, *length).unwrap_or_default(),
            Content::Read(bytes) => bytes,
        }
    }
}

fn is_readable(file: &dyn DiskFile, length: usize, progress: &mut dyn FnMut(u64)) -> bool {
    let mut scratch = vec![0; CHUNK_BYTES.min(length)];
    (0..length).step_by(CHUNK_BYTES).all(|at| {
        let chunk = CHUNK_BYTES.min(length - at);
        let read = read_exact_at(file, &mut scratch[..chunk], at as u64).is_ok();
        progress(chunk as u64);
        read
    })
}

fn read(file: &dyn DiskFile, length: usize, progress: &mut dyn FnMut(u64)) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (number, chunk) in bytes.chunks_mut(CHUNK_BYTES).enumerate() {
        let at = (number * CHUNK_BYTES) as u64;
        if read_exact_at(file, chunk, at).is_err() {
            read_pages(file, chunk, at);
        }
        progress(chunk.len() as u64);
    }
    bytes
}

fn read_pages(file: &dyn DiskFile, chunk: &mut [u8], at: u64) {
    for (number, page) in chunk.chunks_mut(PAGE_BYTES).enumerate() {
        if read_exact_at(file, page, at + (number * PAGE_BYTES) as u64).is_err() {
            page.fill(0);
        }
    }
}
