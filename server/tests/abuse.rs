//! Clients that behave as badly as they can, and what the others notice of it.
//!
//! Each attack runs while a probe asks one question after the other on a connection of its own. What the probe waits for, and
//! what the server takes of memory and descriptors meanwhile, is printed for every attack; that memory and descriptors
//! stay within their bounds, and are given back, is asserted. How long an answer takes depends on the machine, and is
//! printed alone.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::{anonymous_bytes, descriptors};
use crate::support::{Client, PATIENCE, Random, Server, serve_in};

const MIB: u64 = 1024 * 1024;
const LINE_BYTES_MAX: usize = 1024 * 1024 + 16 * 1024;

/// A server under attack, and how hard.
struct Target {
    server: Server,
    /// Connections that attack at the same time.
    clients: usize,
    /// Connections that come and go.
    visitors: usize,
    /// Most memory that it may take for all that.
    memory_max: u64,
    directory: tempfile::TempDir,
}

/// What the server takes, at most, while something happens.
#[derive(Debug, Default, Clone, Copy)]
struct Peak {
    memory: u64,
    descriptors: usize,
}

impl Target {
    /// Small segments, and deadlines that pass within a test.
    fn command(directory: &Path) -> Command {
        let mut command = serve_in(&directory.join("data"));
        command.args(["--log=error", "--segment-bytes=4194304", "--feed-retention=8388608"]);
        command.args(["--line-timeout=2s", "--write-timeout=2s"]);
        command
    }

    fn new(server: Server, directory: tempfile::TempDir, clients: usize, visitors: usize) -> Target {
        Target { server, clients, visitors, memory_max: 400 * MIB, directory }
    }

    fn prepare(&self) {
        let mut client = self.server.connect();
        assert!(client.ask("SET probe \"here\"").starts_with("OK "));
        for key in 0..4 {
            let value = "x".repeat(1_000_000);
            assert!(client.ask(&format!("SET large{key} \"{value}\"")).starts_with("OK "));
        }
    }

    /// Attacks, and tells what it was like.
    fn attack(&self, name: &str, attack: impl FnOnce(&Target)) {
        let before = self.now();
        let over = AtomicBool::new(false);
        let (mut waits, mut peak) = thread::scope(|scope| {
            let probe = scope.spawn(|| self.probe(&over));
            let attacked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attack(self)));
            over.store(true, Ordering::Release);
            let probed = probe.join().unwrap();
            attacked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            probed
        });
        waits.sort_unstable();
        let at = |share: usize| waits[(waits.len() - 1) * share / 1000];
        let after = self.settle(before.descriptors);
        peak.memory = peak.memory.max(after.memory);
        // Past the capture of the test runner: the figures are wanted of tests that pass.
        _ = writeln!(
            io::stderr(),
            "{name:<46} probe p50 {:>7.1?} p99 {:>7.1?} max {:>7.1?}  memory {:>3} -> {:>3} MiB, then {:>3}  descriptors {:>4} -> {:>5}, then {:>4}",
            at(500),
            at(990),
            at(1000),
            before.memory / MIB,
            peak.memory / MIB,
            after.memory / MIB,
            before.descriptors,
            peak.descriptors,
            after.descriptors,
        );
        assert!(peak.memory < self.memory_max, "{name}: {} MiB of memory", peak.memory / MIB);
    }

    /// Asks for the same entry until it is over. How long each answer took, and the most that the server took.
    fn probe(&self, over: &AtomicBool) -> (Vec<Duration>, Peak) {
        let mut client = None;
        let (mut waits, mut peak) = (Vec::new(), Peak::default());
        while waits.is_empty() || !over.load(Ordering::Acquire) {
            let began = Instant::now();
            // With all places taken, it is told so like everybody.
            let asked = client.get_or_insert_with(|| self.server.connect()).try_ask("GET probe");
            match asked {
                Some(reply) if reply.ends_with(" - \"here\"") => waits.push(began.elapsed()),
                Some(reply) => {
                    assert!(reply.starts_with("ERR TOOMANYCONN "), "{reply}");
                    client = None;
                }
                None => client = None,
            }
            if waits.len().is_multiple_of(32) {
                let now = self.now();
                peak.memory = peak.memory.max(now.memory);
                peak.descriptors = peak.descriptors.max(now.descriptors);
            }
        }
        (waits, peak)
    }

    fn now(&self) -> Peak {
        Peak { memory: anonymous_bytes(self.server.pid()), descriptors: descriptors(self.server.pid()) }
    }

    /// Waits until all connections and their descriptors are gone, but for what segments and their compaction take.
    fn settle(&self, descriptors: usize) -> Peak {
        const SEGMENTS: usize = 12;
        loop {
            let now = self.now();
            let alone = self.server.connect().try_ask("STATS");
            if alone.is_some_and(|stats| stats.contains("\"connections\":1,"))
                && now.descriptors <= descriptors + SEGMENTS
            {
                return now;
            }
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// As many connections as attack at the same time.
    fn crowd(&self) -> Vec<TcpStream> {
        (0..self.clients).map(|_| connect(self.address())).collect()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Writes as much as the socket takes at once.
fn push(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_nonblocking(true).unwrap();
    let mut rest = bytes;
    while let Ok(written) = stream.write(rest) {
        rest = &rest[written..];
        if rest.is_empty() {
            break;
        }
    }
    stream.set_nonblocking(false).unwrap();
}

/// Whether the server has closed the connection, which has nothing more to say.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Thousands connect, and leave in one way or the other.
fn coming_and_going(target: &Target) {
    const THREADS: usize = 4;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for visit in 0..target.visitors / THREADS {
                    // Out of descriptors, the server may keep connections waiting, but not for ever.
                    let mut client = Client::connect(target.address());
                    match (visit + thread) % 4 {
                        0 => drop(client),
                        1 => {
                            let reply = client.try_ask("PING");
                            assert!(is_ok_or_full(reply.as_deref()), "{reply:?}");
                        }
                        2 => _ = client.stream.write_all(b"GET pro"),
                        _ => {
                            _ = client.stream.write_all(b"GET large0\nGET large0\n");
                            _ = client.stream.shutdown(Shutdown::Both);
                        }
                    }
                }
            });
        }
    });
}

