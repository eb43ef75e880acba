//! The slowest requests: what compaction, new segments and a cold disk do to those who ask meanwhile.
//!
//! The server is Larder with all cores and small segments; the generator stays on its core. Who is measured asks in an
//! open loop, seldom enough that neither it nor the server is busy with it; so what is seen is what the background does.
//! A SET that waits for the disk is set against a loop of write and fdatasync of as many bytes, in a file of its own, one at
//! a time like that SET, beside the same compaction.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Deserialize;

use super::{Conditions, await_quiet};
use crate::Error;
use crate::affinity::{Cores, pin};
use crate::arrivals::{Arrivals, Schedule};
use crate::cgroup::MemoryLimit;
use crate::contender::{Contender, Level, Program, Purpose, SMALL_SEGMENT_BYTES};
use crate::dialect::{Dialect, Malformed};
use crate::key::KEY_BYTES;
use crate::measure::{Measurement, measure as measure_run};
use crate::mix::Action;
use crate::pool::Pool;
use crate::random::Random;
use crate::report::median;
use crate::shape::Traffic;
use crate::stream::Stream;
use crate::tally::{Tally, excerpt};
use crate::value::Values;
use crate::weighted::Weighted;
use crate::workload::{Budget, Choice, Pace, Workload};

/// GETs a second that are measured, and their connections.
const PROBES_PER_S: f64 = 1000.0;
const PROBE_CONNECTIONS: usize = 4;
/// More than are ever in flight, unless the server stands still.
const PROBE_PIPELINE: usize = 1000;

/// Overwrites a second, so that there is something to compact, and their connections.
const OVERWRITES_PER_S: f64 = 10_000.0;
const OVERWRITE_CONNECTIONS: usize = 8;
const OVERWRITE_PIPELINE: usize = 64;

/// The size of values where there is more data than memory: what an entry takes of the index is little beside it.
const COLD_VALUE_BYTES: usize = 4000;
/// Data for each byte of memory.
const COLD_TIMES: u64 = 4;
/// Keys that are read all the time, and so ought to stay in memory.
const HOT_KEYS: u64 = 1000;
/// Connections that read all of the data.
const COLD_CONNECTIONS: usize = 8;

/// What the log takes for a SET beside key and value, about.
const RECORD_OVERHEAD_BYTES: usize = 64;
const LOOP_FILE_BYTES: u64 = 64 << 20;

/// What came out of all rounds.
#[derive(Debug)]
pub(super) struct Tails {
    pub(super) rows: Vec<TailRow>,
    /// What there is to say of the last round, and of what could not be measured.
    pub(super) notes: Vec<String>,
}

/// The latencies of one kind of request, in microseconds; medians over the rounds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TailRow {
    pub(super) what: What,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p99_9_us: f64,
    pub(super) max_us: f64,
    pub(super) requests: f64,
}

/// What is timed, and beside what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    GetIdle,
    GetCompacting,
    GetHot,
    GetBesideCold,
    SetDurable,
    Loop,
}

impl What {
    const ALL: [Self; 6] =
        [Self::GetIdle, Self::GetCompacting, Self::GetHot, Self::GetBesideCold, Self::SetDurable, Self::Loop];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::GetIdle => "GET, nothing else",
            Self::GetCompacting => "GET while compaction runs",
            Self::GetHot => "GET of hot keys in little memory, nothing else",
            Self::GetBesideCold => "GET of hot keys while another client reads what is not in memory",
            Self::SetDurable => "durable SET while compaction and rotation run",
            Self::Loop => "loop of write and fdatasync beside the same",
        }
    }

    /// Shorter, for a plot.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::GetIdle => "GET, nothing else",
            Self::GetCompacting => "GET, compaction",
            Self::GetHot => "GET, little memory",
            Self::GetBesideCold => "GET, little memory, cold reads",
            Self::SetDurable => "durable SET, compaction",
            Self::Loop => "fdatasync loop, compaction",
        }
    }
}

impl Tails {
    pub(super) fn p99_us(&self, what: What) -> Option<f64> {
        self.rows.iter().find(|row| row.what == what).map(|row| row.p99_us)
    }
}

