//! `larder-compare`: starts Larder and its peers, puts them under the same loads, and writes a report.

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum as _};
use larder_benches::Error;
use larder_benches::compare::{Conditions, Part, compare};
use larder_benches::contender::{Kind, Program, beside_this, found, on_path};
use larder_benches::key::LOADED_KEYS_MAX;
use larder_benches::value::parse_value_bytes;

/// Compares Larder with the limit and, where they are installed, with Redis and memcached.
#[derive(Debug, Parser)]
#[command(name = "larder-compare", version)]
struct Options {
    /// Where the report, its plots and the single runs are written to.
    #[arg(long, value_name = "DIR", default_value = "comparison")]
    output: PathBuf,
    /// The `larder` program [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    larder: Option<PathBuf>,
    /// Compare these parts alone, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// One round of short runs on little data: to see that everything works.
    #[arg(long)]
    quick: bool,
    /// The core of each server in turn.
    #[arg(long, default_value = "1")]
    server_core: usize,
    /// The core of the load generator.
    #[arg(long, default_value = "0")]
    generator_core: usize,
    /// Connections to the server under load.
    #[arg(long, default_value = "50")]
    connections: NonZeroUsize,
    /// Keys, all filled in first [default: 1000000, or 50000 with --quick].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=LOADED_KEYS_MAX))]
    keys: Option<u64>,
    /// The size of each value, a JSON object; shapes have their own.
    #[arg(long, default_value = "190", value_parser = parse_value_bytes)]
    value_bytes: usize,
    /// The most MiB of keys and values that a shape begins with [default: 256, or 16 with --quick].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    shape_mib: Option<u64>,
    /// MiB of memory of the server that has four times as much data [default: 192, or 64 with --quick].
    #[arg(long, value_parser = clap::value_parser!(u64).range(32..=1_000_000))]
    memory_mib: Option<u64>,
    /// Seconds for each run [default: 3, or 1 with --quick].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// Runs of each load against each server; the tables have the medians [default: 5, or 1 with --quick].
    #[arg(long)]
    rounds: Option<NonZeroUsize>,
    /// What keys, values and operations are drawn from.
    #[arg(long, default_value = "1")]
    seed: u64,
}

/// What ends a comparison.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Run(#[from] Error),
    #[error("cannot write to {}: {source}", directory.display())]
    Write { directory: PathBuf, source: io::Error },
    #[error(
        "there is no larder to compare; build it with cargo build --release --workspace, or name it with --larder"
    )]
    NoLarder,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => {
            println!("{}", options.output.join("report.md").display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("larder-compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let programs = programs(options);
    if !programs.iter().any(|program| program.kind == Kind::Larder) {
        return Err(Failure::NoLarder);
    }
    let write_failed = |source| Failure::Write { directory: options.output.clone(), source };
    // Before anything is run for an hour.
    std::fs::create_dir_all(&options.output).map_err(write_failed)?;
    let comparison = compare(&programs, &options.conditions(), |step| eprintln!("larder-compare: {step}"))?;
    comparison.write(&options.output).map_err(write_failed)
}

impl Options {
    fn conditions(&self) -> Conditions {
        let either =
            |given: Option<u64>, usual, quick| given.unwrap_or(if self.quick { quick } else { usual });
        Conditions {
            server_core: self.server_core,
            generator_core: self.generator_core,
            connections: self.connections.get(),
            keys: either(self.keys, 1_000_000, 50_000),
            value_bytes: self.value_bytes,
            shape_bytes: either(self.shape_mib, 256, 16) << 20,
            memory_bytes: either(self.memory_mib, 192, 64) << 20,
            duration: Duration::from_secs(either(self.seconds, 3, 1)),
            rounds: self.rounds.map_or(if self.quick { 1 } else { 5 }, NonZeroUsize::get),
            seed: self.seed,
            parts: if self.only.is_empty() { Part::value_variants().to_vec() } else { self.only.clone() },
        }
    }
}

/// What there is to compare; what is missing is left out.
fn programs(options: &Options) -> Vec<Program> {
    let candidates = [
        (Kind::Larder, options.larder.clone().or_else(|| beside_this("larder"))),
        (Kind::Limit, beside_this("larder-limit")),
        (Kind::Redis, on_path("redis-server")),
        (Kind::Memcached, on_path("memcached")),
    ];
    found(&candidates, |text| eprintln!("larder-compare: {text}"))
}
