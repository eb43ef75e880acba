//! What clients can make the server keep: long bodies have places, and answers go out as they are taken.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;

use super::Fixture;
use super::client::Client;
use super::second::{DATA, END_HEADERS, END_STREAM, GET, HEADERS, begin, frame, head};
use crate::limits::anonymous_bytes;

const PING: u8 = 6;
const ACK: u8 = 1;

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

/// Over HTTP/2 a client says how much of each answer it takes. What it does not take must not lie about in its connection, and what
/// else it asks for over that is no reason to keep places from others.
#[test]
fn answers_that_are_not_taken_have_a_bound_and_keep_no_places() {
    const CONNECTIONS: usize = 66;
    const INITIAL_WINDOW_OF_ONE: [u8; 6] = [0, 4, 0, 0, 0, 1];
    let fixture = Fixture::start(["--write-timeout=1h"]);
    let value = format!("\"{}\"", "x".repeat(1_000_000));
    let path = "/v1/namespaces/n/entries/large";
    let mut client = fixture.connect();
    assert_eq!(client.ask_with(&format!("PUT {path}"), &value).status, 200);
    let ask = |number: u8| frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &head(&[GET], path));
    let greedy = |number| {
        let mut greedy =
            Greedy { stream: TcpStream::connect(fixture.server.http).unwrap(), unread: Vec::new() };
        greedy.stream.write_all(&[begin(&INITIAL_WINDOW_OF_ONE), ask(0)].concat()).unwrap();
        greedy.stream.set_nonblocking(true).unwrap();
        // There are places for 64 answers; so each of these connections has one.
        while number < 64 && !greedy.step().expect("it is not cut yet").contains(&DATA) {}
        greedy
    };
    let mut all: Vec<_> = (0..CONNECTIONS).map(greedy).collect();
    for greedy in &mut all {
        _ = greedy.stream.write_all(&[ask(1), ask(2), ask(3)].concat());
    }
    let mut most = 0;
    thread::scope(|scope| {
        let other = scope.spawn(|| client.ask(&format!("GET {path}")));
        while !other.is_finished() {
            // Those that move nothing are cut off.
            all.retain_mut(|greedy| greedy.step().is_some());
            most = most.max(anonymous_bytes(fixture.server.pid()));
        }
        assert_eq!(other.join().unwrap().body.len(), value.len());
    });
    // All of it is 264 MB.
    assert!(most < 200 * 1024 * 1024, "{} MiB", most / 1024 / 1024);
}

/// A client of HTTP/2 that takes next to nothing, but is there.
struct Greedy {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Greedy {
    /// Reads what there is, and answers pings. Gives the kinds of the frames that have come; `None` once it was cut off.
    fn step(&mut self) -> Option<Vec<u8>> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => return None,
            Ok(read) => self.unread.extend_from_slice(&bytes[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        let mut kinds = Vec::new();
        while let Some((head, rest)) = self.unread.split_at_checked(9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let Some(payload) = rest.get(..length) else { break };
            if (head[3], head[4]) == (PING, 0) {
                _ = self.stream.write_all(&frame(PING, ACK, 0, payload));
            }
            kinds.push(head[3]);
            self.unread.drain(..9 + length);
        }
        Some(kinds)
    }
}