/// Runs all of it as many times as there are rounds.
pub(super) fn measure(
    larder: &Program,
    conditions: &Conditions,
    cores: &Cores,
    progress: &mut impl FnMut(&str),
) -> Result<Tails, Error> {
    let mut rounds = Rounds { larder, conditions, cores, timed: Vec::new(), notes: Vec::new() };
    let limit = MemoryLimit::new(conditions.memory_bytes);
    for round in 1..=conditions.rounds {
        rounds.notes.clear();
        let mut say = |text: &str| progress(&format!("round {round} of {}: {text}", conditions.rounds));
        say("GET beside compaction");
        rounds.beside_compaction()?;
        say("durable SET beside compaction");
        rounds.durable()?;
        if let Ok(limit) = &limit {
            say("GET beside reads of cold data");
            rounds.beside_cold_reads(limit)?;
        }
    }
    if let Err(reason) = limit {
        rounds.notes.push(format!(
            "What a client costs others that reads more than fits into memory was not measured: {reason}."
        ));
    }
    Ok(rounds.finish())
}

struct Rounds<'a> {
    larder: &'a Program,
    conditions: &'a Conditions,
    cores: &'a Cores,
    timed: Vec<(What, Histogram<u64>)>,
    notes: Vec<String>,
}

impl Rounds<'_> {
    fn beside_compaction(&mut self) -> Result<(), Error> {
        let Conditions { keys, value_bytes, .. } = *self.conditions;
        let values = self.values(value_bytes);
        let contender = self.filled(Level::Buffered, keys, &values, None)?;
        let idle = self.probe(&contender, keys, &values)?;
        let (beside, ran) =
            self.while_compacting(&contender, &values, || self.probe(&contender, keys, &values))?;
        self.timed.push((What::GetIdle, idle.tally.latency_ns));
        self.timed.push((What::GetCompacting, beside.tally.latency_ns));
        self.notes.push(format!("GET beside compaction, last round: {ran}."));
        Ok(())
    }

    fn durable(&mut self) -> Result<(), Error> {
        let Conditions { keys, value_bytes, seed, duration, .. } = *self.conditions;
        let values = self.values(value_bytes);
        let contender = self.filled(Level::Durable, keys, &values, None)?;
        let (sets, ran) = self.while_compacting(&contender, &values, || {
            let set = Workload {
                pipeline: 1,
                choice: choice(Action::Set, keys),
                budget: Budget::Until(Instant::now() + duration),
                ..fill(keys, &values, seed)
            };
            let tally = Pool::open(contender.addr, 1)?.drive(set)?;
            tally.require_faultless()?;
            Ok(tally.latency_ns)
        })?;
        let bytes = KEY_BYTES + value_bytes + RECORD_OVERHEAD_BYTES;
        let (syncs, ran_beside) =
            self.while_compacting(&contender, &values, || sync_loop(bytes, duration).map_err(Error::Disk))?;
        self.timed.push((What::SetDurable, sets));
        self.timed.push((What::Loop, syncs));
        self.notes.push(format!("Durable SET, last round: {ran}; the loop: {ran_beside}."));
        Ok(())
    }

    fn beside_cold_reads(&mut self, limit: &MemoryLimit) -> Result<(), Error> {
        let Conditions { memory_bytes, duration, seed, .. } = *self.conditions;
        let values = self.values(COLD_VALUE_BYTES);
        let keys = (memory_bytes * COLD_TIMES / (KEY_BYTES + COLD_VALUE_BYTES) as u64).max(HOT_KEYS);
        let contender = self.filled(Level::Buffered, keys, &values, Some(limit))?;
        // Once for what the fill has left of them in memory, and once for the figures.
        self.probe(&contender, HOT_KEYS, &values)?;
        let hot = self.probe(&contender, HOT_KEYS, &values)?;
        let end = Instant::now() + duration;
        let (beside, cold) = thread::scope(|scope| {
            let cold = scope.spawn(|| {
                let reads = Workload {
                    pipeline: 1,
                    choice: choice(Action::Get, keys),
                    budget: Budget::Until(end),
                    ..fill(keys, &values, seed)
                };
                measure_run(&mut Pool::open(contender.addr, COLD_CONNECTIONS)?, reads, Some(contender.pid()))
            });
            let beside = self.probe(&contender, HOT_KEYS, &values);
            Ok::<_, Error>((beside?, joined(cold.join())?))
        })?;
        cold.tally.require_faultless()?;
        self.timed.push((What::GetHot, hot.tally.latency_ns));
        self.timed.push((What::GetBesideCold, beside.tally.latency_ns));
        let faults = cold.server.map_or(0, |usage| usage.major_faults);
        self.notes.push(format!(
            "GET beside cold reads, last round: {} MiB of memory, {} MiB of data; {:.0} cold reads a second on {COLD_CONNECTIONS} \
             connections, {faults} waits for a page from the disk in all.",
            memory_bytes >> 20,
            (memory_bytes * COLD_TIMES) >> 20,
            cold.tally.replies as f64 / cold.elapsed.as_secs_f64(),
        ));
        Ok(())
    }

    /// A server with all cores and every key, that is quiet.
    fn filled(
        &self,
        level: Level,
        keys: u64,
        values: &Values,
        limit: Option<&MemoryLimit>,
    ) -> Result<Contender, Error> {
        let Conditions { generator_core, connections, seed, .. } = *self.conditions;
        self.cores.restore()?;
        let purpose = Purpose::Tails { level };
        let contender = match limit {
            None => Contender::start(self.larder, purpose)?,
            Some(limit) => Contender::start_within(self.larder, purpose, limit)?,
        };
        pin(generator_core)?;
        Pool::open(contender.addr, connections)?.fill(fill(keys, values, seed))?;
        await_quiet(contender.pid())?;
        Ok(contender)
    }

    /// GETs at their times.
    fn probe(&self, contender: &Contender, keys: u64, values: &Values) -> Result<Measurement, Error> {
        let Conditions { duration, seed, .. } = *self.conditions;
        let gets = Workload {
            pipeline: PROBE_PIPELINE,
            choice: choice(Action::Get, keys),
            pace: Pace::Open(Schedule::new(Arrivals::Poisson, PROBES_PER_S)),
            budget: Budget::Until(Instant::now() + duration),
            ..fill(keys, values, seed + 1)
        };
        let probe = measure_run(&mut Pool::open(contender.addr, PROBE_CONNECTIONS)?, gets, None)?;
        probe.tally.require_faultless()?;
        Ok(probe)
    }

    /// Does something while others overwrite and have all that they leave compacted, over and over. Tells, of that time, how
    /// much compaction there was.
    fn while_compacting<T>(
        &self,
        contender: &Contender,
        values: &Values,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<(T, String), Error> {
        let Conditions { keys, duration, seed, .. } = *self.conditions;
        let started = Instant::now();
        let end = started + duration;
        let before = stats(contender)?;
        let (done, overwrites) = thread::scope(|scope| {
            let overwriter = scope.spawn(|| -> Result<Tally, Error> {
                let overwrites = Workload {
                    pipeline: OVERWRITE_PIPELINE,
                    choice: choice(Action::Set, keys),
                    pace: Pace::Open(Schedule::new(Arrivals::Constant, OVERWRITES_PER_S)),
                    budget: Budget::Until(end),
                    ..fill(keys, values, seed + 2)
                };
                Pool::open(contender.addr, OVERWRITE_CONNECTIONS)?.drive(overwrites)
            });
            let compactor = scope.spawn(|| -> Result<(), Error> {
                let mut stream = Stream::open(contender.addr)?;
                while Instant::now() < end {
                    ask(&mut stream, "COMPACT")?;
                }
                Ok(())
            });
            let done = work();
            let overwrites = joined(overwriter.join());
            joined(compactor.join())?;
            Ok::<_, Error>((done?, overwrites?))
        })?;
        overwrites.require_faultless()?;
        let after = stats(contender)?;
        let elapsed = started.elapsed().as_secs_f64();
        let written = overwrites.done as f64 * (KEY_BYTES + values.bytes() + RECORD_OVERHEAD_BYTES) as f64;
        let ran = format!(
            "compaction for {:.0} % of the time, {} segments into {}, {:.0} MiB copied; {:.0} overwrites a second, about {:.0} new segments of {} MiB",
            (after.compaction_ms - before.compaction_ms) as f64 / 10.0 / elapsed,
            after.compaction_segments_in - before.compaction_segments_in,
            after.compaction_segments_out - before.compaction_segments_out,
            (after.compaction_bytes_out - before.compaction_bytes_out) as f64 / f64::from(1 << 20),
            overwrites.done as f64 / elapsed,
            written / SMALL_SEGMENT_BYTES as f64,
            SMALL_SEGMENT_BYTES >> 20,
        );
        Ok((done, ran))
    }

    fn values(&self, bytes: usize) -> Values {
        Values::generate(&mut Random::seeded(self.conditions.seed), bytes)
    }

    fn finish(self) -> Tails {
        let row = |what| {
            let timed: Vec<_> =
                self.timed.iter().filter(|(of, _)| *of == what).map(|(_, timed)| timed).collect();
            let over = |figure: &dyn Fn(&Histogram<u64>) -> u64| {
                median(timed.iter().map(|timed| figure(timed) as f64 / 1e3).collect())
            };
            (!timed.is_empty()).then(|| TailRow {
                what,
                p50_us: over(&|timed| timed.value_at_quantile(0.5)),
                p99_us: over(&|timed| timed.value_at_quantile(0.99)),
                p99_9_us: over(&|timed| timed.value_at_quantile(0.999)),
                max_us: over(&Histogram::max),
                requests: median(timed.iter().map(|timed| timed.len() as f64).collect()),
            })
        };
        Tails { rows: What::ALL.into_iter().filter_map(row).collect(), notes: self.notes }
    }
}

