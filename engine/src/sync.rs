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

/// Runs `work` for each number below `threads`, on a thread each, the first of which is this one.
pub(crate) fn on_each<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..threads).map(|number| scope.spawn(move || work(number))).collect();
        let first = work(0);
        std::iter::once(first).chain(others.into_iter().map(|other| outcome(other.join()))).collect()
    })
}

/// What a thread gave; its panic goes on here.
pub(crate) fn outcome<T>(joined: thread::Result<T>) -> T {
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
