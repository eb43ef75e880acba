//! Limits of the real system reached under a running server: told as what they are, survived, and gone on from once they
//! are raised.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::limits::limited;
use crate::mounted::Mounted;
use crate::support::{Client, Server, serve_in};

/// Small segments and a small reserve.
const SIZES: [&str; 6] = ["--log", "off", "--segment-bytes", "1048576", "--reserve-bytes", "524288"];

/// Sets values until one is refused. Returns how many were not, and the refusal.
fn fill(client: &mut Client, prefix: &str) -> (usize, String) {
    fill_with(client, prefix, 200_000)
}

fn fill_with(client: &mut Client, prefix: &str, bytes: usize) -> (usize, String) {
    let value = "x".repeat(bytes);
    for number in 0.. {
        let reply = client.ask(&format!("SET {prefix}{number} \"{value}\""));
        if !reply.starts_with("OK ") {
            return (number, reply);
        }
    }
    unreachable!("it fills up")
}

/// Has the server find no descriptor for another file of the log, and leaves in those that it has no room for 50,000 bytes.
pub(crate) fn leave_no_room(server: &Server, client: &mut Client) {
    // Whatever is open stays so.
    set_soft_limit(server, Resource::Nofile, Some(3));
    for (prefix, bytes) in [("k", 200_000), ("m", 50_000)] {
        let (_, refused) = fill_with(client, prefix, bytes);
        assert!(refused.starts_with("ERR NOSPACE ") && refused.contains("ulimit -n"), "{refused}");
    }
}

fn set_soft_limit(server: &Server, resource: Resource, soft: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let Rlimit { maximum, .. } = getrlimit(resource);
    prlimit(pid, resource, Rlimit { current: soft.or(maximum), maximum }).unwrap();
}

#[test]
fn a_full_file_system() {
    let Some(mounted) = Mounted::tmpfs(6 * 1024) else { return };
    let server = Server::spawn(serve_in(&mounted.path().join("data")).args(SIZES));
    let mut client = server.connect();
    assert!(client.ask("SET first 1").starts_with("OK "));
    let (count, refused) = fill(&mut client, "k");
    assert!(refused.starts_with("ERR NOSPACE ") && refused.contains("no space"), "{refused}");
    // The last bytes are somebody else's.
    let mut other = fs::File::create(mounted.path().join("other")).unwrap();
    _ = std::io::copy(&mut std::io::repeat(1), &mut other);
    assert!(count > 5);
    assert_eq!(client.ask("GET first"), "VAL 1 - 1");
    assert!(client.ask("STATS").contains("\"short_of_space\":true"));
    for number in 0..count {
        let reply = client.ask(&format!("DEL k{number}"));
        assert!(reply.starts_with("OK "), "{reply}");
    }
    // It opens without a byte to spare as well.
    drop(client);
    server.kill();
    _ = std::io::copy(&mut std::io::repeat(1), &mut other);
    let server = Server::spawn(serve_in(&mounted.path().join("data")).args(SIZES));
    let mut client = server.connect();
    assert_eq!(client.ask("GET first"), "VAL 1 - 1");
    assert_eq!(client.ask("COUNT"), "OK 1");
    mounted.resize_tmpfs(32 * 1024);
    let (more, _) = fill(&mut client, "m");
    assert!(more > 5);
    assert_eq!(client.ask("GET first"), "VAL 1 - 1");
}

/// The system kills who writes too long a file, unless it is told not to.
#[test]
fn a_limit_on_the_size_of_files() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::spawn(serve_in(directory.path()).args(SIZES));
    assert!(server.connect().ask("SET first 1").starts_with("OK "));
    assert!(server.stop().success());

    // In units of 512 bytes, or 1 KiB with some shells: shorter than a segment with either.
    let mut limited = limited("ulimit -S -f 1000", serve_in(directory.path()).args(SIZES));
    let server = Server::spawn(&mut limited);
    let mut client = server.connect();
    let refused = client.ask("SET second 2");
    assert!(refused.starts_with("ERR NOSPACE ") && refused.contains("ulimit -f"), "{refused}");
    assert_eq!(client.ask("GET first"), "VAL 1 - 1");
    assert!(client.ask("DEL first").starts_with("OK "));
    set_soft_limit(&server, Resource::Fsize, None);
    assert!(client.ask("SET second 2").starts_with("OK "));
    assert!(server.stop().success());
}

#[test]
fn a_limit_on_open_files() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::spawn(serve_in(directory.path()).args(SIZES));
    let mut client = server.connect();
    assert!(client.ask("SET first 1").starts_with("OK "));
    leave_no_room(&server, &mut client);
    assert_eq!(client.ask("GET first"), "VAL 1 - 1");
    set_soft_limit(&server, Resource::Nofile, Some(500));
    let value = "x".repeat(900_000);
    assert!(client.ask(&format!("SET large \"{value}\"")).starts_with("OK "));
    assert!(server.stop().success());
}

/// Root may write everywhere, and so the server runs as somebody else then.
#[test]
fn a_directory_that_is_read_only() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    assert!(Server::start(&data).stop().success());
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(directory.path(), 0o755);
    allow(&data, 0o555);
    let plain = serve_in(&data);
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(plain.get_program());
        command.args(plain.get_args());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    } else {
        plain
    };
    let output = command.output();
    allow(&data, 0o755);
    let Some(output) = output.ok().filter(|output| !matches!(output.status.code(), Some(126 | 127))) else {
        println!("skipped: the server cannot be run as another user here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in
        [&data.display().to_string(), "readable and writable", "choose another directory with --data"]
    {
        assert!(said.contains(words), "{words:?} is missing in: {said}");
    }
}
