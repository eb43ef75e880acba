//! `larder backup`

use std::path::{Path, PathBuf};

use clap::Args;
use larder_client::request;

use super::Status;
use super::failure::Failure;
use super::object::Object;
use super::output::{Output, Style};
use super::progress::watched;
use super::session::Target;

/// Backs up the store of a running server, which goes on meanwhile, or one that no server has open.
#[derive(Debug, Args)]
#[command(
    after_help = "On the same file system a backup shares the files of the store: it takes no room, and guards against \
    mistakes. Against a broken disk, copy it to another one, with any tool. `larder restore` makes a store of it."
)]
pub(crate) struct Backup {
    /// Name of the backup, a directory under that of the server's --backups; with --data the directory to write
    target: PathBuf,
    /// Back up the store in this directory, which no server has open
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What there is to say about a backup, whoever made it.
struct Summary<'s> {
    version: u64,
    directory: &'s str,
    segments: u64,
    linked: u64,
    bytes: u64,
}

impl Backup {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        match &self.data {
            Some(data) => self.stopped(data, &mut target.output()),
            None => self.running(target),
        }
    }

    fn running(&self, target: &Target) -> Result<Status, Failure> {
        let name = self.target.to_str().ok_or_else(|| Failure::Usage("the name is not UTF-8".into()))?;
        let mut session = target.open_patiently()?;
        let backup = session.call(&request::Backup::new(name))?;
        let summary = Summary {
            version: backup.version,
            directory: &backup.directory,
            segments: backup.segments,
            linked: backup.linked,
            bytes: backup.bytes,
        };
        summary.show(&mut session.out)?;
        session.done()
    }

    fn stopped(&self, data: &Path, out: &mut Output) -> Result<Status, Failure> {
        let outcome = watched(|progress| larder_engine::backup(data, &self.target, progress));
        let report = outcome.map_err(Failure::Store)?;
        let summary = Summary {
            version: report.version,
            directory: &self.target.to_string_lossy(),
            segments: report.segments as u64,
            linked: report.linked as u64,
            bytes: report.bytes,
        };
        summary.show(out)?;
        out.flush()?;
        Ok(Status::Done)
    }
}

impl Summary<'_> {
    fn show(&self, out: &mut Output) -> Result<(), Failure> {
        let Summary { version, directory, segments, linked, bytes } = *self;
        match out.style() {
            Style::Terminal => {
                let files = if segments == 1 { "file" } else { "files" };
                let shared = format!("{linked} of them shared with the store");
                out.line(format_args!(
                    "version {version} is in {directory}: {bytes} bytes in {segments} {files}, {shared}"
                ))
            }
            Style::Plain => out.line(format_args!("{version}\t{directory}")),
            Style::Json => out.object(
                Object::new()
                    .number("version", version)
                    .text("directory", directory)
                    .number("segments", segments)
                    .number("linked", linked)
                    .number("bytes", bytes),
            ),
        }
    }
}
