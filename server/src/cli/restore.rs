//! `larder restore`

use std::path::PathBuf;

use clap::Args;
use larder_engine::RestoreReport;

use super::Status;
use super::failure::Failure;
use super::object::Object;
use super::output::{Output, Style};
use super::progress::watched;
use super::session::Target;

/// Makes a new store of a backup, and verifies every record on the way. The backup stays as it is.
#[derive(Debug, Args)]
#[command(
    after_help = "If it is interrupted, the directory is no store yet, and the same command begins again. New changes \
    get versions above all that the backed-up store had given out, or reserved, at the time of the backup."
)]
pub(crate) struct Restore {
    /// Directory of the backup
    backup: PathBuf,
    /// Directory of the new store: missing or empty
    directory: PathBuf,
}

impl Restore {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let outcome = watched(|progress| larder_engine::restore(&self.backup, &self.directory, progress));
        let mut out = target.output();
        self.show(&outcome.map_err(Failure::Store)?, &mut out)?;
        out.flush()?;
        Ok(Status::Done)
    }

    fn show(&self, report: &RestoreReport, out: &mut Output) -> Result<(), Failure> {
        let RestoreReport { version, versions_above, records, bytes, .. } = *report;
        let directory = self.directory.to_string_lossy();
        match out.style() {
            Style::Terminal => {
                let intact = format!("{records} records, {bytes} bytes, all intact");
                let above = format!("new versions are above {versions_above}");
                out.line(format_args!("version {version} is restored to {directory}: {intact}; {above}"))
            }
            Style::Plain => out.line(format_args!("{version}\t{versions_above}")),
            Style::Json => out.object(
                Object::new()
                    .number("version", version)
                    .number("versions_above", versions_above)
                    .text("directory", &directory)
                    .number("segments", report.segments as u64)
                    .number("linked", report.linked as u64)
                    .number("records", records)
                    .number("bytes", bytes),
            ),
        }
    }
}
