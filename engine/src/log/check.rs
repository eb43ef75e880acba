//! Checking one sealed segment from end to end: is every byte what was written, and is it what the manifest says?

use super::frame::{FrameError, Verify};
use super::header::{FOOTER_BYTES, Footer, HEADER_BYTES, HeaderError, SegmentHeader, SegmentKind};
use super::manifest::Sealed;
use super::window::{FrameReadError, Window};
use crate::disk::DiskFile;
use crate::error::{Error, Result};
use std::io;

/// Bytes of a sealed segment's file.
pub(crate) fn file_bytes(sealed: &Sealed) -> u64 {
    sealed.end + FOOTER_BYTES as u64
}

/// Verifies everything in `file`, down to the last value. `name` is for messages; `told` is given the bytes that were
/// verified since it was called last.
pub(crate) fn check_sealed(
    file: &dyn DiskFile,
    name: &str,
    sealed: &Sealed,
    mut told: impl FnMut(u64),
) -> Result<()> {
    let damaged = |offset: u64, what| Error::damaged(name, offset, what);
    let failed = |error: io::Error| Error::io(format!("read {name}"), error);
    let length = file.len().map_err(failed)?;
    if length != file_bytes(sealed) {
        return Err(damaged(length.min(sealed.end), "the file does not have the length it had"));
    }
    let mut window = Window::new(file, length);
    let header = window.at(0, HEADER_BYTES).map_err(failed)?;
    let header = SegmentHeader::decode(header).map_err(|error| match error {
        HeaderError::Damaged => damaged(0, "the header does not match its checksum"),
        HeaderError::Unsupported { version, features } => {
            Error::Unsupported { file: name.to_owned(), version, features }
        }
    })?;
    if (header.store, header.segment, header.kind) != (sealed.store, sealed.segment, sealed.kind) {
        return Err(damaged(0, "the segment is not the one that the manifest names"));
    }
    let mut sum = Sum::default();
    let mut at = HEADER_BYTES as u64;
    while at < sealed.end {
        let bytes = check_frame(&mut window, at, sealed, &mut sum).map_err(|error| error.of(name, at))?;
        told(bytes);
        at += bytes;
    }
    let footer = window.at(sealed.end, FOOTER_BYTES).map_err(failed)?;
    let footer = Footer::decode(footer, sealed.salt(), sealed.end);
    let is_right = |footer: Footer| {
        (footer.frames, footer.records, footer.chain) == (sum.frames, sum.records, sum.chain)
            && footer.highest_sequence == sum.highest_sequence
    };
    if at != sealed.end || !footer.is_some_and(is_right) {
        return Err(damaged(sealed.end, "the footer is missing, or does not fit the frames"));
    }
    if (sum.records, sum.chain, sum.highest_sequence)
        != (sealed.records, sealed.chain, sealed.highest_sequence)
    {
        return Err(damaged(sealed.end, "the segment is intact, but not as the manifest knows it"));
    }
    told((HEADER_BYTES + FOOTER_BYTES) as u64);
    Ok(())
}

/// What the frames of a segment amount to.
#[derive(Default)]
struct Sum {
    frames: u32,
    records: u32,
    highest_sequence: u64,
    chain: u32,
}

/// Verifies the frame at a position. Returns its length.
fn check_frame(
    window: &mut Window<'_>,
    at: u64,
    sealed: &Sealed,
    sum: &mut Sum,
) -> Result<u64, FrameReadError> {
    let frame = window.frame(at, sealed, Verify::Everything)?;
    let is_first = sum.frames == 0;
    if sealed.kind == SegmentKind::Log && !is_first && frame.header.previous != sum.chain {
        return Err(FrameError::Chain.into());
    }
    let records = frame.records(sealed.salt(), Verify::Heads).flatten();
    sum.highest_sequence = records.map(|(_, record)| record.sequence).fold(sum.highest_sequence, u64::max);
    sum.frames += 1;
    sum.records = sum.records.saturating_add(frame.header.records);
    sum.chain = frame.header.checksum;
    Ok(frame.header.frame_bytes() as u64)
}