fn is_ok_or_full(reply: Option<&str>) -> bool {
    reply.is_none_or(|reply| reply == "OK" || reply.starts_with("ERR TOOMANYCONN "))
}

/// A line that comes byte by byte, and never to its end.
fn one_byte_at_a_time(target: &Target) {
    let mut crowd = target.crowd();
    while !crowd.is_empty() {
        crowd.retain_mut(|stream| stream.write_all(b"x").is_ok() && !is_closed(stream));
    }
}

/// Requests for megabytes, and not a look at the replies.
fn replies_that_are_not_read(target: &Target) {
    let mut crowd = target.crowd();
    let mut pipeline = "GET large0\nMGET large0 large1 large2 large3\n".repeat(20);
    pipeline.push_str(&"ENTRY large1\nLIST values=1 limit=10000\n".repeat(20));
    crowd.iter_mut().for_each(|stream| push(stream, pipeline.as_bytes()));
    // What does not read is cut off, whether others need its place or not.
    wait_until_alone(target);
}

/// Lines of a megabyte without their end.
fn long_lines_that_do_not_end(target: &Target) {
    let mut crowd = target.crowd();
    let line = format!("SET large \"{}", "x".repeat(1_000_000));
    crowd.iter_mut().for_each(|stream| push(stream, line.as_bytes()));
    wait_until_alone(target);
}

/// Transactions of many megabytes without their end.
fn transactions_that_do_not_end(target: &Target) {
    let mut crowd = target.crowd();
    let line = format!("TXN {{\"ops\":[[\"set\",\"large\",\"{}", "x".repeat(7_000_000));
    crowd.iter_mut().for_each(|stream| push(stream, line.as_bytes()));
    wait_until_alone(target);
}

/// Short lines that write megabytes: new expiries of large values, and patches, whose answers are as large and are not read.
fn short_lines_that_write_much(target: &Target) {
    const LINES: usize = 512;
    let mut crowd: Vec<_> = (0..4).map(|_| Client::connect(target.address())).collect();
    let (lines, clients) = (LINES / crowd.len(), target.clients);
    crowd.iter_mut().for_each(|client| client.send("TOUCH large0 ttl=1h\n".repeat(lines)));
    for client in &mut crowd {
        for _ in 0..lines {
            let reply = client.reply();
            assert!(reply.starts_with("OK "), "{reply}");
        }
    }
    let large = format!("SET object {{\"text\":\"{}\"}}", "x".repeat(1_000_000));
    assert!(crowd[0].ask(&large).starts_with("OK "));
    drop(crowd);
    let mut crowd = target.crowd();
    let pipeline = "PATCH object {\"n\":1}\n".repeat(LINES.div_ceil(clients));
    crowd.iter_mut().for_each(|stream| push(stream, pipeline.as_bytes()));
    // The last of them has its answer begun.
    crowd.iter_mut().for_each(|stream| _ = stream.read(&mut [0; 16]));
}

