//! Starting, configuring and stopping the binary: what it says, and what it exits with.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::support::{Client, Server, ended, serve, serve_in};

/// Runs a server that is not meant to start. Returns its exit code and what it said on standard error.
fn refused(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[track_caller]
fn assert_refused(command: &mut Command, code: i32, words: &[&str]) {
    let (exit, said) = refused(command);
    assert_eq!(exit, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

#[test]
fn says_where_it_listens_and_what_it_found() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    assert!(server.address.ip().is_loopback() && server.address.port() != 0);
    assert!(server.startup.contains(&directory.path().display().to_string()), "{}", server.startup);
    assert!(server.startup.contains(" 0 entries recovered in "), "{}", server.startup);
    assert_eq!(server.connect().ask("SET a 1"), "OK 1 -");
    assert!(server.stop().success());

    let server = Server::start(directory.path());
    assert!(server.startup.contains(" 1 entry recovered in "), "{}", server.startup);
    assert_eq!(server.connect().ask("GET a"), "VAL 1 - 1");
    assert!(server.stop().success());
}

#[test]
fn runs_without_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = serve();
    // Without arguments but for the port, which others on this machine may have taken.
    let server = Server::spawn(command.current_dir(directory.path()).env("LARDER_LISTEN", "127.0.0.1:0"));
    assert!(directory.path().join("larder-data").is_dir());
    assert_eq!(server.connect().ask("PING"), "OK");
}

#[test]
fn a_flag_beats_the_environment_and_that_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let config = path("larder.toml");
    fs::write(
        &config,
        format!(
            "listen = '127.0.0.1:0'\ndata = '{}'\ndurability = 'buffered'\nsync-interval = '50ms'\nlog = 'error'\n",
            path("from-file").display()
        ),
    )
    .unwrap();
    let durability = |server: &Server| {
        let hello = server.connect().ask("HELLO");
        if hello.contains("\"durability\":\"buffered\"") { "buffered" } else { "durable" }
    };

    let server = Server::spawn(serve().arg("--config").arg(&config));
    assert!(path("from-file").is_dir());
    assert_eq!(durability(&server), "buffered");

    let mut command = serve();
    command.env("LARDER_CONFIG", &config).env("LARDER_DATA", path("from-environment"));
    let server = Server::spawn(command.env("LARDER_DURABILITY", "durable"));
    assert!(path("from-environment").is_dir());
    assert_eq!(durability(&server), "durable");

    let mut command = serve();
    command
        .arg("--config")
        .arg(&config)
        .env("LARDER_DATA", path("unused"))
        .env("LARDER_DURABILITY", "durable");
    let server =
        Server::spawn(command.arg("--data").arg(path("from-flag")).args(["--durability", "buffered"]));
    assert!(path("from-flag").is_dir() && !path("unused").exists());
    assert_eq!(durability(&server), "buffered");
}

#[test]
fn a_configuration_that_cannot_be_used_is_a_usage_error() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let serve_here = || serve_in(&data);
    assert_refused(serve_here().arg("--no-such-flag"), 2, &["--no-such-flag"]);
    assert_refused(serve_here().args(["--durability", "maybe"]), 2, &["durable", "buffered"]);
    assert_refused(serve_here().args(["--segment-bytes", "1048575"]), 2, &["segment-bytes", "1048576"]);
    assert_refused(serve_here().args(["--sync-interval", "never"]), 2, &["sync-interval", "500ms"]);
    assert_refused(serve_here().env("LARDER_SEGMENT_BYTES", "many"), 2, &["segment-bytes"]);
    assert_refused(serve_here().args(["--log", "a=b=c"]), 2, &["log filter"]);
    assert_refused(serve_here().args(["--log", "warm"]), 2, &["log filter", "\"warm\" is no level"]);
    assert_refused(serve_here().args(["--addr", "127.0.0.1:1"]), 2, &["no option --addr"]);
    let missing = directory.path().join("missing.toml");
    assert_refused(serve_here().arg("--config").arg(&missing), 2, &["missing.toml"]);
    let config = directory.path().join("larder.toml");
    for (text, words) in [
        ("colour = 'red'", ["colour", "expected"]),
        ("sync_interval = '1s'", ["sync_interval", "sync-interval"]),
        ("segment-bytes = 5", ["segment-bytes", "1048576"]),
        ("durability = 'maybe'", ["maybe", "durable"]),
        ("listen = ", ["larder.toml", "line 1"]),
    ] {
        fs::write(&config, text).unwrap();
        assert_refused(serve_here().arg("--config").arg(&config), 2, &words);
    }
    assert!(!data.exists());
}

