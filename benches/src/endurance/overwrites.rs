//! What compaction costs and wins: space and writes under uniform overwrites of many times the data.
//!
//! A store is loaded and then overwritten evenly at random, at full speed and once more at a given pace. What the log
//! takes for each live byte is looked at all the while, what was written for each byte that the writer logged at the end.
//! Then half of the keys are deleted, and everything is compacted: nothing dead may be left.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder_engine::{Address, Compaction, Condition, Durability, Options, Put, Stats, Store, Tenant};

use super::Result;
use super::space::{Gauge, Space};
use crate::key::{KEY_BYTES, key};
use crate::random::Random;
use crate::value::Values;

/// Time between two looks at the space.
const LOOK: Duration = Duration::from_millis(10);
/// Overwrites that are waited for together.
const BATCH: usize = 16;

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct Data {
    /// Entries, with keys of 24 bytes.
    pub entries: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// How many times the data is overwritten.
    pub times: u64,
    /// Fixes all that is drawn.
    pub seed: u64,
}

/// What came of overwriting.
#[derive(Debug, Clone, Copy)]
pub struct Overwritten {
    /// How many times the data was overwritten: fewer than asked for if it took too long.
    pub times: f64,
    /// Bytes of log by the writer.
    pub written_bytes: u64,
    /// Bytes of log by compaction.
    pub copied_bytes: u64,
    /// How long the writer took.
    pub writing: Duration,
    /// How long compaction went on after it.
    pub catching_up: Duration,
    /// Share of the time for which compaction was at it.
    pub compacting: f64,
    /// The space meanwhile.
    pub space: Space,
}

/// What is left after a full compaction.
#[derive(Debug, Clone, Copy)]
pub struct Compacted {
    /// Of the keys, those deleted before.
    pub deleted: u64,
    /// Entries that are left.
    pub entries: u64,
    /// Bytes of tombstones.
    pub tombstone_bytes: u64,
    /// Bytes of anything dead.
    pub dead_bytes: u64,
    /// How long it took.
    pub duration: Duration,
}

impl Overwritten {
    /// Bytes written to the log for each that the writer wrote.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        (self.written_bytes + self.copied_bytes) as f64 / self.written_bytes.max(1) as f64
    }

    /// What the writer wrote a second.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        self.written_bytes as f64 / self.writing.as_secs_f64()
    }
}

/// Options of the store that is measured.
#[must_use]
pub fn options(data: &Data, durability: Durability, compaction: Compaction) -> Options {
    Options::new()
        .durability(durability)
        .segment_bytes(data.segment_bytes)
        .feed_retention_bytes(0)
        .compaction(compaction)
}

/// Puts every entry once.
pub fn load(store: &Store, data: &Data) -> Result<()> {
    let mut random = Random::seeded(data.seed);
    let values = Values::generate(&mut random, data.value_bytes);
    for first in (0..data.entries).step_by(100) {
        let numbers = first..data.entries.min(first + 100);
        put_all(store, numbers, || values.pick(&mut random))?;
    }
    store.sync().wait()?;
    Ok(())
}

/// Overwrites `data.times` times as many entries as there are, drawn evenly, at most `bytes_per_second` if that is not 0,
/// and for no longer than `time_max`.
pub fn overwrite(
    directory: &Path,
    store: &Store,
    data: &Data,
    bytes_per_second: u64,
    time_max: Duration,
) -> Result<Overwritten> {
    until_compacted(store);
    let before = store.stats();
    let started = Instant::now();
    let mut gauge = Gauge::new(directory);
    gauge.sample(store)?;
    let over = AtomicBool::new(false);
    let (overwrites, writing) = thread::scope(|scope| -> Result<(u64, Duration)> {
        let writer = scope.spawn(|| {
            let mut overwriter = Overwriter::new(store, data, bytes_per_second);
            let written = overwriter.write(data.entries * data.times, time_max);
            over.store(true, Ordering::Release);
            written
        });
        while !over.load(Ordering::Acquire) {
            gauge.sample(store)?;
            thread::sleep(LOOK);
        }
        Ok((writer.join().expect("a writer that tells its errors")?, started.elapsed()))
    })?;
    until_compacted(store);
    let after = store.stats();
    let compaction = |stats: &Stats| stats.compaction.duration.as_secs_f64();
    Ok(Overwritten {
        times: overwrites as f64 / data.entries as f64,
        written_bytes: logged(&after) - logged(&before),
        copied_bytes: after.compaction.bytes_out - before.compaction.bytes_out,
        writing,
        catching_up: started.elapsed() - writing,
        compacting: (compaction(&after) - compaction(&before)) / started.elapsed().as_secs_f64(),
        space: gauge.space,
    })
}

