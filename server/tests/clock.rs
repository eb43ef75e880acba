//! The machine's clock set to other times, under a running server and across its restarts.
//!
//! Debian's libfaketime stands in for the clock: it is preloaded, and reads from a file by how much the time that a program is
//! told is off. The boot-time clock goes on as it is.

use crate::support::{Server, serve_in};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The library, where it is installed.
fn faketime() -> Option<PathBuf> {
    let found = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    found.map(|path| path.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists()).or_else(|| {
        println!("skipped: libfaketime is not installed (`apt-get install libfaketime`)");
        None
    })
}

/// A store, and the clock of the servers that serve it.
struct Machine {
    library: PathBuf,
    directory: tempfile::TempDir,
}

impl Machine {
    fn new() -> Option<Machine> {
        Some(Machine { library: faketime()?, directory: tempfile::tempdir().unwrap() })
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn offset_file(&self) -> PathBuf {
        self.directory.path().join("offset")
    }

    /// Sets the clock: by how much it is off, as `-1h`, `+1000d`.
    fn set(&self, offset: &str) {
        // As a whole: it is read at any time.
        let new = self.directory.path().join("offset.new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, self.offset_file()).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = serve_in(&self.data());
        command
            .arg("--log=error")
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.offset_file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }

    fn start(&self, offset: &str) -> Server {
        self.set(offset);
        Server::spawn(&mut self.command())
    }

    /// What a server that does not start says.
    fn refused(&self, offset: &str) -> Output {
        self.set(offset);
        self.command().output().unwrap()
    }
}

/// The server's time, told by a deadline an hour ahead; in milliseconds.
fn now_ms(server: &Server) -> u64 {
    let reply = server.connect().ask("SET now ttl=1h 1");
    let deadline: u64 = reply.split(' ').nth(2).unwrap().parse().unwrap();
    deadline - 3_600_000
}

fn is_there(server: &Server, key: &str) -> bool {
    server.connect().ask(&format!("GET {key}")).starts_with("VAL ")
}

fn until_gone(server: &Server, key: &str) {
    while is_there(server, key) {
        std::thread::yield_now();
    }
}

/// Less than any step here, and more than any test takes.
const WHILE_MS: u64 = 600_000;

#[track_caller]
fn assert_went_on(before_ms: u64, after_ms: u64, context: &str) {
    assert!((before_ms..before_ms + WHILE_MS).contains(&after_ms), "{context}: {after_ms} after {before_ms}");
}

#[test]
fn steps_of_the_clock_do_nothing_to_a_running_server() {
    let Some(machine) = Machine::new() else { return };
    let server = machine.start("+0");
    server.connect().ask("SET long ttl=2h 1");
    let mut before = now_ms(&server);
    for offset in ["-1h", "+1h", "-1000d", "+1000d", "+0"] {
        machine.set(offset);
        server.connect().ask("SET short ttl=300ms 1");
        until_gone(&server, "short");
        let after = now_ms(&server);
        assert_went_on(before, after, offset);
        assert!(is_there(&server, "long"), "{offset}");
        before = after;
    }
    assert!(server.stop().success());
}

#[test]
fn a_clock_set_back_across_a_restart_brings_nothing_back() {
    let Some(machine) = Machine::new() else { return };
    for (offset, is_killed) in [("-1h", false), ("-1h", true), ("-1000d", false), ("-1000d", true)] {
        let context = format!("{offset}, killed: {is_killed}");
        let server = machine.start("+0");
        server.connect().ask("SET short ttl=300ms 1");
        server.connect().ask("SET long ttl=2h 1");
        until_gone(&server, "short");
        let before = now_ms(&server);
        if is_killed {
            server.kill();
        } else {
            assert!(server.stop().success());
        }
        let server = machine.start(offset);
        assert!(!is_there(&server, "short") && is_there(&server, "long"), "{context}");
        assert_went_on(before, now_ms(&server), &context);
        server.kill();
    }
}

#[test]
fn a_clock_set_forward_across_a_restart_counts_unless_it_is_absurd() {
    let Some(machine) = Machine::new() else { return };
    let server = machine.start("+0");
    server.connect().ask("SET soon ttl=30m 1");
    server.connect().ask("SET later ttl=2h 1");
    server.connect().ask("SET never 1");
    server.kill();
    let server = machine.start("+1h");
    assert!(!is_there(&server, "soon") && is_there(&server, "later"));
    server.kill();

    let refused = machine.refused("+1000d");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("--accept-clock"), "{said}");
    let server = machine.start("+1h");
    assert!(is_there(&server, "later"), "being refused has changed nothing");
    server.kill();
    machine.set("+1000d");
    let server = Server::spawn(machine.command().arg("--accept-clock"));
    assert!(!is_there(&server, "later") && is_there(&server, "never"));
    let before = now_ms(&server);
    server.kill();
    // What was accepted stays.
    assert_went_on(before, now_ms(&machine.start("+1000d")), "+1000d");
    assert_went_on(before, now_ms(&machine.start("+0")), "+0");
    assert!(data_holds_a_mark(&machine.data()));
}

/// The time is marked while nobody writes, as the docs have it.
fn data_holds_a_mark(data: &Path) -> bool {
    let server = Server::start(data);
    server.connect().ask("SET timed ttl=1h 1");
    while !data.join("CLOCK").exists() {
        is_there(&server, "timed");
    }
    true
}
