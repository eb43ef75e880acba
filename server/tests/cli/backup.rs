//! Backups of a running and of a stopped server, and what comes of restoring them.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Ended, Larder, end, verb};
use crate::support::{Client, Server, serve_in};

/// Runs a verb that needs no server.
fn alone(arguments: &[&str]) -> Ended {
    end(verb().args(arguments), "")
}

fn done_alone(arguments: &[&str]) -> String {
    let ended = alone(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
    ended.stdout
}

#[test]
fn a_running_server_is_backed_up_and_restored() {
    let larder = Larder::start();
    larder.done(&["set", "k", "1"]);
    larder.done(&["set", "soon", "2", "--ttl", "1h"]);
    let backup = larder.path("data-backups/first");
    assert_eq!(larder.done(&["backup", "first"]), format!("2\t{backup}\n"));
    larder.done(&["set", "k", "3"]);
    let answer = larder.done(&["backup", "second", "--json"]);
    let second = larder.path("data-backups/second");
    let start = format!("{{\"version\":3,\"directory\":\"{second}\",\"segments\":2,\"linked\":2,\"bytes\":");
    assert!(answer.starts_with(&start), "{answer}");
    larder.run(&["backup", "first"]).refuses(2, "choose another name");
    larder.run(&["backup", "a/b"]).refuses(2, "cannot be the name of a backup");
    // It is no store itself, and the server's directory takes no backup.
    let new = larder.path("new");
    alone(&["backup", "--data", &backup, &new]).refuses(2, "larder restore");
    alone(&["backup", "--data", &larder.path("data"), &new]).refuses(3, "in use");

    let plain = done_alone(&["restore", &backup, &new]);
    let above: u64 = plain.strip_prefix("2\t").unwrap().trim_end().parse().unwrap();
    assert!(above >= 3);
    alone(&["restore", &backup, &new]).refuses(2, "is not empty");
    let server = Server::start(Path::new(&new));
    let mut client = server.connect();
    assert_eq!(client.ask("GET k"), "VAL 1 - 1");
    assert!(client.ask("TTL soon").starts_with("OK 3"));
    assert_eq!(client.ask("SET k 4"), format!("OK {} -", above + 1));
    assert!(server.stop().success());

    let third = larder.path("third");
    let version = above + 1;
    assert_eq!(done_alone(&["backup", "--data", &new, &third]), format!("{version}\t{third}\n"));
    let last = larder.path("last");
    let answer = done_alone(&["restore", &third, &last, "--json"]);
    let start = format!(
        "{{\"version\":{version},\"versions_above\":{version},\"directory\":\"{last}\",\"segments\":2,\"linked\":2,\"records\":3,"
    );
    assert!(answer.starts_with(&start), "{answer}");
}

#[test]
fn what_cannot_be_restored_is_told() {
    let larder = Larder::start();
    larder.done(&["set", "k", "\"a value\""]);
    let backup = larder.done(&["backup", "b"]);
    let backup = backup.trim_end().split_once('\t').unwrap().1;
    let new = larder.path("new");
    alone(&["restore", &larder.path("nowhere"), &new]).refuses(2, "no complete backup");
    alone(&["restore", &larder.path("data"), &new]).refuses(2, "no complete backup");
    alone(&["restore", backup, &format!("{backup}/new")]).refuses(2, "lies within");
    alone(&["backup", "--data", &larder.path("nowhere"), &new]).refuses(2, "there is no store");
    alone(&["backup", "--data", &larder.path("data"), &larder.path("data/b")]).refuses(2, "lies within");
    assert!(larder.server.stop().success());

    let segment = Path::new(backup).join("0000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(7).position(|window| window == b"a value").unwrap();
    bytes[at] ^= 1;
    fs::remove_file(&segment).unwrap();
    fs::write(&segment, &bytes).unwrap();
    alone(&["restore", backup, &new]).refuses(3, "0000000001.seg is damaged at byte");
    assert!(!Path::new(&new).exists());
}

#[test]
fn backups_have_a_directory_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let start = |backups: &Path| {
        let mut command = serve_in(&path("data"));
        Server::spawn(command.args(["--log", "off", "--backups"]).arg(backups))
    };
    let server = start(&path("elsewhere"));
    assert!(!path("elsewhere").exists(), "it is made when it is needed");
    assert!(server.connect().ask("BACKUP b").starts_with("OK "));
    assert!(path("elsewhere/b/BACKUP").is_file());
    assert!(server.stop().success());
    let server = start(&path("data/backups"));
    assert!(server.connect().ask("BACKUP b").starts_with("ERR BADARG the directory for backups lies within"));
    assert!(!path("data/backups").exists());
    assert!(server.stop().success());
    fs::write(path("file"), "").unwrap();
    let server = start(&path("file"));
    let reply = server.connect().ask("BACKUP b");
    assert!(reply.starts_with("ERR INTERNAL ") && !reply.contains("file"), "{reply}");
    assert_eq!(server.connect().ask("SET a 1"), "OK 1 -");
}

/// The address of this machine that others see, if it has one.
fn outward_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent by this; the address is one for documentation.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn only_this_machine_may_order_upkeep() {
    let Some(address) = outward_address() else { return };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut command = crate::support::serve();
    command.arg("--data").arg(&data).args(["--listen", "0.0.0.0:0", "--allow-remote", "--log", "error"]);
    let server = Server::spawn(&mut command);
    let mut outward = Client::connect((address, server.address.port()).into());
    assert!(outward.ask("BACKUP b").starts_with("ERR DENIED "));
    assert!(outward.ask("COMPACT").starts_with("ERR DENIED "));
    assert_eq!(outward.ask("PING"), "OK");
    let mut local = Client::connect(([127, 0, 0, 1], server.address.port()).into());
    assert!(local.ask("BACKUP b").starts_with("OK "));
    assert!(local.ask("COMPACT").starts_with("OK "));
}

const WRITERS: usize = 4;
const BACKUPS: usize = 8;

/// Counts up in keys of its own until it is over, some of them deleted again; gives each write by its version.
fn count_up(mut client: Client, writer: usize, over: &AtomicBool) -> BTreeMap<u64, (String, Option<String>)> {
    let mut writes = BTreeMap::new();
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("w{writer}:{}", number % 7);
        let value = format!("\"{number} {}\"", "x".repeat(number % 5 * 3000));
        let request = if number % 11 == 3 { format!("DEL {key}") } else { format!("SET {key} {value}") };
        let reply = client.ask(&request);
        let Some(version) = reply.strip_prefix("OK ") else {
            assert_eq!(reply, "NIL");
            continue;
        };
        let version = version.split(' ').next().unwrap().parse().unwrap();
        writes.insert(version, (key, request.starts_with("SET").then_some(value)));
    }
    writes
}