/// Waits until the connections of the attack are gone, though none of its clients has left: the probe's may be there.
fn wait_until_alone(target: &Target) {
    loop {
        let stats = target.server.connect().try_ask("STATS").unwrap_or_default();
        if ["\"connections\":1,", "\"connections\":2,"].iter().any(|few| stats.contains(few)) {
            return;
        }
    }
}

/// A gigabyte without a line feed; and lines over the limit with theirs.
fn a_gigabyte_without_a_line_feed(target: &Target) {
    let piece = vec![b'x'; 1 << 20];
    let mut client = Client::connect(target.address());
    for _ in 0..1024 {
        if client.stream.write_all(&piece).is_err() {
            break;
        }
    }
    // It was closed with bytes under way, so that its last words may not have arrived.
    if let Some(reply) = client.next_line() {
        assert!(reply.starts_with("ERR TOOLONG ") || reply.starts_with("ERR TOOMANYCONN "), "{reply}");
        assert_eq!(client.next_line(), None);
    }
    let mut client = Client::connect(target.address());
    let long = format!("{}\nPING\n", "x".repeat(LINE_BYTES_MAX + 1));
    for _ in 0..20 {
        client.send(&long);
        assert!(client.reply().starts_with("ERR TOOLONG "));
        assert_eq!(client.reply(), "OK");
    }
}

/// One client that sends a million commands ahead, and reads the answers as they come.
fn a_million_commands_at_once(target: &Target) {
    const COMMANDS: usize = 1_000_000;
    let mut client = Client::connect(target.address());
    let mut writer = client.stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let piece = "GET probe\n".repeat(10_000);
            for _ in 0..COMMANDS / 10_000 {
                writer.write_all(piece.as_bytes()).unwrap();
            }
        });
        for number in 0..COMMANDS {
            let reply = client.reply();
            assert!(reply.ends_with(" - \"here\""), "{number}: {reply}");
        }
    });
}

/// Documents nested as deep as a line is long, and pointers as deep.
fn deep_nesting(target: &Target) {
    let mut client = Client::connect(target.address());
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 1_000_000 / (open.len() + close.len());
        let value = format!("{}0{}", open.repeat(depth), close.repeat(depth));
        assert!(client.ask(&format!("SET deep {value}")).starts_with("ERR BADJSON "));
        assert!(client.ask(&format!("SET deep {}", open.repeat(depth))).starts_with("ERR BADJSON "));
        let value = format!("{}0{}", open.repeat(128), close.repeat(128));
        assert!(client.ask(&format!("SET deep {value}")).starts_with("OK "));
        let path = if open == "[" { "/0" } else { "/a" };
        assert!(client.ask(&format!("GET deep path={}", path.repeat(128))).ends_with(" 0"));
        assert_eq!(client.ask(&format!("GET deep path={}", path.repeat(400_000))), "NO PATH");
    }
}