#[test]
fn an_address_that_others_can_reach_must_be_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut command = serve();
    command.arg("--data").arg(&data).args(["--listen", "0.0.0.0:0"]);
    assert_refused(&mut command, 1, &["0.0.0.0:0", "--allow-remote"]);
    assert!(!data.exists());
    let server = Server::spawn(command.arg("--allow-remote"));
    let port = server.address.port();
    assert_eq!(Client::connect(([127, 0, 0, 1], port).into()).ask("PING"), "OK");
    drop(server);
    let mut command = serve();
    command.arg("--data").arg(&data).args(["--listen", "0.0.0.0:0"]);
    assert_refused(command.env("LARDER_ALLOW_REMOTE", "0"), 1, &["--allow-remote"]);
    Server::spawn(command.env("LARDER_ALLOW_REMOTE", "1"));
}

#[test]
fn an_address_in_use_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let data = directory.path().join("data");
    assert_refused(
        serve().arg("--data").arg(&data).args(["--listen", &address]),
        1,
        &[&address, "choose another address with --listen"],
    );
    assert!(!data.exists());
    assert_refused(
        serve().arg("--data").arg(&data).args(["--listen", "nowhere"]),
        1,
        &["nowhere", "127.0.0.1:5273"],
    );
}

#[test]
fn a_directory_that_cannot_be_used_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let in_use = directory.path().join("in-use");
    let server = Server::start(&in_use);
    assert_refused(&mut serve_in(&in_use), 1, &["in use", &in_use.display().to_string(), "choose another"]);
    drop(server);

    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.txt"), "chapter 1").unwrap();
    assert_refused(&mut serve_in(&foreign), 1, &["not a Larder store", "thesis.txt"]);
    assert_eq!(fs::read_to_string(foreign.join("thesis.txt")).unwrap(), "chapter 1");
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1, "nothing is left behind");

    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        assert_refused(
            &mut serve_in(&path),
            1,
            &[&path.display().to_string(), "a file in the way", "--data"],
        );
    }
}

#[test]
fn damage_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    assert_eq!(server.connect().ask("SET a 1"), "OK 1 -");
    assert!(server.stop().success());
    let manifest = directory.path().join("MANIFEST");
    let mut bytes = fs::read(&manifest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&manifest, bytes).unwrap();
    assert_refused(&mut serve_in(directory.path()), 1, &["MANIFEST", "damaged"]);
}

#[test]
fn a_damaged_value_is_an_error_and_never_a_wrong_value() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut client = server.connect();
    for (version, key) in (1..).zip(["a", "b", "c"]) {
        assert_eq!(client.ask(&format!("SET {key} \"needle-{key}\"")), format!("OK {version} -"));
    }
    assert_eq!(client.ask("SYNC"), "OK 3");
    assert_eq!(damage(directory.path(), b"needle-b"), 1);
    assert!(client.ask("GET b").starts_with("ERR DAMAGED "));
    assert!(client.ask("ENTRY b").starts_with("ERR DAMAGED "));
    client.send("MGET a b c\nLIST values=1\nPING\n");
    assert_eq!(client.reply(), "VAL 1 - \"needle-a\"");
    assert!(client.reply().starts_with("ERR DAMAGED "));
    assert_eq!(client.reply(), "VAL 3 - \"needle-c\"");
    assert_eq!(client.reply(), "ITEM a 1 - \"needle-a\"");
    assert!(client.reply().starts_with("ERR DAMAGED "));
    assert_eq!(client.reply(), "OK");
}

/// Changes a byte of `text` wherever it stands in a file of the directory. Returns in how many places.
pub(crate) fn damage(directory: &Path, text: &[u8]) -> usize {
    let mut places = 0;
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for at in bytes.windows(text.len()).enumerate().filter(|(_, part)| *part == text).map(|(at, _)| at) {
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(b"N", at as u64).unwrap();
            places += 1;
        }
    }
    places
}

#[test]
fn stops_in_order_under_load() {
    for signal in [Signal::TERM, Signal::INT] {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Server::start(directory.path());
        let under_way = AtomicBool::new(false);
        let acknowledged: Vec<u64> = thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (address, under_way) = (server.address, &under_way);
                    scope.spawn(move || {
                        let mut client = Client::connect(address);
                        for number in 1.. {
                            match client.try_ask(&format!("SET w{writer} {number}")) {
                                Some(reply) if reply.starts_with("OK ") => {}
                                Some(reply) => {
                                    assert!(reply.starts_with("ERR SHUTDOWN "), "{reply}");
                                    return number - 1;
                                }
                                None => return number - 1,
                            }
                            if number == 20 {
                                under_way.store(true, Ordering::Release);
                            }
                        }
                        unreachable!("the numbers do not end")
                    })
                })
                .collect();
            while !under_way.load(Ordering::Acquire) {
                thread::yield_now();
            }
            server.signal(signal);
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(server.wait().code(), Some(0));

        let server = Server::start(directory.path());
        let mut client = server.connect();
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let reply = client.ask(&format!("GET w{writer}"));
            let value: u64 = reply.rsplit(' ').next().unwrap().parse().unwrap();
            // The last one may have been carried out though its answer did not get through.
            assert!((*acknowledged..=acknowledged + 1).contains(&value), "{reply} after {acknowledged}");
        }
    }
}

