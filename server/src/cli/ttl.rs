//! `larder ttl`

use clap::Args;
use larder_client::reply::TimeLeft;
use larder_client::request;

use super::Status;
use super::expiry;
use super::failure::Failure;
use super::object::Object;
use super::output::Style;
use super::session::Target;

/// Tells how long an entry still lives: in a pipe in milliseconds, `-` if it does not expire.
#[derive(Debug, Args)]
pub(crate) struct TimeToLive {
    /// Key of the entry
    key: String,
}

impl TimeToLive {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let Some(left) = session.call(&request::TimeToLive::new(&self.key))? else {
            return session.absent(&self.key);
        };
        let left_ms = match left {
            TimeLeft::Unlimited => None,
            TimeLeft::Ms(ms) => Some(ms),
        };
        match (session.out.style(), left_ms) {
            (Style::Terminal, Some(ms)) => {
                let expires_ms = expiry::now_ms().saturating_add(ms);
                session
                    .out
                    .line(format_args!("expires {}", expiry::shown(Some(expires_ms), Style::Terminal)))?;
            }
            (Style::Terminal, None) => session.out.line("never expires")?,
            (Style::Plain, Some(ms)) => session.out.line(ms)?,
            (Style::Plain, None) => session.out.line("-")?,
            (Style::Json, _) => {
                let object = Object::new().text("key", &self.key).number_or_null("ttl_ms", left_ms);
                session.out.object(object)?;
            }
        }
        session.done()
    }
}
