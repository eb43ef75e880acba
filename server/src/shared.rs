//! What all connections share: the store, the limits, the counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use larder_engine::{Durability, Error, Store};
use larder_protocol::Limits;
use tokio::sync::Semaphore;
use tracing::error;

use crate::backup::Backups;
use crate::command::hello;
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
    pub(crate) counters: Counters,
    /// The fields of the reply to `HELLO`, which are the same for everybody.
    pub(crate) hello: Vec<u8>,
    /// One permit for each connection. Once all are back, the last connection is gone.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) connections_max: u32,
    pub(crate) started: Instant,
    failure_logged: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        store: Store,
        limits: Limits,
        durability: Durability,
        backups: Backups,
        watchers: Watchers,
        connections_max: u32,
    ) -> Shared {
        Shared {
            store,
            limits,
            durability,
            backups,
            compaction: Upkeep::default(),
            watchers,
            counters: Counters::default(),
            hello: hello::fields(&limits, durability),
            slots: Arc::new(Semaphore::new(connections_max as usize)),
            connections_max,
            started: Instant::now(),
            failure_logged: AtomicBool::new(false),
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
        (self.connections_max as usize).saturating_sub(self.slots.available_permits())
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
}

/// The name of a durability level, as in the configuration.
pub(crate) fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Durable => "durable",
        Durability::Buffered => "buffered",
    }
}
