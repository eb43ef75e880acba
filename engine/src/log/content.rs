//! The bytes of a file: mapped, or read where the disk has no mappings.

use crate::disk::{DiskFile, Map, read_exact_at};
use crate::error::{Error, Result};

/// The first bytes of a file.
#[derive(Debug)]
pub(crate) enum Content {
    Mapped(Map, usize),
    Memory(Vec<u8>),
}

impl Content {
    /// The first `length` bytes of the file called `name`.
    pub(crate) fn read(file: &dyn DiskFile, name: &str, length: u64) -> Result<Content> {
        let failed = |error| Error::io(format!("read {name}"), error);
        let size = file.len().map_err(failed)?;
        if size < length || u32::try_from(length).is_err() {
            return Err(Error::damaged(name, size, "the file is shorter than it was"));
        }
        let bytes = usize::try_from(length).map_err(|_| Error::damaged(name, 0, "the file is too long"))?;
        if let Some(map) = file.map(length).map_err(failed)? {
            return Ok(Content::Mapped(map, bytes));
        }
        let mut content = vec![0; bytes];
        read_exact_at(file, &mut content, 0).map_err(failed)?;
        Ok(Content::Memory(content))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Content::Mapped(map, length) => map.get(0, *length).unwrap_or_default(),
            Content::Memory(bytes) => bytes,
        }
    }
}