/// Clients send without waiting for answers until the server is gone: all that was answered is kept.
#[test]
fn stops_in_order_in_the_middle_of_pipelines() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path());
    let under_way = AtomicBool::new(false);
    let acknowledged: Vec<u64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let mut client = server.connect();
                let mut stream = client.stream.try_clone().unwrap();
                scope.spawn(move || {
                    for number in 1.. {
                        if stream.write_all(format!("SET w{writer} {number}\n").as_bytes()).is_err() {
                            break;
                        }
                    }
                });
                let under_way = &under_way;
                scope.spawn(move || {
                    let mut acknowledged = 0;
                    while client.next_line().is_some_and(|reply| reply.starts_with("OK ")) {
                        acknowledged += 1;
                        if acknowledged == 5_000 {
                            under_way.store(true, Ordering::Release);
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        while !under_way.load(Ordering::Acquire) {
            thread::yield_now();
        }
        server.signal(Signal::TERM);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(server.wait().code(), Some(0));

    let server = Server::start(directory.path());
    let mut client = server.connect();
    for (writer, acknowledged) in acknowledged.iter().enumerate() {
        let reply = client.ask(&format!("GET w{writer}"));
        let value: u64 = reply.rsplit(' ').next().unwrap().parse().unwrap_or(0);
        assert!(value >= *acknowledged, "{reply} after {acknowledged}");
    }
}

#[test]
fn tells_idle_clients_that_it_stops() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut client = server.connect();
    assert_eq!(client.ask("PING"), "OK");
    server.signal(Signal::TERM);
    assert_eq!(client.line().as_deref(), Some("ERR SHUTDOWN shutting down"));
    assert_eq!(client.line(), None);
    drop(client);
    assert!(server.stop().success());
}

#[test]
fn a_client_that_does_not_read_cannot_hold_the_stop_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::spawn(
        serve_in(directory.path()).args(["--shutdown-timeout", "100ms"]).stderr(Stdio::piped()),
    );
    let mut log = server.log();
    let mut client = server.connect();
    assert_eq!(client.ask(&format!("SET a \"{}\"", "x".repeat(1_000_000))), "OK 1 -");
    let mut stuck = server.connect();
    stuck.send("GET a\n".repeat(100));
    // The stuck connection has begun once a part of its first reply is here.
    let mut byte = [0];
    stuck.stream.peek(&mut byte).unwrap();
    // It is cut off at half of that, so that the store has the other half to close in order.
    assert!(server.stop().success());
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    assert!(said.contains("half of the shutdown timeout is over"), "{said}");
}

#[test]
fn output_that_is_closed_or_full_is_put_up_with() {
    let directory = tempfile::tempdir().unwrap();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for (name, stdout, stderr) in [("full", full(), full()), ("closed", closed(), closed())] {
        let mut command = serve_in(&directory.path().join(name));
        let mut child =
            command.args(["--log", "trace", "--http", "off"]).stdout(stdout).stderr(stderr).spawn().unwrap();
        let mut client = Client::connect(address_when_up(&mut child));
        assert_eq!(client.ask("SET a 1"), "OK 1 -");
        drop(client);
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(ended(&mut child).code(), Some(0), "{name}");
    }
    let (_, said) = refused(serve_in(Path::new("/dev/null")).stderr(Stdio::piped()));
    assert!(!said.is_empty());
    let mut command = serve_in(Path::new("/dev/null"));
    assert_eq!(command.stdout(full()).stderr(full()).status().unwrap().code(), Some(1));
}

/// Where a server listens whose output goes nowhere: only the system can tell.
fn address_when_up(child: &mut Child) -> SocketAddr {
    loop {
        assert!(child.try_wait().unwrap().is_none(), "the server has ended");
        let files = fs::read_dir(format!("/proc/{}/fd", child.id())).into_iter().flatten().flatten();
        let names =
            files.filter_map(|file| fs::read_link(file.path()).ok()?.into_os_string().into_string().ok());
        let sockets: HashSet<String> = names
            .filter_map(|name| Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        if let Some(port) = table.lines().find_map(|line| listening_port(line, &sockets)) {
            return SocketAddr::from(([127, 0, 0, 1], port));
        }
        thread::yield_now();
    }
}

/// The port of a line of `/proc/net/tcp`, if one of these sockets listens there.
fn listening_port(line: &str, sockets: &HashSet<String>) -> Option<u16> {
    const LISTENING: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, socket) = (fields.get(1)?, *fields.get(3)?, *fields.get(9)?);
    let port = local.split_once(':')?.1;
    (state == LISTENING && sockets.contains(socket)).then(|| u16::from_str_radix(port, 16).ok())?
}
