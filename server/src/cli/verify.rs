//! `larder verify`: whether a store directory is intact.

use std::path::PathBuf;

use clap::Args;
use larder_engine::VerifyReport;

use super::Status;
use super::failure::Failure;
use super::findings::{Findings, count};
use super::object::Object;
use super::session::Target;

/// Reads everything in a store directory, and tells what is damaged.
#[derive(Debug, Args)]
#[command(
    after_help = "The store must not be in use: stop its server first. Every byte is read and checked against its \
    checksum, and nothing is changed. Each damaged place is one line: file, position, what is wrong, and what was \
    there, if that can be known. What a crash has left of writes that it interrupted is no damage.\n\n\
    Exit codes: 0 the store is intact, 1 something is damaged (`larder salvage` saves the rest), 2 the command line \
    is wrong, 3 the store could not be examined."
)]
pub(crate) struct Verify {
    /// Directory of the store
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Verify {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut findings = Findings::new(target.output());
        let report = larder_engine::verify(&self.directory, &mut |event| findings.tell(event));
        let report = report.map_err(Failure::Store)?;
        findings.finish(&sentence(&report), summary(&report))?;
        Ok(if report.is_intact() { Status::Done } else { Status::No })
    }
}

fn sentence(report: &VerifyReport) -> String {
    let mut sentence = if report.is_intact() {
        "intact".to_owned()
    } else {
        let places = count(report.damaged, "damaged place", "damaged places");
        format!("{places}, {} unusable", count(report.unreadable_bytes, "byte", "bytes"))
    };
    sentence.push_str(&format!(
        ": {} in {}, {} bytes of log",
        count(report.records, "record", "records"),
        count(report.segments, "segment", "segments"),
        report.bytes
    ));
    if report.loose_end_bytes > 0 {
        let bytes = count(report.loose_end_bytes, "byte", "bytes");
        sentence.push_str(&format!("; {bytes} of an interrupted write, which the next start cuts off"));
    }
    if !report.unnamed.is_empty() {
        sentence.push_str(&format!("; not part of the store: {}", report.unnamed.join(", ")));
    }
    sentence
}

fn summary(report: &VerifyReport) -> Object {
    Object::new()
        .text("event", "summary")
        .raw("intact", if report.is_intact() { "true" } else { "false" })
        .number("damaged", report.damaged)
        .number("unreadable_bytes", report.unreadable_bytes)
        .number("loose_end_bytes", report.loose_end_bytes)
        .number("segments", report.segments)
        .number("frames", report.frames)
        .number("records", report.records)
        .number("puts", report.puts)
        .number("deletes", report.deletes)
        .number("expires", report.expires)
        .number("bytes", report.bytes)
}
