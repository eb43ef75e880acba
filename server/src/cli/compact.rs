//! `larder compact`

use clap::Args;
use larder_client::request;

use super::Status;
use super::failure::Failure;
use super::output::Style;
use super::session::Target;

/// Has the server give the disk space of all that is dead back now. It does so by itself where that is worth the work.
#[derive(Debug, Args)]
#[command(
    after_help = "What the change feed retains, see `larder serve --feed-retention`, is left alone. Reads and writes go on."
)]
pub(crate) struct Compact {}

impl Compact {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open_patiently()?;
        let compaction = session.call(&request::Compact)?;
        let (before, after) = (compaction.bytes_in, compaction.bytes_out);
        match session.out.style() {
            Style::Terminal if compaction.segments_in == 0 => {
                session.out.line("there is nothing to give back")?;
            }
            Style::Terminal => session.out.line(format_args!("{before} bytes of log are now {after}"))?,
            Style::Plain => session.out.line(format_args!("{before}\t{after}"))?,
            Style::Json => session.out.line(&compaction.json)?,
        }
        session.done()
    }
}
