//! The servers of a comparison, each started on loopback with a directory of its own and stopped with its handle.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Error;
use crate::cgroup::MemoryLimit;
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
    /// What a request costs.
    Requests {
        /// The size of each value.
        value_bytes: usize,
        /// When a write is acknowledged.
        level: Level,
    },
    /// What happens in the background costs requests: small segments, few of them kept for who watches, so that
    /// within seconds very many begin and are compacted.
    Tails {
        /// When a write is acknowledged.
        level: Level,
    },
    /// How soon those who watch know what has expired. Larder announces what is on disk; Redis does not wait for that.
    Expiry,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// When the system has it; the disk does within a second or so.
    Buffered,
    /// When it is on disk.
    Durable,
}

/// The servers that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Larder.
    Larder,
    /// The server of [`limit`].
    Limit,
    /// Redis with an append-only file.
    Redis,
    /// Memcached, which has no disk.
    Memcached,
}

/// The size of a file of the log where very many of them are wanted.
pub const SMALL_SEGMENT_BYTES: u64 = 4 << 20;
/// What is kept of the log for who watches, where compaction is to begin early.
const SMALL_RETENTION_BYTES: u64 = 1 << 20;
/// Room for all that is stored in memcached, which forgets what does not fit.
const MEMCACHED_MIB: u32 = 8192;

impl Kind {
    /// The name in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Limit => "limit",
            Self::Redis => "redis",
            Self::Memcached => "memcached",
        }
    }

    /// How to get it, where it is missing.
    fn how_to_get(self) -> &'static str {
        match self {
            Self::Larder | Self::Limit => "cargo build --release --workspace",
            Self::Redis => "apt-get install redis-server",
            Self::Memcached => "apt-get install memcached",
        }
    }

    /// What it speaks.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Larder | Self::Limit => Dialect::Larder,
            Self::Redis => Dialect::Resp,
            Self::Memcached => Dialect::Memcached,
        }
    }

    /// How it calls a level; `None` where it has nothing of the kind.
    #[must_use]
    pub fn level(self, level: Level) -> Option<&'static str> {
        match (self, level) {
            (Self::Larder, Level::Buffered) => Some("buffered"),
            (Self::Larder, Level::Durable) => Some("durable"),
            (Self::Redis, Level::Buffered) => Some("everysec"),
            (Self::Redis, Level::Durable) => Some("always"),
            (Self::Memcached, Level::Buffered) => Some("no disk"),
            (Self::Limit, Level::Buffered) => Some("keeps nothing"),
            (Self::Memcached | Self::Limit, Level::Durable) => None,
        }
    }
}

impl Contender {
    /// Starts the program. It runs on the cores that the calling thread is pinned to.
    pub fn start(program: &Program, purpose: Purpose) -> Result<Self, Error> {
        Self::launch(program.kind, Command::new(&program.path), purpose)
    }

    /// Starts the program with no more memory than that, pages of files included.
    pub fn start_within(program: &Program, purpose: Purpose, limit: &MemoryLimit) -> Result<Self, Error> {
        Self::launch(program.kind, limit.command(&program.path), purpose)
    }

    fn launch(kind: Kind, mut command: Command, purpose: Purpose) -> Result<Self, Error> {
        let directory = TempDir::with_prefix("larder-compare-")?;
        let level = match purpose {
            Purpose::Requests { level, .. } | Purpose::Tails { level } => level,
            Purpose::Expiry if kind == Kind::Larder => Level::Durable,
            Purpose::Expiry => Level::Buffered,
        };
        let level = kind.level(level).unwrap_or_default();
        let (process, addr) = match kind {
            Kind::Larder => {
                command.args(["serve", "--durability", level, "--listen", "127.0.0.1:0", "--http", "off"]);
                if matches!(purpose, Purpose::Tails { .. }) {
                    command.args(["--segment-bytes", &SMALL_SEGMENT_BYTES.to_string()]);
                    command.args(["--feed-retention", &SMALL_RETENTION_BYTES.to_string()]);
                }
                Process::announcing(command.arg("--data").arg(directory.path()))?
            }
            Kind::Limit => {
                let value_bytes = match purpose {
                    Purpose::Requests { value_bytes, .. } => value_bytes,
                    Purpose::Tails { .. } | Purpose::Expiry => VALUE_BYTES_MIN,
                };
                let reply_bytes = limit::reply_bytes(value_bytes).to_string();
                Process::announcing(command.args(["--listen", "127.0.0.1:0", "--reply-bytes", &reply_bytes]))?
            }
            Kind::Redis => {
                let addr = free_addr()?;
                command.args(["--bind", "127.0.0.1", "--port", &addr.port().to_string()]);
                command.args(["--appendonly", "yes", "--appendfsync", level, "--save", ""]);
                // Rewriting its log is what Redis would do once in minutes; within seconds it would only be unfair.
                command.args(["--auto-aof-rewrite-percentage", "0"]);
                if purpose == Purpose::Expiry {
                    command.args(["--notify-keyspace-events", "Ex"]);
                    // So that it does not cut the one that watches, however much there is to be told at once.
                    command.args(["--client-output-buffer-limit", "pubsub 0 0 0"]);
                }
                (Process::listening(command.arg("--dir").arg(directory.path()), addr)?, addr)
            }
            Kind::Memcached => {
                let addr = free_addr()?;
                command.args(["-l", "127.0.0.1", "-p", &addr.port().to_string(), "-U", "0"]);
                // A thread for the core that it has, as the others. As root it wants to be told who to be.
                command.args(["-t", "1", "-m", &MEMCACHED_MIB.to_string()]);
                if rustix::process::geteuid().is_root() {
                    command.args(["-u", "root"]);
                }
                (Process::listening(&mut command, addr)?, addr)
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
