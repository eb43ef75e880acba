//! The change feed as Server-Sent Events: live, resumed, cut, and to the end of the server.

use rustix::process::Signal;

use super::Fixture;
use super::client::Client;
use crate::support;

/// An event of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    id: u64,
    name: String,
    data: String,
}

/// A stream of events.
struct Stream {
    client: Client,
    text: String,
}

impl Stream {
    fn open(fixture: &Fixture, path: &str, headers: &[(&str, &str)]) -> Stream {
        let mut client = fixture.connect();
        client.request(&format!("GET {path}"), headers, b"");
        let head = client.head().unwrap();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{head:?}");
        let mut stream = Stream { client, text: String::new() };
        // From here on nothing is missed.
        assert_eq!(stream.any().unwrap().name, "progress");
        stream
    }

    /// The next event that is no progress; `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.any()?;
            if event.name != "progress" {
                return Some(event);
            }
        }
    }

    fn any(&mut self) -> Option<Event> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = parse(event);
                self.text = rest.to_owned();
                if let Some(event) = event {
                    return Some(event);
                }
            }
            self.text.push_str(&String::from_utf8(self.client.chunk()?).unwrap());
        }
    }
}

/// `None` for what is no event, such as how long to wait before a reconnect.
fn parse(text: &str) -> Option<Event> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let data = field("data")?.to_owned();
    Some(Event { id: field("id").unwrap().parse().unwrap(), name: field("event").unwrap().to_owned(), data })
}

fn event(id: u64, name: &str, data: &str) -> Option<Event> {
    Some(Event { id, name: name.to_owned(), data: data.to_owned() })
}

fn stat(lines: &mut support::Client, name: &str) -> u64 {
    let stats = lines.ask("STATS");
    let (_, rest) = stats.split_once(&format!("\"{name}\":")).unwrap();
    rest.split([',', '}']).next().unwrap().parse().unwrap()
}

#[test]
fn events_come_as_they_happen_and_go_on_after_a_reconnect() {
    let fixture = Fixture::start([]);
    let mut lines = fixture.server.connect();
    assert_eq!(lines.ask("SET before ns=n 1"), "OK 1 -");
    let mut stream = Stream::open(&fixture, "/v1/namespaces/n/changes?values=1", &[]);
    assert_eq!(lines.ask("SET a ns=n {\"x\": \"\\n\"}"), "OK 2 -");
    assert_eq!(
        stream.next(),
        event(2, "set", r#"{"version":2,"namespace":"n","key":"a","expires_at":null,"value":{"x":"\n"}}"#)
    );
    assert_eq!(lines.ask("SET a ns=other 1"), "OK 3 -");
    assert_eq!(lines.ask("DEL a ns=n"), "OK 4");
    assert_eq!(
        stream.next(),
        event(4, "del", r#"{"version":4,"namespace":"n","key":"a","expires_at":null}"#)
    );
    drop(stream);
    assert!(lines.ask("SET b at=2100-01-01T00:00:00Z ns=n 1").starts_with("OK 5 "));
    // What was seen counts for more than where the stream once began.
    let headers = [("Last-Event-ID", "4")];
    let mut stream = Stream::open(&fixture, "/v1/namespaces/n/changes?from=0", &headers);
    let data = r#"{"version":5,"namespace":"n","key":"b","expires_at":"2100-01-01T00:00:00.000Z"}"#;
    assert_eq!(stream.next(), event(5, "set", data));
    let mut all = Stream::open(&fixture, "/v1/changes?from=0&prefix=a", &[]);
    let ids: Vec<_> = (0..3).map(|_| all.next().unwrap().id).collect();
    assert_eq!(ids, [2, 3, 4]);
}

#[test]
fn a_stream_from_where_there_is_nothing_is_refused() {
    let fixture = Fixture::start(["--segment-bytes=1048576", "--feed-retention=0"]);
    let mut client = fixture.connect();
    let ahead = client.ask("GET /v1/changes?from=7");
    assert_eq!(ahead.status, 400, "{}", ahead.text());
    client.request("GET /v1/changes", &[("Last-Event-ID", "abc")], b"");
    assert_eq!(client.answer(false).status, 400);
    let mut lines = fixture.server.connect();
    let value = "x".repeat(100_000);
    while stat(&mut lines, "feed_floor") == 0 {
        lines.ask(&format!("SET key \"{value}\""));
    }
    let compacted = client.ask("GET /v1/changes?from=0");
    assert_eq!(compacted.status, 410);
    assert!(compacted.text().contains("\"code\":\"COMPACTED\""), "{}", compacted.text());
}

#[test]
fn a_slow_stream_is_cut_and_told_where_it_was() {
    let fixture = Fixture::start(["--segment-bytes=1048576"]);
    let mut slow = Stream::open(&fixture, "/v1/changes?values=1", &[]);
    let mut lines = fixture.server.connect();
    let value = "x".repeat(100_000);
    let mut version = 0;
    while stat(&mut lines, "watchers_cut") == 0 {
        version += 1;
        assert_eq!(lines.ask(&format!("SET key \"{value}\"")), format!("OK {version} -"));
        assert!(version < 2000, "nobody is cut");
    }
    let mut last = 0;
    let end = loop {
        let event = slow.next().unwrap();
        if event.name == "end" {
            break event;
        }
        last += 1;
        assert_eq!((event.id, event.name.as_str()), (last, "set"));
    };
    assert_eq!(end.id, last);
    assert!(end.data.contains("\"code\":\"SLOW\""), "{}", end.data);
    assert_eq!(slow.next(), None);
    let id = end.id.to_string();
    let mut resumed = Stream::open(&fixture, "/v1/changes", &[("Last-Event-ID", &id)]);
    for expected in last + 1..=version {
        assert_eq!(resumed.next().unwrap().id, expected);
    }
}

#[test]
fn streams_end_with_the_server_and_with_the_key() {
    let fixture = Fixture::start([]);
    let mut lines = fixture.server.connect();
    let created = lines.ask("KEY create scope=admin");
    let token = |created: &str| {
        let (_, rest) = created.split_once("\"token\":\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let admin = token(&created);
    assert_eq!(lines.ask(&format!("AUTH {admin}")), "OK");
    let created = lines.ask("KEY create scope=read_only");
    let (_, id) = created.split_once("\"id\":\"").unwrap();
    let bearer = |token: &str| format!("Bearer {token}");
    let mut revoked = Stream::open(&fixture, "/v1/changes", &[("Authorization", &bearer(&token(&created)))]);
    assert!(lines.ask(&format!("KEY revoke {}", id.split('"').next().unwrap())).starts_with("OK"));
    let end = revoked.next().unwrap();
    assert_eq!(end.name, "end");
    assert!(end.data.contains("\"code\":\"NOAUTH\""), "{}", end.data);
    assert_eq!(revoked.next(), None);

    let mut stopped = Stream::open(&fixture, "/v1/changes", &[("Authorization", &bearer(&admin))]);
    fixture.server.signal(Signal::TERM);
    let end = stopped.next().unwrap();
    assert_eq!(end.name, "end");
    assert!(end.data.contains("\"code\":\"SHUTDOWN\""), "{}", end.data);
    assert_eq!(stopped.next(), None);
}
