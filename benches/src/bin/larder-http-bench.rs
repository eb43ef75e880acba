//! `larder-http-bench`: reads of one entry over HTTP under `wrk`, and those of a constant of the same size.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use larder_benches::Error;
use larder_benches::contender::beside_this;
use larder_benches::http::{Conditions, measure, serve_constant, table, this_program};
use larder_benches::value::parse_value_bytes;

/// Compares reads of one entry over HTTP with those of a constant that the same libraries serve. Needs `wrk`.
#[derive(Debug, Parser)]
#[command(name = "larder-http-bench", version)]
struct Options {
    /// The `larder` program [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    larder: Option<PathBuf>,
    /// The core of each server in turn.
    #[arg(long, default_value = "1")]
    server_core: usize,
    /// The core of `wrk`.
    #[arg(long, default_value = "0")]
    generator_core: usize,
    /// Connections to the server under load.
    #[arg(long, default_value = "50")]
    connections: NonZeroUsize,
    /// The size of the value, a JSON object.
    #[arg(long, default_value = "190", value_parser = parse_value_bytes)]
    value_bytes: usize,
    /// Seconds for each run.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Runs of each, in turn; the medians count, of the share that of the runs in pairs.
    #[arg(long, default_value = "9")]
    rounds: NonZeroUsize,
    /// Be the server of the constant, of so many bytes.
    #[arg(long, hide = true)]
    constant: Option<usize>,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("larder-http-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Error> {
    if let Some(value_bytes) = options.constant {
        return serve_constant(value_bytes);
    }
    let missing = || Error::Start {
        program: "larder".to_owned(),
        reason: "it is not beside this program; cargo build --release --workspace".to_owned(),
    };
    let larder = options.larder.or_else(|| beside_this("larder")).ok_or_else(missing)?;
    let conditions = Conditions {
        larder: larder.clone(),
        constant: (this_program()?, vec!["--constant".to_owned()]),
        server_core: options.server_core,
        generator_core: options.generator_core,
        connections: options.connections.get(),
        value_bytes: options.value_bytes,
        seconds: options.seconds,
        rounds: options.rounds.get(),
    };
    print!("{}", table(measure(&conditions)?, &larder));
    Ok(())
}
