//! `larder-load`: load for one running server, and what it took.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use larder_benches::Error;
use larder_benches::affinity::pin;
use larder_benches::dialect::Dialect;
use larder_benches::key::KEYS_MAX;
use larder_benches::measure::measure;
use larder_benches::pool::Pool;
use larder_benches::random::Random;
use larder_benches::report::{Report, Setting};
use larder_benches::value::{Values, parse_value_bytes};
use larder_benches::workload::{Budget, Choice, FILL_PIPELINE, Workload};

/// Sends GETs and SETs over many connections from one thread, and reports throughput, latency and CPU time.
#[derive(Debug, Parser)]
#[command(name = "larder-load", version)]
struct Options {
    /// The server.
    #[arg(long)]
    addr: SocketAddr,
    /// The protocol that it speaks.
    #[arg(long, value_enum, default_value = "larder")]
    dialect: Dialect,
    /// What to send.
    #[arg(long, value_enum, default_value = "get")]
    op: Operations,
    /// The share of SETs in a mixed load, from 0 to 1.
    #[arg(long, default_value = "0.1", value_parser = parse_share)]
    set_share: f64,
    /// Connections, all driven by one thread.
    #[arg(long, default_value = "50")]
    connections: NonZeroUsize,
    /// Requests that each connection writes at once, and awaits before it writes more.
    #[arg(long, default_value = "16")]
    pipeline: NonZeroUsize,
    /// Stop after so many requests.
    #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Keys in the key space, each of 24 bytes.
    #[arg(long, default_value = "1000000", value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX))]
    keys: u64,
    /// The size of each value, a JSON object.
    #[arg(long, default_value = "190", value_parser = parse_value_bytes)]
    value_bytes: usize,
    /// Store a value under every key first.
    #[arg(long)]
    preload: bool,
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

/// What to send.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Operations {
    Get,
    Set,
    Mixed,
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
    let mut random = Random::seeded(options.seed);
    let values = Values::generate(&mut random, options.value_bytes);
    let mut pool = Pool::open(options.addr, options.connections.get())?;
    if options.preload {
        let fill = Workload::fill(options.dialect, FILL_PIPELINE, options.keys, &values, random.clone());
        pool.fill(fill)?;
    }
    let workload = Workload {
        dialect: options.dialect,
        pipeline: options.pipeline.get(),
        first_key: 0,
        keys: options.keys,
        deadlines: None,
        values: &values,
        choice: Choice::Random { set_share: options.set_share() },
        budget: match options.requests {
            Some(count) => Budget::Requests(count),
            None => Budget::Until(Instant::now() + Duration::from_secs(options.seconds)),
        },
        random,
    };
    let measurement = measure(&mut pool, workload, options.server_pid)?;
    Ok(Report::new(options.setting(), &measurement))
}

impl Options {
    fn set_share(&self) -> f64 {
        match self.op {
            Operations::Get => 0.0,
            Operations::Set => 1.0,
            Operations::Mixed => self.set_share,
        }
    }

    fn setting(&self) -> Setting {
        Setting {
            dialect: self.dialect,
            operation: match self.op {
                Operations::Get => "get".to_owned(),
                Operations::Set => "set".to_owned(),
                Operations::Mixed => format!("mixed, {} set", self.set_share),
            },
            connections: self.connections.get(),
            pipeline: self.pipeline.get(),
            keys: self.keys,
            value_bytes: self.value_bytes,
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
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}