/// Names that are something else to a file system, a shell, a terminal or a database: here they are names.
fn hostile_names(target: &Target) {
    let before = files_in(target.directory.path());
    let long = "../".repeat(170);
    let names = [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "/",
        "a/../b",
        "./a",
        "~",
        "C:\\nul",
        "\\\\host\\share",
        "%2e%2e%2f",
        "%00",
        "$(reboot)",
        "`reboot`",
        "; DROP TABLE entries",
        "'",
        "\u{202e}gnp.exe",
        "\u{feff}a",
        "-rf",
        "--data",
        "*",
        "MANIFEST",
        "0000000001.seg",
        "LOCK",
        "=",
        "a b",
        "ns=x",
        &long,
    ];
    let mut client = Client::connect(target.address());
    for (number, name) in names.iter().enumerate() {
        let name = serde_json::to_string(name).unwrap();
        assert!(client.ask(&format!("SET {name} ns={name} {number}")).starts_with("OK "), "{name}");
    }
    for (number, name) in names.iter().enumerate() {
        let name = serde_json::to_string(name).unwrap();
        assert!(client.ask(&format!("GET {name} ns={name}")).ends_with(&format!(" {number}")), "{name}");
        assert_eq!(client.ask(&format!("COUNT ns={name}")), "OK 1");
        assert!(client.ask(&format!("DEL {name} ns={name}")).starts_with("OK "));
    }
    for refused in ["\"a\\u0000b\"", "\"\\n\"", "\"\\u001b[2J\"", "\"\"", "\"\\u0085\""] {
        assert!(client.ask(&format!("SET {refused} 1")).starts_with("ERR BADKEY "), "{refused}");
        assert!(client.ask(&format!("SET a ns={refused} 1")).starts_with("ERR BADNS "), "{refused}");
    }
    for name in ["../out", "/tmp/out", "a/b", "..", ".hidden", "\"a b\"", "\"\""] {
        assert!(client.ask(&format!("BACKUP {name}")).starts_with("ERR BADARG "), "{name}");
    }
    assert_eq!(files_in(target.directory.path()), before);
}

/// Everything below a directory but for the log's files, which come and go.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_in(&path));
        }
        if !path.parent().is_some_and(|parent| parent.ends_with("data")) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Bytes that are no protocol at all.
fn noise(target: &Target) {
    let mut random = Random::new(7);
    for _ in 0..50 {
        let mut stream = connect(target.address());
        let bytes: Vec<u8> = (0..20_000).map(|_| random.below(256).to_le_bytes()[0]).collect();
        _ = stream.write_all(&bytes);
        _ = stream.shutdown(Shutdown::Write);
        _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Watchers that ask for everything there ever was and read nothing, while more is written.
fn watchers_that_do_not_read(target: &Target) {
    let mut crowd = target.crowd();
    crowd.iter_mut().for_each(|stream| push(stream, b"WATCH from=0 values=1\nWATCH values=1\n"));
    let mut writer = Client::connect(target.address());
    let value = "x".repeat(500_000);
    for _ in 0..60 {
        assert!(writer.ask(&format!("SET watched \"{value}\"")).starts_with("OK "));
    }
    drop(writer);
    wait_until_alone(target);
}

/// All of it, one after the other.
fn run(target: &Target) {
    target.prepare();
    target.attack("connections that come and go", coming_and_going);
    target.attack("one byte at a time", one_byte_at_a_time);
    target.attack("replies that are not read", replies_that_are_not_read);
    target.attack("long lines that do not end", long_lines_that_do_not_end);
    target.attack("transactions that do not end", transactions_that_do_not_end);
    target.attack("short lines that write much", short_lines_that_write_much);
    target.attack("a gigabyte without a line feed", a_gigabyte_without_a_line_feed);
    target.attack("a million commands at once", a_million_commands_at_once);
    target.attack("deep nesting", deep_nesting);
    target.attack("hostile names", hostile_names);
    target.attack("noise", noise);
    target.attack("watchers that do not read", watchers_that_do_not_read);
    let mut client = target.server.connect();
    assert!(client.ask("SET probe 1").starts_with("OK "));
    assert!(client.ask("GET large3").len() > 1_000_000);
}

#[test]
fn a_server_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::spawn(&mut Target::command(directory.path()));
    let target = Target::new(server, directory, 1_000, 10_000);
    run(&target);
    assert!(target.server.stop().success());
}

#[test]
fn a_server_with_64_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let command = crate::limits::limited("ulimit -n 64", &Target::command(directory.path()));
    let target = Target::new(Server::spawn(&mut { command }), directory, 20, 2_000);
    run(&target);
    assert!(target.server.stop().success());
}

#[test]
fn a_server_with_512_mib() {
    let directory = tempfile::tempdir().unwrap();
    let plain = Target::command(directory.path());
    // What a process may write to in memory of its own, kept by the system however it is used.
    let limit = "ulimit -d 524288";
    let group = crate::limits::MemoryGroup::new(512 * MIB);
    let command = match &group {
        Some(group) => crate::limits::limited(&format!("{limit} && {}", group.enter()), &plain),
        None => crate::limits::limited(limit, &plain),
    };
    let target = Target::new(Server::spawn(&mut { command }), directory, 300, 2_000);
    run(&target);
    assert!(target.server.stop().success());
}
