//! Looking through a store that nobody has open, and saving what is intact of one that does not open any more.
//!
//! [`verify`] reads everything and changes nothing. [`salvage`] copies what is intact into a new store and says what is
//! missing; the old one stays as it is. Both go through the files in the same way (`survey`): damage is told and passed
//! over, and reading goes on at the next frame header or record that is intact (`walk`). Where the log of an unclean
//! stop ends is decided by the rules of recovery (`ending`). What is found is handed on as it is found: memory holds
//! one segment at a time, and, to salvage, one entry of a map for each key.

mod content;
mod damage;
mod ending;
mod salvage;
mod survey;
mod verify;
mod walk;

use crate::disk::{Disk, DiskLock, RealDisk};
use crate::error::{Error, Result};
use crate::log::manifest::MANIFEST_FILE;
use crate::log::segment::parse_file_name;
use std::io;
use std::path::Path;

pub use damage::{Damage, EntryName, Event, LostEntry, Versions};
pub use salvage::{SalvageOptions, SalvageReport, salvage, salvage_on};
pub use verify::{VerifyReport, verify, verify_on};

/// Opens a directory that is there.
pub(crate) fn open_directory(path: &Path) -> Result<RealDisk> {
    RealDisk::open(path, false).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Missing { location: path.display().to_string() },
        _ => Error::io(format!("open the directory {}", path.display()), error),
    })
}

fn lock(disk: &dyn Disk) -> Result<Box<dyn DiskLock>> {
    disk.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::InUse { location: disk.location() },
        _ => Error::io(format!("lock the directory {}", disk.location()), error),
    })
}

fn list(disk: &dyn Disk) -> Result<Vec<String>> {
    disk.list().map_err(|error| Error::io(format!("list {}", disk.location()), error))
}

/// Takes the directory of a store. Another one is left alone, without a lock file in it.
fn lock_store(disk: &dyn Disk) -> Result<Box<dyn DiskLock>> {
    let names = list(disk)?;
    let is_store = |name: &String| name == MANIFEST_FILE || parse_file_name(name).is_some();
    if names.iter().any(is_store) {
        return lock(disk);
    }
    let location = disk.location();
    let found = names.into_iter().find(|name| name != "LOCK");
    Err(found
        .map_or(Error::Missing { location: location.clone() }, |found| Error::NotAStore { location, found }))
}
