//! What expiry is like for the clients of a server: how long after its deadline those who watch are told of an entry, and
//! what it does to reads and writes when very many are due in the same second.
//!
//! Everything is measured at sockets. A lag is the time from the deadline, which the client has set as an instant, to the
//! read that returned the event; a server's clock differs from this one by a millisecond at most, as it is the same machine's. A
//! server that announces an entry twice, or before its time, ends the run. One that announces some of them very late is not
//! waited for: they count as late as they are by then.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;

use crate::Error;
use crate::contender::{Contender, Program, Purpose};
use crate::dialect::{Dialect, Expiry, Notice, Operation, Reply, Request, Stored};
use crate::key::{KEY_BYTES, key};
use crate::measure::ServerUsage;
use crate::pool::Pool;
use crate::procfs;
use crate::random::Random;
use crate::stream::Stream;
use crate::tally::{Tally, excerpt};
use crate::value::Values;
use crate::workload::{Deadlines, Expiring, Workload};

/// Time between the deadlines of two probes.
const PROBE_STEP_MS: u64 = 10;
/// How long it takes, generously, to set the probes.
const PROBES_AHEAD_MS: u64 = 2000;
/// The entries that are due at once are due within this.
const SPAN_MS: u64 = 1000;
/// How long reads and writes are measured without anything that expires.
const IDLE_MS: u64 = 3000;
/// How long they are measured, at most, while very much does.
const EXPIRING_MS_MAX: u64 = 3000;
/// Deadlines of entries that are not to expire during the run.
const FAR_MS: u64 = 86_400_000;
/// How far two clocks of a machine that count milliseconds can be apart.
const CLOCKS_APART_MS: u64 = 2;

/// Time from one read of a connection to the next. One that never rests would be measured for the processor that it takes.
const READ_PAUSE: Duration = Duration::from_micros(500);
/// Time from one write to the next.
const WRITE_PAUSE: Duration = Duration::from_millis(5);

/// Times are kept from 100 ns to an hour with three significant digits.
const TIMES_NS: (u64, u64, u8) = (100, 3_600_000_000_000, 3);

/// Connections that fill.
const FILLERS: usize = 8;

/// Numbers of the keys that are due at once, of the probes, and of those that are written meanwhile, begin here.
const DUE_KEYS: u64 = 1 << 40;
const PROBE_KEYS: u64 = 1 << 41;
const WRITTEN_KEYS: u64 = 1 << 42;
/// How many of the latter there are.
const WRITTEN: u64 = 1000;

/// What is the same for every server.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Entries that never expire, which are read.
    pub entries: u64,
    /// Entries that are due within one second; and before that, timers that are pending while lags are measured.
    pub due: u64,
    /// Entries whose lag is measured.
    pub probes: u64,
    /// The size of each value.
    pub value_bytes: usize,
    /// Connections that read.
    pub readers: usize,
    /// How long after the last deadline what is not announced yet is waited for.
    pub patience: Duration,
    /// What keys and values are drawn from.
    pub seed: u64,
}

/// What one server came to. All times are in nanoseconds.
#[derive(Debug)]
pub struct Outcome {
    /// From the deadline to the event, with timers pending and nothing else to do.
    pub lag: Lags,
    /// The same of the entries that are due at once.
    pub lag_at_once: Lags,
    /// From the beginning of the second in which they are due until all of them were announced, or nobody waited any more.
    pub announced_ns: u64,
    /// CPU time of the server from the beginning of the idle time until then.
    pub cpu_ns: u64,
    /// Reads.
    pub get: Calls,
    /// Writes.
    pub set: Calls,
}

/// How long after their deadlines entries were announced.
#[derive(Debug)]
pub struct Lags {
    /// Of those that were not, how long after it they had not been.
    pub lag: Histogram<u64>,
    /// How many were not.
    pub missing: u64,
}

impl Lags {
    /// The lag that this share of all entries does not exceed, and whether they exceed it at least.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> (u64, bool) {
        let announced = self.lag.len() - self.missing;
        let is_missing = quantile * self.lag.len() as f64 > announced as f64;
        (self.lag.value_at_quantile(quantile), is_missing)
    }
}

/// How long calls took while nothing expired, and while very much did.
#[derive(Debug)]
pub struct Calls {
    /// Before the first deadline.
    pub idle: Histogram<u64>,
    /// From there until all was announced, or for three seconds.
    pub expiring: Histogram<u64>,
}

impl Calls {
    fn new() -> Self {
        Self { idle: histogram(), expiring: histogram() }
    }

    fn add(&mut self, other: &Self) {
        self.idle += &other.idle;
        self.expiring += &other.expiring;
    }
}

