//! The lines that were typed, kept over the ends of shells: in a file that only its owner can read, without those that hold
//! a secret.
//!
//! The file is a convenience. Where there is no place for it, or it cannot be written, the shell goes without.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::line::is_secret;

/// Lines that are kept.
pub(super) const LINES_MAX: usize = 1_000;
/// Longest line that is kept. A longer one is data rather than something to type again.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// The file is cut down to the newest lines when it is longer than this.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct History {
    path: Option<PathBuf>,
}

impl History {
    /// That of the user: in `$XDG_STATE_HOME`, or where that is by default.
    pub(super) fn of_user() -> Self {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        Self { path: state.map(|state| state.join("larder/history")) }
    }

    /// The lines, oldest first.
    pub(super) fn load(&self) -> Vec<String> {
        self.path.as_deref().and_then(|path| load(path).ok()).unwrap_or_default()
    }

    /// Keeps a line, unless it is one that must not be kept. Whether it was one to keep.
    pub(super) fn keep(&self, line: &str) -> bool {
        // As in other shells, a space in front keeps a line out.
        if line.starts_with(' ') || line.contains('\n') || line.len() > LINE_BYTES_MAX || is_secret(line) {
            return false;
        }
        if let Some(path) = &self.path {
            _ = append(path, line);
        }
        true
    }
}

fn load(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // Somebody may have made it long; the newest lines are at its end.
    let start = length.saturating_sub(FILE_BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole_lines = text.lines().skip(usize::from(start > 0));
    let lines: Vec<_> = whole_lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let lines = lines[lines.len().saturating_sub(LINES_MAX)..].to_vec();
    if start > 0 {
        replace(path, &lines)?;
    }
    Ok(lines)
}

/// One write, so that lines of several shells do not mix.
fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

fn replace(path: &Path, lines: &[String]) -> io::Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        _ = fs::remove_file(new);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn in_directory(directory: &Path) -> History {
        History { path: Some(directory.join("state/larder/history")) }
    }

    #[test]
    fn lines_are_kept_for_their_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let history = in_directory(directory.path());
        assert_eq!(history.load(), Vec::<String>::new());
        assert!(history.keep("GET a") && history.keep("SET b {\"é\":1}"));
        for refused in
            ["AUTH secret", "hello token=secret", " GET hidden", "GET a\nGET b", &"x".repeat(9_999)]
        {
            assert!(!history.keep(refused), "{refused}");
        }
        assert_eq!(history.load(), ["GET a", "SET b {\"é\":1}"]);
        let path = history.path.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_newest_lines_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let history = in_directory(directory.path());
        for number in 0..300 {
            assert!(history.keep(&format!("SET k{number} \"{}\"", "x".repeat(1_000))));
        }
        let lines = history.load();
        assert!(lines.len() < 300 && lines.last().unwrap().starts_with("SET k299 "), "{}", lines.len());
        assert!(lines[0].starts_with("SET k"), "no part of a line");
        assert_eq!(history.load(), lines, "the file was cut");
        assert!(fs::metadata(history.path.unwrap()).unwrap().len() <= FILE_BYTES_MAX);
        assert_eq!(fs::read_dir(directory.path().join("state/larder")).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_put_up_with() {
        let nowhere = History { path: None };
        assert!(nowhere.keep("GET a") && nowhere.load().is_empty());
        let impossible = History { path: Some(PathBuf::from("/proc/larder/history")) };
        assert!(impossible.keep("GET a") && impossible.load().is_empty());
    }
}
