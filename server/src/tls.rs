//! The certificate that the server shows, and the key to it, read from PEM files and read again on demand.
//!
//! TLS 1.2 and 1.3, by rustls with its ring provider. Clients need no certificates.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// Where they stand.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    /// The certificate of the server, and those that lead from it to one that clients trust.
    pub(crate) certificates: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// What handshakes are made with.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    configs: RwLock<Configs>,
    /// Held by who reads the files, so that what was read last stays.
    reading: Mutex<()>,
}

/// What is spoken inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    Lines,
    /// Which version of HTTP is settled in the handshake.
    Http,
}

#[derive(Debug)]
struct Configs {
    lines: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

/// Why they cannot be used.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    #[error("cannot use {} as {what}: {}; it must be a PEM file", path.display(), describe(source))]
    Pem { what: &'static str, path: PathBuf, source: pem::Error },
    #[error("cannot use the certificate in {} with the key in {}: {source}", files.certificates.display(), files.key.display())]
    Unusable { files: TlsFiles, source: rustls::Error },
}

fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is none in it".to_owned(),
        pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

impl Tls {
    pub(crate) fn load(files: TlsFiles) -> Result<Tls, TlsError> {
        let configs = read(&files)?;
        Ok(Tls { files, configs: RwLock::new(configs), reading: Mutex::new(()) })
    }

    /// Reads the files again, for connections from now on. Unless both are good, everything stays as it was.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let configs = read(&self.files)?;
        *self.configs.write().unwrap_or_else(PoisonError::into_inner) = configs;
        Ok(())
    }

    pub(crate) fn acceptor(&self, spoken: Spoken) -> TlsAcceptor {
        let configs = self.configs.read().unwrap_or_else(PoisonError::into_inner);
        let config = match spoken {
            Spoken::Lines => &configs.lines,
            Spoken::Http => &configs.http,
        };
        Arc::clone(config).into()
    }
}

fn read(files: &TlsFiles) -> Result<Configs, TlsError> {
    let chain = read_certificates(&files.certificates)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Pem {
        what: "the private key",
        path: files.key.clone(),
        source,
    })?;
    let lines = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|source| TlsError::Unusable { files: files.clone(), source })?;
    let mut http = lines.clone();
    http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Configs { lines: Arc::new(lines), http: Arc::new(http) })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = || {
        let chain: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
        if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
    };
    read().map_err(|source| TlsError::Pem { what: "the certificate", path: path.to_owned(), source })
}
