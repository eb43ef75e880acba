//! The work that every engine does, and what is measured of it.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use larder_engine::log::{frame, record};

use super::{Candidate, Engine, Key, Opening, Result, put_by_threads};
use crate::key::{KEY_BYTES, key};
use crate::procfs;
use crate::random::Random;
use crate::value::Values;

/// What is measured. All but memory are operations for each second, where an entry of a batch and a whole scan are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// New entries in random order, in batches.
    Load,
    /// Gets of random entries by one thread.
    Get,
    /// The same by two, together.
    GetByTwo,
    /// Scans of the 100 entries under a random prefix, with their values.
    Scan,
    /// Puts of random entries that are there, one at a time.
    Overwrite,
    /// As [`Measure::Scan`], after all of it was overwritten in part and then compacted.
    ScanCompacted,
    /// A loop of write and fdatasync, of as many bytes as Larder writes for a put.
    Loop,
    /// Puts of new entries by one thread.
    Durable,
    /// The same by sixteen threads.
    DurableBySixteen,
    /// The same by 256 who await: on one thread, or each on a thread where an engine has no other way.
    DurableByMany,
    /// Bytes of memory an entry, without the page cache; values count where the engine keeps them.
    Memory,
    /// The same of entries with a deadline.
    MemoryTimed,
}

impl Measure {
    /// All of them, in the order of the table.
    pub const ALL: [Measure; 12] = [
        Measure::Load,
        Measure::Get,
        Measure::GetByTwo,
        Measure::Scan,
        Measure::ScanCompacted,
        Measure::Overwrite,
        Measure::Loop,
        Measure::Durable,
        Measure::DurableBySixteen,
        Measure::DurableByMany,
        Measure::Memory,
        Measure::MemoryTimed,
    ];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Measure::Load => "load, batches of 100, buffered",
            Measure::Get => "random get, 1 thread",
            Measure::GetByTwo => "random get, 2 threads",
            Measure::Scan => "scan of 100 by prefix, with values, after a random load",
            Measure::Overwrite => "single overwrites, buffered",
            Measure::ScanCompacted => "scan of 100 by prefix, with values, after compaction",
            Measure::Loop => "loop of write and fdatasync",
            Measure::Durable => "durable puts, 1 thread",
            Measure::DurableBySixteen => "durable puts, 16 threads",
            Measure::DurableByMany => "durable puts, 256 awaiting callers",
            Measure::Memory => "bytes of memory an entry",
            Measure::MemoryTimed => "bytes of memory an entry with a deadline",
        }
    }
}

/// A part of the work, which is done in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Step {
    /// Everything that is buffered.
    Buffered,
    /// Memory of entries with deadlines.
    Timed,
    /// Everything that is durable.
    Durable,
    /// The loop, without any engine.
    Loop,
}

impl Step {
    /// What a store is opened for in this step.
    #[must_use]
    pub fn opening(self) -> Option<Opening> {
        match self {
            Step::Buffered => Some(Opening::Buffered),
            Step::Timed => Some(Opening::Timed),
            Step::Durable => Some(Opening::Durable),
            Step::Loop => None,
        }
    }
}

/// How much there is to do.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Entries in the store.
    pub entries: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Time for each durable measure.
    pub time: Duration,
}

/// Entries in a batch.
const BATCH: usize = 100;
/// Entries under a prefix, that of all digits of a key but two.
const SCANNED: u64 = 100;
const PREFIX_BYTES: usize = KEY_BYTES - 2;
/// Writers at the same time.
const THREADS: u64 = 16;
/// Callers at the same time.
pub(super) const CALLERS: u64 = 256;
/// What Larder writes for a put, besides the value: a frame, with a record in it, of an entry in the namespace "default".
const PUT_BYTES: usize = frame::HEADER_BYTES + record::HEADER_BYTES + "default".len() + KEY_BYTES;

/// What was measured.
pub type Figures = Vec<(Measure, f64)>;

/// Does a step with a candidate, or without where it has no need of one, in an empty directory.
pub fn run(candidate: Option<&Candidate>, step: Step, directory: &Path, size: &Size) -> Result<Figures> {
    let mut random = Random::seeded(1);
    let values = Values::generate(&mut random, size.value_bytes);
    let value = values.pick(&mut random).as_bytes();
    let (Some(opening), Some(candidate)) = (step.opening(), candidate) else {
        return Ok(vec![(
            Measure::Loop,
            write_and_sync(directory, size.time, PUT_BYTES + size.value_bytes)?,
        )]);
    };
    match opening {
        Opening::Durable => durable(&*(candidate.open)(directory, opening)?, size.time, value),
        Opening::Buffered | Opening::Timed => {
            let order = shuffled(size.entries, &mut random);
            let before = procfs::anonymous_bytes()?;
            let mut engine = (candidate.open)(directory, opening)?;
            let load = rate(size.entries, || load(&*engine, &order, &values))?;
            engine.settle()?;
            let each = procfs::anonymous_bytes()?.saturating_sub(before) as f64 / size.entries as f64;
            if opening == Opening::Timed {
                return Ok(vec![(Measure::MemoryTimed, each)]);
            }
            let mut figures = buffered(&mut *engine, size.entries, &values)?;
            figures.extend([(Measure::Load, load), (Measure::Memory, each)]);
            Ok(figures)
        }
    }
}

