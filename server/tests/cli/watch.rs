//! `larder watch`: changes as they come, in a pipe and with `--json`.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use super::{Larder, scripted, verb};
use crate::support::ended;

/// A verb that goes on until it is killed, or the server stops.
struct Watching {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Watching {
    fn of(larder: &Larder, arguments: &[&str]) -> Watching {
        let addr = larder.server.address.to_string();
        let mut command = verb();
        command.arg("watch").args(arguments).args(["--addr", &addr]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Watching { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn changes_are_printed_as_they_come() {
    let larder = Larder::start();
    larder.done(&["set", "a", "1"]);
    larder.done(&["set", "b", "{\"x\": 1}", "--at", "2100-01-01T00:00:00Z", "--ns", "n"]);
    let mut all = Watching::of(&larder, &["--from", "0", "--all-namespaces", "--values"]);
    assert_eq!(all.line(), "set\t1\tdefault\ta\t-\t1\n");
    assert_eq!(all.line(), "set\t2\tn\tb\t4102444800000\t{\"x\":1}\n");
    let mut some = Watching::of(&larder, &["--from=0", "--prefix=b", "--ns=n", "--json"]);
    let line = |event: &str, version: u32, expires: &str| {
        format!(
            "{{\"event\":\"{event}\",\"version\":{version},\"namespace\":\"n\",\"key\":\"b\",\"expires_at\":{expires}}}\n"
        )
    };
    assert_eq!(some.line(), line("set", 2, "4102444800000"));
    larder.done(&["del", "b", "--ns", "n"]);
    assert_eq!(all.line(), "del\t3\tn\tb\t-\n");
    assert_eq!(some.line(), line("del", 3, "null"));

    // Whoever is told that the server stops knows where to go on.
    let Larder { server, directory } = larder;
    assert!(server.stop().success());
    let output = {
        let mut child = all;
        let status = ended(&mut child.child);
        let mut said = String::new();
        std::io::Read::read_to_string(child.child.stderr.as_mut().unwrap(), &mut said).unwrap();
        (status.code(), said)
    };
    assert_eq!(output.0, Some(3), "{}", output.1);
    let said: Vec<&str> = output.1.lines().collect();
    assert_eq!(said[0], "larder: everything up to version 3 was told; --from 3 goes on");
    assert!(said[1].contains("SHUTDOWN") && said.len() == 2, "{said:?}");
    drop(directory);
}

#[test]
fn a_version_that_cannot_be_watched_from_is_refused() {
    let larder = Larder::start();
    larder.run(&["watch", "--from", "7"]).refuses(2, "version 7 is above 0");
    let addr = scripted(&[(1, "ERR COMPACTED 9 is the lowest version to watch from\n")]);
    let ended = super::end(verb().args(["watch", "--from", "7", "--addr", &addr]), "");
    ended.refuses(2, "9 is the lowest version");
    let addr = scripted(&[(1, "OK 7\nEVT set 8 default a -\nEVT progress 12\nERR SLOW 12\n")]);
    let ended = super::end(verb().args(["watch", "--from", "7", "--addr", &addr]), "");
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "set\t8\tdefault\ta\t-\n"));
    assert!(ended.stderr.starts_with("larder: everything up to version 12 was told; --from 12 goes on\n"));
}
