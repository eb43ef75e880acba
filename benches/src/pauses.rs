//! What backups cost those who write meanwhile: how long puts take with and without backups, in turns of one run.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use larder_engine::{Address, Durability, Options, Put, Store, Tenant};

use crate::key::key;
use crate::random::Random;

/// Time between the end of a backup and the beginning of the next.
const BETWEEN: Duration = Duration::from_millis(50);
/// Turns without and with backups.
const ROUNDS: u32 = 4;
/// Keys that the writers share.
const KEYS: u64 = 100_000;
/// Latencies are kept from 100 ns to 60 s with three significant digits.
const LATENCY_NS: (u64, u64, u8) = (100, 60_000_000_000, 3);

/// What was measured in the turns of one kind.
struct Turns {
    latency_ns: Histogram<u64>,
    backups: u64,
    /// Longest time for which one of them held writers up.
    pause_max: Duration,
    /// Longest time that one of them took.
    duration_max: Duration,
}

impl Turns {
    fn new() -> Turns {
        let (low, high, digits) = LATENCY_NS;
        let latency_ns =
            Histogram::new_with_bounds(low, high, digits).expect("the bounds are constants in range");
        Turns { latency_ns, backups: 0, pause_max: Duration::ZERO, duration_max: Duration::ZERO }
    }

    fn print(&self, name: &str) {
        let micros = |quantile| self.latency_ns.value_at_quantile(quantile) / 1_000;
        println!(
            "{name:<44} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8} {:>9}",
            self.latency_ns.len(),
            micros(0.5),
            micros(0.999),
            self.latency_ns.max() / 1_000,
            self.backups,
            self.pause_max.as_micros(),
            self.duration_max.as_micros(),
        );
    }
}

/// Measures in `directory`, for `time` with backups and as long without, at both levels of durability.
pub fn run(directory: &Path, time: Duration, value: &[u8]) -> Result<(), larder_engine::Error> {
    println!(
        "{:<44} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8} {:>9}",
        "put latency, µs", "puts", "p50", "p99.9", "max", "backups", "pause", "duration"
    );
    for (name, durability, threads) in
        [("durable, 4 threads", Durability::Durable, 4), ("buffered, 2 threads", Durability::Buffered, 2)]
    {
        let store = Options::new().durability(durability).open(directory.join(&name[..8]))?;
        let (mut without, mut with) = (Turns::new(), Turns::new());
        for round in 0..ROUNDS {
            turn(&store, &mut without, None, threads, time / ROUNDS, value)?;
            let backup = directory.join(format!("backup{round}"));
            turn(&store, &mut with, Some(&backup), threads, time / ROUNDS, value)?;
        }
        without.print(&format!("{name}, without backups"));
        with.print(&format!("{name}, with backups"));
        store.close()?;
    }
    Ok(())
}

/// Lets `threads` write for `time`, while backups are made in `backup`, if that is given.
fn turn(
    store: &Store,
    turns: &mut Turns,
    backup: Option<&Path>,
    threads: u64,
    time: Duration,
    value: &[u8],
) -> Result<(), larder_engine::Error> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = &over;
        let writers: Vec<_> =
            (0..threads).map(|seed| scope.spawn(move || write(store, seed, over, value))).collect();
        let started = Instant::now();
        let mut outcome = Ok(());
        while started.elapsed() < time && outcome.is_ok() {
            thread::sleep(BETWEEN);
            outcome = backup.map_or(Ok(()), |backup| back_up(store, turns, backup));
        }
        over.store(true, Ordering::Relaxed);
        for writer in writers {
            turns.latency_ns.add(writer.join().expect("a writer")).expect("the same bounds");
        }
        outcome
    })
}

fn back_up(store: &Store, turns: &mut Turns, backup: &Path) -> Result<(), larder_engine::Error> {
    let report = store.backup(backup)?;
    turns.backups += 1;
    turns.pause_max = turns.pause_max.max(report.pause);
    turns.duration_max = turns.duration_max.max(report.duration);
    // Links, but for the names: no space comes free, and nothing of the store goes.
    fs::remove_dir_all(backup).expect("the backup that was just made");
    Ok(())
}

fn write(store: &Store, seed: u64, over: &AtomicBool, value: &[u8]) -> Histogram<u64> {
    let mut latency_ns = Turns::new().latency_ns;
    let mut random = Random::seeded(seed + 1);
    while !over.load(Ordering::Relaxed) {
        let key = key(random.below(KEYS));
        let key = std::str::from_utf8(&key).expect("generated keys are ASCII");
        let at = Address::new(Tenant::DEFAULT, "default", key).expect("generated keys are valid");
        let started = Instant::now();
        store.put(at, &Put::new(value)).expect("a healthy store").expect("no condition");
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        latency_ns.saturating_record(took);
    }
    latency_ns
}
