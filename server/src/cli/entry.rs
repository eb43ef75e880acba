//! `larder entry`

use clap::Args;
use larder_client::{reply, request, rfc3339};
use larder_protocol::json::encode_string;

use super::Status;
use super::expiry;
use super::failure::Failure;
use super::object::Object;
use super::output::{Output, Style};
use super::pretty;
use super::session::Target;

/// Shows an entry with all its fields; in a pipe as a JSON object.
#[derive(Debug, Args)]
pub(crate) struct Entry {
    /// Key of the entry
    key: String,
}

impl Entry {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let Some(entry) = session.call(&request::Entry::new(&self.key))? else {
            return session.absent(&self.key);
        };
        match session.out.style() {
            Style::Terminal => show(&mut session.out, &entry)?,
            Style::Plain | Style::Json => session.out.object(object(&entry))?,
        }
        session.done()
    }
}

fn show(out: &mut Output, entry: &reply::Entry) -> Result<(), Failure> {
    let description = entry.description.as_deref().map(quoted).unwrap_or_default();
    let (created, updated) = (rfc3339(entry.created_ms), rfc3339(entry.updated_ms));
    let expires = expiry::shown(entry.expires_ms, Style::Terminal);
    let version = entry.version.to_string();
    for (name, text) in [
        ("organization", entry.organization.as_str()),
        ("namespace", &entry.namespace),
        ("key", &entry.key),
        ("type", entry.value_type.as_str()),
        ("description", &description),
        ("version", &version),
        ("created", &created),
        ("updated", &updated),
        ("expires", &expires),
        ("id", &entry.id),
    ] {
        out.line(format_args!("{name:<13} {text}").to_string().trim_end())?;
    }
    out.value(&entry.json)
}

fn object(entry: &reply::Entry) -> Object {
    let object = Object::new()
        .text("organization", &entry.organization)
        .text("namespace", &entry.namespace)
        .text("key", &entry.key)
        .raw("value", &entry.json)
        .text("type", entry.value_type.as_str());
    let object = match &entry.description {
        Some(description) => object.text("description", description),
        None => object.raw("description", "null"),
    };
    object
        .number("version", entry.version)
        .number("created_at", entry.created_ms)
        .number("updated_at", entry.updated_ms)
        .number_or_null("expires_at", entry.expires_ms)
        .text("id", &entry.id)
}

/// Text that may hold anything, as a JSON string that a terminal can bear.
fn quoted(text: &str) -> String {
    let mut json = Vec::new();
    encode_string(&mut json, text);
    pretty::cut(&String::from_utf8_lossy(&json), usize::MAX)
}
