//! What backups cost those who write meanwhile, see [`pauses`].

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use larder_benches::pauses;
use larder_benches::random::Random;
use larder_benches::value::{Values, parse_value_bytes};

/// Measures puts without and with backups.
#[derive(Debug, Parser)]
struct Arguments {
    /// Bytes of a value.
    #[arg(long, default_value_t = 190, value_parser = parse_value_bytes)]
    value_bytes: usize,
    /// Directory for the stores, on the disk to be measured; it must not exist, and is removed at the end.
    #[arg(long, default_value = "larder-backup-bench.data")]
    directory: PathBuf,
    /// Seconds for each row.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { value_bytes, directory, seconds } = Arguments::parse();
    let mut random = Random::seeded(1);
    let values = Values::generate(&mut random, value_bytes);
    fs::create_dir(&directory)?;
    let result = pauses::run(&directory, Duration::from_secs(seconds), values.pick(&mut random).as_bytes());
    fs::remove_dir_all(&directory)?;
    Ok(result?)
}
