//! Starting and stopping: the order in which parts come up, and go down again.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_engine::{Error, Options, Store};
use larder_protocol::Limits;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::config::Config;
use super::descriptors;
use super::listener::{self, Door, Interface, ListenError};
use super::opening;
use crate::access::{AccessError, Registry};
use crate::backup::Backups;
use crate::http::{Guard, Http};
use crate::purge;
use crate::shared::{Parts, Shared};
use crate::terms::Terms;
use crate::tls::{Tls, TlsError};
use crate::watchers::Watchers;

/// Why the server did not start, or not stop in order.
#[derive(Debug, Error)]
pub(super) enum RunError {
    #[error("cannot start the server's threads: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("{source}{}", advice(source))]
    Open { source: Error },
    #[error("cannot open the store in {}: {source}{}", data.display(), advice(source))]
    OpenIn { data: PathBuf, source: Error },
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the store did not close in order: {0}; what was acknowledged is kept")]
    Close(Error),
    #[error("the store did not close within the shutdown timeout; what was acknowledged is kept")]
    CloseTimeout,
}

/// What to do about an error of opening that does not say so itself.
fn advice(error: &Error) -> &'static str {
    use io::ErrorKind::{AlreadyExists, NotADirectory};
    match error {
        Error::Io { source, .. } if matches!(source.kind(), AlreadyExists | NotADirectory) => {
            "; there is a file in the way, so choose another directory with --data"
        }
        Error::Io { .. } => {
            "; check that this user may read and write there, or choose another directory with --data"
        }
        Error::InUse { .. } | Error::NotAStore { .. } => " with --data",
        Error::Denied { .. } => ", or choose another directory with --data",
        _ => "",
    }
}

/// Runs the server until it is told to stop.
pub(super) fn run(config: &Config) -> Result<(), RunError> {
    let files_max = descriptors::raise();
    let tls = config.tls.clone().map(Tls::load).transpose()?;
    let runtime = runtime(config.threads).map_err(RunError::Runtime)?;
    let lines_at = listener::resolve(&config.listen, listener::LINES)?;
    let resolve = |address: &String| listener::resolve(address, listener::HTTP);
    let http_at = config.http.as_ref().map(resolve).transpose()?;
    let check_reach = |has_keys| {
        let mut addresses = [Some(lines_at), http_at].into_iter().flatten();
        addresses.try_for_each(|address| listener::check_reach(address, has_keys, config.allow_remote))
    };
    if !config.data.exists() {
        // There can be no keys yet, and nothing is to be made for nothing.
        check_reach(false)?;
    }
    // The addresses come first: if one is taken, the data is not touched.
    let (lines, http, signals) = {
        let _within = runtime.enter();
        let http = http_at.map(|address| listener::bind(address, listener::HTTP)).transpose()?;
        (listener::bind(lines_at, listener::LINES)?, http, Signals::new().map_err(RunError::Runtime)?)
    };
    let lines_address = lines.local_addr().map_err(RunError::Runtime)?;
    let http_address = http.as_ref().map(TcpListener::local_addr).transpose().map_err(RunError::Runtime)?;
    let store = open(config)?;
    let registry = Arc::new(Registry::open(store.clone())?);
    check_reach(registry.has_keys())?;
    announce(lines_address, http_address, config, &store);
    let backups = Backups::new(config.backups.clone());
    let watchers = Watchers::new(config.feed_retention_bytes);
    let terms = Terms {
        idle_timeout: config.idle_timeout,
        line_timeout: config.line_timeout,
        write_timeout: config.write_timeout,
        tls,
        ..Terms::new(descriptors::room(config.connections_max, files_max))
    };
    let shared = Shared::new(Parts {
        store,
        limits: Limits::DEFAULT,
        durability: config.durability,
        backups,
        watchers,
        registry,
        auth_timeout: config.auth_timeout,
        allow_remote: config.allow_remote,
        terms,
    });
    let ports = Ports { lines, http: http.map(|listener| (listener, config.http_guard.clone())) };
    let outcome = runtime.block_on(serve(ports, Arc::new(shared), signals, config.shutdown_timeout));
    // What is left are connections whose time is over.
    runtime.shutdown_background();
    outcome
}

fn runtime(threads: Option<usize>) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    builder.thread_name("larder-serve").enable_all().build()
}

fn open(config: &Config) -> Result<Store, RunError> {
    let options = Options::new()
        .durability(config.durability)
        .sync_interval(config.sync_interval)
        .segment_bytes(config.segment_bytes)
        .reserve_bytes(config.reserve_bytes)
        .feed_retention_bytes(config.feed_retention_bytes)
        .max_clock_jump(config.max_clock_jump)
        .accept_clock(config.accept_clock)
        .on_progress(opening::reporter());
    options.open(&config.data).map_err(|source| match source {
        Error::InUse { .. } | Error::NotAStore { .. } | Error::Missing { .. } | Error::Denied { .. } => {
            RunError::Open { source }
        }
        _ => RunError::OpenIn { data: config.data.clone(), source },
    })
}

