//! What the engine's errors are on the wire.
//!
//! Texts say what to do, but no path of the server's machine: that is for its log.

use larder_engine::{AddressError, Error};
use larder_protocol::{Code, ParseError};
use tracing::error;

/// The `ERR` for an operation that the engine refused.
#[cold]
pub(crate) fn refusal(error: &Error) -> ParseError {
    let (code, text) = match error {
        Error::Address(address) => (address_code(address), address.to_string()),
        Error::ValueTooLarge { .. } | Error::DescriptionTooLong { .. } => (Code::TooBig, error.to_string()),
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
