//! `larder export`: entries out of the store as JSON lines that `import` reads.
//!
//! Keys come from listings, page by page, and each page's entries from pipelined `ENTRY` requests, since a listing
//! knows neither types nor notes. An entry that goes between the two is passed over. Expiry is written as an absolute
//! deadline: what is imported later has no more time left than it had here.

mod file;

use std::path::PathBuf;

use clap::Args;
use larder_client::reply::{Entry, Item};
use larder_client::request::{self, List, Namespaces};

use super::Status;
use super::failure::Failure;
use super::object::Object;
use super::output::{Style, say};
use super::session::{Session, Target};
use file::NewFile;

/// Entries asked for together. Their values are read one at a time, so this bounds keys and not values in memory.
const PAGE: u64 = 1_000;

/// Writes entries as JSON lines.
#[derive(Debug, Args)]
#[command(
    after_help = "Each line is an object with namespace, key, value and type, and with description and \
    expires_at (Unix milliseconds) where the entry has them."
)]
pub(crate) struct Export {
    /// Only keys that begin so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// The entries of all namespaces
    #[arg(long)]
    all_namespaces: bool,
    /// Write to this file, which appears under its name when it is complete
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Default)]
struct Tally {
    exported: u64,
    skipped: u64,
}

impl Export {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut file = self.output.as_deref().map(NewFile::create).transpose()?;
        let mut session = target.open()?;
        let mut tally = Tally::default();
        if self.all_namespaces {
            for namespace in self.namespaces(&mut session)? {
                self.export(&mut session, Some(&namespace), &mut file, &mut tally)?;
            }
        } else {
            self.export(&mut session, None, &mut file, &mut tally)?;
        }
        if let Some(file) = file {
            file.complete()?;
            if session.out.style() == Style::Json {
                let summary =
                    Object::new().number("exported", tally.exported).number("skipped", tally.skipped);
                session.out.object(summary)?;
            }
        }
        session.out.flush()?;
        tally.say();
        Ok(Status::Done)
    }

    fn namespaces(&self, session: &mut Session) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let listing =
                cursor.as_deref().map_or(Namespaces::all(), |cursor| Namespaces::all().cursor(cursor));
            let page = session.call(&listing)?;
            names.extend(page.items.into_iter().map(|item| item.name));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(names);
            }
        }
    }

    /// Exports one namespace; that of the session if none is named.
    fn export(
        &self,
        session: &mut Session,
        namespace: Option<&str>,
        file: &mut Option<NewFile>,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let mut cursor: Option<String> = None;
        loop {
            let mut list = List::prefix(&self.prefix).limit(PAGE);
            if let Some(namespace) = namespace {
                list = list.in_namespace(namespace);
            }
            if let Some(cursor) = &cursor {
                list = list.cursor(cursor);
            }
            let page = session.call(&list)?;
            export_page(session, namespace, &page.items, file, tally)?;
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

impl Tally {
    fn say(&self) {
        match self.skipped {
            0 => say(&format_args!("exported {}", self.exported)),
            skipped => {
                say(&format_args!(
                    "exported {}, skipped {skipped} that were deleted or expired meanwhile",
                    self.exported
                ));
            }
        }
    }
}

fn export_page(
    session: &mut Session,
    namespace: Option<&str>,
    items: &[Item],
    file: &mut Option<NewFile>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let request = |item| {
        let request = request::Entry::new(item);
        namespace.map_or(request, |namespace| request.in_namespace(namespace))
    };
    let sent: Result<Vec<_>, _> =
        items.iter().map(|item| session.connection.send(&request(&item.key))).collect();
    for pending in sent.map_err(|error| session.failure(error))? {
        let entry = session.connection.receive(pending).map_err(|error| session.failure(error))?;
        let Some(entry) = entry else {
            tally.skipped += 1;
            continue;
        };
        let line = line(&entry).end();
        match file {
            Some(file) => file.line(&line)?,
            None => session.out.line(line)?,
        }
        tally.exported += 1;
    }
    Ok(())
}

/// A line as `import` reads it. What an entry does not have is left out.
fn line(entry: &Entry) -> Object {
    let mut object = Object::new()
        .text("namespace", &entry.namespace)
        .text("key", &entry.key)
        .raw("value", &entry.json)
        .text("type", entry.value_type.as_str());
    if let Some(description) = &entry.description {
        object = object.text("description", description);
    }
    match entry.expires_ms {
        Some(expires_ms) => object.number("expires_at", expires_ms),
        None => object,
    }
}
