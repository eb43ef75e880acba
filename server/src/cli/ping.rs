//! `larder ping`

use std::time::Instant;

use clap::Args;
use larder_client::request;

use super::Status;
use super::failure::Failure;
use super::object::Object;
use super::output::Style;
use super::session::Target;

/// Asks whether the server is there, and tells how long its answer took.
#[derive(Debug, Args)]
pub(crate) struct Ping {}

impl Ping {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let start = Instant::now();
        session.call(&request::Ping)?;
        let took = start.elapsed();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let addr = session.addr().to_owned();
        match session.out.style() {
            Style::Terminal | Style::Plain => {
                session.out.line(format_args!("{addr} answered in {took_us} us"))?;
            }
            Style::Json => {
                let object = Object::new().text("addr", &addr).number("took_us", took_us);
                session.out.object(object)?;
            }
        }
        session.done()
    }
}
