//! `larder stats`

use clap::Args;
use larder_client::request;

use super::Status;
use super::failure::Failure;
use super::session::Target;

/// Shows counters and sizes of the server, a JSON object.
#[derive(Debug, Args)]
pub(crate) struct Stats {}

impl Stats {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let stats = session.call(&request::Stats)?;
        session.out.value(&stats)?;
        session.done()
    }
}
