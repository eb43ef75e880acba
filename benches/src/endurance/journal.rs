//! What the threads of a process have done, for whoever kills it: a file for each, one line for each step.
//!
//! A line is handed to the operating system by one call before the step that it announces, and after the one that it
//! reports. A killed process takes nothing of that with it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Result;
use super::change::Change;

/// A step of a writer or a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// These changes are about to be made, all or none; a single one by itself.
    Begin(Vec<Change>),
    /// They were acknowledged.
    Done {
        /// The engine's time when they were made, in Unix milliseconds.
        now_ms: u64,
        /// What each was answered with.
        outcomes: Vec<Option<Outcome>>,
    },
    /// They were refused, as a deadline had passed by then: nothing was changed.
    Refused,
    /// A reader saw this change of a writer.
    Saw {
        /// The writer.
        writer: usize,
        /// Number of the change.
        number: u64,
    },
    /// Something was not as it must be.
    Fault(String),
}

/// What a change was answered with; none if there was nothing to delete or to touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version.
    pub version: u64,
    /// When the entry expires, in Unix milliseconds.
    pub deadline: Option<u64>,
}

/// The journal of one thread.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Begins the journal of the thread of that name.
    pub fn create(directory: &Path, thread: &str) -> Result<Self> {
        Ok(Self(File::create_new(path(directory, thread))?))
    }

    /// Adds a step.
    pub fn note(&mut self, step: &Step) -> Result<()> {
        let mut line = serde_json::to_vec(step)?;
        line.push(b'\n');
        Ok(self.0.write_all(&line)?)
    }
}

/// All steps of a thread; none if it did not get to begin a journal. A line that the kill cut off does not count.
pub fn read(directory: &Path, thread: &str) -> Result<Vec<Step>> {
    let path = path(directory, thread);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path)?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn path(directory: &Path, thread: &str) -> PathBuf {
    directory.join(format!("{thread}.journal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_does_not_count() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(read(directory.path(), "w").expect("no journal"), []);
        let mut journal = Journal::create(directory.path(), "w").expect("a new file");
        journal.note(&Step::Refused).expect("room");
        journal.0.write_all(br#"{"Saw":{"wri"#).expect("room");
        assert_eq!(read(directory.path(), "w").expect("a journal"), [Step::Refused]);
    }
}
