//! `INCR`, `PATCH`, `TXN` and `DELPREFIX` over the socket: against a model, side by side, and with entries that expire.

mod model;

use std::fmt::Write;
use std::thread;

use crate::support::{Client, Random, Server};

fn start() -> (Server, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Server::start(directory.path()), directory)
}

/// The version in a reply of `OK` or `VAL`.
fn version(reply: &str) -> u64 {
    reply.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{reply}"))
}

#[test]
fn every_reply_is_as_the_model_says() {
    for seed in 1..=4 {
        let (server, _directory) = start();
        model::run(&mut server.connect(), &mut Random::new(seed), 3_000);
    }
}

#[test]
fn increments_from_all_sides_add_up() {
    const CLIENTS: i64 = 6;
    const EACH: i64 = 300;
    let (server, _directory) = start();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = server.connect();
                client.send("INCR total\nINCR total by=2\n".repeat(EACH.try_into().unwrap()));
                let mut last = 0;
                for _ in 0..2 * EACH {
                    let reply = client.reply();
                    let sum: i64 = reply.rsplit(' ').next().unwrap().parse().unwrap();
                    assert!(sum > last, "a client sees what it has added: {reply}");
                    last = sum;
                }
            });
        }
    });
    let sum = 3 * CLIENTS * EACH;
    assert_eq!(server.connect().ask("GET total"), format!("VAL {} - {sum}", 2 * CLIENTS * EACH));
}

/// The value is too large to be changed under the lock without more ado: patches are made ahead, and again where another
/// came between.
#[test]
fn patches_of_a_large_value_from_all_sides_are_all_in_it() {
    const CLIENTS: usize = 6;
    const EACH: usize = 20;
    let (server, _directory) = start();
    let text = "x".repeat(200_000);
    assert_eq!(server.connect().ask(&format!("SET doc {{\"text\":\"{text}\"}}")), "OK 1 -");
    thread::scope(|scope| {
        for own in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.connect();
                for number in 0..EACH {
                    let reply = client.ask(&format!("PATCH doc {{\"c{own}\":{{\"n{number}\":{number}}}}}"));
                    assert!(reply.contains(&format!("\"n{number}\":{number}")), "it is in what it has made");
                }
            });
        }
    });
    let mut client = server.connect();
    for own in 0..CLIENTS {
        let members: Vec<_> = (0..EACH).map(|number| format!("\"n{number}\":{number}")).collect();
        let expected = format!("VAL {} - {{{}}}", CLIENTS * EACH + 1, members.join(","));
        assert_eq!(client.ask(&format!("GET doc path=/c{own}")), expected);
    }
    assert!(client.ask("GET doc path=/text").ends_with(&format!("\"{text}\"")));
}

#[test]
fn a_pipeline_of_large_patches_goes_in_order() {
    let (server, _directory) = start();
    let mut client = server.connect();
    let text = "x".repeat(300_000);
    let mut pipeline = format!("SET doc {{\"text\":\"{text}\"}}\n");
    for number in 0..12 {
        _ = writeln!(pipeline, "PATCH doc {{\"n\":{number}}}\nINCR count\nGET doc path=/n");
    }
    client.send(pipeline);
    assert_eq!(client.reply(), "OK 1 -");
    for number in 0..12 {
        assert!(client.reply().ends_with(&format!(",\"n\":{number}}}")));
        assert_eq!(client.reply(), format!("VAL {} - {}", 2 * number + 3, number + 1));
        assert_eq!(client.reply(), format!("VAL {} - {number}", 2 * number + 2));
    }
}