fn buffered(engine: &mut dyn Engine, entries: u64, values: &Values) -> Result<Figures> {
    let mut figures = Vec::new();
    let scans = entries / SCANNED;
    figures.push((Measure::Get, rate(entries, || get(engine, entries, 1))?));
    figures.push((Measure::GetByTwo, rate(2 * entries, || get(engine, entries, 2))?));
    figures.push((Measure::Scan, rate(scans, || scan(engine, scans))?));
    let overwrites = entries / 2;
    figures.push((Measure::Overwrite, rate(overwrites, || overwrite(engine, entries, overwrites, values))?));
    engine.settle()?;
    engine.compact()?;
    engine.settle()?;
    figures.push((Measure::ScanCompacted, rate(scans, || scan(engine, scans))?));
    Ok(figures)
}

fn durable(engine: &dyn Engine, time: Duration, value: &[u8]) -> Result<Figures> {
    let put = |key: &Key| engine.put(key, value);
    Ok(vec![
        (Measure::Durable, each_second(put_by_threads(put, 1, time)?, time)),
        (Measure::DurableBySixteen, each_second(put_by_threads(put, THREADS, time)?, time)),
        (Measure::DurableByMany, each_second(engine.put_by(CALLERS, time, value)?, time)),
    ])
}

/// Does so many operations. How many that is for each second.
fn rate(operations: u64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(each_second(operations, started.elapsed()))
}

fn each_second(operations: u64, time: Duration) -> f64 {
    let operations = operations as f64;
    operations / time.as_secs_f64()
}

/// The numbers below `count`, in random order.
fn shuffled(count: u64, random: &mut Random) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..count).collect();
    for last in (1..numbers.len()).rev() {
        numbers.swap(last, random.index(last + 1));
    }
    numbers
}

fn load(engine: &dyn Engine, order: &[u64], values: &Values) -> Result<()> {
    let mut random = Random::seeded(2);
    let mut batch = Vec::with_capacity(BATCH);
    for numbers in order.chunks(BATCH) {
        batch.clear();
        batch.extend(numbers.iter().map(|number| (key(*number), values.pick(&mut random).as_bytes())));
        engine.put_batch(&batch)?;
    }
    Ok(())
}

fn get(engine: &dyn Engine, entries: u64, threads: u64) -> Result<()> {
    thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|seed| {
                scope.spawn(move || -> Result<()> {
                    let mut random = Random::seeded(seed + 3);
                    let mut value = Vec::new();
                    for _ in 0..entries {
                        if !engine.get(&key(random.below(entries)), &mut value)? {
                            return Err("an entry is not there".into());
                        }
                        black_box(&value);
                    }
                    Ok(())
                })
            })
            .collect();
        readers.into_iter().try_for_each(|reader| reader.join().expect("a reader does not panic"))
    })
}

fn scan(engine: &dyn Engine, scans: u64) -> Result<()> {
    let mut random = Random::seeded(5);
    let mut values = Vec::new();
    for _ in 0..scans {
        let first = key(random.below(scans) * SCANNED);
        let found = engine.scan(&first[..PREFIX_BYTES], &mut values)?;
        if found as u64 != SCANNED {
            return Err(format!("a scan found {found} entries where there are {SCANNED}").into());
        }
        black_box(&values);
    }
    Ok(())
}

fn overwrite(engine: &dyn Engine, entries: u64, operations: u64, values: &Values) -> Result<()> {
    let mut random = Random::seeded(7);
    for _ in 0..operations {
        engine.put(&key(random.below(entries)), values.pick(&mut random).as_bytes())?;
    }
    Ok(())
}

/// What the disk allows: write so many bytes, sync, again. Into preallocated space.
fn write_and_sync(directory: &Path, time: Duration, bytes: usize) -> Result<f64> {
    const FILE_BYTES: u64 = 64 << 20;
    let file = OpenOptions::new().write(true).create_new(true).open(directory.join("loop"))?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, FILE_BYTES)?;
    file.sync_all()?;
    let buffer = vec![7; bytes];
    let (started, mut done) = (Instant::now(), 0);
    while started.elapsed() < time {
        file.write_all_at(&buffer, done * bytes as u64 % (FILE_BYTES - bytes as u64))?;
        file.sync_data()?;
        done += 1;
    }
    Ok(each_second(done, time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::larder;

    const SIZE: Size = Size { entries: 2000, value_bytes: 190, time: Duration::from_millis(20) };

    fn measured(candidate: Option<&Candidate>, step: Step) -> Vec<Measure> {
        let directory = tempfile::tempdir().expect("a directory");
        let figures = run(candidate, step, directory.path(), &SIZE).expect("a healthy disk");
        assert!(figures.iter().all(|(_, figure)| figure.is_finite() && *figure >= 0.0), "{figures:?}");
        let mut measures: Vec<Measure> = figures.into_iter().map(|(measure, _)| measure).collect();
        measures.sort_unstable();
        measures
    }

    #[test]
    fn larder_does_all_of_the_work() {
        let (larder, positioned) = (larder::candidate(), larder::positioned());
        let buffered = [
            Measure::Load,
            Measure::Get,
            Measure::GetByTwo,
            Measure::Scan,
            Measure::Overwrite,
            Measure::ScanCompacted,
            Measure::Memory,
        ];
        assert_eq!(measured(Some(&larder), Step::Buffered), buffered);
        assert_eq!(measured(Some(&positioned), Step::Buffered), buffered);
        let durable = [Measure::Durable, Measure::DurableBySixteen, Measure::DurableByMany];
        assert_eq!(measured(Some(&larder), Step::Durable), durable);
        assert_eq!(measured(Some(&larder), Step::Timed), [Measure::MemoryTimed]);
        assert_eq!(measured(None, Step::Loop), [Measure::Loop]);
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut numbers = shuffled(1000, &mut Random::seeded(1));
        assert!(!numbers.is_sorted());
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..1000));
    }
}
