//! `larder-expiry-bench`: how soon those who watch are told of what has expired, and what a million entries that are due in
//! the same second do to reads and writes; Larder beside Redis.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hdrhistogram::Histogram;
use larder_benches::Error;
use larder_benches::contender::{Kind, beside_this, found, on_path};
use larder_benches::expiry::{Conditions, Lags, Outcome, measure};
use larder_benches::value::parse_value_bytes;

/// Measures expiry at the sockets of Larder and, if it is installed, of Redis.
#[derive(Debug, Parser)]
#[command(name = "larder-expiry-bench", version)]
struct Options {
    /// The `larder` program [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    larder: Option<PathBuf>,
    /// Entries that never expire, which are read.
    #[arg(long, default_value = "1000000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    entries: u64,
    /// Entries that are due within one second; before that, timers that are pending while lags are measured.
    #[arg(long, default_value = "1000000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    due: u64,
    /// Entries whose lag is measured, one every ten milliseconds.
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    probes: u64,
    /// The size of each value, a JSON object.
    #[arg(long, default_value = "190", value_parser = parse_value_bytes)]
    value_bytes: usize,
    /// Connections that read while entries expire.
    #[arg(long, default_value = "4", value_parser = clap::value_parser!(u16).range(1..=1000))]
    readers: u16,
    /// Seconds after the last deadline for which what is not announced yet is waited for.
    #[arg(long, default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3000))]
    patience: u64,
    /// What keys and values are drawn from.
    #[arg(long, default_value = "1")]
    seed: u64,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("larder-expiry-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<String, Error> {
    let conditions = Conditions {
        entries: options.entries,
        due: options.due,
        probes: options.probes,
        value_bytes: options.value_bytes,
        readers: options.readers.into(),
        patience: Duration::from_secs(options.patience),
        seed: options.seed,
    };
    let candidates = [
        (Kind::Larder, options.larder.clone().or_else(|| beside_this("larder"))),
        (Kind::Redis, on_path("redis-server")),
    ];
    let say = |text: &str| eprintln!("larder-expiry-bench: {text}");
    let mut outcomes = Vec::new();
    for program in found(&candidates, say) {
        let name = program.kind.name();
        outcomes.push((name, measure(&program, &conditions, |step| say(&format!("{name}: {step}")))?));
    }
    Ok(table(&outcomes))
}

/// A row of the table: what it is, what is asked of Larder in milliseconds, and how it comes out of a run.
type Row = (&'static str, &'static str, fn(&Outcome) -> String);

const ROWS: [Row; 18] = [
    ("lag, p50", "", |outcome| lag(&outcome.lag, 0.5)),
    ("lag, p99", "20", |outcome| lag(&outcome.lag, 0.99)),
    ("lag, p99.9", "", |outcome| lag(&outcome.lag, 0.999)),
    ("lag, max", "", |outcome| lag(&outcome.lag, 1.0)),
    ("lag, not announced while waited for (number)", "", |outcome| outcome.lag.missing.to_string()),
    ("at once: lag, p50", "", |outcome| lag(&outcome.lag_at_once, 0.5)),
    ("at once: lag, p99", "", |outcome| lag(&outcome.lag_at_once, 0.99)),
    ("at once: not announced while waited for (number)", "", |outcome| {
        outcome.lag_at_once.missing.to_string()
    }),
    ("at once: all announced, after the second began", "3000", |outcome| {
        bounded(outcome.announced_ns, outcome.lag_at_once.missing > 0)
    }),
    ("at once: processor time of the server, with all reads and writes", "", |outcome| {
        shown(millis(outcome.cpu_ns))
    }),
    ("GET, idle, p99", "", |outcome| shown(call(&outcome.get.idle, 0.99))),
    ("GET, at once, p99", "", |outcome| shown(call(&outcome.get.expiring, 0.99))),
    ("GET, p99, at once less idle", "2", |outcome| {
        shown(call(&outcome.get.expiring, 0.99) - call(&outcome.get.idle, 0.99))
    }),
    ("GET, idle, max", "", |outcome| shown(call(&outcome.get.idle, 1.0))),
    ("GET, at once, max", "", |outcome| shown(call(&outcome.get.expiring, 1.0))),
    ("SET, idle, p99", "", |outcome| shown(call(&outcome.set.idle, 0.99))),
    ("SET, at once, p99", "", |outcome| shown(call(&outcome.set.expiring, 0.99))),
    ("SET, at once, max", "", |outcome| shown(call(&outcome.set.expiring, 1.0))),
];

fn lag(lags: &Lags, quantile: f64) -> String {
    let (nanos, is_more) = lags.quantile(quantile);
    bounded(nanos, is_more)
}

fn bounded(nanos: u64, is_more: bool) -> String {
    format!("{}{}", if is_more { "> " } else { "" }, shown(millis(nanos)))
}

fn call(times: &Histogram<u64>, quantile: f64) -> f64 {
    millis(times.value_at_quantile(quantile))
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

fn shown(millis: f64) -> String {
    format!("{millis:.2}")
}

/// The table in Markdown.
fn table(outcomes: &[(&str, Outcome)]) -> String {
    let mut text = String::from("| ms | at most |");
    let mut rule = String::from("|---|--:|");
    for (name, _) in outcomes {
        text += &format!(" {name} |");
        rule += "--:|";
    }
    text = format!("{text}\n{rule}\n");
    for (name, bound, figure) in ROWS {
        write!(text, "| {name} | {bound} |").expect("a String takes any text");
        for (_, outcome) in outcomes {
            write!(text, " {} |", figure(outcome)).expect("a String takes any text");
        }
        text.push('\n');
    }
    text
}
