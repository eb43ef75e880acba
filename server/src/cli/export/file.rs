//! A file that is either complete or not there: written under another name, synced, and renamed at the end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;

pub(super) struct NewFile {
    file: BufWriter<File>,
    path: PathBuf,
    partial: Partial,
}

/// The name of an unfinished file, which goes with it.
struct Partial(PathBuf);

impl NewFile {
    /// Begins a file that is to be `path`, in the same directory.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let failure = |source| Failure::File { path: path.to_owned(), source };
        // Renaming over a device or a directory would replace or fail; neither is what was meant.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Failure::Usage(format!(
                "{} is not a regular file; leave out --output",
                path.display()
            )));
        }
        let partial = Partial(partial_path(path).map_err(failure)?);
        let file = File::options().write(true).create_new(true).open(&partial.0).map_err(failure)?;
        Ok(Self { file: BufWriter::new(file), path: path.to_owned(), partial })
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.file, "{line}").map_err(|source| Failure::File { path: self.path.clone(), source })
    }

    /// Gives the file its name, once all of it is on stable storage.
    pub(super) fn complete(mut self) -> Result<(), Failure> {
        let result = self.file.flush().and_then(|()| {
            self.file.get_ref().sync_all()?;
            fs::rename(&self.partial.0, &self.path)?;
            File::open(directory(&self.path))?.sync_all()
        });
        result.map_err(|source| Failure::File { path: self.path.clone(), source })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is nothing of this name, and nobody to tell if it cannot be removed.
        _ = fs::remove_file(&self.0);
    }
}

fn partial_path(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", std::process::id()));
    Ok(directory(path).join(partial))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_complete_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.jsonl");
        fs::write(&path, "before").unwrap();
        let mut given_up = NewFile::create(&path).unwrap();
        given_up.line("1").unwrap();
        drop(given_up);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        let mut file = NewFile::create(&path).unwrap();
        file.line("1").unwrap();
        file.complete().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left there");
        assert!(matches!(NewFile::create(directory.path()), Err(Failure::Usage(_))));
    }
}
