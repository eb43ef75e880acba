//! The servers of a comparison, each started on loopback with a directory of its own and stopped with its handle.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Error;
use crate::dialect::Dialect;
use crate::limit;
use crate::process::Process;
use crate::value::VALUE_BYTES_MIN;

/// A server that can be started.
#[derive(Debug, Clone)]
pub struct Program {
    /// Which.
    pub kind: Kind,
    /// Its executable.
    pub path: PathBuf,
}

/// A running server.
#[derive(Debug)]
pub struct Contender {
    /// Where it listens.
    pub addr: SocketAddr,
    // Fields drop in order: the process ends before its directory goes.
    process: Process,
    _directory: TempDir,
}

/// What servers are compared for, and so how they are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// What a request costs. Larder acknowledges writes that the system has and the disk may not.
    Requests {
        /// The size of each value.
        value_bytes: usize,
    },
    /// How soon those who watch know what has expired. Larder announces what is on disk; Redis does not wait for that.
    Expiry,
}

/// The servers that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Larder.
    Larder,
    /// The server of [`limit`].
    Limit,
    /// Redis with an append-only file that is synced every second, the closest to Larder's durability here.
    Redis,
}

impl Kind {
    /// The name in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Limit => "limit",
            Self::Redis => "redis",
        }
    }

    /// How to get it, where it is missing.
    fn how_to_get(self) -> &'static str {
        match self {
            Self::Larder | Self::Limit => "cargo build --release --workspace",
            Self::Redis => "apt-get install redis-server",
        }
    }

    /// What it speaks.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Larder | Self::Limit => Dialect::Larder,
            Self::Redis => Dialect::Resp,
        }
    }
}

impl Contender {
    /// Starts the program. It runs on the cores that the calling thread is pinned to.
    pub fn start(program: &Program, purpose: Purpose) -> Result<Self, Error> {
        let directory = TempDir::with_prefix("larder-compare-")?;
        let mut command = Command::new(&program.path);
        let (process, addr) = match program.kind {
            Kind::Larder => {
                let durability = match purpose {
                    Purpose::Requests { .. } => "buffered",
                    Purpose::Expiry => "durable",
                };
                command.args(["serve", "--durability", durability, "--listen", "127.0.0.1:0", "--data"]);
                Process::announcing(command.arg(directory.path()))?
            }
            Kind::Limit => {
                let value_bytes = match purpose {
                    Purpose::Requests { value_bytes } => value_bytes,
                    Purpose::Expiry => VALUE_BYTES_MIN,
                };
                let reply_bytes = limit::reply_bytes(value_bytes).to_string();
                Process::announcing(command.args(["--listen", "127.0.0.1:0", "--reply-bytes", &reply_bytes]))?
            }
            Kind::Redis => {
                let addr = free_addr()?;
                command.args(["--bind", "127.0.0.1", "--port", &addr.port().to_string()]);
                command.args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]);
                // Rewriting its log is what Redis would do once in minutes; within seconds it would only be unfair.
                command.args(["--auto-aof-rewrite-percentage", "0"]);
                if purpose == Purpose::Expiry {
                    command.args(["--notify-keyspace-events", "Ex"]);
                    // So that it does not cut the one that watches, however much there is to be told at once.
                    command.args(["--client-output-buffer-limit", "pubsub 0 0 0"]);
                }
                (Process::listening(command.arg("--dir").arg(directory.path()), addr)?, addr)
            }
        };
        Ok(Self { addr, process, _directory: directory })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// An address that was free a moment ago, for a server that cannot choose one itself.
pub(crate) fn free_addr() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Of the programs that were looked for, those that are there; it is said of each where it is, or how to get it.
#[must_use]
pub fn found(candidates: &[(Kind, Option<PathBuf>)], mut say: impl FnMut(&str)) -> Vec<Program> {
    let mut programs = Vec::new();
    for (kind, path) in candidates {
        let name = kind.name();
        match path {
            Some(path) => {
                say(&format!("{name} is {}", path.display()));
                programs.push(Program { kind: *kind, path: path.clone() });
            }
            None => say(&format!("{name} is left out: there is no such program ({})", kind.how_to_get())),
        }
    }
    programs
}

/// The program of this name on `PATH`.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| is_file(file))
}

/// The program of this name in the directory of the running one.
#[must_use]
pub fn beside_this(name: &str) -> Option<PathBuf> {
    let file = std::env::current_exe().ok()?.with_file_name(name);
    is_file(&file).then_some(file)
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}