/// Starts a server and measures it. `progress` is told what happens.
pub fn measure(
    program: &Program,
    conditions: &Conditions,
    mut progress: impl FnMut(&str),
) -> Result<Outcome, Error> {
    let contender = Contender::start(program, Purpose::Expiry)?;
    let values = Values::generate(&mut Random::seeded(conditions.seed), conditions.value_bytes);
    let run = Run { contender, dialect: program.kind.dialect(), conditions, values: &values };

    progress("filling");
    run.fill(0, conditions.entries, None)?;
    let started = Instant::now();
    let far = Deadlines { first_ms: now_ms() + FAR_MS, step_ms: 1, span_ms: SPAN_MS };
    run.fill(DUE_KEYS, conditions.due, Some(far))?;
    let filling_ms = millis(started.elapsed());

    progress("lags");
    let lag = run.lags()?;

    progress("many at once");
    // The same entries again, all of them due once that and the idle time have passed.
    let first_ms = now_ms() + 2 * filling_ms + 2 * IDLE_MS;
    let deadlines = Deadlines { first_ms, step_ms: 1, span_ms: SPAN_MS };
    run.fill(DUE_KEYS, conditions.due, Some(deadlines))?;
    if now_ms() + IDLE_MS > first_ms {
        let first = "filling took more than twice as long as before: measure again".to_owned();
        return Err(Error::Faults { count: 1, first });
    }
    run.at_once(lag, deadlines)
}

struct Run<'a> {
    contender: Contender,
    dialect: Dialect,
    conditions: &'a Conditions,
    values: &'a Values,
}

impl Run<'_> {
    fn fill(&self, first_key: u64, keys: u64, deadlines: Option<Deadlines>) -> Result<(), Error> {
        let random = Random::seeded(self.conditions.seed);
        let mut workload = Workload::fill(self.dialect, KEY_BYTES, keys, self.values, random);
        workload.first_key = first_key;
        if let Some(deadlines) = deadlines {
            workload.expiring = Expiring::ByKey(deadlines);
        }
        Pool::open(self.contender.addr, FILLERS)?.fill(workload)
    }

    fn lags(&self) -> Result<Lags, Error> {
        let first_ms = now_ms() + PROBES_AHEAD_MS;
        let deadlines = Deadlines { first_ms, step_ms: PROBE_STEP_MS, span_ms: u64::MAX };
        let probes = self.conditions.probes;
        let watch = Watch::begin(self.contender.addr, self.dialect, PROBE_KEYS, probes, deadlines)?;
        self.fill(PROBE_KEYS, probes, Some(deadlines))?;
        watch.until_all_are_announced(self.conditions.patience)
    }

    fn at_once(&self, lag: Lags, deadlines: Deadlines) -> Result<Outcome, Error> {
        let Self { contender, dialect, conditions, .. } = self;
        let watch = Watch::begin(contender.addr, *dialect, DUE_KEYS, conditions.due, deadlines)?;
        thread::sleep(Duration::from_millis((deadlines.first_ms - IDLE_MS).saturating_sub(now_ms())));
        let before = procfs::sample(contender.pid())?;
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let readers: Vec<_> = (0..conditions.readers as u64)
                .map(|reader| {
                    scope.spawn({
                        let over = &over;
                        move || self.read(reader, deadlines.first_ms, over)
                    })
                })
                .collect();
            let writer = scope.spawn(|| self.write(deadlines.first_ms, &over));
            let lag_at_once = watch.until_all_are_announced(conditions.patience);
            let announced_ns = nanos(now().saturating_sub(Duration::from_millis(deadlines.first_ms)));
            over.store(true, Ordering::Relaxed);
            let usage = ServerUsage::between(&before, &procfs::sample(contender.pid())?);
            let cpu_ns = nanos(usage.cpu() + usage.children);

            let mut get = Calls::new();
            for reader in readers {
                get.add(&reader.join().expect("a reader does not panic")?);
            }
            let set = writer.join().expect("a writer does not panic")?;
            Ok(Outcome { lag, lag_at_once: lag_at_once?, announced_ns, cpu_ns, get, set })
        })
    }

    fn read(&self, reader: u64, first_ms: u64, over: &AtomicBool) -> Result<Calls, Error> {
        let mut random = Random::seeded(self.conditions.seed + reader);
        self.calls(Operation::Get, READ_PAUSE, first_ms, over, |out| {
            self.dialect.encode(&key(random.below(self.conditions.entries)), &Request::Get, out);
        })
    }

    fn write(&self, first_ms: u64, over: &AtomicBool) -> Result<Calls, Error> {
        let mut random = Random::seeded(self.conditions.seed);
        self.calls(Operation::Set, WRITE_PAUSE, first_ms, over, |out| {
            let key = key(WRITTEN_KEYS + random.below(WRITTEN));
            let value = self.values.pick(&mut random).as_bytes();
            let stored = Stored { value, expiry: Expiry::Never };
            self.dialect.encode(&key, &Request::Set(stored), out);
        })
    }

    /// One request after the other until it is over, each of which has to succeed.
    fn calls(
        &self,
        operation: Operation,
        pause: Duration,
        first_ms: u64,
        over: &AtomicBool,
        mut encode: impl FnMut(&mut Vec<u8>),
    ) -> Result<Calls, Error> {
        let mut stream = Stream::open(self.contender.addr)?;
        let (mut calls, mut tally, mut request) = (Calls::new(), Tally::default(), Vec::new());
        while !over.load(Ordering::Relaxed) && now_ms() < first_ms + EXPIRING_MS_MAX {
            request.clear();
            encode(&mut request);
            let is_idle = now_ms() < first_ms;
            let started = Instant::now();
            stream.send(&request)?;
            let (reply, text) = self.reply(operation, &mut stream)?;
            let took = nanos(started.elapsed());
            tally.count(operation, reply, self.values.bytes(), text.as_bytes());
            let histogram = if is_idle { &mut calls.idle } else { &mut calls.expiring };
            histogram.saturating_record(took);
            thread::sleep(pause);
        }
        tally.require_faultless()?;
        Ok(calls)
    }

    fn reply(&self, asked: Operation, stream: &mut Stream) -> Result<(Reply, String), Error> {
        loop {
            let recognise = |bytes: &[u8]| {
                let found = self.dialect.recognise(asked, bytes)?;
                Ok(found.map(|found| (found.reply, found.length)))
            };
            if let Some((reply, text)) = stream.next(recognise)? {
                return Ok((reply, excerpt(text)));
            }
            stream.receive()?;
        }
    }
}

