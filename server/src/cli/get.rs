//! `larder get`

use clap::Args;
use larder_client::reply::{AtPath, Value};
use larder_client::request;

use super::Status;
use super::failure::Failure;
use super::object::Object;
use super::output::Style;
use super::session::{Missing, Session, Target};

/// Prints a value.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Key of the entry
    key: String,
    /// Print only the place of the value that this JSON pointer names, as /user/name
    #[arg(long, value_name = "POINTER")]
    path: Option<String>,
    #[command(flatten)]
    missing: Missing,
}

impl Get {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let request = request::Get::new(&self.key);
        let found = match &self.path {
            None => session.call(&request)?.map_or(AtPath::Absent, AtPath::Value),
            Some(path) => session.call(&request.path(path))?,
        };
        match found {
            AtPath::Value(value) => {
                show(&mut session, &self.key, &value)?;
                session.done()
            }
            AtPath::Absent => session.absent_or(&self.missing, &self.key),
            AtPath::Nothing => {
                let path = self.path.as_deref().unwrap_or_default();
                let answer = Object::new().text("key", &self.key).text("result", "no_path");
                session.no(answer, &format!("the value of {:?} has nothing at {path:?}", self.key))
            }
        }
    }
}

/// Prints a value that is, or was, that of `key`.
pub(super) fn show(session: &mut Session, key: &str, value: &Value) -> Result<(), Failure> {
    match session.out.style() {
        Style::Terminal | Style::Plain => session.out.value(&value.json),
        Style::Json => session.out.object(
            Object::new()
                .text("key", key)
                .number("version", value.version)
                .number_or_null("expires_at", value.expires_ms)
                .raw("value", &value.json),
        ),
    }
}
