//! Many requests under way.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use larder_client::request::{Count, Get, List, Ping, Set};
use larder_client::{Code, Connection, Error};
use tokio::time::timeout;

use super::peer::Peer;
use super::peer::Step::{Await, Hear, Say};
use super::shell::{Shell, both, options};

#[test]
fn requests_go_together_and_replies_keep_their_types() {
    both(&[Hear("GET a\nCOUNT\nLIST\n"), Say("NIL\nOK 3\nEND 0\n")], |shell| {
        let get = shell.send(&Get::new("a")).unwrap();
        let count = shell.send(&Count::all()).unwrap();
        let list = shell.send(&List::all()).unwrap();
        assert_eq!(shell.receive(get).unwrap(), None);
        assert_eq!(shell.receive(count).unwrap(), 3);
        assert!(shell.receive(list).unwrap().items.is_empty());
    });
}

#[test]
fn one_failure_in_a_pipeline_is_its_own() {
    both(&[Hear("SET a 1\nSET c 3\n"), Say("ERR QUOTA full\nOK 2 -\n")], |shell| {
        let sets = [Set::new("a", "1"), Set::new("b", "no JSON"), Set::new("c", "3")];
        let replies = shell.pipeline(&sets).unwrap();
        assert_eq!(replies[0].as_ref().unwrap_err().code(), Some(Code::Quota));
        assert!(matches!(replies[1], Err(Error::Request(_))));
        assert_eq!(replies[2].as_ref().unwrap().done().unwrap().version, 2);
    });
}

#[test]
fn the_end_of_the_connection_ends_a_pipeline() {
    both(&[Hear("GET a\nGET b\n"), Say("NIL\n")], |shell| {
        assert!(matches!(shell.pipeline(&[Get::new("a"), Get::new("b")]), Err(Error::Closed)));
    });
}

#[test]
fn replies_nobody_receives_are_passed_over() {
    let script = [Hear("GET a\nLIST\nGET b\n"), Say("NIL\nITEM x 1 -\nEND 1\nVAL 2 - 2\n"), Await];
    both(&script, |shell| {
        let a = shell.send(&Get::new("a")).unwrap();
        drop(shell.send(&List::all()).unwrap());
        let b = shell.send(&Get::new("b")).unwrap();
        assert_eq!(shell.receive(b).unwrap().unwrap().version, 2);
        let error = shell.receive(a).unwrap_err();
        assert!(matches!(error, Error::PassedOver) && !error.is_fatal());
    });
}

#[test]
fn a_call_that_is_given_up_does_not_shift_the_replies() {
    let script = [Hear("GET slow\n"), Say("VAL 1 -"), Hear("GET b\n"), Say(" 1\nVAL 2 - 2\n")];
    let peer = Peer::following(script.to_vec());
    let Shell::Async(runtime, mut connection) = Shell::tokio(&peer, &options()) else { unreachable!() };
    runtime.block_on(async {
        assert!(timeout(Duration::from_millis(100), connection.call(&Get::new("slow"))).await.is_err());
        assert_eq!(connection.call(&Get::new("b")).await.unwrap().unwrap().version, 2);
    });
    peer.finish();
}

/// A server stops reading from a client that does not read its replies. Here 16 MiB go each way, far more than the
/// socket buffers hold, and the peer never reads a line before it has answered the one before.
#[test]
fn neither_side_waits_for_the_other_for_ever() {
    const REQUESTS: usize = 16 * 1024;
    let value = format!("\"{}\"", "x".repeat(1_000));
    for connect in [Shell::blocking, Shell::tokio] {
        let answer = format!("VAL 1 - {value}\n");
        let peer = Peer::acting(move |stream| {
            let mut writer = stream.try_clone().unwrap();
            for line in BufReader::new(stream).lines().take(REQUESTS) {
                assert!(line.unwrap().starts_with("GET "));
                writer.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut shell = connect(&peer, &options());
        let key = "k".repeat(1_000);
        let pending: Vec<_> = (0..REQUESTS).map(|_| shell.send(&Get::new(&key)).unwrap()).collect();
        shell.flush();
        for reply in pending {
            assert_eq!(shell.receive(reply).unwrap().unwrap().json, value);
        }
        drop(shell);
        peer.finish();
    }
}

#[test]
fn what_the_server_said_before_it_hung_up_is_read_first() {
    for connect in [Shell::blocking, Shell::tokio] {
        let peer = Peer::following(vec![Say("ERR SHUTDOWN going down\n")]);
        let mut shell = connect(&peer, &options());
        // It has hung up before anything is sent, and so what is sent resets the connection.
        peer.finish();
        let first = shell.send(&Ping).unwrap();
        shell.flush();
        assert_eq!(shell.receive(first).unwrap_err().code(), Some(Code::Shutdown));
    }
}

#[test]
fn the_namespace_is_that_of_the_moment_of_sending() {
    let script = [Hear("SET k ns=n 1\nGET k ns=n\nCOUNT\n"), Say("OK 1 -\nVAL 1 - 1\nOK 0\n")];
    let talk = || Peer::following(vec![script[0].clone(), script[1].clone()]);
    let scoped = larder_client::Options { namespace: Some("n".into()), ..options() };

    let peer = talk();
    let mut connection = larder_client::blocking::Connection::connect_with(peer.addr, &scoped).unwrap();
    let set = connection.send(&Set::new("k", "1")).unwrap();
    let get = connection.send(&Get::new("k")).unwrap();
    connection.set_namespace(None);
    assert_eq!(connection.call(&Count::all()).unwrap(), 0);
    assert!(matches!(connection.receive(set), Err(Error::PassedOver)));
    assert!(matches!(connection.receive(get), Err(Error::PassedOver)));
    peer.finish();

    let peer = talk();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = Connection::connect_with(peer.addr, &scoped).await.unwrap();
        drop(connection.send(&Set::new("k", "1")).unwrap());
        drop(connection.send(&Get::new("k")).unwrap());
        connection.set_namespace(None);
        assert_eq!(connection.call(&Count::all()).await.unwrap(), 0);
    });
    peer.finish();
}
