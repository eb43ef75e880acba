//! `larder del`

use clap::Args;
use larder_client::reply::{Deletion, Refusal};
use larder_client::request;

use super::Status;
use super::failure::Failure;
use super::object::Object;
use super::output::Style;
use super::session::{Missing, Session, Target};
use super::{get, set};

/// Deletes an entry.
#[derive(Debug, Args)]
pub(crate) struct Del {
    /// Key of the entry
    key: String,
    /// Only if the entry has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
    /// Print the value that is deleted
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    missing: Missing,
}

impl Del {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let request = request::Del::new(&self.key);
        let request = match self.if_version {
            Some(version) => request.if_version(version),
            None => request,
        };
        if self.print {
            let deletion = session.call(&request.taking())?;
            self.end(session, deletion, |session, value| get::show(session, &self.key, &value))
        } else {
            let deletion = session.call(&request)?;
            self.end(session, deletion, |session, version| self.show(session, version))
        }
    }

    fn end<T>(
        &self,
        mut session: Session,
        deletion: Deletion<T>,
        show: impl Fn(&mut Session, T) -> Result<(), Failure>,
    ) -> Result<Status, Failure> {
        match deletion {
            Deletion::Deleted(what) => {
                show(&mut session, what)?;
                session.done()
            }
            Deletion::Absent => session.absent_or(&self.missing, &self.key),
            Deletion::Refused { version } => set::refused(session, &self.key, Refusal::Version { version }),
        }
    }

    fn show(&self, session: &mut Session, version: u64) -> Result<(), Failure> {
        let key = &self.key;
        match session.out.style() {
            Style::Terminal => session.out.line(format_args!("{key}  deleted, version {version}")),
            Style::Plain => session.out.line(version),
            Style::Json => session
                .out
                .object(Object::new().text("key", key).text("result", "deleted").number("version", version)),
        }
    }
}
