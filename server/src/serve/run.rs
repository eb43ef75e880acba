//! Starting and stopping: the order in which parts come up, and go down again.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder_engine::{Error, Options, Store};
use larder_protocol::Limits;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::config::Config;
use super::listener::{self, ListenError};
use super::opening;
use crate::backup::Backups;
use crate::shared::Shared;
use crate::watchers::Watchers;

/// Why the server did not start, or not stop in order.
#[derive(Debug, Error)]
pub(super) enum RunError {
    #[error("cannot start the server's threads: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("{source}{}", advice(source))]
    Open { source: Error },
    #[error("cannot open the store in {}: {source}{}", data.display(), advice(source))]
    OpenIn { data: PathBuf, source: Error },
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
    let runtime = runtime(config.threads).map_err(RunError::Runtime)?;
    // The address comes first: if it is taken, the data is not touched.
    let (listener, stop) = {
        let _within = runtime.enter();
        (listener::bind(&config.listen, config.allow_remote)?, Stop::new().map_err(RunError::Runtime)?)
    };
    let address = listener.local_addr().map_err(RunError::Runtime)?;
    let store = open(config)?;
    announce(address, &config.data, &store);
    let backups = Backups::new(config.backups.clone());
    let watchers = Watchers::new(config.feed_retention_bytes);
    let shared =
        Shared::new(store, Limits::DEFAULT, config.durability, backups, watchers, config.connections_max);
    let outcome = runtime.block_on(serve(listener, Arc::new(shared), stop, config.shutdown_timeout));
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
fn announce(address: SocketAddr, data: &Path, store: &Store) {
    let report = store.report();
    let entries = if report.entries == 1 { "entry" } else { "entries" };
    let line = format!(
        "larder {} listening on {address} (line protocol), data in {}, {} {entries} recovered in {} ms\n",
        env!("CARGO_PKG_VERSION"),
        data.display(),
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

async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stop: Stop,
    timeout: Duration,
) -> Result<(), RunError> {
    let shutdown = CancellationToken::new();
    let accepting = tokio::spawn(listener::accept(listener, Arc::clone(&shared), shutdown.clone()));
    let reason = stop.received().await;
    info!("{reason} received, shutting down");
    let now = Instant::now();
    let (half, deadline) = (now + timeout / 2, now + timeout);
    shutdown.cancel();
    // It only fails if it panicked, and then it accepts nothing more either.
    _ = accepting.await;
    // A client that does not read, such as a watcher that has stalled, must leave the store its time to close in order.
    if timeout_at(half, shared.slots.acquire_many(shared.connections_max)).await.is_err() {
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

/// The signals that stop the server; and one that must not.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    /// Comes when a file would get longer than the process may make it (`ulimit -f`), and would end the process, unless
    /// it is caught. Caught, the engine sees an error instead, and tells it.
    _file_size: Signal,
}

impl Stop {
    fn new() -> io::Result<Stop> {
        let file_size = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        Ok(Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(file_size)?,
        })
    }

    /// Waits for one of them, and names it.
    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