fn fill(keys: u64, values: &Values, seed: u64) -> Workload<'_> {
    Workload::fill(Dialect::Larder, KEY_BYTES, keys, values, Random::seeded(seed))
}

/// The same action on keys drawn evenly.
fn choice(action: Action, keys: u64) -> Choice {
    Choice::Drawn(Traffic { mix: Weighted::always(action), ..Traffic::default() }.draw(keys))
}

fn joined<T>(outcome: thread::Result<Result<T, Error>>) -> Result<T, Error> {
    outcome.expect("a thread that tells its errors")
}

/// What the server counts, as far as it is of interest.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Stats {
    compaction_ms: u64,
    compaction_segments_in: u64,
    compaction_segments_out: u64,
    compaction_bytes_out: u64,
}

fn stats(contender: &Contender) -> Result<Stats, Error> {
    let text = ask(&mut Stream::open(contender.addr)?, "STATS")?;
    serde_json::from_str(&text).map_err(|_| Error::Malformed { start: excerpt(text.as_bytes()) })
}

/// What is answered to a command behind its `OK`.
fn ask(stream: &mut Stream, command: &str) -> Result<String, Error> {
    stream.send(format!("{command}\n").as_bytes())?;
    loop {
        let line = |bytes: &[u8]| {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
            let answer = bytes[..end].strip_prefix(b"OK ").ok_or(Malformed)?;
            Ok(Some((String::from_utf8_lossy(answer).into_owned(), end + 1)))
        };
        if let Some((answer, _)) = stream.next(line)? {
            return Ok(answer);
        }
        stream.receive()?;
    }
}

/// What the disk allows: how long a write of so many bytes and its sync take, one after the other, into space that is
/// there already, as the log's is.
fn sync_loop(bytes: usize, time: Duration) -> std::io::Result<Histogram<u64>> {
    let directory = tempfile::TempDir::with_prefix("larder-compare-")?;
    let path = directory.path().join("loop");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, LOOP_FILE_BYTES)?;
    file.sync_all()?;
    let data = vec![7; bytes];
    let mut latency_ns = Tally::default().latency_ns;
    let (started, mut place) = (Instant::now(), 0);
    while started.elapsed() < time {
        let begun = Instant::now();
        file.write_all_at(&data, place)?;
        file.sync_data()?;
        latency_ns.saturating_record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        place = (place + bytes as u64) % (LOOP_FILE_BYTES - bytes as u64);
    }
    Ok(latency_ns)
}
