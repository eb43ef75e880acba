//! Framing over a real socket: pieces, long lines, ends of input, pipelines.

use std::fmt::Write;

use crate::support::{Client, Server};

const LINE_BYTES_MAX: usize = 1024 * 1024 + 16 * 1024;

struct Fixture {
    server: Server,
    _directory: tempfile::TempDir,
}

fn start() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    Fixture { server: Server::start(directory.path()), _directory: directory }
}

fn exchange(client: Client, input: impl AsRef<[u8]>) -> String {
    let mut client = client;
    client.send(input);
    client.finish()
}

#[test]
fn half_a_close_still_gets_all_answers() {
    let fixture = start();
    assert_eq!(exchange(fixture.server.connect(), "GET a\n"), "NIL\n");
    assert_eq!(
        exchange(fixture.server.connect(), "SET a 1\nGET a\n\r\nQUIT\r\nGET a\n"),
        "OK 1 -\nVAL 1 - 1\nOK\n"
    );
    assert_eq!(exchange(fixture.server.connect(), ""), "");
}

#[test]
fn an_unterminated_line_is_not_executed() {
    let fixture = start();
    let replies = exchange(fixture.server.connect(), "SET a 1\nSET a 2");
    let (first, last) = replies.split_once('\n').unwrap();
    assert_eq!(first, "OK 1 -");
    assert!(last.starts_with("ERR INCOMPLETE "), "{last}");
    assert_eq!(fixture.server.connect().ask("GET a"), "VAL 1 - 1");
}

#[test]
fn requests_arrive_in_any_pieces() {
    let fixture = start();
    let mut client = fixture.server.connect();
    for byte in b"SET a {\"x\":[1,2]}\r\nGET a\nDEL a\n" {
        client.send([*byte]);
    }
    assert_eq!(client.reply(), "OK 1 -");
    assert_eq!(client.reply(), "VAL 1 - {\"x\":[1,2]}");
    assert_eq!(client.reply(), "OK 2");
}

#[test]
fn http_is_refused() {
    let fixture = start();
    for request in ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "Host: localhost\r\nSET a 1\r\n"] {
        let replies = exchange(fixture.server.connect(), request);
        assert!(replies.starts_with("ERR HTTP "), "{replies}");
        assert_eq!(replies.lines().count(), 1);
    }
    assert_eq!(fixture.server.connect().ask("GET a"), "NIL");
}

#[test]
fn a_line_without_end_closes_the_connection() {
    let fixture = start();
    let mut client = fixture.server.connect();
    let piece = "x".repeat(LINE_BYTES_MAX);
    for _ in 0..17 {
        client.send(&piece);
    }
    let replies = client.rest();
    assert!(replies.starts_with("ERR TOOLONG "), "{replies}");
    assert_eq!(replies.lines().count(), 1);
}

#[test]
fn a_long_pipeline_is_answered_in_order() {
    const COMMANDS: usize = 10_000;
    let fixture = start();
    let mut pipeline = String::new();
    for number in 0..COMMANDS {
        match number % 4 {
            0 => _ = writeln!(pipeline, "SET k{} {number}", number % 100),
            1 => _ = writeln!(pipeline, "GET k{}", (number - 1) % 100),
            2 => _ = writeln!(pipeline, "NS n{number}"),
            _ => _ = writeln!(pipeline, "NS default"),
        }
    }
    let client = fixture.server.connect();
    let mut writer = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, pipeline.as_bytes()).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut client = client;
    let mut version = 0;
    for number in 0..COMMANDS {
        let reply = client.reply();
        match number % 4 {
            0 => {
                version += 1;
                assert_eq!(reply, format!("OK {version} -"));
            }
            1 => assert_eq!(reply, format!("VAL {version} - {}", number - 1)),
            2 => assert_eq!(reply, format!("OK n{number}")),
            _ => assert_eq!(reply, "OK default"),
        }
    }
    assert_eq!(client.line(), None);
    sending.join().unwrap();
}

#[test]
fn sync_comes_in_its_place_in_a_pipeline() {
    let fixture = start();
    let replies = exchange(fixture.server.connect(), "SET a 1\nSYNC\nSYNC\nDEL a\nSYNC\n");
    assert_eq!(replies, "OK 1 -\nOK 1\nOK 1\nOK 2\nOK 2\n");
}

#[test]
fn a_page_of_values_ends_early() {
    let fixture = start();
    let mut client = fixture.server.connect();
    let value = format!("\"{}\"", "v".repeat(300_000 - 2));
    for key in 0..8 {
        assert_eq!(client.ask(&format!("SET k{key} {value}")), format!("OK {} -", key + 1));
    }
    let mut cursor = String::new();
    let mut keys = Vec::new();
    loop {
        client.send(format!("LIST values=1{cursor}\n"));
        let end = loop {
            let line = client.reply();
            match line.strip_prefix("ITEM ") {
                Some(item) => keys.push(item.split(' ').next().unwrap().to_owned()),
                None => break line,
            }
        };
        match end.split_once("next=") {
            Some((count, next)) => {
                assert_eq!(count, "END 4 ");
                cursor = format!(" cursor={next}");
            }
            None => break,
        }
    }
    assert_eq!(keys, (0..8).map(|key| format!("k{key}")).collect::<Vec<_>>());
}

#[test]
fn an_entry_expires() {
    let fixture = start();
    let mut client = fixture.server.connect();
    assert!(client.ask("SET a ttl=20ms 1").starts_with("OK 1 "));
    while client.ask("GET a") != "NIL" {}
    assert_eq!(client.ask("TTL a"), "NIL");
    assert_eq!(client.ask("COUNT"), "OK 0");
    assert!(client.ask("SET a if=absent 2").starts_with("OK "));
}

#[test]
fn an_id_is_the_same_for_the_life_of_an_entry() {
    let fixture = start();
    let mut client = fixture.server.connect();
    let mut id = |change: &str| {
        client.ask(change);
        let entry = client.ask("ENTRY a");
        entry[entry.find("ds_").unwrap()..].to_owned()
    };
    let first = id("SET a 1");
    assert_eq!(id("SET a 2"), first);
    assert_eq!(id("TOUCH a ttl=1h"), first);
    id("SET b 1");
    assert_eq!(id("PING"), first);
    client.ask("DEL a");
    client.ask("SET a 1");
    let entry = client.ask("ENTRY a");
    assert!(!entry.ends_with(&first));
}
