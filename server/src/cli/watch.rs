//! `larder watch`

use clap::Args;
use larder_client::reply::{Change, Event, EventKind};
use larder_client::{Error, blocking::Events, request};

use super::Status;
use super::expiry;
use super::failure::Failure;
use super::object::Object;
use super::output::{Output, Style, say};
use super::pretty;
use super::session::Target;

/// Most characters of a value on a terminal.
const VALUE_CHARACTERS_MAX: usize = 60;

/// Prints changes as they become durable, until it is interrupted.
#[derive(Debug, Args)]
#[command(
    after_help = "Each line has the event (set, del or expire), its version, the namespace, the key, when the entry \
    expires, and with --values the value. Whoever stops can go on with --from and the last version."
)]
pub(crate) struct Watch {
    /// Only keys that begin so
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Begin with what came after this version, rather than now
    #[arg(long, value_name = "VERSION")]
    from: Option<u64>,
    /// The changes in all namespaces
    #[arg(long)]
    all_namespaces: bool,
    /// With the values
    #[arg(long)]
    values: bool,
}

impl Watch {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let out = &mut session.out;
        let watched = session.connection.watch(self.request()).map(|events| follow(events, out));
        let error = match watched {
            Ok(ended) => {
                let (version, error) = ended?;
                say(&format_args!("everything up to version {version} was told; --from {version} goes on"));
                error
            }
            Err(error) => error,
        };
        Err(session.failure(error))
    }

    fn request(&self) -> request::Watch<'_> {
        let mut request = request::Watch::prefix(&self.prefix);
        if self.all_namespaces {
            request = request.in_all_namespaces();
        }
        if let Some(version) = self.from {
            request = request.from(version);
        }
        if self.values { request.values() } else { request }
    }
}

/// Prints what comes. Gives what ended it, and the version up to which everything was printed.
fn follow(mut events: Events<'_>, out: &mut Output) -> Result<(u64, Error), Failure> {
    loop {
        match events.next().unwrap_or(Err(Error::Closed)) {
            Ok(Event::Change(change)) => show(out, change)?,
            Ok(Event::Progress { .. }) => {}
            Err(error) => return Ok((events.version(), error)),
        }
    }
}

/// Prints a change at once, whoever reads it.
fn show(out: &mut Output, change: Change) -> Result<(), Failure> {
    let Change { kind, version, namespace, key, expires_ms, json } = change;
    let event = kind.as_str();
    match out.style() {
        Style::Json => {
            let object = Object::new()
                .text("event", event)
                .number("version", version)
                .text("namespace", &namespace)
                .text("key", &key)
                .number_or_null("expires_at", expires_ms);
            out.object(match &json {
                Some(json) => object.raw("value", json),
                None => object,
            })?;
        }
        Style::Plain => {
            let expires = expiry::shown(expires_ms, Style::Plain);
            let value = json.map(|json| format!("\t{json}")).unwrap_or_default();
            out.line(format_args!("{event}\t{version}\t{namespace}\t{key}\t{expires}{value}"))?;
        }
        Style::Terminal => {
            // Of what is gone, nothing is to come.
            let expires = match kind {
                EventKind::Set => format!("  expires {}", expiry::shown(expires_ms, Style::Terminal)),
                EventKind::Del | EventKind::Expire => String::new(),
            };
            let value = json.map(|json| format!("  {}", pretty::cut(&json, VALUE_CHARACTERS_MAX)));
            let value = value.unwrap_or_default();
            out.line(format_args!("{event:<6}  {version}  {namespace}  {key}{expires}{value}"))?;
        }
    }
    out.flush()
}
