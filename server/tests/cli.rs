//! The command line against a running server: what it prints, where, and how it exits.

mod about;
mod access;
mod backup;
mod bulk;
mod doctor;
mod export;
mod import;
mod repair;
mod shell;
mod tls;
mod verbs;
mod watch;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::Server;

/// A server, and verbs that are run against it.
struct Larder {
    server: Server,
    directory: TempDir,
}

/// How a verb ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Larder {
    fn start() -> Larder {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(&directory.path().join("data"));
        Larder { server, directory }
    }

    /// Kills the server, and starts another on the same data.
    fn crash_and_restart(self) -> Larder {
        let Larder { server, directory } = self;
        server.kill();
        let server = Server::start(&directory.path().join("data"));
        Larder { server, directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs a verb with nothing to read.
    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "")
    }

    /// Runs a verb with this on its standard input.
    fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let addr = self.server.address.to_string();
        let arguments = arguments.iter().copied().chain(["--addr", &addr]);
        end(verb().args(arguments), input)
    }

    /// Runs a verb that has to find or to do what it is asked for.
    fn done(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        ended.stdout
    }
}

impl Ended {
    /// Fails unless the verb ended like this, with nothing on standard output and this in what it said.
    fn refuses(&self, code: i32, part: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        assert!(self.stderr.contains(part), "{part:?} in {self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "one sentence: {self:?}");
    }

    /// Fails unless the command line was refused with this in what was said.
    fn refuses_usage(&self, part: &str) {
        assert!(self.code == 2 && self.stdout.is_empty() && self.stderr.contains(part), "{self:?}");
    }
}

/// A peer that takes one connection, and for each step reads so many lines and answers with that text. Then it closes.
fn scripted(steps: &'static [(usize, &str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for (count, answer) in steps {
            assert_eq!(lines.by_ref().take(*count).map(Result::unwrap).count(), *count);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    addr
}

/// The binary, with nothing from the environment of the tests.
fn verb() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    for name in
        ["LARDER_ADDR", "LARDER_NS", "LARDER_TLS_CA", "LARDER_TLS_NAME", "LARDER_TOKEN", "LARDER_TOKEN_FILE"]
    {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
fn end(command: &mut Command, input: &str) -> Ended {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A verb that stops early closes its input.
        scope.spawn(move || _ = stdin.write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    });
    Ended::from(output)
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