/// Says on standard output that the server is ready; anything noteworthy about the store goes to the log.
fn announce(lines: SocketAddr, http: Option<SocketAddr>, config: &Config, store: &Store) {
    let report = store.report();
    let tls = if config.tls.is_some() { ", TLS" } else { "" };
    let http = http.map_or_else(String::new, |http| format!(" and {http} (HTTP{tls})"));
    let entries = if report.entries == 1 { "entry" } else { "entries" };
    let line = format!(
        "larder {} listening on {lines} (line protocol{tls}){http}, data in {}, {} {entries} recovered in {} ms\n",
        env!("CARGO_PKG_VERSION"),
        config.data.display(),
        report.entries,
        report.duration.as_millis(),
    );
    let mut stdout = io::stdout();
    _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    if !report.created && !report.clean {
        info!("the server was not stopped in order the last time; everything acknowledged is here");
    }
    if report.cut_bytes > 0 {
        info!("an interrupted write at the end of the log was cut off: {} bytes", report.cut_bytes);
    }
    for file in &report.set_aside {
        warn!("{file} is no part of the store, and was set aside");
    }
    if store.stats().short_of_space {
        warn!("there is no room for the log to grow: nothing can be set until there is");
    }
}

/// What is listened on.
struct Ports {
    lines: TcpListener,
    http: Option<(TcpListener, Guard)>,
}

async fn serve(
    ports: Ports,
    shared: Arc<Shared>,
    mut signals: Signals,
    timeout: Duration,
) -> Result<(), RunError> {
    let shutdown = CancellationToken::new();
    let mut doors = JoinSet::new();
    doors.spawn(listener::accept(ports.lines, Door::new(&shared, Interface::Lines), shutdown.clone()));
    if let Some((listener, guard)) = ports.http {
        let http = Http::new(Arc::clone(&shared), guard, shutdown.clone());
        doors.spawn(listener::accept(listener, Door::new(&shared, Interface::Http(http)), shutdown.clone()));
    }
    tokio::spawn(purge::run(Arc::clone(&shared.registry)));
    let reason = loop {
        match signals.received().await {
            Received::Stop(reason) => break reason,
            Received::Reload => reload(&shared),
        }
    };
    info!("{reason} received, shutting down");
    let now = Instant::now();
    let (half, deadline) = (now + timeout / 2, now + timeout);
    shutdown.cancel();
    // One only fails if it panicked, and then it accepts nothing more either.
    while doors.join_next().await.is_some() {}
    // A client that does not read, such as a watcher that has stalled, must leave the store its time to close in order.
    if timeout_at(half, shared.slots.acquire_many(shared.terms.connections_max)).await.is_err() {
        warn!("half of the shutdown timeout is over, {} connections are cut off", shared.connections());
    }
    close(shared.store.clone(), deadline).await
}

/// Closes the store, off this thread so that the timeout holds.
async fn close(store: Store, deadline: Instant) -> Result<(), RunError> {
    // However short the timeout, there is a moment for this.
    let deadline = deadline.max(Instant::now() + Duration::from_secs(1));
    let closing = tokio::task::spawn_blocking(|| store.close());
    match timeout_at(deadline, closing).await {
        Ok(Ok(closed)) => closed.map_err(RunError::Close),
        Ok(Err(_)) | Err(_) => Err(RunError::CloseTimeout),
    }
}

/// Reads the certificate and its key again.
fn reload(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    // Whoever wants the server to stop need not wait for the disk that the files are on.
    tokio::task::spawn_blocking(move || match shared.terms.tls.as_ref().map(Tls::reload) {
        Some(Ok(())) => info!("SIGHUP received, new connections get the certificate as it is now"),
        Some(Err(error)) => error!("SIGHUP received, but the certificate stays as it was: {error}"),
        None => info!("SIGHUP received, but there is no certificate to be read again"),
    });
}

/// The signals that the server acts on; and one that must not end it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// Comes when a file would get longer than the process may make it (`ulimit -f`), and would end the process, unless
    /// it is caught. Caught, the engine sees an error instead, and tells it.
    _file_size: Signal,
}

/// What a signal asks for.
enum Received {
    /// To stop; with the signal's name.
    Stop(&'static str),
    /// To read the certificate again.
    Reload,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let file_size = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            _file_size: signal(file_size)?,
        })
    }

    /// Waits for one of them.
    async fn received(&mut self) -> Received {
        tokio::select! {
            _ = self.terminate.recv() => Received::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Received::Stop("SIGINT"),
            _ = self.hang_up.recv() => Received::Reload,
        }
    }
}
