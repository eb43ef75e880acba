//! What expiry costs in the engine by itself: how long after its deadline an entry is durably gone, and what a million
//! entries that are due in the same second cost those who read and write meanwhile.

use clap::Parser;
use hdrhistogram::Histogram;
use larder_benches::key::key;
use larder_benches::random::Random;
use larder_engine::{Address, Options, Put, Stats, Store, Tenant};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Measures expiry in the storage engine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Entries that never expire, which are read.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Entries that expire within the same second; and, before that, timers that are pending while lags are measured.
    #[arg(long, default_value_t = 1_000_000)]
    due: u64,
    /// Entries whose lag is measured, one every ten milliseconds.
    #[arg(long, default_value_t = 1000)]
    probes: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 190)]
    value_bytes: usize,
    /// Directory for the store, on the disk to be measured; it must not exist, and is removed at the end.
    #[arg(long, default_value = "larder-expiry-bench.data")]
    directory: PathBuf,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Time between two probes.
const PROBE_MS: u64 = 10;
/// Time from one read of a reader to the next. One that never rests would be measured for the processor that it takes.
const READ_PAUSE: Duration = Duration::from_micros(50);
/// Time from one put of a writer to the next.
const WRITE_PAUSE: Duration = Duration::from_millis(5);
/// How often it is looked how far the store has come.
const LOOK: Duration = Duration::from_micros(200);
/// How long reads and writes are measured without anything that expires.
const IDLE: Duration = Duration::from_secs(3);

/// Keys of the entries that expire at once, and of the probes, begin here.
const DUE_KEYS: u64 = 1 << 40;
const PROBE_KEYS: u64 = 1 << 41;
const WRITTEN_KEYS: u64 = 1 << 42;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir(&arguments.directory)?;
    let result = run(&arguments);
    std::fs::remove_dir_all(&arguments.directory)?;
    result
}

fn run(arguments: &Arguments) -> Result<()> {
    let store = Options::new().open(arguments.directory.join("store"))?;
    let value = vec![b'x'; arguments.value_bytes];
    load(&store, arguments.entries, 0, |_| None, &value)?;
    println!("{:<36} {:>8} {:>8} {:>8} {:>8}", "ms", "p50", "p99", "p99.9", "max");

    let far = now_ms() + 86_400_000;
    load(&store, arguments.due, DUE_KEYS, |_| Some(far), &value)?;
    lags(&store, arguments.probes, &value)?;

    // The same entries, all due within a second that begins when all of them and the idle time have passed.
    let started = Instant::now();
    let first = now_ms() + 8_000 + arguments.due / 50 + millis(IDLE);
    load(&store, arguments.due, DUE_KEYS, |number| Some(first + number % 1000), &value)?;
    let took = started.elapsed();
    if now_ms() + millis(IDLE) > first {
        return Err(format!("loading took {took:?}, longer than expected: measure again").into());
    }
    at_once(&store, arguments, first, &value)?;
    store.close()?;
    Ok(())
}

fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn with_address<R>(number: u64, work: impl FnOnce(Address<'_>) -> R) -> R {
    let key = key(number);
    let key = std::str::from_utf8(&key).expect("generated keys are ASCII");
    work(Address::new(Tenant::DEFAULT, "default", key).expect("generated keys are valid"))
}

/// Loads in random order: `number -> number * odd` permutes the keys.
fn load(
    store: &Store,
    entries: u64,
    base: u64,
    deadline: impl Fn(u64) -> Option<u64>,
    value: &[u8],
) -> Result<()> {
    for first in (0..entries).step_by(100) {
        let batch = first..entries.min(first + 100);
        let done = store.write(|writer| {
            batch.into_iter().try_for_each(|number| {
                let number = number.wrapping_mul(7_368_787) % entries;
                let put = Put::new(value);
                let put = deadline(number).map_or(put, |deadline| put.expires_at(deadline));
                with_address(base + number, |at| writer.put(at, &put)).map(drop)
            })
        });
        if first % 10_000 == 0 {
            done.wait()??;
        }
    }
    Ok(store.sync().wait().map(drop)?)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 60_000_000_000, 3).expect("the bounds are constants in range")
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

fn print(name: &str, histogram: &Histogram<u64>) {
    let millis = |nanos: u64| nanos as f64 / 1e6;
    let quantile = |quantile| millis(histogram.value_at_quantile(quantile));
    println!(
        "{name:<36} {:>8.3} {:>8.3} {:>8.3} {:>8.3}",
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        millis(histogram.max())
    );
}

/// From the deadline to the record on stable storage. Nothing else is written, so the probes' expirations have the
/// next sequences, in the order of their deadlines.
fn lags(store: &Store, probes: u64, value: &[u8]) -> Result<()> {
    let first = now_ms() + 2000;
    load(store, probes, PROBE_KEYS, |number| Some(first + number * PROBE_MS), value)?;
    let before = store.stats().sequence;
    let (mut seen, mut lags) = (0, histogram());
    while seen < probes {
        thread::sleep(LOOK);
        let durable = store.stats().durable_sequence.saturating_sub(before);
        for number in seen..durable {
            record(&mut lags, Duration::from_millis(now_ms().saturating_sub(first + number * PROBE_MS)));
        }
        seen = seen.max(durable);
    }
    print("lag, deadline to durable", &lags);
    Ok(())
}

fn at_once(store: &Store, arguments: &Arguments, first: u64, value: &[u8]) -> Result<()> {
    let is_gone = |stats: &Stats| {
        stats.timed_entries == 0 && stats.durable_sequence == stats.sequence && stats.overdue_entries == 0
    };
    let ended = first + 999;
    let wait_until = |time_ms: u64| thread::sleep(Duration::from_millis(time_ms.saturating_sub(now_ms())));
    wait_until(first - millis(IDLE));
    let over = AtomicBool::new(false);
    let expiring = AtomicBool::new(false);
    let (gone_ms, reads, writes) = thread::scope(|scope| {
        let reads = scope.spawn(|| reads(store, arguments.entries, &expiring, &over));
        let writes = scope.spawn(|| writes(store, value, &expiring, &over));
        wait_until(first);
        expiring.store(true, Ordering::Relaxed);
        let gone_ms = loop {
            thread::sleep(Duration::from_millis(2));
            if now_ms() >= ended && is_all_gone(store, &is_gone) {
                break now_ms();
            }
        };
        over.store(true, Ordering::Relaxed);
        (gone_ms, reads.join().expect("a reader"), writes.join().expect("a writer"))
    });
    print("get, idle", &reads.0);
    print("get, while all expire", &reads.1);
    print("put, idle", &writes.0);
    print("put, while all expire", &writes.1);
    println!(
        "{} entries due within a second: gone {} ms after its beginning, {} ms after its end",
        arguments.due,
        gone_ms - first,
        gone_ms - ended
    );
    Ok(())
}

/// Writers go on, so the last sequence is hardly ever durable: it is enough that it is a moment later.
fn is_all_gone(store: &Store, is_gone: &impl Fn(&Stats) -> bool) -> bool {
    let stats = store.stats();
    if stats.timed_entries > 0 {
        return false;
    }
    if is_gone(&stats) {
        return true;
    }
    while store.stats().durable_sequence < stats.sequence {
        thread::sleep(LOOK);
    }
    true
}

/// Before and while entries expire: how long a read takes.
fn reads(
    store: &Store,
    entries: u64,
    expiring: &AtomicBool,
    over: &AtomicBool,
) -> (Histogram<u64>, Histogram<u64>) {
    let (mut idle, mut busy, mut random) = (histogram(), histogram(), Random::seeded(3));
    while !over.load(Ordering::Relaxed) {
        let is_busy = expiring.load(Ordering::Relaxed);
        let started = Instant::now();
        let entry = with_address(random.below(entries), |at| store.get(at));
        record(if is_busy { &mut busy } else { &mut idle }, started.elapsed());
        assert!(entry.expect("a healthy store").is_some());
        thread::sleep(READ_PAUSE);
    }
    (idle, busy)
}

/// The same of a durable write, one every few milliseconds.
fn writes(
    store: &Store,
    value: &[u8],
    expiring: &AtomicBool,
    over: &AtomicBool,
) -> (Histogram<u64>, Histogram<u64>) {
    let (mut idle, mut busy) = (histogram(), histogram());
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let is_busy = expiring.load(Ordering::Relaxed);
        let started = Instant::now();
        let put = with_address(WRITTEN_KEYS + number % 1000, |at| store.put(at, &Put::new(value)));
        record(if is_busy { &mut busy } else { &mut idle }, started.elapsed());
        put.expect("a healthy store").expect("no condition");
        thread::sleep(WRITE_PAUSE);
    }
    (idle, busy)
}
