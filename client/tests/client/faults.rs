//! Peers that refuse, fall silent, hang up or talk nonsense.

use std::net::SocketAddr;

use larder_client::request::{Get, List, Mget, Ping, Set};
use larder_client::{Code, Connection, Error, RequestError, blocking};
use tokio::net::TcpSocket;

use super::peer::Peer;
use super::peer::Step::{Await, Hear, Pour, Say};
use super::shell::{Shell, both, both_with, impatient};

#[test]
fn an_error_of_the_server_leaves_the_connection_usable() {
    let script = [Hear("GET k\n"), Say("ERR BADKEY a text\n"), Hear("PING\n"), Say("OK\n")];
    both(&script, |shell| {
        let error = shell.call(&Get::new("k")).unwrap_err();
        assert_eq!(error.code(), Some(Code::BadKey));
        assert_eq!(error.to_string(), "a text (BADKEY)");
        shell.call(&Ping).unwrap();
    });
}

#[test]
fn an_unknown_code_is_handed_on() {
    both(&[Hear("PING\n"), Say("ERR NEWER thing\n"), Hear("PING\n"), Say("OK\n")], |shell| {
        let error = shell.call(&Ping).unwrap_err();
        assert!(matches!(error, Error::UnknownCode { ref code, .. } if code == "NEWER"), "{error:?}");
        shell.call(&Ping).unwrap();
    });
}

#[test]
fn an_error_may_stand_in_place_of_the_end_of_a_listing_and_of_all_of_many_values() {
    let script = [
        Hear("LIST\n"),
        Say("ITEM a 1 -\nERR DAMAGED bad checksum\n"),
        Hear("MGET a b\n"),
        Say("ERR BADKEY text\n"),
        Hear("PING\n"),
        Say("OK\n"),
    ];
    both(&script, |shell| {
        assert_eq!(shell.call(&List::all()).unwrap_err().code(), Some(Code::Damaged));
        assert_eq!(shell.call(&Mget::new(&["a", "b"])).unwrap_err().code(), Some(Code::BadKey));
        shell.call(&Ping).unwrap();
    });
}

#[test]
fn a_code_that_closes_poisons() {
    both(&[Say("ERR TOOMANYCONN all taken\n")], |shell| {
        assert_eq!(shell.call(&Ping).unwrap_err().code(), Some(Code::TooManyConn));
        assert!(matches!(shell.call(&Ping), Err(Error::Poisoned)));
    });
}

#[test]
fn what_is_no_reply_poisons() {
    for garbage in
        ["HTTP/1.1 400 Bad Request\r\n", "\n", "VAL 1 -\n", "NIL x\n", "OK 1 2\n", "ERR\n", "ERRATIC\n"]
    {
        both(&[Hear("GET k\n"), Say(garbage), Await], |shell| {
            let error = shell.call(&Get::new("k")).unwrap_err();
            assert!(matches!(error, Error::Protocol(_)), "{garbage:?}: {error:?}");
            assert!(matches!(shell.call(&Ping), Err(Error::Poisoned)));
            assert!(matches!(shell.send(&Ping), Err(Error::Poisoned)));
        });
    }
}

#[test]
fn what_is_no_listing_poisons() {
    for garbage in ["ITEM a 1 -\nVAL 1 - 1\n", "ITEM a 1 -\nEND 2\n", "ITEM a\nEND 1\n", "OK\n"] {
        both(&[Hear("LIST\n"), Say(garbage), Await], |shell| {
            let error = shell.call(&List::all()).unwrap_err();
            assert!(matches!(error, Error::Protocol(_)), "{garbage:?}: {error:?}");
        });
    }
    for garbage in ["VAL 1 - 1\nERR DAMAGED x\n", "OK\nOK\n"] {
        both(&[Hear("MGET a b\n"), Say(garbage), Await], |shell| {
            assert!(matches!(shell.call(&Mget::new(&["a", "b"])), Err(Error::Protocol(_))), "{garbage:?}");
        });
    }
}

#[test]
fn a_reply_without_an_end_has_a_bound() {
    let endless: &'static str = Box::leak("OK".repeat(600_000).into_boxed_str());
    both(&[Hear("PING\n"), Pour(endless), Await], |shell| {
        assert!(matches!(shell.call(&Ping), Err(Error::TooLarge(1_000_000))));
        assert!(matches!(shell.call(&Ping), Err(Error::Poisoned)));
    });
}

#[test]
fn an_early_close_is_told_once_all_whole_replies_are_read() {
    both(&[Hear("PING\nGET a\nGET b\n"), Say("OK\nVAL 1 - 1\nVAL 2")], |shell| {
        let ping = shell.send(&Ping).unwrap();
        let (a, b) = (shell.send(&Get::new("a")).unwrap(), shell.send(&Get::new("b")).unwrap());
        shell.receive(ping).unwrap();
        assert_eq!(shell.receive(a).unwrap().unwrap().version, 1);
        assert!(matches!(shell.receive(b), Err(Error::Closed)));
        assert!(matches!(shell.call(&Ping), Err(Error::Poisoned)));
    });
}

#[test]
fn silence_ends_in_a_timeout() {
    let options = impatient();
    both_with(&options, &[Hear("PING\n"), Say("O"), Await], |shell| {
        let error = shell.call(&Ping).unwrap_err();
        assert!(matches!(error, Error::Timeout(limit) if Some(limit) == options.reply_timeout), "{error:?}");
        assert!(error.is_fatal());
        assert!(matches!(shell.call(&Ping), Err(Error::Poisoned)));
    });
}

#[test]
fn a_server_that_takes_nothing_ends_in_a_timeout() {
    let large = format!("\"{}\"", "x".repeat(32 * 1024 * 1024));
    for connect in [Shell::blocking, Shell::tokio] {
        let (gone, wait) = std::sync::mpsc::channel::<()>();
        let peer = Peer::acting(move |_| _ = wait.recv());
        let mut shell = connect(&peer, &impatient());
        assert!(matches!(shell.call(&Set::new("k", &large)), Err(Error::Timeout(_))));
        drop(gone);
        peer.finish();
    }
}

#[test]
fn what_cannot_be_written_is_not_sent() {
    both(&[Hear("SET k 1\n"), Say("OK 1 -\n")], |shell| {
        for json in ["", "tru", "1 2", "1\nDEL k"] {
            let error = shell.call(&Set::new("k", json)).unwrap_err();
            assert!(matches!(error, Error::Request(RequestError::Json(_))), "{error:?}");
            assert!(!error.is_fatal());
        }
        let _ = shell.call(&Set::new("k", "1")).unwrap();
    });
}

#[test]
fn nobody_there() {
    let (_bound, addr) = nobody();
    let error = blocking::Connection::connect(addr).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot connect to {addr}: ")), "{error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(matches!(runtime.block_on(Connection::connect(addr)), Err(Error::Connect { .. })));
}

/// An address at which nobody answers: bound for as long as the socket lives, so that nobody else gets the port, and not
/// listened on.
pub(super) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}
