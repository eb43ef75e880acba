//! `larder patch`

use clap::Args;
use larder_client::reply::{Patched, Refusal};
use larder_client::request;

use super::failure::Failure;
use super::input::json;
use super::session::Target;
use super::{Status, get, set};

/// Merges a JSON merge patch (RFC 7396) into a value, and prints what it comes to: members of objects are set, null takes
/// them away, anything else replaces what is there.
#[derive(Debug, Args)]
pub(crate) struct Patch {
    /// Key of the entry
    key: String,
    /// Merge patch, in JSON; `-` reads it from standard input
    #[arg(allow_negative_numbers = true)]
    patch: String,
    /// Only if the entry has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

impl Patch {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let patch = json("PATCH", &self.patch)?;
        let request = request::Patch::new(&self.key, &patch);
        let request = match self.if_version {
            Some(version) => request.if_version(version),
            None => request,
        };
        let mut session = target.open()?;
        match session.call(&request)? {
            Patched::Done(value) => {
                get::show(&mut session, &self.key, &value)?;
                session.done()
            }
            Patched::Absent => session.absent(&self.key),
            Patched::Refused { version } => set::refused(session, &self.key, Refusal::Version { version }),
        }
    }
}
