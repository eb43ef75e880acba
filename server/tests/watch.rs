//! Watching over the wire: live, resumed, slow, many at a time, and to the end of the server.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

use rustix::process::Signal;

use crate::support::{Client, Random, Server, serve_in};

/// A server with segments of a megabyte, that retains so many bytes for watchers.
fn server(directory: &Path, retention: u64) -> Server {
    let retention = format!("--feed-retention={retention}");
    Server::spawn(serve_in(directory).args(["--log=error", "--segment-bytes=1048576", &retention]))
}

fn watching(server: &Server, request: &str) -> Client {
    let mut client = server.connect();
    let reply = client.ask(request);
    assert!(reply.starts_with("OK "), "{request}: {reply}");
    client
}

/// The next event that is no progress: its kind, version and key.
fn event(client: &mut Client) -> (String, u64, String) {
    loop {
        let line = client.reply();
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["EVT", "progress", _] => {}
            ["EVT", kind, version, _, key, ..] => {
                return (kind.to_owned(), version.parse().unwrap(), key.to_owned());
            }
            _ => panic!("{line}"),
        }
    }
}

/// A figure of `STATS`.
fn stat(client: &mut Client, name: &str) -> u64 {
    let stats = client.ask("STATS");
    let (_, rest) = stats.split_once(&format!("\"{name}\":")).unwrap();
    rest.split([',', '}']).next().unwrap().parse().unwrap()
}

#[test]
fn changes_come_as_they_happen_and_go_on_after_a_reconnect() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), 64 << 20);
    let mut writer = server.connect();
    assert_eq!(writer.ask("SET before 1"), "OK 1 -");
    let mut watcher = watching(&server, "WATCH values=1");
    assert_eq!(stat(&mut writer, "watchers"), 1);
    assert_eq!(writer.ask("SET a {\"x\": 1}"), "OK 2 -");
    assert_eq!(watcher.reply(), "EVT set 2 default a - {\"x\":1}");
    assert_eq!(writer.ask("DEL a"), "OK 3");
    assert_eq!(watcher.reply(), "EVT del 3 default a -");
    let expires = writer.ask("SET b ttl=20ms 1");
    let expires = expires.strip_prefix("OK 4 ").unwrap();
    assert_eq!(watcher.reply(), format!("EVT set 4 default b {expires} 1"));
    drop(watcher);
    // Whoever writes to an overdue entry has it expire first, unless it has before.
    while writer.ask("EXISTS b") == "OK 1" {}
    let version: u64 = writer.ask("SET b 2").split(' ').nth(1).unwrap().parse().unwrap();
    let mut watcher = watching(&server, "WATCH from=4");
    assert_eq!(watcher.reply(), format!("EVT expire 5 default b {expires}"));
    assert_eq!(watcher.reply(), format!("EVT set {version} default b -"));
    // A server that was killed goes on above all versions that it told.
    server.kill();
    let server = self::server(directory.path(), 64 << 20);
    let mut watcher = watching(&server, "WATCH from=4 prefix=b");
    assert_eq!(event(&mut watcher).1, 5);
    assert_eq!(event(&mut watcher).1, version);
    let later: u64 = server.connect().ask("SET b 3").split(' ').nth(1).unwrap().parse().unwrap();
    assert!(later > version);
    assert_eq!(event(&mut watcher).1, later);
}

#[test]
fn progress_is_told_while_nothing_happens() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), 64 << 20);
    let mut watcher = watching(&server, "WATCH prefix=nothing");
    assert_eq!(server.connect().ask("SET a 1"), "OK 1 -");
    assert_eq!(watcher.reply(), "EVT progress 1");
    assert_eq!(watcher.ask("QUIT"), "OK");
    assert_eq!(watcher.line(), None);
}

