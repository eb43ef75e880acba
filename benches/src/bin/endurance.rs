//! `endurance`: whether a store keeps its promises for as long as one likes, and what compaction takes and gives.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use hdrhistogram::Histogram;
use larder_benches::endurance::Result;
use larder_benches::endurance::faults::Fault;
use larder_benches::endurance::latency::{self, Latency};
use larder_benches::endurance::load::{self, Session};
use larder_benches::endurance::mixed::{self, Mixed};
use larder_benches::endurance::overwrites::{self, Compacted, Data, Overwritten, options};
use larder_engine::{Compaction, Durability};

/// The most that the log may take for each live byte.
const SPACE_MAX: f64 = 1.6;
/// The most that may be written for each byte that a writer writes.
const WRITES_MAX: f64 = 2.2;
/// Share of the time for latencies.
const LATENCY_SHARE: f64 = 0.15;
/// Share of the time that is left to the mixed load at least, however long the rest took.
const MIXED_SHARE_MIN: f64 = 0.25;
/// Shares of the time that overwriting may take at most: at full speed, and at the given rate.
const OVERWRITES_SHARE_MAX: [f64; 2] = [0.2, 0.6];

/// Kills a store at work again and again, overwrites another many times over, and prints whether every promise was kept.
#[derive(Debug, Parser)]
#[command(name = "endurance", version)]
struct Arguments {
    /// Seconds for all of it, about.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Fixes all that is drawn, but not the instants at which a process is caught. The time, if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Directory in which a temporary one is made, on the disk to be used.
    #[arg(long, default_value = ".")]
    directory: std::path::PathBuf,
    /// Entries that are overwritten, with keys of 24 bytes.
    #[arg(long, default_value_t = 150_000)]
    entries: u64,
    /// Bytes of their values.
    #[arg(long, default_value_t = 200, value_parser = larder_benches::value::parse_value_bytes)]
    value_bytes: usize,
    /// Bytes of a segment of theirs.
    #[arg(long, default_value_t = 3 << 19)]
    segment_bytes: u64,
    /// How many times the data is overwritten.
    #[arg(long, default_value_t = 10)]
    times: u64,
    /// MiB of keys and values a second that are overwritten where it is not at full speed.
    #[arg(long, default_value_t = 12)]
    rate_mib: u64,
    /// What compaction aims at: how many times its live bytes the log may take. The engine's default, if not given.
    #[arg(long)]
    aim: Option<f64>,
    /// MiB a second that compaction may read and write, 0 for no limit. The engine's default, if not given.
    #[arg(long)]
    compaction_mib: Option<u64>,
    /// What a process that is to be killed has to do.
    #[arg(hide = true)]
    session: Option<String>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(session) = &arguments.session {
        load::run(&serde_json::from_str::<Session>(session)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let seed = arguments.seed.unwrap_or(since_epoch.as_secs());
    let cores = std::thread::available_parallelism()?;
    println!("seed {seed}; {cores} cores, load average {}", load_average()?);
    let started = Instant::now();
    let time = Duration::from_secs(arguments.seconds);
    let directory = tempfile::Builder::new().prefix("larder-endurance-").tempdir_in(&arguments.directory)?;

    let overwrites = Overwrites::run(&directory.path().join("overwrites"), &arguments, seed, time)?;
    let left = time.saturating_sub(started.elapsed()).max(time.mul_f64(MIXED_SHARE_MIN));
    let process = || Ok(Command::new(std::env::current_exe()?));
    let mixed = mixed::run(directory.path(), left, seed, &process)?;

    println!("{} s; load average {}", started.elapsed().as_secs(), load_average()?);
    let mut table = Table { is_kept: true };
    table.mixed(&mixed);
    table.overwrites(&overwrites, arguments.times);
    table.latencies(&overwrites.latencies);
    mixed.faults.first.iter().for_each(|fault| println!("{fault}"));
    println!("\n{}", if table.is_kept { "Every promise was kept." } else { "NOT every promise was kept." });
    Ok(if table.is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many threads wanted a core in the last minute: beyond the cores there are, compaction falls behind for want of them.
fn load_average() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

impl Arguments {
    fn compaction(&self) -> Compaction {
        let default = Compaction::default();
        Compaction {
            space_amplification: self.aim.unwrap_or(default.space_amplification),
            bytes_per_second: self.compaction_mib.map_or(default.bytes_per_second, |mib| mib << 20),
            ..default
        }
    }
}

/// What the second part came to.
struct Overwrites {
    full_speed: Overwritten,
    paced: Overwritten,
    latencies: Vec<Latency>,
    compacted: Compacted,
}

impl Overwrites {
    fn run(directory: &Path, arguments: &Arguments, seed: u64, time: Duration) -> Result<Overwrites> {
        let data = Data {
            entries: arguments.entries.max(1),
            value_bytes: arguments.value_bytes,
            segment_bytes: arguments.segment_bytes,
            times: arguments.times,
            seed,
        };
        let compaction = arguments.compaction();
        let open = || options(&data, Durability::Buffered, compaction).open(directory);
        let rate = arguments.rate_mib << 20;
        let [full_speed_max, paced_max] = OVERWRITES_SHARE_MAX.map(|share| time.mul_f64(share));
        let store = open()?;
        overwrites::load(&store, &data)?;
        let full_speed = overwrites::overwrite(directory, &store, &data, 0, full_speed_max)?;
        let paced = overwrites::overwrite(directory, &store, &data, rate, paced_max)?;
        store.close()?;
        let latencies = latency::measure(directory, &data, compaction, time.mul_f64(LATENCY_SHARE), rate)?;
        let store = open()?;
        let compacted = overwrites::delete_and_compact(&store, &data)?;
        store.close()?;
        Ok(Overwrites { full_speed, paced, latencies, compacted })
    }
}

/// Prints figures beside their bounds, and notes whether all were held.
struct Table {
    is_kept: bool,
}

impl Table {
    fn mixed(&mut self, mixed: &Mixed) {
        println!("\n| mixed load, killed again and again | | bound |\n|---|--:|--:|");
        row("processes killed at work", mixed.kills);
        row("processes killed as they opened the store", mixed.kills_at_open);
        self.bound("recoveries", mixed.recoveries, "at least 1", mixed.recoveries > 0);
        row("changes acknowledged", mixed.acknowledged);
        row("changes under way when a process was killed", mixed.interrupted);
        row("values compared", mixed.compared);
        row("full compactions", mixed.compactions);
        row("verified from end to end", mixed.verified);
        for (name, fault) in [
            ("lost", Fault::Lost),
            ("resurrected", Fault::Resurrected),
            ("half transactions", Fault::Half),
            ("other faults", Fault::Other),
        ] {
            self.zero(name, mixed.faults.count(fault));
        }
    }

    fn overwrites(&mut self, overwrites: &Overwrites, times: u64) {
        println!("\n| uniform overwrites | | bound |\n|---|--:|--:|");
        self.overwritten("at the given rate", &overwrites.paced, times);
        self.overwritten("at full speed", &overwrites.full_speed, times);
        let Compacted { deleted, entries, tombstone_bytes, dead_bytes, duration } = overwrites.compacted;
        row("keys deleted after that", deleted);
        row("entries left", entries);
        row("full compaction, ms", duration.as_millis());
        self.zero("tombstone bytes after it", tombstone_bytes);
        self.zero("dead bytes after it", dead_bytes);
    }

    fn overwritten(&mut self, how: &str, overwritten: &Overwritten, times: u64) {
        let megabytes = overwritten.bytes_per_second() / 1e6;
        println!("| **{how}**: MB of log a second | {megabytes:.1} | |");
        let done = overwritten.times;
        let (space, space_average) = overwritten.space.log();
        let (files, files_average) = overwritten.space.files();
        let writes = overwritten.write_amplification();
        for (name, figure, bound, is_held) in [
            ("times the data", done, format!("{times}"), done >= times as f64),
            ("space amplification, highest", space, format!("{SPACE_MAX}"), space <= SPACE_MAX),
            ("write amplification", writes, format!("{WRITES_MAX}"), writes <= WRITES_MAX),
        ] {
            self.bound(name, format!("{figure:.2}"), &bound, is_held);
        }
        row("space amplification, average", format!("{space_average:.2}"));
        row("the same of the files, highest", format!("{files:.2}"));
        row("the same of the files, average", format!("{files_average:.2}"));
        row("share of the time for which a compaction ran", format!("{:.2}", overwritten.compacting));
        row("seconds until it had caught up", format!("{:.1}", overwritten.catching_up.as_secs_f64()));
    }

    fn latencies(&self, latencies: &[Latency]) {
        println!(
            "\n| µs | calls | p99 without compaction | with | ratio | max without | with | ratio | compacting |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        for Latency { name, without_ns, with_ns, compacting } in latencies {
            let p99 = compared(|latency_ns| latency_ns.value_at_quantile(0.99), without_ns, with_ns);
            let max = compared(Histogram::max, without_ns, with_ns);
            let calls = without_ns.len() + with_ns.len();
            println!("| {name} | {calls} | {p99} | {max} | {compacting:.2} |");
        }
    }

    fn zero(&mut self, name: &str, figure: u64) {
        self.bound(name, figure, "0", figure == 0);
    }

    fn bound(&mut self, name: &str, figure: impl std::fmt::Display, bound: &str, is_held: bool) {
        self.is_kept &= is_held;
        println!("| {name} | {figure} | {bound}{} |", if is_held { "" } else { " **BROKEN**" });
    }
}

fn row(name: &str, figure: impl std::fmt::Display) {
    println!("| {name} | {figure} | |");
}

/// Two figures in microseconds, and their ratio.
fn compared(
    figure: impl Fn(&Histogram<u64>) -> u64,
    without_ns: &Histogram<u64>,
    with_ns: &Histogram<u64>,
) -> String {
    let [without, with] = [without_ns, with_ns].map(|latency_ns| figure(latency_ns) as f64 / 1e3);
    format!("{without:.0} | {with:.0} | {:.2}", with / without)
}
