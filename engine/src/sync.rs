//! Where the engine's threads meet: locks, conditions, atomics, and threads themselves.
//!
//! They are those of the standard library. With `--cfg shuttle` they are those of [shuttle](https://docs.rs/shuttle), which
//! chooses from a seed, at each of them, the thread that goes on: `engine/tests/interleavings.rs`. Any other lock
//! would hide from it what waits there. Mere counters of statistics go without.

#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

/// How many threads are worth while for work that can be divided.
#[cfg(not(shuttle))]
pub(crate) fn parallelism() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A schedule must not depend on the machine.
#[cfg(shuttle)]
pub(crate) fn parallelism() -> usize {
    2
}
