//! Listening: where, for whom, and for how many.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::sockopt;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::connection;
use crate::http::{self, Http};
use crate::seldom::Seldom;
use crate::shared::Shared;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// Pause after an error of accepting that will not go away by itself at once, such as too few descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After how long without a word from a client its machine is asked whether it is still there, how often, and how many
/// times in vain before it counts as gone.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_PROBES: u32 = 3;
/// Connections that are told at the same time that there is no room, as a share of those that there is room for;
/// beyond these they are just closed.
const REFUSALS_SHARE: u32 = 16;
const REFUSALS_MAX: u32 = 64;

/// Why nothing listens.
#[derive(Debug, Error)]
pub(super) enum ListenError {
    #[error("cannot use the address {address} to listen on: {source}; write it as 127.0.0.1:{port}")]
    Address { address: String, source: io::Error, port: u16 },
    #[error(
        "refusing to listen on {address}, where other machines can connect: there are no access keys, so anybody \
         could read and write everything; make one with `larder key create --scope admin --data DIR`, listen on \
         127.0.0.1, or add --allow-remote if the network is trusted"
    )]
    Remote { address: SocketAddr },
    #[error(
        "cannot listen on {address}: another program does already; stop it, or choose another address with {option}"
    )]
    InUse { address: SocketAddr, option: &'static str },
    #[error("cannot listen on {address}: {source}; choose another address with {option}")]
    Bind { address: SocketAddr, source: io::Error, option: &'static str },
}

/// What is listened for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    /// The setting that says where.
    option: &'static str,
    /// The port by default.
    port: u16,
}

pub(super) const LINES: Purpose = Purpose { option: "--listen", port: 5273 };
pub(super) const HTTP: Purpose = Purpose { option: "--http, or --http off", port: 5274 };

/// The address that is meant.
pub(super) fn resolve(address: &str, purpose: Purpose) -> Result<SocketAddr, ListenError> {
    let port = purpose.port;
    let unusable = |source| ListenError::Address { address: address.to_owned(), source, port };
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let resolved = address.to_socket_addrs().map_err(unusable)?.next();
    resolved.ok_or_else(none).map_err(unusable)
}

/// Binds the address. Must be called within the runtime.
pub(super) fn bind(address: SocketAddr, purpose: Purpose) -> Result<TcpListener, ListenError> {
    let option = purpose.option;
    listen(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, option },
        _ => ListenError::Bind { address, source, option },
    })
}

/// Refuses an address where other machines can connect, unless they have to show a key, or the operator wants it so.
pub(super) fn check_reach(
    address: SocketAddr,
    has_keys: bool,
    allow_remote: bool,
) -> Result<(), ListenError> {
    let is_local = address.ip().to_canonical().is_loopback();
    if is_local || has_keys || allow_remote { Ok(()) } else { Err(ListenError::Remote { address }) }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not have to wait for the connections of the run before to be forgotten.
    socket.set_reuseaddr(true)?;
    // What is accepted inherits these. A machine that is gone without a word must not keep its connections for ever.
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_PROBES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until the server is told to stop.
pub(super) async fn accept(listener: TcpListener, door: Door, shutdown: CancellationToken) {
    let troubles = Seldom::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => door.admit(stream, peer, &shutdown),
            Err(error) if is_of_one_connection(&error) => {
                debug!("a connection was gone before it was accepted: {error}");
            }
            Err(error) => {
                troubles.warn(format_args!("cannot accept connections, trying again: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What a port serves, and to how many. Connections of all ports come out of the same slots.
#[derive(Clone)]
pub(super) struct Door {
    shared: Arc<Shared>,
    refusals: Arc<Semaphore>,
    interface: Interface,
}

/// What is spoken behind a door.
#[derive(Clone)]
pub(super) enum Interface {
    Lines,
    Http(Http),
}

impl Door {
    pub(super) fn new(shared: &Arc<Shared>, interface: Interface) -> Door {
        let refusals = (shared.terms.connections_max / REFUSALS_SHARE).clamp(1, REFUSALS_MAX);
        Door { shared: Arc::clone(shared), refusals: Arc::new(Semaphore::new(refusals as usize)), interface }
    }

    /// Serves a connection in a task of its own, if there is a slot for it.
    fn admit(&self, stream: TcpStream, peer: SocketAddr, shutdown: &CancellationToken) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!("a connection was gone before it was served: {error}");
            return;
        }
        let Ok(slot) = Arc::clone(&self.shared.slots).try_acquire_owned() else {
            return self.refuse(stream);
        };
        self.shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
        let Door { shared, interface, .. } = self.clone();
        let shutdown = shutdown.child_token();
        tokio::spawn(async move {
            let served = match interface {
                Interface::Lines => connection::serve(stream, shared, shutdown).await,
                Interface::Http(http) => http.serve(stream, peer, shutdown).await,
            };
            if let Err(error) = served {
                debug!("a connection broke off: {error}");
            }
            drop(slot);
        });
    }

    fn refuse(&self, stream: TcpStream) {
        self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        let Door { shared, interface, .. } = self.clone();
        tokio::spawn(async move {
            let turned_away = match interface {
                Interface::Lines => connection::turn_away(stream, shared).await,
                Interface::Http(_) => http::turn_away(stream, &shared).await,
            };
            if let Err(error) = turned_away {
                debug!("a connection that was turned away broke off: {error}");
            }
            drop(permit);
        });
    }
}