/// Deletes every other entry, and compacts all.
pub fn delete_and_compact(store: &Store, data: &Data) -> Result<Compacted> {
    for first in (0..data.entries).step_by(200) {
        let numbers = (first..data.entries.min(first + 200)).step_by(2);
        let deleted = store.write(|writer| -> larder_engine::Result<()> {
            for number in numbers {
                // Whether it was there does not matter.
                let _ = with_address(number, |at| writer.delete(at, Condition::Always))?;
            }
            Ok(())
        });
        deleted.wait()??;
    }
    let report = store.compact()?;
    let stats = store.stats();
    Ok(Compacted {
        deleted: data.entries.div_ceil(2),
        entries: stats.entries,
        tombstone_bytes: stats.tombstone_bytes,
        dead_bytes: stats.segments.iter().map(|segment| segment.dead_bytes).sum(),
        duration: report.duration,
    })
}

/// All bytes of log that were ever written by others than compaction, but for those before the store was opened.
fn logged(stats: &Stats) -> u64 {
    stats.log_bytes + stats.compaction.bytes_in - stats.compaction.bytes_out
}

/// Overwrites entries drawn evenly, at most `bytes_per_second` if that is not 0, until it is over.
pub fn overwrite_until(store: &Store, data: &Data, bytes_per_second: u64, over: &AtomicBool) -> Result<()> {
    let mut overwriter = Overwriter::new(store, data, bytes_per_second);
    while !over.load(Ordering::Relaxed) {
        overwriter.overwrite()?;
    }
    Ok(())
}

struct Overwriter<'s> {
    store: &'s Store,
    data: &'s Data,
    bytes_per_second: u64,
    random: Random,
    values: Values,
    started: Instant,
    written: u64,
}

impl<'s> Overwriter<'s> {
    fn new(store: &'s Store, data: &'s Data, bytes_per_second: u64) -> Self {
        let mut random = Random::seeded(data.seed + 1);
        let values = Values::generate(&mut random, data.value_bytes);
        Self { store, data, bytes_per_second, random, values, started: Instant::now(), written: 0 }
    }

    /// Overwrites so many, or fewer if that takes too long. Gives how many.
    fn write(&mut self, overwrites: u64, time_max: Duration) -> Result<u64> {
        let mut done = 0;
        while done < overwrites && self.started.elapsed() < time_max {
            self.overwrite()?;
            done += BATCH as u64;
        }
        Ok(done)
    }

    /// Overwrites a few, and waits if that was faster than allowed.
    fn overwrite(&mut self) -> Result<()> {
        let Self { random, values, data, .. } = self;
        let numbers = [(); BATCH].map(|()| random.below(data.entries));
        put_all(self.store, numbers, || values.pick(random))?;
        self.written += (BATCH * (KEY_BYTES + data.value_bytes)) as u64;
        let due_us = (self.written * 1_000_000).checked_div(self.bytes_per_second).unwrap_or(0);
        thread::sleep(Duration::from_micros(due_us).saturating_sub(self.started.elapsed()));
        Ok(())
    }
}

/// Puts some entries, and waits until they are acknowledged.
pub fn put_all<'v>(
    store: &Store,
    numbers: impl IntoIterator<Item = u64>,
    mut value: impl FnMut() -> &'v str,
) -> larder_engine::Result<()> {
    store.admission().wait();
    let put = store.write(|writer| -> larder_engine::Result<()> {
        for number in numbers {
            let put = Put::new(value().as_bytes());
            // There is no condition that it could fail.
            let _ = with_address(number, |at| writer.put(at, &put))?;
        }
        Ok(())
    });
    put.wait()?
}

/// Works on the address of entry `number`.
pub fn with_address<R>(number: u64, work: impl FnOnce(Address<'_>) -> R) -> R {
    let key = key(number);
    let key = std::str::from_utf8(&key).expect("generated keys are ASCII");
    work(Address::new(Tenant::DEFAULT, "default", key).expect("generated keys are valid"))
}

/// Waits until compaction has nothing to do: it looks every second.
fn until_compacted(store: &Store) {
    const QUIET: Duration = Duration::from_millis(1200);
    let segments = || store.stats().compaction.segments_in;
    let (mut before, mut since) = (segments(), Instant::now());
    while since.elapsed() < QUIET {
        thread::sleep(LOOK);
        let now = segments();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}
