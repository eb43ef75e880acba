//! `larder count`

use clap::Args;
use larder_client::request;

use super::Status;
use super::failure::Failure;
use super::object::Object;
use super::output::Style;
use super::session::Target;

/// Counts entries.
#[derive(Debug, Args)]
pub(crate) struct Count {
    /// Only keys that begin so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
}

impl Count {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let count = session.call(&request::Count::prefix(&self.prefix))?;
        match session.out.style() {
            Style::Terminal | Style::Plain => session.out.line(count)?,
            Style::Json => session.out.object(Object::new().number("count", count))?,
        }
        session.done()
    }
}
