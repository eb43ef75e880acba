//! A look at a store from outside, whether anybody has it open or not: what its manifest says, and whether the files that it
//! names are there and begin and end as they should.
//!
//! Nothing is changed, not even the lock file, and no record is read: [`verify`](crate::verify) does that. A running store
//! changes its files meanwhile; then the look is taken again.

use crate::disk::{Disk, RealDisk, read_exact_at};
use crate::error::Result;
use crate::log::check::file_bytes;
use crate::log::format::StoreId;
use crate::log::header::{FOOTER_BYTES, Footer, HEADER_BYTES, SegmentHeader};
use crate::log::hint;
use crate::log::manifest::{MANIFEST_FILE, Manifest, Sealed};
use crate::log::mark::TimeMark;
use crate::log::segment::file_name;
use crate::recovery;
use crate::repair::{Damage, open_directory};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Looks at a store that goes on changing, before its files are left alone.
const LOOKS_MAX: usize = 5;

/// What a look at a store has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What the lock file says of who has the store open: a process id. `None` if nobody has.
    pub owner: Option<String>,
    /// Whether the store was closed in order, or is open.
    pub clean: bool,
    /// The highest time that the store has marked, in Unix milliseconds; 0 if none. The log may know of a later one.
    pub time_ms: u64,
    /// Segments of the log, sealed or open.
    pub segments: usize,
    /// Records in the sealed ones, dead ones too.
    pub records: u64,
    /// Bytes of the sealed ones.
    pub bytes: u64,
    /// What is missing or is not as the manifest says. Empty also if the store changed too fast to be looked at.
    pub damage: Vec<Damage>,
    /// Hint files that are missing: the next open will make them, and take longer.
    pub missing_hints: Vec<String>,
}

/// Looks at the store in `directory`.
///
/// # Errors
/// [`Error::Missing`](crate::Error::Missing), [`Error::NotAStore`](crate::Error::NotAStore),
/// [`Error::IsBackup`](crate::Error::IsBackup), [`Error::Unfinished`](crate::Error::Unfinished): there is no store to look at.
/// [`Error::Damaged`](crate::Error::Damaged), [`Error::Unsupported`](crate::Error::Unsupported) of its manifest;
/// [`Error::Io`](crate::Error::Io).
pub fn inspect(directory: impl AsRef<Path>) -> Result<Inspection> {
    let disk = open_directory(directory.as_ref())?;
    recovery::check_there(&disk)?;
    let owner = disk.owner().map_err(|error| crate::Error::io("look whether the store is locked", error))?;
    let mut manifest = Manifest::read(&disk, MANIFEST_FILE)?;
    for _ in 0..LOOKS_MAX {
        let inspection = look(&disk, &manifest);
        let now = Manifest::read(&disk, MANIFEST_FILE)?;
        if now.generation == manifest.generation {
            return Ok(Inspection { owner, ..inspection? });
        }
        manifest = now;
    }
    Ok(Inspection { owner, damage: Vec::new(), missing_hints: Vec::new(), ..summary(&disk, &manifest) })
}

fn summary(disk: &RealDisk, manifest: &Manifest) -> Inspection {
    Inspection {
        clean: manifest.clean,
        time_ms: manifest.time_ms.max(TimeMark::read(disk, manifest.store)),
        segments: manifest.sealed.len() + manifest.open.len(),
        records: manifest.sealed.iter().map(|sealed| u64::from(sealed.records)).sum(),
        bytes: manifest.sealed.iter().map(file_bytes).sum(),
        ..Inspection::default()
    }
}

fn look(disk: &RealDisk, manifest: &Manifest) -> Result<Inspection> {
    let names = disk.list().map_err(|error| crate::Error::io("list the directory", error))?;
    let names: BTreeSet<String> = names.into_iter().collect();
    let mut damage = Vec::new();
    let mut tell = |segment, offset, what| {
        let file = file_name(segment);
        damage.push(Damage { file, offset, length: None, what, record: None, versions: None });
    };
    for sealed in &manifest.sealed {
        if let Err((offset, what)) = check_sealed(disk, sealed)? {
            tell(sealed.segment, offset, what);
        }
    }
    for &segment in &manifest.open {
        if let Err((offset, what)) = check_header(disk, segment, manifest.store)? {
            tell(segment, offset, what);
        }
    }
    let hints = manifest.sealed.iter().map(|sealed| hint::file_name(sealed.segment));
    let missing_hints = hints.filter(|hint| !names.contains(hint)).collect();
    Ok(Inspection { damage, missing_hints, ..summary(disk, manifest) })
}

/// What is wrong, and where.
type Checked = std::result::Result<(), (u64, &'static str)>;

fn check_sealed(disk: &dyn Disk, sealed: &Sealed) -> Result<Checked> {
    let header = check_header(disk, sealed.segment, sealed.store)?;
    if header.is_err() {
        return Ok(header);
    }
    let mut footer = [0; FOOTER_BYTES];
    Ok(match read(disk, sealed.segment, &mut footer, sealed.end)? {
        Ok(()) => match Footer::decode(&footer, sealed.salt(), sealed.end) {
            Some(footer) if footer.chain == sealed.chain => Ok(()),
            _ => Err((sealed.end, "the footer is missing or not the one written")),
        },
        short => short,
    })
}

fn check_header(disk: &dyn Disk, segment: u32, store: StoreId) -> Result<Checked> {
    let mut header = [0; HEADER_BYTES];
    Ok(match read(disk, segment, &mut header, 0)? {
        Ok(()) => match SegmentHeader::decode(&header) {
            Ok(header) if header.store == store && header.segment == segment => Ok(()),
            Ok(_) => Err((0, "the file belongs to another store, or was renamed")),
            Err(_) => Err((0, "the header does not match its checksum")),
        },
        missing => missing,
    })
}

fn read(disk: &dyn Disk, segment: u32, buffer: &mut [u8], offset: u64) -> Result<Checked> {
    let name = file_name(segment);
    match disk.open(&name).and_then(|file| read_exact_at(&*file, buffer, offset)) {
        Ok(()) => Ok(Ok(())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err((0, "the file is missing"))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Ok(Err((offset, "the file is shorter than it was")))
        }
        Err(error) => Err(crate::Error::io(format!("read {name}"), error)),
    }
}
