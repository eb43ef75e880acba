//! `larder txn`

use clap::Args;
use larder_client::reply::Commit;
use larder_client::request;

use super::Status;
use super::failure::Failure;
use super::input::json;
use super::object::Object;
use super::output::Style;
use super::session::Target;

/// Carries out a transaction: if all checks hold, all operations are done, in order, else none.
#[derive(Debug, Args)]
#[command(
    after_help = "A check is {\"key\":\"a\",\"version\":7}; null stands for an entry that must not be there. An operation is \
    [\"set\",\"a\",VALUE] or [\"del\",\"a\"], with options as the last item: ttl, at, keepttl, type, desc, ns. For example:\n\n  \
    larder txn '{\"check\":[{\"key\":\"lock\",\"version\":null}],\"ops\":[[\"set\",\"lock\",1,{\"ttl\":30}]]}'"
)]
pub(crate) struct Txn {
    /// Document with `check` and `ops`, in JSON; `-` reads it from standard input
    #[arg(default_value = "-", hide_default_value = true)]
    document: String,
}

impl Txn {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let document = json("DOCUMENT", &self.document)?;
        let mut session = target.open()?;
        match session.call(&request::TransactionText::new(&document))? {
            Commit::Done { version } => {
                match session.out.style() {
                    Style::Terminal => match version {
                        Some(version) => session.out.line(format_args!("done, version {version}"))?,
                        None => session.out.line("done; there was nothing to change")?,
                    },
                    Style::Plain => match version {
                        Some(version) => session.out.line(version)?,
                        None => session.out.line("-")?,
                    },
                    Style::Json => session
                        .out
                        .object(Object::new().text("result", "done").number_or_null("version", version))?,
                }
                session.done()
            }
            Commit::Refused { check } => {
                let answer = Object::new().text("result", "check").number("check", check);
                session.no(answer, &format!("check {check} (from 0) does not hold; nothing was changed"))
            }
        }
    }
}