/// Writers at full speed, and watchers that go away and come back: each sees everything, in order.
#[test]
fn nothing_is_missed_over_reconnects_while_others_write() {
    const WRITERS: u64 = 3;
    const WRITES: u64 = 4000;
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), 16 << 20);
    let seen: Vec<BTreeMap<u64, String>> = thread::scope(|scope| {
        let watchers: Vec<_> = (0..4).map(|number| scope.spawn(follow(&server, number))).collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let mut client = server.connect();
                scope.spawn(move || {
                    let mut written = BTreeMap::new();
                    for batch in 0..WRITES / 50 {
                        let key = |write| format!("{number}/{}", (batch * 50 + write) % 97);
                        let line = |write| format!("SET {} \"{}\"\n", key(write), "x".repeat(300));
                        client.send((0..50).map(line).collect::<String>());
                        for write in 0..50 {
                            let reply = client.reply();
                            let version = reply.split(' ').nth(1).unwrap().parse().unwrap();
                            written.insert(version, key(write));
                        }
                    }
                    written
                })
            })
            .collect();
        let mut written = BTreeMap::new();
        writers.into_iter().for_each(|writer| written.append(&mut writer.join().unwrap()));
        assert_eq!(written.len() as u64, WRITERS * WRITES);
        let last = server.connect().ask("SET 0/last 1");
        written.insert(last.split(' ').nth(1).unwrap().parse().unwrap(), "0/last".to_owned());
        let seen: Vec<_> = watchers.into_iter().map(|watcher| watcher.join().unwrap()).collect();
        let of_first: BTreeMap<u64, String> = written
            .iter()
            .filter(|(_, key)| key.starts_with("0/"))
            .map(|(v, key)| (*v, key.clone()))
            .collect();
        for (number, seen) in seen.iter().enumerate() {
            let expected = if number % 2 == 0 { &written } else { &of_first };
            assert_eq!(seen.len(), expected.len(), "watcher {number}");
            assert!(seen == expected, "watcher {number}");
        }
        seen
    });
    assert_eq!(seen.len(), 4);
    assert!(server.stop().success());
}

/// Watches everything, or the first writer's keys, until the last write; reconnects by chance.
fn follow(server: &Server, number: u64) -> impl FnOnce() -> BTreeMap<u64, String> + Send + '_ {
    move || {
        let mut random = Random::new(number + 1);
        let prefix = if number.is_multiple_of(2) { "\"\"" } else { "0/" };
        let mut seen = BTreeMap::new();
        let mut last = 0;
        loop {
            let mut client = watching(server, &format!("WATCH prefix={prefix} from={last}"));
            for _ in 0..random.below(3000) {
                let (kind, version, key) = event(&mut client);
                assert!(kind == "set" && version > last, "{version} after {last}");
                last = version;
                let is_last = key == "0/last";
                assert_eq!(seen.insert(version, key), None);
                if is_last {
                    return seen;
                }
            }
        }
    }
}

/// A client that does not read is cut once it is too far behind, with everything before, and goes on from there. It is cut at
/// half of what is retained, and the lag is looked at from time to time: the other half is far more than is written between
/// two looks, however slow the machine, so that what it resumes from is still there.
#[test]
fn a_slow_watcher_is_cut_and_told_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), 64 << 20);
    let mut slow = watching(&server, "WATCH values=1");
    let mut quick = watching(&server, "WATCH");
    let mut writer = server.connect();
    let value = "x".repeat(100_000);
    let mut version = 0;
    while stat(&mut writer, "watchers_cut") == 0 {
        version += 1;
        assert_eq!(writer.ask(&format!("SET key \"{value}\"")), format!("OK {version} -"));
        assert_eq!(event(&mut quick).1, version);
        assert!(version < 2000, "nobody is cut");
    }
    let mut expected = 0;
    let told: u64 = loop {
        let line = slow.reply();
        match line.strip_prefix("ERR SLOW ") {
            Some(told) => break told.parse().unwrap(),
            None => {
                expected += 1;
                assert!(line.starts_with(&format!("EVT set {expected} default key - \"xxx")), "{expected}");
            }
        }
    };
    assert_eq!((told, slow.line()), (expected, None));
    let mut resumed = watching(&server, &format!("WATCH from={told} prefix=key"));
    for expected in told + 1..=version {
        assert_eq!(event(&mut resumed).1, expected);
    }
    assert_eq!((stat(&mut writer, "watchers"), stat(&mut writer, "watchers_cut")), (2, 1));
}

