//! How long opening takes, and how much memory an entry does: after a clean stop, after a kill, with hint files and
//! without. Each step is a process of its own, so that nothing is warm but the page cache.

use clap::{Parser, ValueEnum};
use larder_benches::key::key;
use larder_benches::procfs::anonymous_bytes;
use larder_benches::random::Random;
use larder_benches::value::Values;
use larder_engine::{Address, Durability, Expiry, Options, Put, Store, Tenant};
use std::path::{Path, PathBuf};
use std::process::{Command, abort};
use std::time::{Instant, SystemTime};

/// Measures how long a store takes to open, and the memory that an entry takes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Entries in the store, with keys of 24 bytes.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 200)]
    value_bytes: usize,
    /// Give every entry a deadline, a day ahead.
    #[arg(long)]
    ttl: bool,
    /// Opens for each row, of which the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Directory for the store; it must not exist, and is removed at the end.
    #[arg(long, default_value = "larder-open-bench.data")]
    directory: PathBuf,
    #[arg(long, hide = true)]
    step: Option<Step>,
}

/// What a process of the benchmark does.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Step {
    /// Writes all entries, closes, ends.
    FillAndClose,
    /// Writes all entries, syncs, dies.
    FillAndDie,
    /// Opens, tells, dies: the next one finds what this one found, but for the mark of a clean stop.
    Open,
    /// Opens, tells, closes.
    OpenAndClose,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(step) = arguments.step {
        return take(step, &arguments);
    }
    let result = run(&arguments);
    std::fs::remove_dir_all(&arguments.directory)?;
    result
}

fn run(arguments: &Arguments) -> Result<()> {
    println!("{} entries, keys of 24 bytes, values of {} bytes", arguments.entries, arguments.value_bytes);
    println!("{:<36} {:>10} {:>16} {:>16}", "open", "ms", "bytes an entry", "estimated");
    child(arguments, Step::FillAndClose)?;
    row("after a clean stop", arguments, || child(arguments, Step::OpenAndClose))?;
    row("after a clean stop, without hints", arguments, || {
        remove_hints(&arguments.directory)?;
        child(arguments, Step::OpenAndClose)
    })?;
    std::fs::remove_dir_all(&arguments.directory)?;
    // The first open after the kill finds the end of the log unsealed; it leaves it sealed. So each needs a kill.
    row("after a kill", arguments, || {
        let _ = std::fs::remove_dir_all(&arguments.directory);
        child(arguments, Step::FillAndDie)?;
        child(arguments, Step::Open)
    })
}

/// The median of several opens: each tells milliseconds, bytes and estimated bytes.
fn row(name: &str, arguments: &Arguments, mut open: impl FnMut() -> Result<String>) -> Result<()> {
    let mut figures = Vec::new();
    for _ in 0..arguments.rounds.max(1) {
        let told = open()?;
        figures.push(told.split_whitespace().map(str::parse).collect::<std::result::Result<Vec<f64>, _>>()?);
    }
    figures.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let median = &figures[figures.len() / 2];
    println!("{name:<36} {:>10.0} {:>16.0} {:>16.0}", median[0], median[1], median[2]);
    Ok(())
}

fn child(arguments: &Arguments, step: Step) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--directory").arg(&arguments.directory);
    command.args(["--entries", &arguments.entries.to_string()]);
    command.args(["--value-bytes", &arguments.value_bytes.to_string()]);
    let step = step.to_possible_value().ok_or("every step has a name")?;
    command.args(["--step", step.get_name()]);
    if arguments.ttl {
        command.arg("--ttl");
    }
    Ok(String::from_utf8(command.output()?.stdout)?)
}

fn take(step: Step, arguments: &Arguments) -> Result<()> {
    let before = anonymous_bytes()?;
    let started = Instant::now();
    let store = Options::new().durability(Durability::Buffered).open(&arguments.directory)?;
    let time = started.elapsed();
    match step {
        Step::FillAndClose | Step::FillAndDie => {
            fill(&store, arguments)?;
            store.sync().wait()?;
        }
        Step::Open | Step::OpenAndClose => {
            let stats = store.stats();
            if stats.entries != arguments.entries {
                return Err(format!("{} entries found", stats.entries).into());
            }
            let each = |bytes: u64| bytes / arguments.entries.max(1);
            let bytes = anonymous_bytes()?.saturating_sub(before);
            println!("{} {} {}", time.as_secs_f64() * 1e3, each(bytes), each(stats.index_bytes));
        }
    }
    match step {
        Step::FillAndClose | Step::OpenAndClose => Ok(store.close()?),
        Step::FillAndDie | Step::Open => abort(),
    }
}

/// Fills the store in random order: `number -> number * odd prime` permutes the keys.
fn fill(store: &Store, arguments: &Arguments) -> Result<()> {
    let mut random = Random::seeded(1);
    let values = Values::generate(&mut random, arguments.value_bytes);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let deadline = u64::try_from(now.as_millis())? + 86_400_000;
    for first in (0..arguments.entries).step_by(100) {
        let written = store.write(|writer| {
            (first..arguments.entries.min(first + 100)).try_for_each(|number| {
                let key = key(number.wrapping_mul(7_368_787) % arguments.entries);
                let at = Address::new(Tenant::DEFAULT, "default", std::str::from_utf8(&key)?)?;
                let expiry = if arguments.ttl { Expiry::At(deadline) } else { Expiry::Never };
                let put = Put { expiry, ..Put::new(values.pick(&mut random).as_bytes()) };
                writer.put(at, &put)?.map_err(|refusal| format!("{refusal:?}"))?;
                Result::Ok(())
            })
        });
        written.wait()??;
    }
    Ok(())
}

fn remove_hints(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "hint") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
