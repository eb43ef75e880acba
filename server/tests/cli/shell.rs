//! `larder shell`, in a pipe and at a terminal.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Larder, end, verb};
use crate::support::{PATIENCE, Server, ended, serve};

#[test]
fn lines_in_and_replies_out() {
    let larder = Larder::start();
    let input = "SET a 1\n\n  get a\r\nSET b if=absent {\"x\": [1, 2]}\nMGET a nobody b\nLIST values=1\nNS other\nNS\nGET a\n";
    let ended = larder.run_with(&["shell"], input);
    let expected = "OK 1 -\nVAL 1 - 1\nOK 2 -\nVAL 1 - 1\nNIL\nVAL 2 - {\"x\":[1,2]}\n\
        ITEM a 1 - 1\nITEM b 2 - {\"x\":[1,2]}\nEND 2\nOK other\nOK other\nNIL\n";
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, expected, ""));
    let ended = larder.run_with(&["shell", "--ns", "other"], "SET a 3\nNS\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "OK 3 -\nOK other\n"));
    let ended =
        larder.run_with(&["shell"], ".pretty GET b\nGET b\n.pretty\nLIST values=1 prefix=b\n.quit\nPING\n");
    let object = "{\n  \"x\": [\n    1,\n    2\n  ]\n}\n";
    let expected = format!("VAL 2 -\n{object}VAL 2 - {{\"x\":[1,2]}}\nITEM b 2 -\n{object}END 1\n");
    assert_eq!((ended.code, ended.stdout), (0, expected));
    let ended = larder.run_with(&["shell"], "PING\nQUIT\nPING\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "OK\nOK\n"));
}

#[test]
fn what_is_refused_is_shown_and_counted() {
    let larder = Larder::start();
    let ended = larder.run_with(&["shell"], "NONSENSE\nGET\nWATCH from=99\nMGET\nPING\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (2, "larder: 4 lines were answered with ERR\n"));
    let codes: Vec<_> =
        ended.stdout.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>()).collect();
    assert_eq!(
        codes,
        [
            vec!["ERR", "BADCMD"],
            vec!["ERR", "BADARG"],
            vec!["ERR", "BADARG"],
            vec!["ERR", "BADARG"],
            vec!["OK"]
        ]
    );
    larder.run_with(&["shell"], "SET a 1").refuses(2, "ended within a line");
    assert_eq!(larder.run(&["count"]).stdout, "0\n", "it was not sent");
    larder.run_with(&["shell"], ".nonsense\n").refuses(2, ".help");
    larder.run(&["shell", "--json"]).refuses_usage("no option --json");
    let addr = larder.server.address.to_string();
    drop(larder);
    end(verb().args(["shell", "--addr", &addr]), "PING\n").refuses(3, "larder serve");
}

#[test]
fn a_server_with_keys_wants_a_token() {
    let larder = Larder::start();
    let created = larder.done(&["key", "create", "--scope", "admin", "--json"]);
    let token = created.split("\"token\":\"").nth(1).unwrap().split('"').next().unwrap();
    let ended = larder.run_with(&["shell", "--ns", "n"], &format!("GET a\nAUTH {token}\nNS\n"));
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with("ERR NOAUTH ") && lines[1..] == ["OK", "OK n"], "{ended:?}");
    let ended = larder.run_with(&["shell", "--token", token], "SET a 1\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "OK 2 -\n"), "{ended:?}");
    larder.run_with(&["shell", "--token", "lk_0_1"], "GET a\n").refuses(3, "NOAUTH");

    // Typed at the prompt, it is kept for the next connection, and nowhere else.
    let mut shell = Terminal::open(&larder, &[("NO_COLOR", "1")]);
    shell.until("larder> ");
    shell.press(&format!("AUTH {token}\r"));
    shell.until("default> ");
    shell.press("WATCH\r");
    shell.until("OK 2\r\n");
    shell.press("\u{3}");
    shell.until("default> ");
    shell.press("GET a\r");
    shell.until("VAL 2 - 1\r\n");
    let history = fs::read_to_string(larder.path("state/larder/history")).unwrap();
    assert_eq!(history, "WATCH\nGET a\n");
}

/// A shell with lines going to and fro, one by one.
struct Piped {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Piped {
    fn of(larder: &Larder) -> Piped {
        let addr = larder.server.address.to_string();
        let mut command = verb();
        command
            .args(["shell", "--addr", &addr])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Piped { child, input, output }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn replies_come_before_the_next_line_and_changes_as_they_happen() {
    let larder = Larder::start();
    let mut shell = Piped::of(&larder);
    assert_eq!(shell.ask("SET a 1"), "OK 1 -\n");
    assert_eq!(shell.ask("GET a"), "VAL 1 - 1\n");
    assert_eq!(shell.ask("WATCH from=0 values=1"), "OK 0\n");
    assert_eq!(shell.line(), "EVT set 1 default a - 1\n");
    larder.done(&["del", "a"]);
    assert_eq!(shell.line(), "EVT del 2 default a -\n");
    // Without a terminal, a server that goes away ends it.
    larder.server.stop();
    assert_eq!(shell.line(), "");
    assert_eq!(ended(&mut shell.child).code(), Some(3));
}

/// A shell at a terminal of its own, driven by its keys and read off its screen.
struct Terminal {
    child: Child,
    keys: fs::File,
    screen: Receiver<String>,
    seen: String,
}

impl Terminal {
    /// In a session of its own (`setsid` of util-linux), so that Ctrl-C reaches it alone.
    fn open(larder: &Larder, environment: &[(&str, &str)]) -> Terminal {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap();
        let side = || fs::File::from(open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap());
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_larder"), "shell"]);
        command.args(["--addr", &larder.server.address.to_string()]);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LARDER_"))
        {
            command.env_remove(name);
        }
        command.env("TERM", "xterm").env_remove("NO_COLOR").env("XDG_STATE_HOME", larder.path("state"));
        command.envs(environment.iter().copied());
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        let keys = fs::File::from(keys);
        let (mut output, (pieces, screen)) = (keys.try_clone().unwrap(), channel());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Once the shell has gone, there is nobody at the other end.
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                if pieces.send(String::from_utf8_lossy(&buffer[..read]).into_owned()).is_err() {
                    break;
                }
            }
        });
        Terminal { child, keys, screen, seen: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this has come after all that was waited for before.
    fn until(&mut self, text: &str) {
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            match self.screen.recv_timeout(PATIENCE) {
                Ok(piece) => self.seen.push_str(&piece),
                Err(error) => panic!("no {text:?} in {:?}: {error}", self.seen),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn a_person_at_a_terminal() {
    let larder = Larder::start();
    larder.done(&["set", "customer:1", "{\"a\":1}"]);
    larder.done(&["set", "customer:2", "2"]);
    let mut shell = Terminal::open(&larder, &[("NO_COLOR", "1")]);
    shell.until("default> ");
    // TAB: a command, then as much of a key as is common to all of them.
    shell.press("ge\tcust\t1\r");
    shell.until("VAL 1 - {\"a\":1}\r\n");
    shell.press(".pretty GET customer:1\r");
    shell.until("VAL 1 -\r\n{\r\n  \"a\": 1\r\n}\r\n");
    shell.press("NS \"a b\"\r");
    shell.until("\"a b\"> ");
    shell.press("AUTH lk_secret\r");
    shell.until("ERR ");
    // Changes, until Ctrl-C; then the same namespace as before.
    shell.press("WATCH\r");
    shell.until("OK 2\r\n");
    larder.done(&["set", "k", "1", "--ns", "a b"]);
    shell.until("EVT set 3 \"a b\" k -\r\n");
    shell.press("\u{3}");
    shell.until("\"a b\"> ");
    shell.press("GET k\r");
    shell.until("VAL 3 - 1\r\n");
    // At the prompt: before it, the terminal itself takes the end of input, and hands a NUL on.
    shell.until("\"a b\"> ");
    shell.press("\u{4}");
    assert!(ended(&mut shell.child).success());

    let history = fs::read_to_string(larder.path("state/larder/history")).unwrap();
    assert_eq!(history, "get customer:1\n.pretty GET customer:1\nNS \"a b\"\nWATCH\nGET k\n");
    // The next shell has it, in colours.
    let mut shell = Terminal::open(&larder, &[]);
    shell.until("\u{1b}[1mdefault\u{1b}[0m> ");
    shell.press("\u{1b}[A\u{1b}[A\u{1b}[A\u{1b}[A\u{1b}[A\r");
    shell.until("\u{1b}[32mVAL\u{1b}[0m 1 - {\"a\":1}\r\n");
}

#[test]
fn a_server_that_is_started_again_is_found_again() {
    let larder = Larder::start();
    let address = larder.server.address;
    let mut shell = Terminal::open(&larder, &[("NO_COLOR", "1")]);
    shell.until("default> ");
    shell.press("NS n\r");
    shell.until("n> ");
    let Larder { server, directory } = larder;
    server.kill();
    shell.press("SET a 1\r");
    shell.until("is the server running?");
    shell.until("n> ");
    let mut command = serve();
    command.arg("--data").arg(directory.path().join("data")).args(["--listen", &address.to_string()]);
    let _server = Server::spawn(command.arg("--log=error"));
    shell.press("SET a 2\r");
    shell.until("anew\r\nOK ");
    shell.press("GET a ns=n\r");
    shell.until(" - 2\r\n");
}
