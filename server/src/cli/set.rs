//! `larder set`

use clap::{ArgAction, ArgGroup, Args};
use larder_client::reply::{Outcome, Refusal, Stamp};
use larder_client::{Condition, Expiry, ValueType, request};
use larder_protocol::json::encode_string;

use super::expiry::{self, Expires};
use super::failure::Failure;
use super::object::Object;
use super::output::Style;
use super::session::{Session, Target};
use super::{Status, input};

/// Creates or replaces an entry.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("lifetime").args(["ttl", "at", "keep_ttl"]))]
#[command(group = ArgGroup::new("condition").args(["overwrite", "if_absent", "if_present", "if_version"]))]
pub(crate) struct Set {
    /// Key of the entry
    key: String,
    /// Value, in JSON; `-` reads it from standard input
    #[arg(allow_negative_numbers = true)]
    value: String,
    /// Store VALUE as a JSON string (from standard input without its last line feed)
    #[arg(long)]
    string: bool,
    #[command(flatten)]
    expires: Expires,
    /// Keep the expiry that the entry has; without --ttl, --at and this it will never expire
    #[arg(long)]
    keep_ttl: bool,
    /// Whether to replace an entry that is there; with --overwrite=false this fails where there is one
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    overwrite: bool,
    /// Only if there is no such entry
    #[arg(long)]
    if_absent: bool,
    /// Only if there is such an entry
    #[arg(long)]
    if_present: bool,
    /// Only if the entry has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
    /// Type of the value, where it does not tell itself: DATETIME, DATE or DURATION
    #[arg(long = "type", value_name = "TYPE", value_parser = value_type)]
    value_type: Option<ValueType>,
    /// Note on the entry
    #[arg(long, value_name = "TEXT")]
    desc: Option<String>,
}

impl Set {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let json = json(&self.value, self.string)?;
        let mut session = target.open()?;
        match session.call(&self.request(&json))? {
            Outcome::Done(stamp) => {
                written(&mut session, &self.key, stamp)?;
                session.done()
            }
            Outcome::Refused(Refusal::Exists { version }) if !self.overwrite => {
                let answer = Object::new().text("key", &self.key).text("result", "exists");
                let sentence = format!(
                    "Cannot set value for key '{}'. Key already exists and overwrite is set to false.",
                    self.key
                );
                session.no(answer.number("version", version), &sentence)
            }
            Outcome::Refused(refusal) => refused(session, &self.key, refusal),
        }
    }

    fn request<'a>(&'a self, json: &'a str) -> request::Set<'a> {
        let mut request = request::Set::new(&self.key, json);
        if let Some(condition) = self.condition() {
            request = request.condition(condition);
        }
        if let Some(value_type) = self.value_type {
            request = request.value_type(value_type);
        }
        if let Some(description) = &self.desc {
            request = request.description(description);
        }
        request.expiry(match self.expires.ttl() {
            Some(ttl) => Expiry::Set(ttl),
            None if self.keep_ttl => Expiry::Keep,
            None => Expiry::Clear,
        })
    }

    fn condition(&self) -> Option<Condition> {
        match self.if_version {
            Some(version) => Some(Condition::Version(version)),
            None if self.if_absent || !self.overwrite => Some(Condition::Absent),
            None => self.if_present.then_some(Condition::Present),
        }
    }
}

/// Shows what a write left behind.
pub(super) fn written(session: &mut Session, key: &str, stamp: Stamp) -> Result<(), Failure> {
    let style = session.out.style();
    let expires = expiry::shown(stamp.expires_ms, style);
    match style {
        Style::Terminal => {
            session.out.line(format_args!("{key}  version {}, expires {expires}", stamp.version))
        }
        Style::Plain => session.out.line(format_args!("{}\t{expires}", stamp.version)),
        Style::Json => session.out.object(
            Object::new()
                .text("key", key)
                .text("result", "done")
                .number("version", stamp.version)
                .number_or_null("expires_at", stamp.expires_ms),
        ),
    }
}

/// Ends because a condition did not hold.
pub(super) fn refused(session: Session, key: &str, refusal: Refusal) -> Result<Status, Failure> {
    let answer = |result| Object::new().text("key", key).text("result", result);
    match refusal {
        Refusal::Absent => session.absent(key),
        Refusal::Exists { version } => {
            let sentence = format!("{key:?} exists already, with version {version}; nothing was changed");
            session.no(answer("exists").number("version", version), &sentence)
        }
        Refusal::Version { version } => {
            let sentence = format!("{key:?} has version {version}; nothing was changed");
            session.no(answer("version").number("version", version), &sentence)
        }
    }
}

/// The JSON text that VALUE stands for.
fn json(value: &str, as_string: bool) -> Result<String, Failure> {
    if !as_string {
        return input::json("VALUE", value).map_err(|failure| match failure {
            Failure::Usage(text) => Failure::Usage(format!(
                "{text}; write a string with its quotes, as '\"hello\"', or add --string"
            )),
            other => other,
        });
    }
    let mut text = input::text(value)?;
    if value == "-" && text.ends_with('\n') {
        text.pop();
    }
    let mut json = Vec::new();
    encode_string(&mut json, &text);
    Ok(String::from_utf8_lossy(&json).into_owned())
}

fn value_type(name: &str) -> Result<ValueType, String> {
    ValueType::from_name(name).ok_or_else(|| {
        let names: Vec<_> = ValueType::ALL.iter().map(|value_type| value_type.as_str()).collect();
        format!("write one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_or_said_to_be_text() {
        assert_eq!(json("[1.0]", false).unwrap(), "[1.0]");
        assert_eq!(json("say \"hi\"", true).unwrap(), "\"say \\\"hi\\\"\"");
        let error = json("hello", false).unwrap_err();
        assert!(error.to_string().contains("--string"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
