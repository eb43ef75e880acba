//! Listening: where, for whom, and for how many.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::connection;
use crate::shared::Shared;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// Pause after an error of accepting that will not go away by itself at once, such as too few descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time between two warnings that connections cannot be accepted.
const WARNING_PAUSE: Duration = Duration::from_secs(60);
/// Connections that are told at the same time that there is no room; beyond these they are just closed.
const REFUSALS_MAX: usize = 64;

/// Why nothing listens.
#[derive(Debug, Error)]
pub(super) enum ListenError {
    #[error("cannot use the address {address} to listen on: {source}; write it as 127.0.0.1:5273")]
    Address { address: String, source: io::Error },
    #[error(
        "refusing to listen on {address}, where other machines can connect: there are no access keys, so anybody \
         could read and write everything; make one with `larder key create --scope admin --data DIR`, listen on \
         127.0.0.1, or add --allow-remote if the network is trusted"
    )]
    Remote { address: SocketAddr },
    #[error(
        "cannot listen on {address}: another program does already; stop it, or choose another address with --listen"
    )]
    InUse { address: SocketAddr },
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Bind { address: SocketAddr, source: io::Error },
}

/// The address that is meant.
pub(super) fn resolve(address: &str) -> Result<SocketAddr, ListenError> {
    let unusable = |source| ListenError::Address { address: address.to_owned(), source };
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let resolved = address.to_socket_addrs().map_err(unusable)?.next();
    resolved.ok_or_else(none).map_err(unusable)
}

/// Binds the address. Must be called within the runtime.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    listen(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Bind { address, source },
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
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until the server is told to stop.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, shutdown: CancellationToken) {
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => admit(stream, &shared, &refusals, &shutdown),
            Err(error) if is_of_one_connection(&error) => {
                debug!("a connection was gone before it was accepted: {error}");
            }
            Err(error) => {
                if warned.is_none_or(|warned| warned.elapsed() >= WARNING_PAUSE) {
                    warn!("cannot accept connections, trying again: {error}");
                    warned = Some(Instant::now());
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Serves a connection in a task of its own, if there is a slot for it.
fn admit(stream: TcpStream, shared: &Arc<Shared>, refusals: &Arc<Semaphore>, shutdown: &CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!("a connection was gone before it was served: {error}");
        return;
    }
    let Ok(slot) = Arc::clone(&shared.slots).try_acquire_owned() else {
        return refuse(stream, shared, refusals);
    };
    shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
    let (shared, shutdown) = (Arc::clone(shared), shutdown.child_token());
    tokio::spawn(async move {
        if let Err(error) = connection::serve(stream, shared, shutdown).await {
            debug!("a connection broke off: {error}");
        }
        drop(slot);
    });
}

fn refuse(stream: TcpStream, shared: &Arc<Shared>, refusals: &Arc<Semaphore>) {
    shared.counters.refused.fetch_add(1, Ordering::Relaxed);
    let Ok(permit) = Arc::clone(refusals).try_acquire_owned() else { return };
    let connections_max = shared.connections_max;
    tokio::spawn(async move {
        if let Err(error) = connection::turn_away(stream, connections_max).await {
            debug!("a connection that was turned away broke off: {error}");
        }
        drop(permit);
    });
}
