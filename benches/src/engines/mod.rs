//! Storage engines side by side: the same work for Larder's and for others, as embedded in a program.
//!
//! [`Engine`] is what the work needs of an engine, and [`Candidate`] how one is opened; [`larder`] is one, the others are in a
//! workspace of their own (`benches/peers`), which nothing else is built with. A round has every candidate do a [`work::Step`]
//! in turns, each in a process of its own and a directory of its own ([`run`]); [`table`] says what came out, and whether it is
//! what [`bounds`] ask for.

pub mod bounds;
pub mod larder;
pub mod run;
pub mod table;
pub mod work;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::key::{KEY_BYTES, key};

/// What an engine may fail with.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// What an engine gives.
pub type Result<T> = std::result::Result<T, Error>;
/// A key of the workload.
pub type Key = [u8; KEY_BYTES];

/// An open store, as a program with several threads uses it. Each call stands by itself: a read sees all that was written
/// before it, and values end up in a buffer of the caller's, as they would in a reply.
pub trait Engine: Send + Sync {
    /// Sets an entry, as safe on return as the store was [opened](Opening) to make it.
    fn put(&self, key: &Key, value: &[u8]) -> Result<()>;

    /// Sets entries, all or none of them.
    fn put_batch(&self, batch: &[(Key, &[u8])]) -> Result<()>;

    /// Puts the value at `key` in place of what is in `value`. Whether there is one.
    fn get(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool>;

    /// Puts the values of all entries whose keys start with `prefix`, in the order of these, in place of what is in `values`.
    /// How many there are.
    fn scan(&self, prefix: &[u8], values: &mut Vec<u8>) -> Result<usize>;

    /// Waits for what the engine does in the background on account of what was written.
    fn settle(&self) -> Result<()>;

    /// Rewrites the whole store as the engine would have it at best.
    fn compact(&mut self) -> Result<()>;

    /// Sets entries one at a time for each of `callers` at once, for `time`. How many were set. For engines that can only
    /// be blocked on, callers are threads.
    fn put_by(&self, callers: u64, time: Duration, value: &[u8]) -> Result<u64> {
        put_by_threads(|key| self.put(key, value), callers, time)
    }
}

/// As [`Engine::put_by`], with a thread for each caller.
pub fn put_by_threads(put: impl Fn(&Key) -> Result<()> + Sync, callers: u64, time: Duration) -> Result<u64> {
    let put = &put;
    thread::scope(|scope| {
        let callers: Vec<_> = (0..callers)
            .map(|caller| {
                scope.spawn(move || -> Result<u64> {
                    let (started, mut done) = (Instant::now(), 0);
                    while started.elapsed() < time {
                        put(&key(caller * KEYS_A_CALLER + done))?;
                        done += 1;
                    }
                    Ok(done)
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("a caller does not panic")).sum()
    })
}

/// Keys that callers who write at the same time are apart.
pub const KEYS_A_CALLER: u64 = 1_000_000_000;

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A write is acknowledged when the process may crash and the operating system may not.
    Buffered,
    /// As that; and every entry expires in a day. For engines that know deadlines.
    Timed,
    /// A write is acknowledged when it is on the disk.
    Durable,
}

/// An engine that can be measured.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name, in small letters.
    pub name: &'static str,
    /// Its version, and whatever else of that is worth knowing.
    pub version: String,
    /// How it is set up, for people, without what every candidate has in common.
    pub settings: &'static str,
    /// What it can be opened for.
    pub openings: &'static [Opening],
    /// Creates a store in a directory that is there and empty.
    pub open: fn(&Path, Opening) -> Result<Box<dyn Engine>>,
}

/// The memory that engines may keep of what is on the disk, for those that have a cache of their own: more than enough for
/// all of it, as the operating system keeps for those that have not.
pub const CACHE_BYTES: usize = 1 << 30;
