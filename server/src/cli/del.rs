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

/// Deletes an entry, or all whose keys begin alike.
#[derive(Debug, Args)]
pub(crate) struct Del {
    /// Key of the entry
    #[arg(required_unless_present = "prefix")]
    key: Option<String>,
    /// Delete all entries whose keys begin so, and print how many; "" stands for all of the namespace
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["key", "if_version", "print", "error_on_missing"])]
    prefix: Option<String>,
    /// With --prefix, only count them
    #[arg(long, requires = "prefix", conflicts_with = "key")]
    dry_run: bool,
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
        let key = match (&self.key, &self.prefix) {
            (_, Some(prefix)) => return self.all(target, prefix),
            (Some(key), None) => key,
            (None, None) => return Err(Failure::Usage("say what to delete: a key, or --prefix".into())),
        };
        let mut session = target.open()?;
        let request = request::Del::new(key);
        let request = match self.if_version {
            Some(version) => request.if_version(version),
            None => request,
        };
        if self.print {
            let deletion = session.call(&request.taking())?;
            self.end(session, key, deletion, |session, value| get::show(session, key, &value))
        } else {
            let deletion = session.call(&request)?;
            self.end(session, key, deletion, |session, version| show(session, key, version))
        }
    }

    fn end<T>(
        &self,
        mut session: Session,
        key: &str,
        deletion: Deletion<T>,
        show: impl Fn(&mut Session, T) -> Result<(), Failure>,
    ) -> Result<Status, Failure> {
        match deletion {
            Deletion::Deleted(what) => {
                show(&mut session, what)?;
                session.done()
            }
            Deletion::Absent => session.absent_or(&self.missing, key),
            Deletion::Refused { version } => set::refused(session, key, Refusal::Version { version }),
        }
    }

    fn all(&self, target: &Target, prefix: &str) -> Result<Status, Failure> {
        let mut session = target.open_patiently()?;
        let request = request::DelPrefix::new(prefix);
        let count = session.call(&if self.dry_run { request.dry() } else { request })?;
        let (words, name) =
            if self.dry_run { ("would be deleted", "would_delete") } else { ("deleted", "deleted") };
        match session.out.style() {
            Style::Terminal => {
                let entries = if count == 1 { "entry" } else { "entries" };
                session.out.line(format_args!("{count} {entries} {words}"))?;
            }
            Style::Plain => session.out.line(count)?,
            Style::Json => session.out.object(Object::new().text("prefix", prefix).number(name, count))?,
        }
        session.done()
    }
}

fn show(session: &mut Session, key: &str, version: u64) -> Result<(), Failure> {
    match session.out.style() {
        Style::Terminal => session.out.line(format_args!("{key}  deleted, version {version}")),
        Style::Plain => session.out.line(version),
        Style::Json => session
            .out
            .object(Object::new().text("key", key).text("result", "deleted").number("version", version)),
    }
}
