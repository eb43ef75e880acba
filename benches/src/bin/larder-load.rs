//! `larder-load`: load for one running server, and what it took.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use larder_benches::Error;
use larder_benches::affinity::pin;
use larder_benches::arrivals::{Arrivals, RATE_MAX, Schedule};
use larder_benches::dialect::Dialect;
use larder_benches::key::{LOADED_KEYS_MAX, parse_key_bytes};
use larder_benches::lifetime::{Lifetimes, parse_lifetimes};
use larder_benches::measure::measure;
use larder_benches::mix::{Mix, parse_mix};
use larder_benches::pool::Pool;
use larder_benches::random::Random;
use larder_benches::report::{Report, Setting};
use larder_benches::shape::{Shape, Traffic};
use larder_benches::value::{Values, parse_value_bytes};
use larder_benches::workload::{Budget, Choice, Expiring, Pace, Workload};

/// Sends requests over many connections from one thread, and reports throughput, latency, CPU time and memory.
#[derive(Debug, Parser)]
#[command(name = "larder-load", version)]
struct Options {
    /// The server.
    #[arg(long)]
    addr: SocketAddr,
    /// The protocol that it speaks.
    #[arg(long, value_enum, default_value = "larder")]
    dialect: Dialect,
    /// A load by its name; the options below change it.
    #[arg(long, value_enum)]
    shape: Option<Shape>,
    /// What to do, and how often: get, set, add, cas, scan, rmw (read, modify, write), insert [default: get].
    #[arg(long, value_name = "ACTION[:WEIGHT],…", value_parser = parse_mix)]
    mix: Option<Mix>,
    /// The size of each key [default: 24].
    #[arg(long, value_parser = parse_key_bytes)]
    key_bytes: Option<usize>,
    /// The size of each value, a JSON object [default: 190].
    #[arg(long, value_parser = parse_value_bytes)]
    value_bytes: Option<usize>,
    /// How long what is stored lives, as 1d:.65,14d:.27,none:.08 [default: none].
    #[arg(long, value_name = "TIME[:WEIGHT],…", value_parser = parse_lifetimes)]
    ttl: Option<Lifetimes>,
    /// The exponent of Zipf's law, by which keys are drawn; 0 draws them evenly [default: 0].
    #[arg(long, value_parser = parse_alpha)]
    alpha: Option<f64>,
    /// The newest keys are the most popular ones.
    #[arg(long)]
    latest: bool,
    /// The share of SETs whose key is new, and not asked for again [default: 0].
    #[arg(long, value_parser = parse_share)]
    one_hit: Option<f64>,
    /// The most entries that a scan lists; how many is drawn evenly [default: 100].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    scan_max: Option<u32>,
    /// Keys at first.
    #[arg(long, default_value = "1000000", value_parser = clap::value_parser!(u64).range(1..=LOADED_KEYS_MAX))]
    keys: u64,
    /// Store a value under every key first.
    #[arg(long)]
    preload: bool,
    /// Connections, all driven by one thread.
    #[arg(long, default_value = "50")]
    connections: NonZeroUsize,
    /// Requests that each connection has in flight; in a closed loop it awaits them all before it writes more.
    #[arg(long, default_value = "16")]
    pipeline: NonZeroUsize,
    /// Send so many requests a second, on all connections together, however long replies take: an open loop.
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    rate: Option<f64>,
    /// How the times between requests are drawn in an open loop.
    #[arg(long, value_enum, default_value = "poisson", requires = "rate")]
    arrivals: Arrivals,
    /// Begin no more than so many actions.
    #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// The server's process, for its CPU time and memory.
    #[arg(long)]
    server_pid: Option<u32>,
    /// Run on this core alone.
    #[arg(long, value_name = "CORE")]
    pin: Option<usize>,
    /// What keys, values and operations are drawn from.
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Print one line of JSON instead of the table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            print(&report, options.json);
            if report.replies.first_fault.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("larder-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Report, Error> {
    if let Some(core) = options.pin {
        pin(core)?;
    }
    let traffic = options.traffic();
    let mut random = Random::seeded(options.seed);
    let values = Values::generate(&mut random, traffic.value_bytes);
    let mut pool = Pool::open(options.addr, options.connections.get())?;
    let fill = || {
        let fill = Workload::fill(options.dialect, traffic.key_bytes, options.keys, &values, random.clone());
        Workload { expiring: Expiring::Drawn(traffic.lifetimes.clone()), ..fill }
    };
    if options.preload {
        pool.fill(fill())?;
    }
    let workload = Workload {
        pipeline: options.pipeline.get(),
        choice: Choice::Drawn(traffic.draw(options.keys)),
        pace: match options.rate {
            Some(rate) => Pace::Open(Schedule::new(options.arrivals, rate)),
            None => Pace::Closed,
        },
        budget: match options.requests {
            Some(count) => Budget::Requests(count),
            None => Budget::Until(Instant::now() + Duration::from_secs(options.seconds)),
        },
        ..fill()
    };
    let measurement = measure(&mut pool, workload, options.server_pid)?;
    Ok(Report::new(options.setting(&traffic), &measurement))
}

impl Options {
    fn traffic(&self) -> Traffic {
        let shape = self.shape.map(Shape::traffic).unwrap_or_default();
        Traffic {
            key_bytes: self.key_bytes.unwrap_or(shape.key_bytes),
            value_bytes: self.value_bytes.unwrap_or(shape.value_bytes),
            mix: self.mix.clone().unwrap_or(shape.mix),
            lifetimes: self.ttl.clone().unwrap_or(shape.lifetimes),
            alpha: self.alpha.unwrap_or(shape.alpha),
            latest: self.latest || shape.latest,
            one_hit: self.one_hit.unwrap_or(shape.one_hit),
            scan_max: self.scan_max.unwrap_or(shape.scan_max),
        }
    }

    fn setting(&self, traffic: &Traffic) -> Setting {
        let shape = self.shape.map(|shape| format!("{}: ", shape.name())).unwrap_or_default();
        Setting {
            dialect: self.dialect,
            load: format!("{shape}{}", traffic.mix),
            rate_per_s: self.rate,
            connections: self.connections.get(),
            pipeline: self.pipeline.get(),
            keys: self.keys,
            key_bytes: traffic.key_bytes,
            value_bytes: traffic.value_bytes,
        }
    }
}

fn print(report: &Report, json: bool) {
    if json {
        println!("{}", serde_json::to_string(report).expect("numbers and texts"));
        if report.generator_bound() {
            eprintln!("larder-load: the generator was the bottleneck");
        }
    } else {
        println!("{report}");
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 to 1", |share| (0.0..=1.0).contains(&share))
}

fn parse_alpha(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 to 20", |alpha| (0.0..=20.0).contains(&alpha))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    number(text, "a number above 0", |rate| rate > 0.0 && rate <= RATE_MAX)
}

fn number(text: &str, what: &str, is_good: impl Fn(f64) -> bool) -> Result<f64, String> {
    text.parse().ok().filter(|number| is_good(*number)).ok_or_else(|| what.to_owned())
}
