//! `larder touch` and `larder persist`: the expiry of an entry changes, its value stays.

use clap::Args;
use larder_client::reply::Stamp;
use larder_client::request;

use super::Status;
use super::expiry::Expires;
use super::failure::Failure;
use super::session::{Session, Target};
use super::set::written;

/// Gives an entry a new expiry.
#[derive(Debug, Args)]
pub(crate) struct Touch {
    /// Key of the entry
    key: String,
    #[command(flatten)]
    expires: Expires,
}

/// Takes the expiry from an entry.
#[derive(Debug, Args)]
pub(crate) struct Persist {
    /// Key of the entry
    key: String,
}

impl Touch {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let Some(ttl) = self.expires.ttl() else {
            return Err(Failure::Usage("say when the entry is to expire: --ttl TTL or --at INSTANT".into()));
        };
        let mut session = target.open()?;
        let stamp = session.call(&request::Touch::new(&self.key, ttl))?;
        end(session, &self.key, stamp)
    }
}

impl Persist {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut session = target.open()?;
        let stamp = session.call(&request::Persist::new(&self.key))?;
        end(session, &self.key, stamp)
    }
}

fn end(mut session: Session, key: &str, stamp: Option<Stamp>) -> Result<Status, Failure> {
    let Some(stamp) = stamp else { return session.absent(key) };
    written(&mut session, key, stamp)?;
    session.done()
}
