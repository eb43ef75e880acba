//! Tells the service manager (`Type=notify`) how far the server is, by a datagram to the socket that it names.
//!
//! A few bytes, for which no library is needed. Who is told and how it goes is nothing to the server: it runs all the same.

use std::env;
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

/// It takes connections now.
pub(super) const READY: &str = "READY=1";
/// It has begun to stop.
pub(super) const STOPPING: &str = "STOPPING=1";

/// Tells a state, if there is somebody to tell.
pub(super) fn tell(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    let told = address(&socket).and_then(|address| {
        let from = UnixDatagram::unbound()?;
        // A manager that reads nothing must not hold the server up.
        from.set_nonblocking(true)?;
        from.send_to_addr(state.as_bytes(), &address)
    });
    if let Err(error) = told {
        warn!("the service manager cannot be told {state} at NOTIFY_SOCKET: {error}");
    }
}

/// A path, or a name in the abstract namespace after an `@`.
fn address(socket: &OsStr) -> std::io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    }
}
