//! What keeps a verb from being carried out: one sentence that says what, where, and what to do.

use std::io;
use std::path::PathBuf;

use larder_client::{Code, Error};

use crate::access::AccessError;

/// Why a verb was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// What was asked for is wrong.
    #[error("{0}")]
    Usage(String),
    /// Nobody to talk to.
    #[error("{source}; {}", advice(source))]
    Connect {
        /// What the client said.
        source: Error,
    },
    /// What was asked for is wrong, as the server or the client found.
    #[error("{0}")]
    Asked(Error),
    /// The server cannot do it, or the connection to it failed.
    #[error("{addr}: {source}")]
    Server {
        /// Which server.
        addr: String,
        /// What the client said.
        source: Error,
    },
    /// A store or a backup in a directory cannot be worked with.
    #[error("{0}")]
    Store(larder_engine::Error),
    /// There is nothing to run on.
    #[error("cannot begin: {0}")]
    Runtime(io::Error),
    /// The organizations and keys of a store cannot be read or changed.
    #[error("{0}")]
    Access(AccessError),
    /// Standard output takes no more.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// A file, or standard input, cannot be opened or read.
    #[error("cannot read {name}: {source}")]
    Input {
        /// Which.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The output file cannot be written. What was there before is still there.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Failure {
    /// The failure of a request to that server.
    pub(super) fn of_request(addr: &str, source: Error) -> Self {
        if is_askers_fault(&source) {
            Self::Asked(source)
        } else {
            Self::Server { addr: addr.to_owned(), source }
        }
    }

    /// The failure of a connection to that server, or of coming by one.
    pub(super) fn of_connection(addr: &str, source: Error) -> Self {
        match source {
            Error::Connect { .. } => Self::Connect { source },
            _ => Self::of_request(addr, source),
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Asked(_) | Self::Input { .. } => 2,
            Self::Connect { source } if is_no_address(source) => 2,
            Self::Store(error) if is_wrong_directory(error) => 2,
            Self::Store(_)
            | Self::Runtime(_)
            | Self::Access(_)
            | Self::Connect { .. }
            | Self::Server { .. }
            | Self::Output(_)
            | Self::File { .. } => 3,
        }
    }

    pub(super) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Whether another server would refuse as well.
fn is_askers_fault(error: &Error) -> bool {
    match error {
        Error::Request(_) => true,
        error => matches!(
            error.code(),
            Some(
                Code::BadArg
                    | Code::BadOpt
                    | Code::BadKey
                    | Code::BadNs
                    | Code::BadJson
                    | Code::BadTtl
                    | Code::BadCursor
                    | Code::Compacted
                    | Code::Encoding
                    | Code::Type
                    | Code::Range
                    | Code::TooBig
                    | Code::TooLong
            )
        ),
    }
}

/// Whether a directory was named that cannot be meant.
fn is_wrong_directory(error: &larder_engine::Error) -> bool {
    use larder_engine::Error::{Inside, IsBackup, Missing, NotABackup, NotAStore, NotEmpty};
    matches!(
        error,
        Inside { .. }
            | IsBackup { .. }
            | Missing { .. }
            | NotABackup { .. }
            | NotAStore { .. }
            | NotEmpty { .. }
    )
}

fn is_no_address(error: &Error) -> bool {
    matches!(error, Error::Connect { source, .. } if source.kind() == io::ErrorKind::InvalidInput)
}

/// Whether somebody is there, and TLS with them is not possible.
fn is_distrusted(error: &Error) -> bool {
    matches!(error, Error::Connect { source, .. } if source.kind() == io::ErrorKind::InvalidData)
}

fn advice(error: &Error) -> &'static str {
    if is_no_address(error) {
        "write the address as HOST:PORT"
    } else if is_distrusted(error) {
        "does it speak TLS, with a certificate that leads back to one in --tls-ca, for the host of --addr or for --tls-name?"
    } else {
        "is the server running? start it with `larder serve`, or name another with --addr"
    }
}