/// The real binary under load: each backup holds exactly the writes up to its version, also if the server is killed then.
#[test]
fn backups_under_load() {
    for durability in ["durable", "buffered"] {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let start = |command: &mut Command| {
            Server::spawn(command.args([
                "--log",
                "error",
                "--segment-bytes",
                "1048576",
                "--durability",
                durability,
            ]))
        };
        let server = start(&mut serve_in(&path("data")));
        let over = AtomicBool::new(false);
        let (writes, versions) = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (client, over) = (server.connect(), &over);
                    scope.spawn(move || count_up(client, writer, over))
                })
                .collect();
            let mut client = server.connect();
            let versions: Vec<u64> = (0..BACKUPS)
                .map(|number| {
                    let known = client.ask("SYNC")[3..].parse::<u64>().unwrap();
                    // The next one when there is something new in it.
                    while client.ask("SYNC")[3..].parse::<u64>().unwrap() < known + 50 {}
                    let reply = client.ask(&format!("BACKUP b{number}"));
                    let version = reply.split_once("\"version\":").expect(&reply).1;
                    let version = version.split(',').next().unwrap().parse().unwrap();
                    assert!(version >= known + 50, "what was answered before is in it: {reply}");
                    version
                })
                .collect();
            over.store(true, Ordering::Relaxed);
            let writes: BTreeMap<_, _> =
                writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
            (writes, versions)
        });
        server.kill();
        for (number, version) in versions.into_iter().enumerate() {
            let backup = path(&format!("data-backups/b{number}"));
            let new = path(&format!("new{number}"));
            done_alone(&["restore", backup.to_str().unwrap(), new.to_str().unwrap()]);
            let mut expected = BTreeMap::new();
            for (written, (key, value)) in writes.range(..=version) {
                match value {
                    Some(value) => drop(expected.insert(key, (written, value))),
                    None => drop(expected.remove(key)),
                }
            }
            let server = start(&mut serve_in(&new));
            let mut client = server.connect();
            assert_eq!(client.ask("COUNT"), format!("OK {}", expected.len()));
            for (key, (written, value)) in expected {
                assert_eq!(client.ask(&format!("GET {key}")), format!("VAL {written} - {value}"));
            }
            let stamp = client.ask("SET probe 1");
            let stamp: u64 = stamp[3..].split(' ').next().unwrap().parse().unwrap();
            assert!(stamp > version);
        }
    }
}
