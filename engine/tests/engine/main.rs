//! What the engine promises, tested from outside on a simulated disk, in one test binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod aftermath;
mod backup;
mod compaction;
mod crash;
mod damage;
mod expiry;
mod failure;
mod feed;
mod hints;
mod inspect;
mod journal;
mod meddling;
mod model;
mod pages;
mod quota;
mod salvage;
mod snapshot;
mod space;
mod stats;
mod support;
mod verify;
mod waiting;
mod workload;
