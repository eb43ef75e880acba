//! What timers cost in the engine's timing wheel, with ten million of them. Times are CPU time of the thread, so that
//! other programs count only for what they do to the caches. Each span of deadlines is a process of its own, so
//! that its memory can be told.

use clap::{Parser, ValueEnum};
use larder_benches::procfs::anonymous_bytes;
use larder_benches::random::Random;
use larder_engine::wheel::{Progress, Timer, Wheel};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

/// Measures the timing wheel.
#[derive(Debug, Parser)]
struct Arguments {
    /// Timers in the wheel.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000_000))]
    timers: u32,
    /// Of the deadlines, to measure this span alone, and in this process.
    #[arg(long)]
    span: Option<Span>,
}

/// How far ahead deadlines are drawn.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Span {
    /// Evenly from a day.
    Day,
    /// Evenly from a year.
    Year,
    /// Evenly from all magnitudes between a millisecond and a century.
    Mixed,
    /// Evenly from the year after this one, so that there is nothing to do for long.
    Distant,
}

const DAY_MS: u64 = 86_400_000;
const YEAR_MS: u64 = 365 * DAY_MS;
const START_MS: u64 = 1_800_000_000_000;

/// Ticks of a millisecond that are measured.
const TICKS: u32 = 1_000_000;
/// Budget of an advance.
const BUDGET: usize = 1000;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(span) = arguments.span {
        println!("{}", measure(arguments.timers, span)?);
        return Ok(());
    }
    println!("{} timers of 8 bytes; nanoseconds of CPU time each, microseconds of a call", arguments.timers);
    println!("{:<8} {:>6} {:>10} {:>6} {:>6} {HEAD}", "span", "fill", "reschedule", "cancel", "insert");
    for span in Span::value_variants() {
        let name = span.to_possible_value().ok_or("every span has a name")?.get_name().to_owned();
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["--timers", &arguments.timers.to_string(), "--span", &name]);
        let output = child.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        print!("{name:<8} {}", String::from_utf8(output.stdout)?);
    }
    Ok(())
}

const HEAD: &str = "  tick  expire  call p50  call p99  bytes  resident";

impl Span {
    fn draw(self, random: &mut Random) -> u64 {
        let ahead = match self {
            Span::Day => random.below(DAY_MS),
            Span::Year => random.below(YEAR_MS),
            Span::Mixed => {
                let bits = random.below(42);
                ((1 << bits) + random.below(1 << bits)).min(100 * YEAR_MS)
            }
            Span::Distant => YEAR_MS + random.below(YEAR_MS),
        };
        START_MS + 1 + ahead
    }
}

/// One line of the table.
fn measure(count: u32, span: Span) -> Result<String> {
    let mut random = Random::seeded(1);
    let mut timers: Vec<Timer> = Vec::with_capacity(count as usize);
    let mut wheel = Wheel::new(START_MS);
    let before = anonymous_bytes()?;

    let fill = timed(count, || {
        timers.extend((0..count).map(|number| wheel.insert(span.draw(&mut random), (number, 0))));
    });
    let resident = anonymous_bytes()?.saturating_sub(before + size_of_val(&*timers) as u64);
    let bytes = wheel.bytes();

    // In random order, after which neighbours in a list are not neighbours in memory any more.
    shuffle(&mut timers, &mut random);
    let reschedule = timed(count, || {
        timers.iter().for_each(|timer| wheel.reschedule(*timer, span.draw(&mut random)));
    });
    // And in another one, so that none is near one that was just moved.
    shuffle(&mut timers, &mut random);
    let tenth = count / 10;
    let cancelled = &mut timers[..tenth as usize];
    let cancel = timed(tenth, || {
        for timer in &*cancelled {
            black_box(wheel.cancel(*timer));
        }
    });
    let insert = timed(tenth, || {
        for (timer, number) in cancelled.iter_mut().zip(0..) {
            *timer = wheel.insert(span.draw(&mut random), (number, 0));
        }
    });

    let mut done = 0;
    let tick = timed(TICKS, || {
        for now in START_MS..START_MS + u64::from(TICKS) {
            while wheel.advance(now, BUDGET, |_| ()) == Progress::More {}
            done += take_due(&mut wheel);
        }
    });
    let mut calls = Vec::new();
    let expire = timed(count - done, || {
        let mut progress = Progress::More;
        while progress == Progress::More {
            let started = cpu();
            progress = wheel.advance(u64::MAX, BUDGET, |_| ());
            done += take_due(&mut wheel);
            calls.push(cpu() - started);
        }
    });
    if done != count {
        return Err(format!("{done} of {count} timers were due").into());
    }
    calls.sort_unstable();
    let call = |percent: usize| calls[calls.len() * percent / 100].as_secs_f64() * 1e6;
    let each = |bytes: u64| bytes as f64 / f64::from(count);
    Ok(format!(
        "{fill:>6.0} {reschedule:>10.0} {cancel:>6.0} {insert:>6.0} {tick:>6.0} {expire:>7.0} \
         {:>9.0} {:>9.0} {:>6.1} {:>9.1}",
        call(50),
        call(99),
        each(bytes as u64),
        each(resident)
    ))
}

/// Takes all that is due out of the wheel.
fn take_due<T: Copy>(wheel: &mut Wheel<T>) -> u32 {
    let mut taken = 0;
    while let Some(timer) = wheel.first_due() {
        black_box(wheel.cancel(timer));
        taken += 1;
    }
    taken
}

fn shuffle(timers: &mut [Timer], random: &mut Random) {
    for last in (1..timers.len()).rev() {
        timers.swap(last, random.index(last + 1));
    }
}

/// Nanoseconds of CPU time for each of so many operations.
fn timed(operations: u32, work: impl FnOnce()) -> f64 {
    let started = cpu();
    work();
    (cpu() - started).as_secs_f64() * 1e9 / f64::from(operations.max(1))
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
