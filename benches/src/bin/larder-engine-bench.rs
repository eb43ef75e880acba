//! The engine by itself, without a network: what its verbs cost, next to what the disk costs.
//!
//! It was written to choose the ways of reading, committing and locking by measurement; `docs/performance.md` has the
//! choices. All rows come from one run, and only their ratios say something about the engine.

use clap::Parser;
use larder_benches::key::key;
use larder_benches::pauses;
use larder_benches::random::Random;
use larder_benches::unmapped::UnmappedDisk;
use larder_benches::value::Values;
use larder_engine::disk::RealDisk;
use larder_engine::{Address, Decision, Durability, Error, Options, Pending, Put, Stamp, Store, Tenant};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Measures the storage engine by itself.
#[derive(Debug, Parser)]
struct Arguments {
    /// Entries in the store.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 190)]
    value_bytes: usize,
    /// Directory for the store, on the disk to be measured; it must not exist, and is removed at the end.
    #[arg(long, default_value = "larder-engine-bench.data")]
    directory: PathBuf,
    /// Seconds for each of the durable rows.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Measure nothing but what backups cost those who write meanwhile.
    #[arg(long)]
    pauses: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    std::fs::create_dir(&arguments.directory)?;
    let result = run(&arguments);
    std::fs::remove_dir_all(&arguments.directory)?;
    result
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut random = Random::seeded(1);
    let values = Values::generate(&mut random, arguments.value_bytes);
    let value = values.pick(&mut random).as_bytes();
    let time = Duration::from_secs(arguments.seconds);
    if arguments.pauses {
        return Ok(pauses::run(&arguments.directory, time, value)?);
    }
    println!("{:<44} {:>12} {:>12}", "measure", "per second", "µs each");

    let directory = arguments.directory.join("buffered");
    let store = Options::new().durability(Durability::Buffered).open(&directory)?;
    row("load, batches of 100, buffered", arguments.entries, || load(&store, arguments.entries, value));
    row("random get, 1 thread", arguments.entries, || get(&store, arguments.entries, 1));
    row("random get, 2 threads", 2 * arguments.entries, || get(&store, arguments.entries, 2));
    let overwrites = arguments.entries / 2;
    row("single overwrites, buffered, 1 thread", overwrites, || {
        overwrite(&store, arguments.entries, overwrites, value);
    });
    let (entries, index_bytes) = (store.stats().entries, store.stats().index_bytes);
    store.close()?;
    let reopened = Instant::now();
    let store = Options::new().durability(Durability::Buffered).open(&directory)?;
    println!(
        "{:<44} {:>12} {:>10.0}ms",
        "open after a clean stop",
        store.report().entries,
        millis(reopened.elapsed())
    );
    row("random get, mapped log, after opening", arguments.entries, || get(&store, arguments.entries, 1));
    drop(store);
    let unmapped = Arc::new(UnmappedDisk(RealDisk::open(&directory, false)?));
    let store = Options::new().durability(Durability::Buffered).open_on(unmapped)?;
    row("random get, positioned reads, after opening", arguments.entries, || {
        get(&store, arguments.entries, 1);
    });
    drop(store);

    let done = sync_loop(&arguments.directory, time)?;
    rate("write + fdatasync loop, 300 bytes", done, time);
    let store = Options::new().open(arguments.directory.join("durable"))?;
    for threads in [1, 16] {
        let done = durable_threads(&store, threads, time, value);
        rate(&format!("durable puts, {threads} threads"), done, time);
    }
    let done = durable_awaiting(&store, 256, time, value);
    rate("durable puts, 256 awaiting callers", done, time);
    pauses::run(&arguments.directory, time, value)?;
    println!("estimated index bytes per entry: {}", index_bytes / entries.max(1));
    Ok(())
}

fn row(name: &str, operations: u64, work: impl FnOnce()) {
    let started = Instant::now();
    work();
    rate(name, operations, started.elapsed());
}

fn rate(name: &str, operations: u64, time: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let operations = operations as f64;
    let each = time.as_secs_f64() * 1e6 / operations;
    println!("{name:<44} {:>12.0} {each:>12.3}", operations / time.as_secs_f64());
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn with_address<R>(number: u64, work: impl FnOnce(Address<'_>) -> R) -> R {
    let key = key(number);
    let key = std::str::from_utf8(&key).expect("generated keys are ASCII");
    work(Address::new(Tenant::DEFAULT, "default", key).expect("generated keys are valid"))
}

fn put(store: &Store, number: u64, value: &[u8]) -> Pending<Result<Decision<Stamp>, Error>> {
    store.write(|writer| with_address(number, |at| writer.put(at, &Put::new(value))))
}

fn done(put: Result<Result<Decision<Stamp>, Error>, Error>) {
    put.expect("a healthy disk").expect("a healthy store").expect("no condition");
}

/// Loads in random order: `number -> number * odd` permutes the keys.
fn load(store: &Store, entries: u64, value: &[u8]) {
    for first in (0..entries).step_by(100) {
        let batch = first..entries.min(first + 100);
        let done = store.write(|writer| {
            for number in batch {
                let number = number.wrapping_mul(7_368_787) % entries;
                with_address(number, |at| writer.put(at, &Put::new(value)))
                    .expect("a put into a healthy store")
                    .expect("without condition");
            }
        });
        done.wait().expect("a healthy disk");
    }
}

fn get(store: &Store, entries: u64, threads: u64) {
    thread::scope(|scope| {
        for seed in 0..threads {
            scope.spawn(move || {
                let mut random = Random::seeded(seed + 1);
                let mut scratch = Vec::new();
                for _ in 0..entries {
                    let number = random.below(entries);
                    let found = store.read(|view| with_address(number, |at| view.get(at)));
                    let length = found
                        .map(|found, values| {
                            found.map(|found| values.value(&found, &mut scratch).map(<[u8]>::len))
                        })
                        .wait()
                        .expect("a healthy disk");
                    std::hint::black_box(length.transpose().expect("intact values"));
                }
            });
        }
    });
}

fn overwrite(store: &Store, entries: u64, operations: u64, value: &[u8]) {
    let mut random = Random::seeded(7);
    for _ in 0..operations {
        done(put(store, random.below(entries), value).wait());
    }
}

/// What the disk allows: append 300 bytes, sync, again. Into preallocated space, as the engine does.
fn sync_loop(directory: &Path, time: Duration) -> std::io::Result<u64> {
    let path = directory.join("sync-loop");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 64 << 20)?;
    file.sync_all()?;
    let started = Instant::now();
    let mut done = 0;
    while started.elapsed() < time {
        file.write_all_at(&[7; 300], done * 300 % (63 << 20))?;
        file.sync_data()?;
        done += 1;
    }
    Ok(done)
}

fn durable_threads(store: &Store, threads: u64, time: Duration, value: &[u8]) -> u64 {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                scope.spawn(move || {
                    let started = Instant::now();
                    let mut done = 0;
                    while started.elapsed() < time {
                        self::done(put(store, number * 1_000_000 + done, value).wait());
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).sum()
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Many callers that await on one thread, each with one write under way.
fn durable_awaiting(store: &Store, callers: u64, time: Duration, value: &[u8]) -> u64 {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut pending: Vec<_> = (0..callers).map(|number| Box::pin(put(store, number, value))).collect();
    let (mut done, started) = (0, Instant::now());
    while started.elapsed() < time {
        for write in &mut pending {
            if let Poll::Ready(result) = write.as_mut().poll(&mut context) {
                self::done(result);
                done += 1;
                write.set(put(store, callers + done, value));
            }
        }
        thread::park_timeout(Duration::from_millis(1));
    }
    done
}
