//! Reading a sealed segment from end to end.

use super::frame::Verify;
use super::header::HEADER_BYTES;
use super::hint::{Hint, records_max};
use super::manifest::Sealed;
use super::record::Record;
use super::segment::file_name;
use super::window::{Window, check_length};
use crate::disk::DiskFile;
use crate::error::{Error, Result};

/// Calls `look` with each record and its position, in their order.
///
/// # Errors
/// Those of `look`; [`Error::Damaged`] where something is not what was written, as far as it is verified, or the records
/// are not as many as the manifest says; [`Error::Io`].
pub(crate) fn scan<E: From<Error>>(
    file: &dyn DiskFile,
    sealed: &Sealed,
    verify: Verify,
    mut look: impl FnMut(u32, &Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let name = file_name(sealed.segment);
    check_length(file, &name, sealed.end)?;
    let mut window = Window::new(file, sealed.end);
    let (mut at, mut records) = (HEADER_BYTES as u64, 0);
    while at < sealed.end {
        let frame = window.frame(at, sealed, verify).map_err(|error| error.of(&name, at))?;
        for (position, record) in frame.records(sealed.salt(), Verify::Heads).flatten() {
            if record.sequence > sealed.highest_sequence {
                return Err(
                    Error::damaged(&name, position.into(), "a record is newer than its segment").into()
                );
            }
            look(position, &record)?;
        }
        records += frame.header.records;
        at += frame.header.frame_bytes() as u64;
    }
    if records != sealed.records {
        return Err(
            Error::damaged(&name, sealed.end, "it holds other records than the manifest counts").into()
        );
    }
    Ok(())
}

/// Makes the hint of a sealed segment from the segment itself, and verifies all of it but the values.
pub(crate) fn hint(file: &dyn DiskFile, sealed: &Sealed) -> Result<Hint> {
    let mut hint = Hint::with_capacity(sealed.segment, records_max(sealed.records, sealed.end));
    scan::<Error>(file, sealed, Verify::Heads, |position, record| {
        hint.push(record, position);
        Ok(())
    })?;
    Ok(hint)
}
