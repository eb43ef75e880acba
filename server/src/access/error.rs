//! Why an organization or a key was not made, changed or found.

use std::io;

use larder_engine::Error;
use thiserror::Error as ThisError;

use super::organization::NAME_CHARS_MAX;
use super::plan::Plan;

/// Nothing was changed.
#[derive(Debug, ThisError)]
pub(crate) enum AccessError {
    #[error("the name of an organization has 1 to {NAME_CHARS_MAX} of a-z, 0-9 and -")]
    Name,
    #[error("there is an organization {name} already; change it with set")]
    Exists { name: String },
    #[error("there is no organization {name:?}")]
    NoOrganization { name: String },
    #[error("the organization default is always there; DELPREFIX empties its namespaces")]
    Default,
    #[error("all numbers of organizations are used up")]
    NoTenant,
    #[error("there is no plan {name:?}; the plans are free, starter, team and scale")]
    Plan { name: String },
    #[error("the plan {plan} has a fixed number of entries; entries= goes with team and scale")]
    FixedEntries { plan: Plan },
    #[error("the limit {what} is {value}, but must be from {min} to {max}")]
    Limit { what: &'static str, value: u64, min: u64, max: u64 },
    #[error("there is no scope {name:?}; the scopes are read_only, full_access and admin")]
    Scope { name: String },
    #[error("the list of namespaces cannot be used: {text}")]
    Namespaces { text: String },
    #[error("a key of scope admin is for all namespaces; leave ns= out")]
    AdminNamespaces,
    #[error("the name of a key has at most {max} characters, and no control characters")]
    KeyName { max: usize },
    #[error("the time at which the key expires is not in the future")]
    Expired,
    #[error(
        "there would be no key of scope admin that does not expire, and from then on nobody could manage anything; \
         make one first: scope=admin without ttl= and at="
    )]
    NoOperator,
    #[error("there is no key {id:?}; KEY list shows them")]
    NoKey { id: String },
    #[error("the system gives no random numbers: {0}")]
    Random(io::Error),
    #[error("the record {name:?} of organizations and keys cannot be read: {text}; restore a backup")]
    Record { name: String, text: String },
    #[error(transparent)]
    Store(#[from] Error),
}
