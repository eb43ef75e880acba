//! The built binary as a process that goes away with its test, and a client that knows nothing but lines.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// A bound on every wait for the server, so that a test that fails does so soon. No test depends on its length.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The command `larder serve`, with nothing from the environment of the tests.
pub(crate) fn serve() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LARDER_")) {
        command.env_remove(name);
    }
    // HTTP has a port of its own, which others on this machine may have taken.
    command.arg("serve").stdin(Stdio::null()).env("LARDER_HTTP", "127.0.0.1:0");
    command
}

/// `larder serve` on a free port with the data in `directory`.
pub(crate) fn serve_in(directory: &Path) -> Command {
    let mut command = serve();
    command.arg("--data").arg(directory).args(["--listen", "127.0.0.1:0"]);
    command
}

/// How a process ended that ends by itself.
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let patience = Timespec::try_from(PATIENCE).unwrap();
    if poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience)).unwrap() == 0 {
        _ = child.kill();
        panic!("{child:?} goes on and on");
    }
    child.wait().unwrap()
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Kept open, so that the server's output has somewhere to go.
    _stdout: BufReader<ChildStdout>,
    pub(crate) startup: String,
    pub(crate) address: SocketAddr,
    /// Where HTTP is served; the other one, if it is not.
    pub(crate) http: SocketAddr,
}

impl Server {
    pub(crate) fn start(directory: &Path) -> Server {
        Server::spawn(serve_in(directory).arg("--log=error"))
    }

    /// Starts the server, and waits for the line that says where it listens.
    pub(crate) fn spawn(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut startup = String::new();
        stdout.read_line(&mut startup).unwrap();
        let addresses: Vec<SocketAddr> =
            startup.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match (addresses.first(), addresses.last()) {
            (Some(&address), Some(&http)) => Server { child, _stdout: stdout, startup, address, http },
            _ => {
                _ = child.kill();
                panic!("the server did not start: {startup:?}, {:?}", child.wait());
            }
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// What the server logs, if it was spawned with a pipe for that.
    pub(crate) fn log(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.stderr.take().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        ended(&mut self.child)
    }

    /// Ends the server as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the server in order.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Client { stream, reader }
    }

    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).unwrap();
    }

    /// The next line, without its LF; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).unwrap();
        (read > 0).then(|| line.strip_suffix('\n').unwrap_or(&line).to_owned())
    }

    /// The next line; fails at the end.
    pub(crate) fn reply(&mut self) -> String {
        self.line().expect("the server has closed the connection")
    }

    /// Sends one request whose reply is one line.
    pub(crate) fn ask(&mut self, request: &str) -> String {
        self.send(format!("{request}\n"));
        self.reply()
    }

    /// As [`Client::ask`], where the server may be gone.
    pub(crate) fn try_ask(&mut self, request: &str) -> Option<String> {
        self.stream.write_all(format!("{request}\n").as_bytes()).ok()?;
        self.next_line()
    }

    /// The next whole line, where the server may be gone. A server that is there and silent fails the test.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer in {PATIENCE:?}"),
            result => result.ok()?,
        };
        line.strip_suffix('\n').map(str::to_owned)
    }

    /// Ends the input.
    pub(crate) fn end(&mut self) {
        match self.stream.shutdown(Shutdown::Write) {
            // It was ended before, and the server has closed the connection since.
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            result => result.unwrap(),
        }
    }

    /// Ends the input, and reads everything that still comes.
    pub(crate) fn finish(mut self) -> String {
        self.end();
        self.rest()
    }

    /// Reads everything until the server closes.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.reader.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// Numbers that look random and are the same for the same seed (xorshift64*).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }
}
