//! `BACKUP`: backups of the store, under the one directory that is for them, one at a time.
//!
//! The work blocks, and goes on if the client leaves: see [`Upkeep`].

use std::path::PathBuf;

use larder_engine::{BackupReport, Error, Store};
use larder_protocol::{Code, ParseError};
use serde::Serialize;
use tracing::{info, warn};

use crate::command::refusal;
use crate::upkeep::Upkeep;

/// Where backups go, and whose turn it is to make one.
#[derive(Debug)]
pub(crate) struct Backups {
    directory: Option<PathBuf>,
    upkeep: Upkeep,
}

/// Units come last in the names; what has none is a number of things.
#[derive(Serialize)]
struct Object<'o> {
    name: &'o str,
    directory: &'o str,
    version: u64,
    segments: usize,
    linked: usize,
    bytes: u64,
    pause_us: u128,
    duration_ms: u128,
}

impl Backups {
    pub(crate) fn new(directory: Option<PathBuf>) -> Backups {
        Backups { directory, upkeep: Upkeep::default() }
    }

    /// Makes a backup, durably. Gives the JSON after `OK`.
    pub(crate) async fn make(&self, store: &Store, name: &str) -> Result<Vec<u8>, ParseError> {
        let Some(directory) = &self.directory else {
            let text = "there is no directory for backups; start the server with --backups".to_owned();
            return Err(ParseError { code: Code::BadArg, text });
        };
        let directory = directory.join(name);
        let work = {
            let (store, directory) = (store.clone(), directory.clone());
            move || store.backup(directory)
        };
        let report = match self.upkeep.run("backup", work).await? {
            Ok(report) => report,
            Err(error) => {
                warn!("there is no backup in {}: {error}", directory.display());
                return Err(refused(&error));
            }
        };
        info!("backup of version {} in {}", report.version, directory.display());
        Ok(object(name, &directory.to_string_lossy(), &report))
    }
}

fn object(name: &str, directory: &str, report: &BackupReport) -> Vec<u8> {
    let BackupReport { version, segments, linked, bytes, pause, duration } = *report;
    let (pause_us, duration_ms) = (pause.as_micros(), duration.as_millis());
    let object = Object { name, directory, version, segments, linked, bytes, pause_us, duration_ms };
    // Numbers and texts: there is nothing in it that could fail to be written.
    serde_json::to_vec(&object).unwrap_or_default()
}

fn refused(error: &Error) -> ParseError {
    let (code, text) = match error {
        Error::NotEmpty { .. } => {
            (Code::BadArg, "there is something of this name already; choose another name")
        }
        Error::InUse { .. } => (Code::BadArg, "another process is at work in the directory of this name"),
        Error::Inside { .. } => (
            Code::BadArg,
            "the directory for backups lies within the store; start the server with another one",
        ),
        Error::NoSpace { shortage, .. } => {
            let text = format!("{shortage} for the backup; {}, and try again", shortage.remedy());
            return ParseError { code: Code::NoSpace, text };
        }
        _ => return refusal(error),
    };
    ParseError { code, text: text.to_owned() }
}
