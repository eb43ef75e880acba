//! Many clients, and clients that behave badly.

use std::io::{ErrorKind, Read};
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::limits::{anonymous_bytes, descriptors, limited};
use crate::support::{Client, Server, serve_in};

#[test]
fn many_connections_at_a_time() {
    const CONNECTIONS: usize = 300;
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("SET k{number} {number}\nGET k{number}\n"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert!(client.reply().starts_with("OK "));
        assert!(client.reply().ends_with(&format!(" - {number}")));
    }
    let stats = clients[0].ask("STATS");
    assert!(stats.contains(&format!("\"connections\":{CONNECTIONS},")), "{stats}");
    assert_eq!(clients[0].ask("COUNT"), format!("OK {CONNECTIONS}"));
}

#[test]
fn connections_beyond_the_limit_are_turned_away() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::spawn(serve_in(directory.path()).args(["--max-connections", "2", "--log", "error"]));
    let mut first = server.connect();
    let mut second = server.connect();
    assert_eq!(first.ask("PING"), "OK");
    assert_eq!(second.ask("PING"), "OK");
    let mut third = server.connect();
    third.send("PING\n");
    let replies = third.finish();
    assert!(replies.starts_with("ERR TOOMANYCONN "), "{replies}");
    assert_eq!(replies.lines().count(), 1);

    second.send("QUIT\n");
    assert_eq!(second.finish(), "OK\n");
    // The slot is free once the server has seen the end of the connection, a moment after its client has.
    while server.connect().try_ask("PING").as_deref() != Some("OK") {}
    assert_eq!(first.ask("PING"), "OK");
}

#[test]
fn a_client_that_does_not_read_costs_little_memory() {
    const VALUE_BYTES: usize = 1_000_000;
    const REQUESTS: usize = 2_000;
    const GROWTH_MAX_BYTES: u64 = 64 * 1024 * 1024;
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut client = server.connect();
    for key in 0..4 {
        let value = "x".repeat(VALUE_BYTES - 2);
        assert!(client.ask(&format!("SET k{key} \"{value}\"")).starts_with("OK "));
    }
    let before = anonymous_bytes(server.pid());
    let mut lazy: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut lazy {
        client.send("GET k0\n".repeat(REQUESTS / 2));
        client.send("MGET k0 k1 k2 k3 k0 k1 k2 k3\nLIST values=1\n".repeat(REQUESTS / 20));
        // Its first reply has begun: the server is at work for it, as far as it can get.
        client.stream.peek(&mut [0]).unwrap();
    }
    // Others are served meanwhile, and after so many answers of theirs the lazy ones have long been stuck.
    for _ in 0..2_000 {
        assert_eq!(client.ask("EXISTS k0 k1 k2 k3"), "OK 4");
    }
    let grown = anonymous_bytes(server.pid()).saturating_sub(before);
    assert!(grown < GROWTH_MAX_BYTES, "{grown} bytes for four clients that do not read");
    // Whoever reads again is answered to the end.
    let mut replies = 0;
    let mut first = lazy.swap_remove(0);
    while replies < REQUESTS / 2 {
        assert!(first.reply().starts_with("VAL 1 - "));
        replies += 1;
    }
}

/// A new expiry is written with its value: a short line that writes much. However many of them come at once, they are carried
/// out in portions, each of which waits for the disk and lets others have their turn.
#[test]
fn what_short_lines_write_comes_in_portions() {
    const TOUCHES: usize = 32;
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut client = server.connect();
    assert!(client.ask(&format!("SET large \"{}\"", "x".repeat(900_000))).starts_with("OK "));
    let syncs = |client: &mut Client| -> usize {
        let stats = client.ask("STATS");
        stats.split_once("\"syncs\":").unwrap().1.split(',').next().unwrap().parse().unwrap()
    };
    let before = syncs(&mut client);
    client.send("TOUCH large ttl=1h\n".repeat(TOUCHES));
    (0..TOUCHES).for_each(|_| assert!(client.reply().starts_with("OK ")));
    // Two of them are more than a portion.
    let synced = syncs(&mut client) - before;
    assert!(synced >= TOUCHES / 2, "{synced} syncs");
}

