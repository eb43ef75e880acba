//! `larder salvage`: what is intact in a damaged store, into a new one.

use std::path::PathBuf;

use clap::Args;
use larder_engine::{SalvageOptions, SalvageReport};

use super::Status;
use super::failure::Failure;
use super::findings::{Findings, count};
use super::object::Object;
use super::session::Target;

/// Copies what is intact in a store directory into a new store, and tells what could not be saved.
#[derive(Debug, Args)]
#[command(
    after_help = "The store must not be in use: stop its server first. It is not changed. Entries are copied with \
    their versions, times and deadlines. Each damaged place and each entry that is lost is one line. An entry whose \
    newest version is damaged is left out, rather than brought back as it once was; --keep-older brings it back. Where \
    bytes cannot be read at all, nobody can know what was in them: entries that may be out of date for that, or \
    deleted, are counted.\n\n\
    Exit codes: 0 all was saved, 1 something was lost or may be out of date, 2 the command line is wrong, 3 it could not be done."
)]
pub(crate) struct Salvage {
    /// Directory of the damaged store
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Directory of the new store; it must be empty, or not exist yet
    #[arg(value_name = "NEW_DIR")]
    new: PathBuf,
    /// Save the newest intact version of an entry where a newer one is damaged
    #[arg(long)]
    keep_older: bool,
}

impl Salvage {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut findings = Findings::new(target.output());
        let options = SalvageOptions::new().keep_older(self.keep_older);
        let mut watch = |event: larder_engine::Event<'_>| findings.tell(event);
        let report = larder_engine::salvage(&self.directory, &self.new, &options, &mut watch);
        let report = report.map_err(Failure::Store)?;
        findings.finish(&sentence(&report), summary(&report))?;
        Ok(if report.is_complete() { Status::Done } else { Status::No })
    }
}

fn sentence(report: &SalvageReport) -> String {
    let mut sentence = format!("saved {}, lost {}", count(report.saved, "entry", "entries"), report.lost);
    if report.older > 0 {
        sentence.push_str(&format!(", {} in an older version", report.older));
    }
    if report.gaps > 0 {
        let places = count(report.gaps, "place", "places");
        sentence.push_str(&format!(
            "; unknown records are missing at {places}, for which {} may be out of date or deleted",
            count(report.doubtful, "entry", "entries")
        ));
    }
    if !report.has_manifest {
        sentence.push_str(
            "; without a manifest nobody knows whether a segment is missing, or was dropped already",
        );
    }
    if report.loose_end_bytes > 0 {
        let bytes = count(report.loose_end_bytes, "byte", "bytes");
        sentence.push_str(&format!("; {bytes} of an interrupted write were left out"));
    }
    sentence
}

fn summary(report: &SalvageReport) -> Object {
    Object::new()
        .text("event", "summary")
        .raw("complete", if report.is_complete() { "true" } else { "false" })
        .number("saved", report.saved)
        .number("lost", report.lost)
        .number("older", report.older)
        .number("doubtful", report.doubtful)
        .number("damaged", report.damaged)
        .number("gaps", report.gaps)
        .number("unreadable_bytes", report.unreadable_bytes)
        .number("loose_end_bytes", report.loose_end_bytes)
        .number("version", report.version)
}
