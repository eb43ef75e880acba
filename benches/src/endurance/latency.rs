//! What compaction costs those who read and write meanwhile: how long single gets and puts take with and without it, in
//! turns of one run. An overwriter keeps compaction busy, and writes as much in the turns without it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use larder_engine::{Compaction, Durability, Store};

use super::Result;
use super::overwrites::{Data, options, overwrite_until, put_all, with_address};
use crate::random::Random;
use crate::value::Values;

/// Turns of each kind.
const ROUNDS: u32 = 3;
/// Time between two calls whose time is taken.
const BETWEEN: Duration = Duration::from_micros(200);
/// Latencies are kept from 100 ns to 60 s with three significant digits.
const LATENCY_NS: (u64, u64, u8) = (100, 60_000_000_000, 3);

/// How long one kind of call takes.
#[derive(Debug)]
pub struct Latency {
    /// The kind.
    pub name: &'static str,
    /// In the turns without compaction, in nanoseconds.
    pub without_ns: Histogram<u64>,
    /// In the turns with it, in nanoseconds.
    pub with_ns: Histogram<u64>,
    /// Share of the time of these turns for which a compaction ran.
    pub compacting: f64,
}

/// Measures on the store in `directory` for `time` at both levels of durability together, while `bytes_per_second` are
/// overwritten.
pub fn measure(
    directory: &Path,
    data: &Data,
    compaction: Compaction,
    time: Duration,
    bytes_per_second: u64,
) -> Result<Vec<Latency>> {
    let mut latencies = Vec::new();
    for (durability, get, put) in [
        (Durability::Buffered, "get, buffered store", "put, buffered"),
        (Durability::Durable, "get, durable store", "put, durable"),
    ] {
        let (mut get, mut put) = (Latency::new(get), Latency::new(put));
        let mut compacting = 0.0;
        for background in (0..ROUNDS).flat_map(|_| [false, true]) {
            let compaction = Compaction { background, ..compaction };
            let store = options(data, durability, compaction).open(directory)?;
            let turn = Turn { store: &store, data, time: time / (4 * ROUNDS), bytes_per_second };
            let (gets, puts) = turn.take()?;
            compacting += store.stats().compaction.duration.as_secs_f64() / turn.time.as_secs_f64();
            store.close()?;
            get.add(background, &gets)?;
            put.add(background, &puts)?;
        }
        let compacting = compacting / f64::from(ROUNDS);
        latencies.extend([get, put].map(|latency| Latency { compacting, ..latency }));
    }
    Ok(latencies)
}

impl Latency {
    fn new(name: &'static str) -> Self {
        Self { name, without_ns: histogram(), with_ns: histogram(), compacting: 0.0 }
    }

    fn add(&mut self, with: bool, turn_ns: &Histogram<u64>) -> Result<()> {
        let latency_ns = if with { &mut self.with_ns } else { &mut self.without_ns };
        Ok(latency_ns.add(turn_ns)?)
    }
}

fn histogram() -> Histogram<u64> {
    let (low, high, digits) = LATENCY_NS;
    Histogram::new_with_bounds(low, high, digits).expect("the bounds are constants in range")
}

struct Turn<'s> {
    store: &'s Store,
    data: &'s Data,
    time: Duration,
    bytes_per_second: u64,
}

impl Turn<'_> {
    /// Gives how long gets and puts took.
    fn take(&self) -> Result<(Histogram<u64>, Histogram<u64>)> {
        let over = AtomicBool::new(false);
        let Turn { store, data, bytes_per_second, .. } = *self;
        thread::scope(|scope| {
            let over = &over;
            let overwriter = scope.spawn(move || overwrite_until(store, data, bytes_per_second, over));
            let getter = scope.spawn(move || timed(data, over, |number| get(store, number)));
            let putter = scope.spawn(move || {
                let mut random = Random::seeded(data.seed);
                let values = Values::generate(&mut random, data.value_bytes);
                timed(data, over, |number| Ok(put_all(store, [number], || values.pick(&mut random))?))
            });
            thread::sleep(self.time);
            over.store(true, Ordering::Relaxed);
            overwriter.join().expect("a thread that tells its errors")?;
            let gets = getter.join().expect("a thread that tells its errors")?;
            let puts = putter.join().expect("a thread that tells its errors")?;
            Ok((gets, puts))
        })
    }
}

/// Takes the time of calls on entries drawn evenly, with pauses between, until it is over.
fn timed(data: &Data, over: &AtomicBool, mut call: impl FnMut(u64) -> Result<()>) -> Result<Histogram<u64>> {
    let mut latency_ns = histogram();
    let mut random = Random::seeded(data.seed);
    while !over.load(Ordering::Relaxed) {
        let number = random.below(data.entries);
        let started = Instant::now();
        call(number)?;
        latency_ns.saturating_record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        thread::sleep(BETWEEN);
    }
    Ok(latency_ns)
}

fn get(store: &Store, number: u64) -> Result<()> {
    match with_address(number, |at| store.get(at))? {
        Some(_) => Ok(()),
        None => Err(format!("entry {number} is not there").into()),
    }
}