/// What the log has lost cannot be watched from: the lowest version that can is told, and is one that can.
#[test]
fn a_version_below_the_floor_is_refused_with_the_floor() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), 0);
    let mut client = server.connect();
    let value = "x".repeat(100_000);
    // Compaction goes on in the background.
    while stat(&mut client, "feed_floor") == 0 {
        client.ask(&format!("SET key \"{value}\""));
    }
    let refused = client.ask("WATCH from=0");
    let floor = refused.strip_prefix("ERR COMPACTED ").unwrap_or_else(|| panic!("{refused}"));
    let floor: u64 = floor.split(' ').next().unwrap().parse().unwrap();
    assert!(floor > 0 && floor <= stat(&mut client, "feed_floor"));
    assert!(client.ask("SET last 1").starts_with("OK "));
    // As long as there is something to compact it may rise at any time.
    let mut floor = floor;
    loop {
        let reply = client.ask(&format!("WATCH from={floor} prefix=last"));
        let Some(told) = reply.strip_prefix("ERR COMPACTED ") else {
            assert_eq!(reply, format!("OK {floor}"));
            break;
        };
        let risen: u64 = told.split(' ').next().unwrap().parse().unwrap();
        assert!(risen > floor, "{risen} after {floor}");
        floor = risen;
    }
    assert_eq!(event(&mut client).2, "last");
}

/// Many watchers, of whom most are about something else, get what is theirs and hold up nobody.
#[test]
fn many_watch_at_the_same_time() {
    const WATCHERS: u64 = 300;
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), 64 << 20);
    let mut watchers: Vec<Client> =
        (0..WATCHERS).map(|number| watching(&server, &format!("WATCH prefix=k{number}/"))).collect();
    let mut writer = server.connect();
    for round in 0..20 {
        let lines: String = (0..WATCHERS).map(|number| format!("SET k{number}/{round} {round}\n")).collect();
        writer.send(lines);
        (0..WATCHERS).for_each(|_| assert!(writer.reply().starts_with("OK ")));
    }
    for (number, watcher) in watchers.iter_mut().enumerate() {
        for round in 0..20 {
            assert_eq!(event(watcher).2, format!("k{number}/{round}"));
        }
    }
    assert_eq!(stat(&mut writer, "watchers"), WATCHERS);
    drop(watchers);
    while stat(&mut writer, "watchers") > 0 {}
}

#[test]
fn a_watcher_is_told_that_the_server_stops() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = server(directory.path(), 64 << 20);
    let mut watcher = watching(&server, "WATCH");
    let mut writer = server.connect();
    assert_eq!(writer.ask("SET a 1"), "OK 1 -");
    assert_eq!(event(&mut watcher).1, 1);
    server.signal(Signal::TERM);
    assert!(watcher.reply().starts_with("ERR SHUTDOWN "));
    assert_eq!(watcher.line(), None);
    assert!(server.wait().success());
}

/// As with every command, the end of the input does not keep anything from being answered.
#[test]
fn the_end_of_the_input_is_the_end_of_the_watch() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), 64 << 20);
    let mut client = server.connect();
    client.send("SET a 1\nSET b 2\nWATCH from=0\nGET a\nWATCH");
    let rest = client.finish();
    let lines: Vec<&str> = rest.lines().collect();
    assert_eq!(lines[..3], ["OK 1 -", "OK 2 -", "OK 0"]);
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((count("EVT set"), count("ERR BADCMD"), count("ERR INCOMPLETE")), (2, 1, 1), "{rest}");
    assert!(server.connect().finish().is_empty());
}
