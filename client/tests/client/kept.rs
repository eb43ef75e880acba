//! One face for both clients, so that each tale is told to both.

use std::net::SocketAddr;
use std::time::Duration;

use larder_client::reply::Event;
use larder_client::request::{Paged, Request, Watch};
use larder_client::{Client, Error, Options, blocking};
use tokio::runtime::{self, Runtime};

use super::peer::{Peer, Step};

pub(super) enum Kept {
    Blocking(blocking::Client),
    Async(Runtime, Client),
}

/// Runs a test with each client, each time against a new peer that takes connections with these scripts.
pub(super) fn with_each(options: &Options, scripts: &[&[Step]], test: impl Fn(&Kept)) {
    for connect in [Kept::blocking, Kept::tokio] {
        let peer = Peer::serving(scripts.iter().map(|script| script.to_vec()).collect());
        let kept = connect(peer.addr, options);
        test(&kept);
        drop(kept);
        peer.finish();
    }
}

/// A bound on every wait, for a machine that is slow. No test depends on its length.
const PATIENCE: Duration = Duration::from_secs(120);

/// One connection, and no waiting for what is soon there.
pub(super) fn options() -> Options {
    Options {
        connections: 1,
        connect_timeout: Some(PATIENCE),
        reply_timeout: Some(PATIENCE),
        request_timeout: Some(PATIENCE),
        retry_for: PATIENCE,
        idle_check: PATIENCE,
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(10),
        reply_bytes_max: 1_000_000,
        ..Options::default()
    }
}

impl Kept {
    pub(super) fn blocking(addr: SocketAddr, options: &Options) -> Self {
        Self::Blocking(blocking::Client::lazy(addr, options))
    }

    pub(super) fn tokio(addr: SocketAddr, options: &Options) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async { Client::lazy(addr, options) });
        Self::Async(runtime, client)
    }

    pub(super) fn call<R: Request>(&self, request: &R) -> Result<R::Reply, Error> {
        match self {
            Self::Blocking(client) => client.call(request),
            Self::Async(runtime, client) => runtime.block_on(client.call(request)),
        }
    }

    pub(super) fn pipeline<R: Request>(&self, requests: &[R]) -> Vec<Result<R::Reply, Error>> {
        match self {
            Self::Blocking(client) => client.pipeline(requests),
            Self::Async(runtime, client) => runtime.block_on(client.pipeline(requests)),
        }
    }

    pub(super) fn items<P: Paged>(&self, listing: P) -> Result<Vec<P::Item>, Error> {
        match self {
            Self::Blocking(client) => client.items(listing).collect(),
            Self::Async(runtime, client) => runtime.block_on(async {
                let mut items = client.items(listing);
                let mut all = Vec::new();
                while let Some(item) = items.next().await? {
                    all.push(item);
                }
                Ok(all)
            }),
        }
    }

    /// Watches until an error: what came before it, the version then, and the error.
    pub(super) fn watch(&self, watch: Watch<'_>) -> Result<(Vec<Event>, u64, Error), Error> {
        let mut events = Vec::new();
        match self {
            Self::Blocking(client) => {
                let mut watcher = client.watch(watch)?;
                let error = loop {
                    match watcher.next().unwrap() {
                        Ok(event) => events.push(event),
                        Err(error) => break error,
                    }
                };
                assert!(watcher.next().is_none());
                Ok((events, watcher.version(), error))
            }
            Self::Async(runtime, client) => runtime.block_on(async {
                let mut watcher = client.watch(watch).await?;
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