#[test]
fn running_out_of_descriptors_passes() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut first = server.connect();
    assert_eq!(first.ask("PING"), "OK");
    let open = descriptors(server.pid()) as u64;
    let maximum = getrlimit(Resource::Nofile).maximum;
    let pid = Pid::from_raw(server.pid().cast_signed());
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(open + 4), maximum }).unwrap();
    let others: Vec<Client> = (0..16).map(|_| server.connect()).collect();
    assert_eq!(first.ask("SET a 1"), "OK 1 -");
    drop(others);
    assert_eq!(server.connect().ask("GET a"), "VAL 1 - 1");
    assert!(server.stop().success());
}

/// A server with one more setting.
fn server_with(directory: &Path, setting: &str) -> Server {
    Server::spawn(serve_in(directory).args(["--log=error", setting]))
}

#[test]
fn a_client_that_says_nothing_is_told_so_and_closed() {
    let directory = tempfile::tempdir().unwrap();
    let server = server_with(directory.path(), "--idle-timeout=300ms");
    let mut watcher = server.connect();
    assert_eq!(watcher.ask("WATCH"), "OK 0");
    let mut silent = server.connect();
    let mut idle = server.connect();
    assert_eq!(idle.ask("PING"), "OK");
    for client in [&mut silent, &mut idle] {
        assert_eq!(client.reply(), "ERR IDLE nothing came for 300ms");
        assert_eq!(client.line(), None);
    }
    // Who watches need not say anything.
    assert_eq!(server.connect().ask("SET a 1"), "OK 1 -");
    assert_eq!(watcher.reply(), "EVT set 1 default a -");
}

#[test]
fn a_line_that_is_begun_has_a_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let server = server_with(directory.path(), "--line-timeout=300ms");
    let mut idle = server.connect();
    assert_eq!(idle.ask("PING"), "OK");
    let mut watcher = server.connect();
    assert_eq!(watcher.ask("WATCH"), "OK 0");
    watcher.send("QU");
    let mut slow = server.connect();
    assert_eq!(slow.ask("SET a 1"), "OK 1 -");
    slow.send("SET a 2");
    // A line over the limit has no more time than another.
    let mut long = server.connect();
    long.send("x".repeat(2_000_000));
    assert_eq!(watcher.reply(), "EVT set 1 default a -");
    for client in [&mut slow, &mut watcher, &mut long] {
        let reply = client.reply();
        assert!(reply.starts_with("ERR IDLE a line must be complete within 300ms"), "{reply}");
        assert_eq!(client.line(), None);
    }
    // Without a line begun there is no hurry.
    assert_eq!(idle.ask("GET a"), "VAL 1 - 1");
}

#[test]
fn a_client_that_takes_no_replies_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let server = server_with(directory.path(), "--write-timeout=300ms");
    let mut client = server.connect();
    assert_eq!(client.ask(&format!("SET a \"{}\"", "x".repeat(1_000_000))), "OK 1 -");
    let mut lazy = server.connect();
    lazy.send("GET a\n".repeat(100));
    let mut watcher = server.connect();
    watcher.send("WATCH from=0 values=1\n");
    for _ in 0..20 {
        assert!(client.ask(&format!("SET a \"{}\"", "x".repeat(1_000_000))).starts_with("OK "));
    }
    while !client.ask("STATS").contains("\"connections\":1,") {}
    // Whoever reads too late finds the end, after what the system had under way.
    let read = lazy.stream.read_to_end(&mut Vec::new());
    assert!(
        read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset) || lazy.next_line().is_none()
    );
}

#[test]
fn descriptors_are_left_to_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let mut command =
        limited("ulimit -n 64", serve_in(directory.path()).args(["--log=error", "--segment-bytes=1048576"]));
    let server = Server::spawn(&mut command);
    let mut first = server.connect();
    let mut others = Vec::new();
    loop {
        let mut client = server.connect();
        match client.ask("PING") {
            reply if reply == "OK" => others.push(client),
            reply => break assert!(reply.starts_with("ERR TOOMANYCONN "), "{reply}"),
        }
    }
    assert!((8..48).contains(&others.len()), "{} connections", others.len());
    let value = "x".repeat(500_000);
    for number in 0..20 {
        let reply = first.ask(&format!("SET k{} \"{value}\"", number % 4));
        assert!(reply.starts_with("OK "), "{reply}");
    }
    assert!(server.stop().success());
}

#[test]
fn the_limit_on_descriptors_is_raised_as_far_as_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let mut command =
        limited("ulimit -S -n 64", serve_in(directory.path()).args(["--log=error", "--max-connections=200"]));
    let server = Server::spawn(&mut command);
    let clients: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    for mut client in clients {
        assert_eq!(client.ask("PING"), "OK");
    }
}
