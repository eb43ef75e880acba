//! `BACKUP`: backups of the store, under the one directory that is for them, one at a time.
//!
//! The work blocks, and so is done by a thread that is there for that. It goes on if the client leaves.

use std::path::PathBuf;
use std::sync::Arc;

use larder_engine::{BackupReport, Error, Store};
use larder_protocol::{Code, ParseError};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::command::refusal;

/// Where backups go, and whose turn it is to make one.
#[derive(Debug)]
pub(crate) struct Backups {
    directory: Option<PathBuf>,
    turn: Arc<Mutex<()>>,
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
        Backups { directory, turn: Arc::default() }
    }

    /// Makes a backup, durably. Gives the JSON after `OK`.
    pub(crate) async fn make(&self, store: &Store, name: &str) -> Result<Vec<u8>, ParseError> {
        let Some(directory) = &self.directory else {
            let text = "there is no directory for backups; start the server with --backups".to_owned();
            return Err(ParseError { code: Code::BadArg, text });
        };
        let directory = directory.join(name);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let work = {
            let (store, directory) = (store.clone(), directory.clone());
            spawn_blocking(move || {
                let outcome = store.backup(directory);
                // Not before the work is over, though whoever asked for it may have left.
                drop(turn);
                outcome
            })
        };
        let report = match work.await {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => {
                warn!("there is no backup in {}: {error}", directory.display());
                return Err(refused(&error));
            }
            Err(error) => {
                error!("the backup into {} broke off: {error}", directory.display());
                let text = "the backup broke off; see the server's log".to_owned();
                return Err(ParseError { code: Code::Internal, text });
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
