//! Who may do what: organizations, their plans, their access keys, and what follows from them for a client.
//!
//! It knows no socket and no protocol, so that every interface can go by it. What is kept, compared, and takes effect when
//! stands in `docs/access.md`.

mod directory;
mod error;
mod grant;
mod kept;
mod key;
mod organization;
mod plan;
mod rate;
mod registry;
mod scope;
mod session;
#[cfg(test)]
mod tests;

pub(crate) use error::AccessError;
pub(crate) use grant::{Denial, Grant, Need};
pub(crate) use organization::{DEFAULT_NAME, Organization};
pub(crate) use plan::{Change, Plan, TermsChange};
pub(crate) use rate::Standing;
pub(crate) use registry::{NewKey, Registry};
pub(crate) use scope::{Namespaces, Scope};
pub(crate) use session::Session;
