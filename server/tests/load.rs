//! Many clients, and clients that behave badly.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

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

#[test]
fn running_out_of_descriptors_passes() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut first = server.connect();
    assert_eq!(first.ask("PING"), "OK");
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() as u64;
    let maximum = getrlimit(Resource::Nofile).maximum;
    let pid = Pid::from_raw(server.pid().cast_signed());
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(open + 4), maximum }).unwrap();
    let others: Vec<Client> = (0..16).map(|_| server.connect()).collect();
    assert_eq!(first.ask("SET a 1"), "OK 1 -");
    drop(others);
    assert_eq!(server.connect().ask("GET a"), "VAL 1 - 1");
    assert!(server.stop().success());
}

/// Memory of a process that is no file's.
fn anonymous_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}
