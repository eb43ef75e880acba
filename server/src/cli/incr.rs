//! `larder incr`

use clap::Args;
use larder_client::reply::{Number, Value};
use larder_client::{Ttl, request};

use super::failure::Failure;
use super::session::Target;
use super::{Status, get};

/// Adds to a number, and prints the sum. An entry that is not there is created.
#[derive(Debug, Args)]
pub(crate) struct Incr {
    /// Key of the entry
    key: String,
    /// What to add
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    by: i64,
    /// What an entry that is not there counts as
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    init: i64,
    /// Have an entry that is created expire after this long, or at this instant; one that is there keeps its expiry
    #[arg(long, value_name = "TTL", value_parser = Ttl::parse)]
    ttl: Option<Ttl>,
}

impl Incr {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let request = request::Incr::new(&self.key).by(self.by).init(self.init);
        let request = match self.ttl {
            Some(ttl) => request.expiring(ttl),
            None => request,
        };
        let mut session = target.open()?;
        let Number { version, expires_ms, number } = session.call(&request)?;
        let value = Value { version, expires_ms, json: number.to_string() };
        get::show(&mut session, &self.key, &value)?;
        session.done()
    }
}
