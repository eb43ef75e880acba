//! `COMPACT`: what is dead in the store's files is given back to the disk now, rather than when it is worth the work.

use std::time::Duration;

use larder_engine::{CompactionReport, Store};
use larder_protocol::ParseError;
use serde::Serialize;
use tracing::{info, warn};

use crate::command::refusal;
use crate::upkeep::Upkeep;

/// Units come last in the names; what has none is a number of things.
#[derive(Serialize)]
struct Object {
    segments_in: usize,
    bytes_in: u64,
    segments_out: usize,
    bytes_out: u64,
    records_dropped: u64,
    tombstones_dropped: u64,
    damaged: usize,
    duration_ms: u128,
}

/// Compacts. Gives the JSON after `OK`.
pub(crate) async fn compact(upkeep: &Upkeep, store: &Store) -> Result<Vec<u8>, ParseError> {
    let store = store.clone();
    match upkeep.run("compaction", move || store.compact()).await? {
        Ok(report) => {
            tell(&report);
            Ok(object(&report))
        }
        Err(error) => {
            warn!("the compaction that was asked for is not done: {error}");
            Err(refusal(&error))
        }
    }
}

fn tell(report: &CompactionReport) {
    for damage in &report.damaged {
        warn!("compaction left a damaged segment as it is: {damage}");
    }
    info!("compacted {} bytes of log to {}", report.bytes_in, report.bytes_out);
}

fn object(report: &CompactionReport) -> Vec<u8> {
    let CompactionReport {
        segments_in,
        bytes_in,
        segments_out,
        bytes_out,
        records_dropped,
        tombstones_dropped,
        ref damaged,
        duration,
    } = *report;
    let duration_ms = Duration::as_millis(&duration);
    let object = Object {
        segments_in,
        bytes_in,
        segments_out,
        bytes_out,
        records_dropped,
        tombstones_dropped,
        damaged: damaged.len(),
        duration_ms,
    };
    // Numbers: there is nothing in it that could fail to be written.
    serde_json::to_vec(&object).unwrap_or_default()
}
