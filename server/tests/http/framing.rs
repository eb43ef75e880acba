//! Requests that two readers could take differently, or that are no requests, as bytes over a socket.

use super::Fixture;
use super::client::Client;

/// A request that would create an entry, if anybody took it for one.
const SMUGGLED: &str =
    "PUT /v1/namespaces/n/entries/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1";

/// What comes back until the server closes the connection.
fn exchange(mut client: Client, bytes: &str) -> String {
    client.send(bytes);
    client.rest()
}

fn put(headers: &str, body: &str) -> String {
    format!("PUT /v1/namespaces/n/entries/a HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}")
}

#[test]
fn what_two_readers_could_take_differently_is_refused() {
    let fixture = Fixture::start([]);
    let length = SMUGGLED.len();
    let chunk = format!("{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n");
    for request in [
        // Both lengths, in either order.
        put(
            &format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            &format!("0\r\n\r\n{SMUGGLED}"),
        ),
        put(
            &format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
            &format!("0\r\n\r\n{SMUGGLED}"),
        ),
        // Two lengths, equal or not, or in one header.
        put("Content-Length: 1\r\nContent-Length: 1\r\n", &format!("1{SMUGGLED}")),
        put(&format!("Content-Length: 1\r\nContent-Length: {length}\r\n"), &format!("1{SMUGGLED}")),
        put("Content-Length: 1, 1\r\n", &format!("1{SMUGGLED}")),
        // Lengths that are none.
        put("Content-Length: -1\r\n", SMUGGLED),
        put("Content-Length: +1\r\n", &format!("1{SMUGGLED}")),
        put("Content-Length: 0x1\r\n", &format!("1{SMUGGLED}")),
        put("Content-Length: 18446744073709551616\r\n", SMUGGLED),
        // Encodings that one reader may not know.
        put("Transfer-Encoding: xchunked\r\n", &chunk),
        put("Transfer-Encoding: gzip, chunked\r\n", &chunk),
        put("Transfer-Encoding: chunked, identity\r\n", &chunk),
        put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &chunk),
        put("Transfer-Encoding : chunked\r\n", &chunk),
        put("Transfer-Encoding:\x0bchunked\r\n", &chunk),
        // Lines that end otherwise, or go on.
        put("A: b\n", SMUGGLED),
        put("A: b\r\r\n", SMUGGLED),
        put("A: b\rContent-Length: 1\r\n", SMUGGLED),
        put("A: b\r\n Content-Length: 1\r\n", SMUGGLED),
        put("A: b\r\n\tContent-Length: 1\r\n", SMUGGLED),
        put("A: b\r\n\n", SMUGGLED),
        put("A\0: b\r\n", SMUGGLED),
        put("A: b\0\r\n", SMUGGLED),
        put("A b\r\n", SMUGGLED),
        put(" A: b\r\n", SMUGGLED),
        put("Host: other\r\n", SMUGGLED),
        SMUGGLED.replace("\r\nHost", "\nHost"),
        SMUGGLED.replace("HTTP/1.1", "HTTP/1.1 "),
        SMUGGLED.replace(" HTTP/1.1", "\tHTTP/1.1"),
        SMUGGLED.replace("HTTP/1.1", "HTTP/0.9"),
        SMUGGLED.replace("Host: localhost\r\n", ""),
        SMUGGLED.replace("PUT ", "PUT  "),
        SMUGGLED.replace("smuggled ", "smug\0gled "),
        format!("\n{SMUGGLED}"),
        format!("\0{SMUGGLED}"),
    ] {
        let answer = exchange_ending(fixture.connect(), &request);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer:?}");
    }
    let smuggled = fixture.connect().ask("GET /v1/namespaces/n/entries/smuggled");
    assert_eq!(smuggled.status, 404, "{}", smuggled.text());
}

/// As [`exchange`], of a client that has nothing more to say.
fn exchange_ending(mut client: Client, bytes: &str) -> String {
    client.send(bytes);
    client.end();
    client.rest()
}

#[test]
fn a_body_that_is_no_body_stores_nothing() {
    let fixture = Fixture::start([]);
    for chunks in [
        "1\n1\r\n0\r\n\r\n",
        "1\r\n12\r\n0\r\n\r\n",
        "1;\n\r\n1\r\n0\r\n\r\n",
        "-1\r\n1\r\n0\r\n\r\n",
        "1\r\n1\n0\r\n\r\n",
    ] {
        let answer = exchange_ending(fixture.connect(), &put("Transfer-Encoding: chunked\r\n", chunks));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunks:?}: {answer:?}");
    }
    let answer = exchange_ending(fixture.connect(), &put("Content-Length: 2\r\n", "1"));
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer:?}");
    assert_eq!(fixture.connect().ask("GET /v1/namespaces/n/entries/a").status, 404);
}

#[test]
fn what_is_before_a_refused_request_is_answered() {
    let fixture = Fixture::start([]);
    let good = put("Content-Length: 1\r\n", "1");
    let answers =
        exchange(fixture.connect(), &format!("{good}GET / HTTP/1.1\nHost: localhost\r\n\r\n{good}"));
    let statuses: Vec<_> =
        answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "400"], "{answers}");
}

#[test]
fn heads_have_limits() {
    let fixture = Fixture::start([]);
    let many: String = (0..65).map(|number| format!("A{number}: b\r\n")).collect();
    let long = format!("A: {}\r\n", "b".repeat(32 * 1024));
    for headers in [many, long] {
        let answer = exchange(fixture.connect(), &put(&headers, ""));
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
    }
    let answer = exchange(fixture.connect(), &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000)));
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 414 "), "{answer:?}");
}

#[test]
fn bodies_come_in_any_pieces() {
    let fixture = Fixture::start([]);
    let mut client = fixture.connect();
    let request =
        put("Transfer-Encoding: chunked\r\n", "2;a=b\r\n[1\r\n3\r\n, 2\r\n1\r\n]\r\n0\r\nA: b\r\n\r\n");
    for byte in request.as_bytes().iter().chain(request.as_bytes()) {
        client.send([*byte]);
    }
    assert_eq!((client.answer(false).status, client.answer(false).status), (200, 200));
    assert_eq!(client.ask("GET /v1/namespaces/n/entries/a").text(), "[1,2]");
}

#[test]
fn the_line_protocol_is_not_spoken_here() {
    let fixture = Fixture::start([]);
    let answer = exchange(fixture.connect(), "PING\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
}
