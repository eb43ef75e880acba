//! The end of the server, of connections, and of what there is room for.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::{Fixture, command};

/// What has begun is finished, what is idle is closed, and then the server stops.
#[test]
fn a_stop_lets_requests_finish() {
    let mut fixture = Fixture::start([]);
    let mut idle = fixture.connect();
    assert_eq!(idle.ask("GET /v1/namespaces").status, 200);
    let mut begun = fixture.connect();
    begun.send("PUT /v1/namespaces/n/entries/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    // Once the body is asked for, the request is at work.
    assert_eq!(begun.head().unwrap().status, 100);
    begun.send("12");
    fixture.server.signal(Signal::TERM);
    assert!(idle.head().is_none());
    begun.send("34");
    let answer = begun.answer(false);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(begun.head().is_none());
    assert!(fixture.server.wait().success());
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let fixture = Fixture::start(["--max-connections=1"]);
    let mut first = fixture.connect();
    assert_eq!(first.ask("GET /v1/namespaces").status, 200);
    let mut second = fixture.connect();
    let refused = second.answer(false);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.text().contains("\"code\":\"TOOMANYCONN\""), "{}", refused.text());
    assert!(second.head().is_none());
    // Both ports share the slots.
    assert!(fixture.server.connect().line().unwrap().starts_with("ERR TOOMANYCONN "));
    assert_eq!(first.ask("GET /v1/namespaces").status, 200);
}

#[test]
fn a_request_that_does_not_come_is_not_waited_for() {
    let fixture = Fixture::start(["--line-timeout=50ms"]);
    let mut idle = fixture.connect();
    assert_eq!(idle.ask("GET /v1/namespaces").status, 200);
    let mut head = fixture.connect();
    head.send("GET / HTTP/1.1\r\nHost: loc");
    assert_eq!(head.rest(), "");
    // It is one time for all of it, also behind a request that was answered.
    let mut slow = fixture.connect();
    assert_eq!(slow.ask("GET /v1/namespaces").status, 200);
    slow.send("GET / HTTP/1.1\r\nHost: loc");
    while !slow.is_answered() {
        // The server may close at any time.
        _ = slow.stream.write_all(b"a");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(slow.stream.read(&mut [0]).unwrap_or(0), 0);
    // Whoever has not begun is not timed.
    assert_eq!(idle.ask("GET /v1/namespaces").status, 200);
    let mut body = fixture.connect();
    body.send("PUT /v1/namespaces/n/entries/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n12");
    let answer = body.answer(false);
    assert_eq!(answer.status, 408, "{}", answer.text());
}

#[test]
fn it_can_be_turned_off_and_does_not_take_a_port_that_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let off = crate::support::Server::spawn(&mut command(directory.path(), ["--http=off", "--log=error"]));
    assert!(!off.startup.contains("HTTP"), "{}", off.startup);
    assert!(off.stop().success());

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("--http={}", taken.local_addr().unwrap());
    let refused = command(directory.path(), [address.as_str()]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("--http off"), "{said}");

    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let refused = command(&elsewhere, ["--http=0.0.0.0:0"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("there are no access keys"), "{said}");
}

#[test]
fn answers_are_compressed_for_who_wants_that() {
    let fixture = Fixture::start([]);
    let mut client = fixture.connect();
    let value = format!("\"{}\"", "abc".repeat(10_000));
    assert_eq!(client.ask_with("PUT /v1/namespaces/n/entries/large", &value).status, 200);
    assert_eq!(client.ask_with("PUT /v1/namespaces/n/entries/small", "1").status, 200);
    let mut ask = |path: &str, encoding: &str| {
        client.request(path, &[("Accept-Encoding", encoding)], b"");
        client.answer(path.starts_with("HEAD"))
    };
    // A head alone is that of the same answer.
    for (encoding, length) in [("gzip", None), ("identity", Some("30002"))] {
        let [whole, alone] =
            ["GET", "HEAD"].map(|method| ask(&format!("{method} /v1/namespaces/n/entries/large"), encoding));
        for name in ["content-type", "content-encoding", "vary", "etag"] {
            assert_eq!(alone.header(name), whole.header(name), "{name}, {encoding}");
        }
        assert_eq!((alone.status, alone.header("content-length")), (200, length));
    }
    let large = ask("GET /v1/namespaces/n/entries/large", "gzip");
    assert_eq!((large.header("content-encoding"), large.header("etag")), (Some("gzip"), Some("\"1\"")));
    assert!(large.body.starts_with(&[0x1f, 0x8b]) && large.body.len() < 1_000, "{}", large.body.len());
    let large = ask("GET /v1/namespaces/n/entries/large", "identity");
    assert_eq!((large.header("content-encoding"), large.text()), (None, value));
    let small = ask("GET /v1/namespaces/n/entries/small", "gzip");
    assert_eq!((small.header("content-encoding"), small.text().as_str()), (None, "1"));
}

#[test]
fn requests_have_ids() {
    let fixture = Fixture::start([]);
    let mut client = fixture.connect();
    let mut id = |given: &[(&str, &str)]| {
        client.request("GET /v1/namespaces", given, b"");
        client.answer(false).header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id(&[("X-Request-Id", "abc-123")]), "abc-123");
    assert_ne!(id(&[("X-Request-Id", "a b")]), "a b");
    assert_ne!(id(&[]), id(&[]));
}

/// Many keys at once, more than fit into one piece.
#[test]
fn large_answers_come_whole() {
    let fixture = Fixture::start([]);
    let mut client = fixture.connect();
    let value = format!("\"{}\"", "x".repeat(100_000));
    let keys: Vec<String> = (0..30).map(|number| format!("k{number:02}")).collect();
    for key in &keys {
        assert_eq!(client.ask_with(&format!("PUT /v1/namespaces/n/entries/{key}"), &value).status, 200);
    }
    let names = keys.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(",");
    let all = client.ask_with("POST /v1/namespaces/n/mget", &format!("{{\"keys\":[{names}]}}"));
    assert_eq!(all.text().matches(&value).count(), 30);
    // A page of values ends early, and says where the next one begins.
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.ask(&format!("GET /v1/namespaces/n/entries?values=1{cursor}")).text();
        seen.extend(
            page.match_indices("{\"key\":\"").map(|(at, start)| page[at + start.len()..][..3].to_owned()),
        );
        let (_, next) = page.rsplit_once("\"next\":").unwrap();
        if next == "null}" {
            break;
        }
        cursor = format!("&cursor={}", next.trim_matches(['"', '}']));
    }
    assert_eq!(seen, keys);
}
