//! What clients can make the server keep: long bodies have places, and answers go out as they are taken.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::Fixture;
use super::client::Client;
use super::second::{END_HEADERS, END_STREAM, GET, HEADERS, begin, frame, head};
use crate::limits::anonymous_bytes;

/// Begins a transaction that is longer than any line but one, and says nothing more.
fn begin_transaction(client: &mut Client) {
    let body = vec![b' '; 1_200_000];
    client.request("POST /v1/transactions", &[("Content-Length", "2000000")], &body);
}

/// A large transaction takes many times its length, so there are few at a time; who moves nothing is not waited for.
#[test]
fn transactions_that_do_not_go_on_keep_no_place_from_others() {
    let fixture = Fixture::start(["--line-timeout=1h"]);
    let mut clients: Vec<_> = (0..4).map(|_| fixture.connect()).collect();
    clients.iter_mut().for_each(begin_transaction);
    let body = format!("{}{{\"ops\":[[\"set\",\"a\",1]]}}", " ".repeat(1_200_000));
    let done = fixture.connect().ask_with("POST /v1/transactions", &body);
    assert_eq!((done.status, done.text().as_str()), (200, "{\"version\":1}"));
    let cut = loop {
        if let Some(at) = clients.iter().position(Client::is_answered) {
            break clients.swap_remove(at).answer(false);
        }
    };
    assert_eq!((cut.status, cut.header("connection")), (408, Some("close")), "{}", cut.text());
}

/// While keys are wanted, a body of who shows none is not read.
#[test]
fn who_shows_no_key_is_not_asked_for_a_body() {
    let fixture = Fixture::start([]);
    assert!(fixture.server.connect().ask("KEY create scope=admin").starts_with("OK "));
    for line in [
        "PUT /v1/namespaces/n/entries/a",
        "PATCH /v1/namespaces/n/entries/a",
        "POST /v1/transactions",
        "POST /v1/namespaces/n/mget",
        "PUT /kv/items/a",
        "PUT /api/v1/datastore/entries",
        "PUT /api/v1/namespaces/n/kv/a",
        "DELETE /api/v1/main/namespaces/n/kv",
    ] {
        let mut client = fixture.connect();
        client.request(line, &[("Content-Length", "5"), ("Expect", "100-continue")], b"");
        assert_eq!(client.answer(false).status, 401, "{line}");
    }
}

/// What is too long is refused before it is asked for; and who sends it all the same finds the answer behind it.
#[test]
fn a_body_that_is_too_long_is_refused_at_once() {
    let fixture = Fixture::start([]);
    let mut client = fixture.connect();
    let length = [("Content-Length", "20000000"), ("Expect", "100-continue")];
    client.request("PUT /kv/items/a", &length, b"");
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));

    let mut client = fixture.connect();
    client.request("PUT /kv/items/a", &[], &vec![b'x'; 8_000_000]);
    assert_eq!(client.answer(false).status, 413);
    client.end();
    assert!(client.head().is_none());
}

/// Over HTTP/2 a client says how much of each answer it takes. The rest must not lie about in its connection.
#[test]
fn answers_that_are_not_taken_have_a_bound() {
    const CONNECTIONS: usize = 10;
    const REQUESTS: u8 = 30;
    const INITIAL_WINDOW_OF_ONE: [u8; 6] = [0, 4, 0, 0, 0, 1];
    let fixture = Fixture::start(["--write-timeout=1s"]);
    let value = format!("\"{}\"", "x".repeat(1_000_000));
    let path = "/v1/namespaces/n/entries/large";
    let mut client = fixture.connect();
    assert_eq!(client.ask_with(&format!("PUT {path}"), &value).status, 200);
    let read = |number: u8| frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &head(&[GET], path));
    let begun: Vec<u8> =
        [begin(&INITIAL_WINDOW_OF_ONE)].into_iter().chain((0..REQUESTS).map(read)).flatten().collect();
    let mut greedy: Vec<_> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(fixture.server.http).unwrap()).collect();
    for stream in &mut greedy {
        stream.write_all(&begun).unwrap();
        stream.set_nonblocking(true).unwrap();
    }
    let mut most = 0;
    // Each is cut off, since it moves nothing.
    while !greedy.is_empty() {
        greedy.retain_mut(|stream| match stream.read(&mut [0; 4096]) {
            Ok(read) => read > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
        most = most.max(anonymous_bytes(fixture.server.pid()));
        // Others are served meanwhile.
        assert_eq!(client.ask(&format!("GET {path}")).body.len(), value.len());
    }
    // All of it is 300 MB; there are places for 64 answers.
    assert!(most < 200 * 1024 * 1024, "{} MiB", most / 1024 / 1024);
}