/// A connection that is told what expires, of a range of keys.
struct Watch {
    stream: Stream,
    dialect: Dialect,
    first_key: u64,
    deadlines: Deadlines,
    /// Of which keys it was told.
    announced: Vec<bool>,
    lag: Histogram<u64>,
}

impl Watch {
    fn begin(
        addr: SocketAddr,
        dialect: Dialect,
        first_key: u64,
        keys: u64,
        deadlines: Deadlines,
    ) -> Result<Self, Error> {
        let mut stream = Stream::open(addr)?;
        let mut request = Vec::new();
        dialect.encode_watch(&mut request);
        stream.send(&request)?;
        while stream.next(|bytes| dialect.recognise_notice(bytes))?.is_none() {
            stream.receive()?;
        }
        let announced = vec![false; usize::try_from(keys).unwrap_or(usize::MAX)];
        Ok(Self { stream, dialect, first_key, deadlines, announced, lag: histogram() })
    }

    /// How long after its deadline each was announced.
    fn until_all_are_announced(self, patience: Duration) -> Result<Lags, Error> {
        let Self { mut stream, dialect, first_key, deadlines, mut announced, mut lag } = self;
        let deadline = |number: u64| Duration::from_millis(deadlines.of(number));
        let end = (0..announced.len() as u64).map(deadline).max().unwrap_or_default() + patience;
        let mut missing = announced.len() as u64;
        while missing > 0 && stream.receive_within(end.saturating_sub(now()))? {
            let now = now();
            while let Some((notice, text)) = stream.next(|bytes| dialect.recognise_notice(bytes))? {
                let fault =
                    |what: &str| Error::Faults { count: 1, first: format!("{what}: {}", excerpt(text)) };
                let id = match notice {
                    Notice::Expired(id) => id,
                    Notice::Begun | Notice::Other => continue,
                    Notice::Error => return Err(fault("the watch has ended")),
                };
                let number = id.wrapping_sub(first_key);
                let Some(announced) = usize::try_from(number).ok().and_then(|at| announced.get_mut(at))
                else {
                    continue;
                };
                if std::mem::replace(announced, true) {
                    return Err(fault("announced twice"));
                }
                let deadline = deadline(number);
                if now + Duration::from_millis(CLOCKS_APART_MS) < deadline {
                    return Err(fault("announced before its time"));
                }
                lag.saturating_record(nanos(now.saturating_sub(deadline)));
                missing -= 1;
            }
        }
        for (number, _) in (0..).zip(&announced).filter(|(_, announced)| !**announced) {
            lag.saturating_record(nanos(now().saturating_sub(deadline(number))));
        }
        Ok(Lags { lag, missing })
    }
}

fn histogram() -> Histogram<u64> {
    let (low, high, digits) = TIMES_NS;
    Histogram::new_with_bounds(low, high, digits).expect("the bounds are constants in range")
}

/// Time since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn now_ms() -> u64 {
    millis(now())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_announced_is_later_than_all_else() {
        let mut lag = histogram();
        lag.record_n(1_000_000, 98).expect("in range");
        lag.record_n(60_000_000_000, 2).expect("in range");
        let lags = Lags { lag, missing: 2 };
        let (median, is_more) = lags.quantile(0.5);
        assert!(median.abs_diff(1_000_000) < 2000 && !is_more);
        let (p99, is_more) = lags.quantile(0.99);
        assert!(p99.abs_diff(60_000_000_000) < 120_000_000 && is_more);
    }
}