#[test]
fn an_entry_that_has_expired_is_absent_to_all_of_them() {
    let (server, _directory) = start();
    let mut client = server.connect();
    let expired = |client: &mut Client, key: &str| {
        let set = version(&client.ask(&format!("SET {key} ttl=20ms desc=old 41")));
        while client.ask(&format!("GET {key}")) != "NIL" {}
        set
    };
    let set = expired(&mut client, "a");
    let check = |version: &str| {
        format!("TXN {{\"check\":[{{\"key\":\"a\",\"version\":{version}}}],\"ops\":[[\"set\",\"b\",1]]}}")
    };
    assert_eq!(client.ask(&check(&set.to_string())), "NO CHECK 0");
    assert!(client.ask(&check("null")).starts_with("OK "));

    expired(&mut client, "c");
    let reply = client.ask("INCR c by=2 init=5");
    assert!(reply.ends_with(" - 7"), "made anew, without the expiry of the one before: {reply}");
    assert!(client.ask("ENTRY c").contains("\"description\":null"));

    expired(&mut client, "d");
    assert_eq!(client.ask("PATCH d {\"x\":1}"), "NIL");
    expired(&mut client, "e");
    assert_eq!(client.ask("TXN {\"ops\":[[\"del\",\"e\"]]}"), "OK 0");
    let set = version(&client.ask("TXN {\"ops\":[[\"set\",\"e\",1,{\"keepttl\":true}]]}"));
    assert_eq!(client.ask("GET e"), format!("VAL {set} - 1"));
    expired(&mut client, "old:1");
    assert_eq!(client.ask("DELPREFIX old: dry=1"), "OK 0");
    assert_eq!(client.ask("DELPREFIX old:"), "OK 0");
}

#[test]
fn others_have_their_turn_while_a_prefix_is_deleted() {
    const ENTRIES: usize = 100_000;
    let (server, _directory) = start();
    let mut client = server.connect();
    for from in (0..ENTRIES).step_by(1_000) {
        let sets: Vec<_> =
            (from..from + 1_000).map(|number| format!("[\"set\",\"k{number}\",{number}]")).collect();
        assert!(client.ask(&format!("TXN {{\"ops\":[{}]}}", sets.join(","))).starts_with("OK "));
    }
    assert_eq!(client.ask("SET other 1"), format!("OK {} -", ENTRIES + 1));
    let mut other = server.connect();
    client.send("DELPREFIX k\n");
    let mut between = 0;
    loop {
        let count: usize = other.ask("COUNT prefix=k").strip_prefix("OK ").unwrap().parse().unwrap();
        if count == 0 {
            break;
        }
        between += usize::from(count < ENTRIES);
    }
    assert!(between > 0, "it was seen half done");
    assert_eq!(client.reply(), format!("OK {ENTRIES}"));
    assert_eq!(client.ask("COUNT"), "OK 1");
}

#[test]
fn a_transaction_is_one_instant_to_others() {
    let (server, _directory) = start();
    server.connect().ask("TXN {\"ops\":[[\"set\",\"a\",0],[\"set\",\"b\",0]]}");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = server.connect();
            for number in 1..=300 {
                let transaction =
                    format!("TXN {{\"ops\":[[\"set\",\"a\",{number}],[\"set\",\"b\",{number}]]}}");
                assert!(writer.ask(&transaction).starts_with("OK "));
            }
        });
        let mut reader = server.connect();
        loop {
            reader.send("MGET a b\n");
            let (a, b) = (reader.reply(), reader.reply());
            let value = |reply: &str| reply.rsplit(' ').next().unwrap().to_owned();
            assert_eq!(value(&a), value(&b));
            assert_eq!(version(&a) + 1, version(&b));
            if value(&a) == "300" {
                break;
            }
        }
    });
}

/// There are fewer places for long transactions than clients: who finds none waits.
#[test]
fn long_transactions_from_many_sides_all_happen() {
    const CLIENTS: usize = 12;
    let (server, _directory) = start();
    let value = "x".repeat(1_000_000);
    thread::scope(|scope| {
        for own in 0..CLIENTS {
            let (server, value) = (&server, &value);
            scope.spawn(move || {
                let sets: Vec<_> =
                    (0..3).map(|number| format!("[\"set\",\"c{own}:{number}\",\"{value}\"]")).collect();
                let reply = server.connect().ask(&format!("TXN {{\"ops\":[{}]}}", sets.join(",")));
                assert!(reply.starts_with("OK "), "{reply}");
            });
        }
    });
    assert_eq!(server.connect().ask("COUNT prefix=c"), format!("OK {}", 3 * CLIENTS));
}
