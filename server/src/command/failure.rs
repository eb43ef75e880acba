//! What the engine's errors are on the wire.
//!
//! Texts say what to do, but no path of the server's machine: that is for its log.

use larder_engine::{AddressError, Error};
use larder_protocol::{Code, ParseError};
use tracing::error;

use crate::access::{AccessError, Denial};

/// The `ERR` for an operation that the engine refused.
#[cold]
pub(crate) fn refusal(error: &Error) -> ParseError {
    let (code, text) = match error {
        Error::Address(address) => (address_code(address), address.to_string()),
        // The organization's limit, as a rule: the server's own is met before.
        Error::ValueTooLarge { length, limit } => {
            (Code::TooBig, format!("the value has {length} bytes; the limit value_bytes is {limit}"))
        }
        Error::DescriptionTooLong { .. } => (Code::TooBig, error.to_string()),
        Error::QuotaReached { limit } => {
            (Code::Quota, format!("all {limit} entries of the organization are taken; delete some first"))
        }
        Error::TransactionTooLarge { .. } => (Code::BadArg, error.to_string()),
        Error::DeadlinePassed { .. } => (Code::BadTtl, error.to_string()),
        Error::IndexFull { .. } => (Code::NoSpace, error.to_string()),
        Error::NoSpace { shortage, .. } => {
            let remedy = shortage.remedy();
            (Code::NoSpace, format!("{shortage} for the log; {remedy}, and writing resumes by itself"))
        }
        Error::Damaged { .. } => {
            (Code::Damaged, "the stored bytes fail their checksum; see the server's log".to_owned())
        }
        Error::InDoubt { .. } => {
            (Code::InDoubt, "the log failed meanwhile: this may or may not have happened".to_owned())
        }
        Error::Failed { .. } => (
            Code::Failed,
            "the log has failed, and no write is taken any more; see the server's log".to_owned(),
        ),
        Error::Compacted { floor, .. } => (
            Code::Compacted,
            format!("{floor} is the lowest version to watch from; what came before is in no log any more"),
        ),
        Error::VersionAhead { .. } => (Code::BadArg, error.to_string()),
        Error::Closed => (Code::Shutdown, SHUTDOWN.to_owned()),
        _ => (Code::Internal, "the server cannot do this now; see its log".to_owned()),
    };
    if matches!(code, Code::Damaged | Code::Internal) {
        error!("{error}");
    }
    ParseError { code, text }
}

/// The `ERR` for what a client may not do.
#[cold]
pub(crate) fn denial(denial: Denial) -> ParseError {
    let (code, text) = match denial {
        Denial::NoAuth => (Code::NoAuth, "authenticate first: AUTH <token>"),
        Denial::Expired => {
            (Code::NoAuth, "the access key has expired; authenticate with another: AUTH <token>")
        }
        Denial::ReadOnly => (Code::Denied, "the access key only reads"),
        Denial::NotOperator => {
            (Code::Denied, "only the operator may do this: who holds a key of scope admin")
        }
        Denial::Namespace => (Code::Denied, "the access key is not for this namespace"),
        Denial::Plan => (Code::Denied, "the organization's plan, free, allows nothing"),
        Denial::Rate { per_second, retry } => {
            let retry_ms = retry.as_nanos().div_ceil(1_000_000);
            let text =
                format!("the organization's {per_second} requests a second are used up; retry_ms={retry_ms}");
            return ParseError { code: Code::Rate, text };
        }
    };
    ParseError { code, text: text.to_owned() }
}

/// The `ERR` for a change of organizations or keys that was not made.
pub(crate) fn access_refusal(failure: &AccessError) -> ParseError {
    let text = failure.to_string();
    let code = match failure {
        AccessError::Store(source) => return refusal(source),
        AccessError::Expired => Code::BadTtl,
        AccessError::Random(_) | AccessError::Record { .. } => {
            error!("{text}");
            Code::Internal
        }
        _ => Code::BadArg,
    };
    ParseError { code, text }
}

/// What a connection is told when the server stops.
pub(crate) const SHUTDOWN: &str = "shutting down";

fn address_code(error: &AddressError) -> Code {
    match error {
        AddressError::EmptyNamespace
        | AddressError::NamespaceTooLong { .. }
        | AddressError::ControlInNamespace { .. } => Code::BadNs,
        AddressError::EmptyKey | AddressError::KeyTooLong { .. } | AddressError::ControlInKey { .. } => {
            Code::BadKey
        }
    }
}
