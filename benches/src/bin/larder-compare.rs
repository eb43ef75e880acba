//! `larder-compare`: starts Larder and its peers, puts them under the same loads, and prints one table.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use larder_benches::Error;
use larder_benches::compare::{Conditions, compare};
use larder_benches::contender::{Kind, Program, beside_this, found, on_path};
use larder_benches::key::KEYS_MAX;
use larder_benches::value::parse_value_bytes;

/// Compares Larder with the limit and, if it is installed, with Redis.
#[derive(Debug, Parser)]
#[command(name = "larder-compare", version)]
struct Options {
    /// The `larder` program [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    larder: Option<PathBuf>,
    /// The core of each server in turn.
    #[arg(long, default_value = "1")]
    server_core: usize,
    /// The core of the load generator.
    #[arg(long, default_value = "0")]
    generator_core: usize,
    /// Connections to the server under load.
    #[arg(long, default_value = "50")]
    connections: NonZeroUsize,
    /// Keys, all filled in first.
    #[arg(long, default_value = "1000000", value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX))]
    keys: u64,
    /// The size of each value, a JSON object.
    #[arg(long, default_value = "190", value_parser = parse_value_bytes)]
    value_bytes: usize,
    /// Seconds for each run.
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Runs of each load against each server; the table has the medians.
    #[arg(long, default_value = "3")]
    rounds: NonZeroUsize,
    /// What keys, values and operations are drawn from.
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
            eprintln!("larder-compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<String, Error> {
    let conditions = Conditions {
        server_core: options.server_core,
        generator_core: options.generator_core,
        connections: options.connections.get(),
        keys: options.keys,
        value_bytes: options.value_bytes,
        duration: Duration::from_secs(options.seconds),
        rounds: options.rounds.get(),
        seed: options.seed,
    };
    compare(&programs(options), &conditions, |step| eprintln!("larder-compare: {step}"))
}

/// What there is to compare. A Larder that was named must be there; the others are left out where they are missing.
fn programs(options: &Options) -> Vec<Program> {
    let candidates = [
        (Kind::Larder, options.larder.clone().or_else(|| beside_this("larder"))),
        (Kind::Limit, beside_this("larder-limit")),
        (Kind::Redis, on_path("redis-server")),
    ];
    found(&candidates, |text| eprintln!("larder-compare: {text}"))
}
