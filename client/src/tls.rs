//! TLS without the I/O: lines are sealed on their way to the socket, and what comes is opened.
//!
//! One session serves both clients, since rustls wants bytes and not a socket. The session takes lines only once it is
//! agreed on, and a line that it has taken counts as sent: from then on nobody can tell how far it gets.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::outbox::Outbox;

/// How to trust a server: in [`Options::tls`](crate::Options::tls).
///
/// ```no_run
/// use larder_client::{Options, Tls};
///
/// let roots = std::fs::read("ca.pem")?;
/// let options = Options { tls: Some(Tls::trusting(&roots)?), ..Options::default() };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
}

/// Why certificates, or a name, cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is not PEM.
    #[error("the certificates are not well-formed PEM: {0}")]
    Pem(#[source] pem::Error),
    /// There is no certificate in it.
    #[error("there is no certificate in the PEM text; it should have sections of BEGIN CERTIFICATE")]
    Empty,
    /// A certificate is none, or TLS cannot be set up.
    #[error("the certificates cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
}

/// A session with a server.
#[derive(Debug)]
pub(crate) struct Session {
    session: ClientConnection,
    sealed: Outbox,
    received: BytesMut,
}

impl Tls {
    /// Trusts servers whose certificates lead back to one of these, in PEM. The system's own are often in
    /// `/etc/ssl/certs/ca-certificates.crt`; a certificate that a server has signed itself is its own root.
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be used.
    pub fn trusting(roots_pem: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(roots_pem) {
            roots.add(certificate.map_err(TlsError::Pem)?).map_err(TlsError::Unusable)?;
        }
        if roots.is_empty() {
            return Err(TlsError::Empty);
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), server_name: None })
    }

    /// Expects a certificate of this name or address, where it is not the one that is connected to.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { server_name: Some(name.into()), ..self }
    }

    /// Begins a session with the server at `host:port`.
    pub(crate) fn session(&self, addr: &str) -> io::Result<Session> {
        let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{name:?} names no server: {error}"))
        })?;
        let session = ClientConnection::new(self.config.clone(), name).map_err(invalid)?;
        Ok(Session { session, sealed: Outbox::default(), received: BytesMut::new() })
    }
}

impl Session {
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// What the socket is to take, lines of the outbox being sealed as there is room.
    pub(crate) fn unsent(&mut self, lines: &mut Outbox) -> io::Result<&[u8]> {
        if self.sealed.unsent().is_empty() {
            if !self.session.is_handshaking() && !lines.unsent().is_empty() {
                let taken = self.session.writer().write(lines.unsent())?;
                lines.advance(taken);
            }
            while self.session.wants_write() {
                self.session.write_tls(self.sealed.buffer())?;
            }
        }
        Ok(self.sealed.unsent())
    }

    pub(crate) fn sent(&mut self, length: usize) {
        self.sealed.advance(length);
    }

    pub(crate) fn clear_unsent(&mut self) {
        self.sealed.clear();
    }

    /// Where bytes from the socket are to be added.
    pub(crate) fn received(&mut self) -> &mut BytesMut {
        &mut self.received
    }

    /// Opens what was received.
    pub(crate) fn open(&mut self, opened: &mut BytesMut) -> io::Result<()> {
        while self.received.has_remaining() {
            let mut bytes = &self.received[..];
            let taken = self.session.read_tls(&mut bytes)?;
            self.received.advance(taken);
            let mut length = self.session.process_new_packets().map_err(invalid)?.plaintext_bytes_to_read();
            while length > 0 {
                let start = opened.len();
                opened.resize(start + length, 0);
                let read = self.session.reader().read(&mut opened[start..])?;
                opened.truncate(start + read);
                length = if read == 0 { 0 } else { length.saturating_sub(read) };
            }
            // After the end that the server has declared, nothing counts.
            if taken == 0 {
                self.received.clear();
            }
        }
        Ok(())
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
