//! What a service manager is told (`Type=notify`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::process::Signal;

use crate::support::{PATIENCE, Server, serve_in};

fn told(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = socket.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[test]
fn a_manager_hears_of_readiness_and_of_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let name = format!("larder-test-{}", std::process::id());
    let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
    let sockets = [
        (path.display().to_string(), UnixDatagram::bind(&path).unwrap()),
        (format!("@{name}"), UnixDatagram::bind_addr(&abstract_address).unwrap()),
    ];
    for (address, socket) in sockets {
        let mut server = Server::spawn(
            serve_in(&directory.path().join("data")).env("NOTIFY_SOCKET", &address).arg("--log=error"),
        );
        assert_eq!(told(&socket), "READY=1");
        assert_eq!(server.connect().ask("PING"), "OK");
        server.signal(Signal::TERM);
        assert_eq!(told(&socket), "STOPPING=1");
        assert!(server.wait().success());
    }
}

#[test]
fn nobody_has_to_listen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nobody");
    let server =
        Server::spawn(serve_in(&directory.path().join("data")).env("NOTIFY_SOCKET", path).arg("--log=error"));
    assert_eq!(server.connect().ask("PING"), "OK");
    assert!(server.stop().success());
}
