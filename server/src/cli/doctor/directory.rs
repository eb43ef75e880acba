//! The data directory: whether it is there, whose it is, who may change it, and whether it lies where it may lie.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::finding::Finding;

const CHECK: &str = "directory";
/// Files whose owner is looked at.
const FILES_MAX: usize = 100_000;
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_READ: u32 = 0o044;

/// What there is to know about the directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) state: State,
    /// The permission bits.
    pub(super) mode: u32,
    /// The user that owns it.
    pub(super) owner: u32,
    /// A file in it that another user owns.
    pub(super) foreign: Option<String>,
    /// Whether who runs this may read and change it.
    pub(super) usable: bool,
    pub(super) user: u32,
    /// The directory of a backup that it is, or lies in.
    pub(super) within_backup: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Missing,
    NoDirectory,
    There,
}

impl Directory {
    pub(super) fn look(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let user = rustix::process::geteuid().as_raw();
        let within_backup = backup_around(&path);
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, user, within_backup, ..Self::default() });
            }
            metadata => metadata?,
        };
        let state = if metadata.is_dir() { State::There } else { State::NoDirectory };
        let usable = access(&path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_ok();
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        let foreign = foreign_file(&path, owner);
        Ok(Self { path, state, mode, owner, foreign, usable, user, within_backup })
    }
}

/// The nearest directory around this path, itself included, that holds a backup.
fn backup_around(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|directory| directory.join("BACKUP").is_file()).map(Path::to_owned)
}

fn foreign_file(path: &Path, owner: u32) -> Option<String> {
    let entries = fs::read_dir(path).ok()?.take(FILES_MAX).flatten();
    let mut foreign = entries.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() != owner));
    foreign.next().map(|entry| entry.file_name().to_string_lossy().into_owned())
}

pub(super) fn check(directory: &Directory) -> Vec<Finding> {
    let Directory { path, state, mode, owner, foreign, usable, user, within_backup } = directory;
    let shown = path.display();
    let mut findings = Vec::new();
    if let Some(backup) = within_backup {
        findings.push(Finding::wrong(
            CHECK,
            format!("{shown} lies within the backup {}", backup.display()),
            "a backup must stay as it is: `larder restore` makes a store of it elsewhere; name that one with --data",
        ));
    }
    match state {
        State::Missing => findings.push(Finding::note(
            CHECK,
            format!("there is no {shown}"),
            "`larder serve` makes it; if there should be one, name it with --data",
        )),
        State::NoDirectory => findings.push(Finding::wrong(
            CHECK,
            format!("{shown} is no directory"),
            "choose another one with --data, or move what is there away",
        )),
        State::There => {
            if !usable {
                findings.push(Finding::wrong(
                    CHECK,
                    format!("user {user} may not read and change {shown}, which is of user {owner}"),
                    "run this, and the server, as the user that owns it, or give it to that user with chown -R",
                ));
            }
            if let Some(file) = foreign {
                findings.push(Finding::wrong(
                    CHECK,
                    format!("{file} in {shown} is of another user than the directory, whose is {owner}"),
                    format!("the server may fail on it: chown -R {owner} {shown}"),
                ));
            }
            if mode & OTHERS_WRITE != 0 {
                findings.push(Finding::wrong(
                    CHECK,
                    format!("other users may change {shown}, mode {mode:o}"),
                    format!("chmod go-w {shown}"),
                ));
            } else if mode & OTHERS_READ != 0 {
                findings.push(Finding::note(
                    CHECK,
                    format!("other users of this machine may read {shown}, mode {mode:o}"),
                    format!("if they should not: chmod 700 {shown}"),
                ));
            }
            if findings.is_empty() {
                findings.push(Finding::ok(CHECK, format!("{shown}, mode {mode:o}, of user {owner}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn sound() -> Directory {
        Directory {
            path: "/d".into(),
            state: State::There,
            mode: 0o700,
            owner: 5,
            usable: true,
            user: 5,
            ..Directory::default()
        }
    }

    fn levels(directory: &Directory) -> Vec<Level> {
        check(directory).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn each_fault_by_itself() {
        assert_eq!(levels(&sound()), [Level::Ok]);
        assert_eq!(levels(&Directory { mode: 0o755, ..sound() }), [Level::Note]);
        assert_eq!(levels(&Directory { mode: 0o775, ..sound() }), [Level::Wrong]);
        assert_eq!(levels(&Directory { mode: 0o702, ..sound() }), [Level::Wrong]);
        assert_eq!(levels(&Directory { usable: false, ..sound() }), [Level::Wrong]);
        assert_eq!(levels(&Directory { foreign: Some("LOCK".into()), ..sound() }), [Level::Wrong]);
        assert_eq!(levels(&Directory { state: State::NoDirectory, ..sound() }), [Level::Wrong]);
        assert_eq!(levels(&Directory { state: State::Missing, ..sound() }), [Level::Note]);
        let within = Directory { within_backup: Some("/b".into()), state: State::Missing, ..sound() };
        assert_eq!(levels(&within), [Level::Wrong, Level::Note]);
    }

    #[test]
    fn directories_are_looked_at_as_they_are() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        assert_eq!(Directory::look(&data).unwrap().state, State::Missing);
        fs::write(&data, "").unwrap();
        assert_eq!(Directory::look(&data).unwrap().state, State::NoDirectory);
        fs::remove_file(&data).unwrap();
        fs::create_dir(&data).unwrap();
        let found = Directory::look(&data).unwrap();
        assert_eq!((found.state, found.usable, found.owner), (State::There, true, found.user));
        assert_eq!((found.foreign, found.within_backup), (None, None));
        fs::write(root.path().join("BACKUP"), "").unwrap();
        assert_eq!(Directory::look(&data).unwrap().within_backup.as_deref(), Some(root.path()));
    }
}
