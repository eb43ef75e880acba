//! A server process that ends with its handle.

use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    program: String,
}

impl Process {
    /// Starts a server that prints its address on stdout, and reads it there.
    pub(crate) fn announcing(command: &mut Command) -> Result<(Self, SocketAddr), Error> {
        let mut process = Self::spawn(command.stdout(Stdio::piped()))?;
        let found = process.child.stdout.as_mut().map(read_addr);
        match found {
            Some(Ok(Some(addr))) => Ok((process, addr)),
            Some(Err(error)) => Err(process.failed(&error.to_string())),
            Some(Ok(None)) | None => Err(process.failed("its output ended without an address")),
        }
    }

    /// Starts a server that was told its address, and waits until it accepts connections.
    pub(crate) fn listening(command: &mut Command, addr: SocketAddr) -> Result<Self, Error> {
        let mut process = Self::spawn(command.stdout(Stdio::null()))?;
        let started = Instant::now();
        while TcpStream::connect(addr).is_err() {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(process.failed(&format!("it ended with {status}")));
            }
            if started.elapsed() > START_LIMIT {
                return Err(process.failed("it does not accept connections"));
            }
            thread::sleep(PAUSE);
        }
        Ok(process)
    }

    fn spawn(command: &mut Command) -> Result<Self, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        match command.stdin(Stdio::null()).spawn() {
            Ok(child) => Ok(Self { child, program }),
            Err(error) => Err(Error::Start { program, reason: error.to_string() }),
        }
    }

    fn failed(&self, reason: &str) -> Error {
        Error::Start { program: self.program.clone(), reason: reason.to_owned() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    /// Asks first, so that the server ends its own children too; kills what does not listen. Where a step fails the
    /// process is gone already.
    fn drop(&mut self) {
        let asked = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .map(|pid| kill_process(pid, Signal::TERM));
        let started = Instant::now();
        while asked.is_some() && started.elapsed() < STOP_LIMIT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first address that the server prints. The pipe stays open with the child: a server must not fail because
/// nobody reads what else it has to say.
fn read_addr(stdout: &mut ChildStdout) -> io::Result<Option<SocketAddr>> {
    for line in BufReader::new(stdout).lines() {
        if let Some(addr) = find_loopback(&line?) {
            return Ok(Some(addr));
        }
    }
    Ok(None)
}

/// The address in a line such as `listening on 127.0.0.1:7420 (buffered)`.
fn find_loopback(line: &str) -> Option<SocketAddr> {
    let text = &line[line.find("127.0.0.1:")?..];
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(text.len());
    text[..end].trim_end_matches(['.', ':']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_anywhere_in_the_line() {
        let addr = Some(SocketAddr::from(([127, 0, 0, 1], 7420)));
        for line in
            ["127.0.0.1:7420\n", "larder is listening on 127.0.0.1:7420.", "at tcp://127.0.0.1:7420/ now"]
        {
            assert_eq!(find_loopback(line), addr, "{line:?}");
        }
        for line in ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "listening"] {
            assert_eq!(find_loopback(line), None, "{line:?}");
        }
    }
}
