//! One face for both single connections, so that each script is followed by both.

use std::time::Duration;

use larder_client::reply::Event;
use larder_client::request::{Request, Watch};
use larder_client::{Connection, Error, Options, Pending, blocking};
use tokio::runtime::{self, Runtime};

use super::peer::{Peer, Step};

pub(super) enum Shell {
    Blocking(blocking::Connection),
    Async(Runtime, Connection),
}

/// Runs a test with each connection, each time against a new peer that follows the script.
pub(super) fn both(steps: &[Step], test: impl Fn(&mut Shell)) {
    both_with(&options(), steps, test);
}

pub(super) fn both_with(options: &Options, steps: &[Step], test: impl Fn(&mut Shell)) {
    for connect in [Shell::blocking, Shell::tokio] {
        let peer = Peer::following(steps.to_vec());
        let mut shell = connect(&peer, options);
        test(&mut shell);
        drop(shell);
        peer.finish();
    }
}

/// A peer that is slow, as its machine may be, is waited for.
pub(super) fn options() -> Options {
    Options {
        reply_timeout: Some(Duration::from_secs(120)),
        reply_bytes_max: 1_000_000,
        ..Options::default()
    }
}

/// For peers that do not answer at all.
pub(super) fn impatient() -> Options {
    Options { reply_timeout: Some(Duration::from_millis(200)), ..options() }
}

impl Shell {
    pub(super) fn blocking(peer: &Peer, options: &Options) -> Self {
        Self::Blocking(blocking::Connection::connect_with(peer.addr, options).unwrap())
    }

    pub(super) fn tokio(peer: &Peer, options: &Options) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(Connection::connect_with(peer.addr, options)).unwrap();
        Self::Async(runtime, connection)
    }

    pub(super) fn call<R: Request>(&mut self, request: &R) -> Result<R::Reply, Error> {
        match self {
            Self::Blocking(connection) => connection.call(request),
            Self::Async(runtime, connection) => runtime.block_on(connection.call(request)),
        }
    }

    pub(super) fn send<R: Request>(&mut self, request: &R) -> Result<Pending<R::Reply>, Error> {
        match self {
            Self::Blocking(connection) => connection.send(request),
            Self::Async(_, connection) => connection.send(request),
        }
    }

    pub(super) fn receive<T>(&mut self, pending: Pending<T>) -> Result<T, Error> {
        match self {
            Self::Blocking(connection) => connection.receive(pending),
            Self::Async(runtime, connection) => runtime.block_on(connection.receive(pending)),
        }
    }

    pub(super) fn flush(&mut self) {
        match self {
            Self::Blocking(connection) => connection.flush(),
            Self::Async(runtime, connection) => runtime.block_on(connection.flush()),
        }
    }

    pub(super) fn pipeline<R: Request>(
        &mut self,
        requests: &[R],
    ) -> Result<Vec<Result<R::Reply, Error>>, Error> {
        match self {
            Self::Blocking(connection) => connection.pipeline(requests),
            Self::Async(runtime, connection) => runtime.block_on(connection.pipeline(requests)),
        }
    }

    /// Watches until an error: what came before it, the version then, and the error.
    pub(super) fn watch(&mut self, watch: Watch<'_>) -> Result<(Vec<Event>, u64, Error), Error> {
        let mut events = Vec::new();
        match self {
            Self::Blocking(connection) => {
                let mut watcher = connection.watch(watch)?;
                let error = loop {
                    match watcher.next().unwrap() {
                        Ok(event) => events.push(event),
                        Err(error) => break error,
                    }
                };
                assert!(watcher.next().is_none());
                Ok((events, watcher.version(), error))
            }
            Self::Async(runtime, connection) => runtime.block_on(async {
                let mut watcher = connection.watch(watch).await?;
                let error = loop {
                    match watcher.next().await {
                        Ok(event) => events.push(event.unwrap()),
                        Err(error) => break error,
                    }
                };
                assert_eq!(watcher.next().await.unwrap(), None);
                Ok((events, watcher.version(), error))
            }),
        }
    }
}
