//! What all connections share: the store, the limits, the counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_engine::{Durability, Error, Store};
use larder_protocol::{Code, Limits};
use tokio::sync::Semaphore;
use tracing::error;

use crate::access::{Registry, Scope, Session};
use crate::backup::Backups;
use crate::command::hello;
use crate::metrics::{Interface, Metrics};
use crate::terms::Terms;
use crate::upkeep::Upkeep;
use crate::watchers::Watchers;

/// State of the server, shared by its connections.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) limits: Limits,
    pub(crate) durability: Durability,
    pub(crate) backups: Backups,
    /// Whose turn it is to have the store compacted.
    pub(crate) compaction: Upkeep,
    pub(crate) watchers: Watchers,
    pub(crate) registry: Arc<Registry>,
    /// How long a client may stay that has not authenticated.
    pub(crate) auth_timeout: Duration,
    /// Whether other machines need no key either, as long as there is none.
    allow_remote: bool,
    pub(crate) counters: Counters,
    pub(crate) metrics: Metrics,
    /// Whether metrics are told to everybody.
    pub(crate) metrics_public: bool,
    /// The fields of the reply to `HELLO`, which are the same for everybody.
    pub(crate) hello: Vec<u8>,
    /// One permit for each connection. Once all are back, the last connection is gone.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) terms: Terms,
    pub(crate) started: Instant,
    failure_logged: AtomicBool,
}

/// What it is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) limits: Limits,
    pub(crate) durability: Durability,
    pub(crate) backups: Backups,
    pub(crate) watchers: Watchers,
    pub(crate) registry: Arc<Registry>,
    pub(crate) auth_timeout: Duration,
    pub(crate) allow_remote: bool,
    pub(crate) metrics_public: bool,
    pub(crate) terms: Terms,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Shared {
        let Parts { store, limits, durability, backups, watchers, terms, .. } = parts;
        Shared {
            store,
            limits,
            durability,
            backups,
            compaction: Upkeep::default(),
            watchers,
            registry: parts.registry,
            auth_timeout: parts.auth_timeout,
            allow_remote: parts.allow_remote,
            counters: Counters::default(),
            metrics: Metrics::default(),
            metrics_public: parts.metrics_public,
            hello: hello::fields(&limits, durability),
            slots: Arc::new(Semaphore::new(terms.connections_max as usize)),
            terms,
            started: Instant::now(),
            failure_logged: AtomicBool::new(false),
        }
    }

    /// The session of a client that has just come. Where there are no keys, those of this machine are the operator.
    pub(crate) fn session(&self, is_local: bool) -> Session {
        let remote = self.allow_remote.then_some(Scope::FullAccess);
        Session::new(Arc::clone(&self.registry), if is_local { Some(Scope::Admin) } else { remote })
    }

    /// Adds what a connection of the line protocol has counted for itself.
    pub(crate) fn tally(&self, tally: Tally) {
        self.counters.add(tally);
        if tally.errors > 0 {
            for (code, count) in Code::ALL.iter().zip(tally.codes).filter(|(_, count)| *count > 0) {
                self.metrics.rejected(Interface::Lines, *code, count.into());
            }
        }
    }

    /// Logs that the store does not acknowledge any more: once, since every turn from then on finds it so.
    pub(crate) fn log_failure(&self, failure: &Error) {
        if !self.failure_logged.swap(true, Ordering::Relaxed) {
            error!("the store acknowledges nothing more: {failure}");
        }
    }

    /// Connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        (self.terms.connections_max as usize).saturating_sub(self.slots.available_permits())
    }
}

/// What the server has counted since it started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that were given a slot.
    pub(crate) accepted: AtomicU64,
    /// Connections that were turned away because all slots were taken.
    pub(crate) refused: AtomicU64,
    /// Lines that were answered.
    pub(crate) commands: AtomicU64,
    /// `ERR` lines among the answers.
    pub(crate) errors: AtomicU64,
}

impl Counters {
    /// Adds what a turn has counted for itself: one access to shared memory for many commands.
    pub(crate) fn add(&self, tally: Tally) {
        self.commands.fetch_add(tally.commands, Ordering::Relaxed);
        if tally.errors > 0 {
            self.errors.fetch_add(tally.errors, Ordering::Relaxed);
        }
    }
}

/// Counters of one connection, not yet added to the shared ones.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) commands: u64,
    pub(crate) errors: u64,
    /// Of the line protocol, the errors by code.
    pub(crate) codes: [u32; Code::ALL.len()],
}

/// The name of a durability level, as in the configuration.
pub(crate) fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Durable => "durable",
        Durability::Buffered => "buffered",
    }
}
