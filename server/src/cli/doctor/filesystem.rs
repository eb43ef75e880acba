//! What the data lies on: the kind of file system, its room, and where the backups are.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, StatVfsMountFlags, statfs, statvfs};

use super::finding::{Finding, bytes};

const FREE_FILES_MIN: u64 = 1_000;

/// What there is to know about the file system.
#[derive(Clone, Debug)]
pub(super) struct FileSystem {
    pub(super) kind: Kind,
    pub(super) read_only: bool,
    pub(super) free_bytes: u64,
    /// `None` where files are not counted.
    pub(super) free_files: Option<u64>,
    /// The device, by which two directories are known to be on the same one.
    pub(super) device: u64,
}

/// Kinds that matter differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Known to keep what was synced, over a power cut.
    Known(&'static str),
    Network(&'static str),
    Memory(&'static str),
    /// A layer of a container, as a rule.
    Overlay,
    /// A program of its own is behind it.
    Fuse,
    /// Without owners, permissions and links.
    Simple(&'static str),
    Unknown,
}

/// As `statfs` numbers them.
const KINDS: [(FsWord, Kind); 19] = [
    (0xef53, Kind::Known("ext4")),
    (0x5846_5342, Kind::Known("XFS")),
    (0x9123_683e, Kind::Known("Btrfs")),
    (0x2fc1_2fc1, Kind::Known("ZFS")),
    (0xf2f5_2010, Kind::Known("F2FS")),
    (0xca45_1a4e, Kind::Known("bcachefs")),
    (0x6969, Kind::Network("NFS")),
    (0x517b, Kind::Network("SMB")),
    (0xff53_4d42, Kind::Network("CIFS")),
    (0xfe53_4d42, Kind::Network("SMB")),
    (0x00c3_6400, Kind::Network("Ceph")),
    (0x5346_414f, Kind::Network("AFS")),
    (0x0102_1997, Kind::Network("9p")),
    (0x0102_1994, Kind::Memory("tmpfs")),
    (0x8584_58f6, Kind::Memory("ramfs")),
    (0x794c_7630, Kind::Overlay),
    (0x6573_5546, Kind::Fuse),
    (0x4d44, Kind::Simple("FAT")),
    (0x2011_bab0, Kind::Simple("exFAT")),
];

impl FileSystem {
    /// That of a directory, or of the nearest one around it that is there.
    pub(super) fn look(path: &Path) -> io::Result<Self> {
        let there = nearest(path)?;
        let (kind, room) = (statfs(&there)?.f_type, statvfs(&there)?);
        let kind =
            KINDS.into_iter().find(|(number, _)| *number == kind).map_or(Kind::Unknown, |(_, kind)| kind);
        Ok(Self {
            kind,
            read_only: room.f_flag.contains(StatVfsMountFlags::RDONLY),
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            free_files: (room.f_files > 0).then_some(room.f_favail),
            device: fs::metadata(&there)?.dev(),
        })
    }
}

fn nearest(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find(|directory| directory.is_dir());
    Ok(there.unwrap_or(Path::new("/")).to_owned())
}

pub(super) fn check_kind(file_system: &FileSystem) -> Finding {
    const CHECK: &str = "file system";
    match file_system.kind {
        _ if file_system.read_only => Finding::wrong(
            CHECK,
            "it is mounted read-only",
            "mount it for writing; if the kernel has done that by itself, its log (dmesg) says why",
        ),
        Kind::Known(name) => Finding::ok(CHECK, name),
        Kind::Network(name) => Finding::wrong(
            CHECK,
            format!(
                "{name} is a network file system, whose locks and syncs may not be what durability needs"
            ),
            "put the data on a disk of this machine",
        ),
        Kind::Memory(name) => Finding::wrong(
            CHECK,
            format!("{name} keeps files in memory: the next reboot takes everything away"),
            "put the data on a disk",
        ),
        Kind::Overlay => Finding::wrong(
            CHECK,
            "overlay: as a rule the layer of a container, which goes away with the container",
            "mount a volume, and put the data there",
        ),
        Kind::Fuse => Finding::note(
            CHECK,
            "FUSE: whether a sync reaches a disk is up to the program behind it",
            "unless that is known, put the data on a file system of the kernel's, such as ext4 or XFS",
        ),
        Kind::Simple(name) => Finding::wrong(
            CHECK,
            format!("{name} knows neither owners nor links, nor a journal"),
            "put the data on a file system such as ext4 or XFS",
        ),
        Kind::Unknown => {
            Finding::note(CHECK, "of a kind that is not known here", "ext4 and XFS are tested most")
        }
    }
}

/// Whether there is room for the log to go on: the segment after this one, and the reserve.
pub(super) fn check_room(file_system: &FileSystem, segment_bytes: u64, reserve_bytes: u64) -> Finding {
    const CHECK: &str = "room";
    let FileSystem { free_bytes, free_files, .. } = *file_system;
    let needed = segment_bytes.saturating_mul(2).saturating_add(reserve_bytes);
    if let Some(files) = free_files.filter(|&files| files < FREE_FILES_MIN) {
        let what = format!("only {files} more files can be made (inodes)");
        return Finding::wrong(CHECK, what, "remove files, or use a file system with more inodes");
    }
    let free = bytes(free_bytes);
    if free_bytes >= needed {
        return Finding::ok(CHECK, format!("{free} free"));
    }
    Finding::wrong(
        CHECK,
        format!(
            "{free} free, but two files of the log ({} each) and the reserve ({}) need {}",
            bytes(segment_bytes),
            bytes(reserve_bytes),
            bytes(needed)
        ),
        "make room, or let the files be smaller with --segment-bytes; without room, only deletes go on",
    )
}

/// Where the backups go.
#[derive(Clone, Debug)]
pub(super) struct Backups<'p> {
    pub(super) path: &'p Path,
    pub(super) data: &'p Path,
    pub(super) same_device: bool,
    /// Whether there is something else of that name.
    pub(super) no_directory: bool,
}

pub(super) fn check_backups(backups: Option<&Backups<'_>>) -> Finding {
    const CHECK: &str = "backups";
    let Some(Backups { path, data, same_device, no_directory }) = backups else {
        return Finding::note(CHECK, "there is no directory for them", "name one with --backups");
    };
    let shown = path.display();
    if path.starts_with(data) {
        let what = format!("{shown} lies within the data, where BACKUP refuses to go");
        return Finding::wrong(CHECK, what, "name a directory outside of it with --backups");
    }
    if *no_directory {
        let what = format!("{shown} is no directory");
        return Finding::wrong(CHECK, what, "name another one with --backups, or move what is there away");
    }
    if *same_device {
        return Finding::note(
            CHECK,
            format!(
                "{shown} is on the same file system as the data, so that they take no room, and are lost with it"
            ),
            "copy them to another disk or machine, with any tool",
        );
    }
    Finding::ok(CHECK, format!("{shown}, on another file system than the data: they are whole copies"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn sound() -> FileSystem {
        let (free_bytes, free_files) = (1 << 40, Some(1 << 20));
        FileSystem { kind: Kind::Known("ext4"), read_only: false, free_bytes, free_files, device: 1 }
    }

    #[test]
    fn kinds() {
        let level = |kind| check_kind(&FileSystem { kind, ..sound() }).level;
        assert_eq!(level(Kind::Known("XFS")), Level::Ok);
        for kind in [Kind::Network("NFS"), Kind::Memory("tmpfs"), Kind::Overlay, Kind::Simple("FAT")] {
            assert_eq!(level(kind), Level::Wrong, "{kind:?}");
        }
        assert_eq!((level(Kind::Fuse), level(Kind::Unknown)), (Level::Note, Level::Note));
        assert_eq!(check_kind(&FileSystem { read_only: true, ..sound() }).level, Level::Wrong);
    }

    #[test]
    fn room_for_the_log() {
        let level = |free_bytes, free_files| {
            check_room(&FileSystem { free_bytes, free_files, ..sound() }, 100, 50).level
        };
        assert_eq!(level(250, None), Level::Ok);
        assert_eq!(level(249, None), Level::Wrong);
        assert_eq!((level(250, Some(1_000)), level(250, Some(999))), (Level::Ok, Level::Wrong));
        assert_eq!(check_room(&sound(), u64::MAX, u64::MAX).level, Level::Wrong);
    }

    #[test]
    fn places_for_backups() {
        let (path, data) = (Path::new("/b"), Path::new("/d"));
        let other = Backups { path, data, same_device: false, no_directory: false };
        assert_eq!(check_backups(Some(&other)).level, Level::Ok);
        assert_eq!(check_backups(Some(&Backups { same_device: true, ..other })).level, Level::Note);
        assert_eq!(check_backups(Some(&Backups { no_directory: true, ..other })).level, Level::Wrong);
        assert_eq!(check_backups(Some(&Backups { path: Path::new("/d/b"), ..other })).level, Level::Wrong);
        assert_eq!(check_backups(None).level, Level::Note);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_where_it_would_be() {
        let root = tempfile::tempdir().unwrap();
        let (there, to_be) = (FileSystem::look(root.path()), FileSystem::look(&root.path().join("a/b")));
        assert_eq!(there.unwrap().device, to_be.unwrap().device);
    }
}
