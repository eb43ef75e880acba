//! A comparison of engines from the command line: rounds of processes, then the table.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser;

use super::table::{DISK, Results};
use super::work::{self, Figures, Measure, Size, Step};
use super::{CACHE_BYTES, Candidate, Result, larder};
use crate::machine;
use crate::value::parse_value_bytes;

/// Measures storage engines side by side, as embedded in a program.
#[derive(Debug, Clone, Parser)]
#[command(name = "larder-engine-bench")]
struct Arguments {
    /// Entries in each store; a multiple of 100.
    #[arg(long, default_value_t = 1_000_000, value_parser = parse_entries)]
    entries: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 190, value_parser = parse_value_bytes)]
    value_bytes: usize,
    /// Rounds, of which the medians are shown. In each, all engines have their turns.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Seconds for each of the durable measures.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Measure these engines alone, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Directory for the stores, on the disk to be measured; it must not exist, and is removed at the end.
    #[arg(long, default_value = "larder-engine-bench.data")]
    directory: PathBuf,
    /// Write what is printed to `engine.md` in this directory too, with a plot beside it.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Do this step with the engine that is named, in this process.
    #[arg(long, hide = true)]
    step: Option<Step>,
}

fn parse_entries(text: &str) -> std::result::Result<u64, String> {
    match text.parse() {
        Ok(entries) if entries > 0 && entries % 100 == 0 => Ok(entries),
        _ => Err("a multiple of 100 above 0".to_owned()),
    }
}

impl Arguments {
    fn size(&self) -> Size {
        let time = Duration::from_secs(self.seconds);
        Size { entries: self.entries, value_bytes: self.value_bytes, time }
    }
}

/// Compares Larder with `peers`, as the command line of this process says.
///
/// # Errors
/// Whatever an engine has failed with; the directory that does not go, or the table that cannot be written.
pub fn main(peers: Vec<Candidate>) -> Result<()> {
    let arguments = Arguments::parse();
    let mut candidates = vec![larder::candidate(), larder::positioned()];
    candidates.extend(peers);
    for name in &arguments.only {
        if !candidates.iter().any(|candidate| candidate.name == name) {
            let names: Vec<&str> = candidates.iter().map(|candidate| candidate.name).collect();
            return Err(format!("there is no engine {name} here, only {}", names.join(", ")).into());
        }
    }
    let is_wanted = |candidate: &Candidate| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| name == candidate.name)
    };
    candidates.retain(is_wanted);
    if let Some(step) = arguments.step {
        let candidate = candidates.first().filter(|_| step.opening().is_some());
        return tell(&work::run(candidate, step, &arguments.directory, &arguments.size())?);
    }
    fs::create_dir(&arguments.directory)
        .map_err(|error| format!("cannot create {}: {error}", arguments.directory.display()))?;
    let measured = measure(&arguments, &candidates);
    let measured = measured.map(|results| (report(&arguments, &candidates, &results), results));
    fs::remove_dir_all(&arguments.directory)?;
    let (text, results) = measured?;
    println!("{text}");
    if let Some(output) = &arguments.output {
        fs::create_dir_all(output)?;
        let chart = results.chart(&names(candidates.iter()));
        fs::write(output.join("engine.md"), format!("{text}\n![{}](engine.svg)\n", chart.title))?;
        fs::write(output.join("engine.svg"), chart.svg())?;
    }
    Ok(())
}

/// What a process gives to the one that has started it: a line for each figure, with the place of its measure.
fn tell(figures: &Figures) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for (measure, figure) in figures {
        let place = Measure::ALL.iter().position(|one| one == measure).unwrap_or_default();
        writeln!(out, "{place} {figure}")?;
    }
    Ok(())
}

fn understand(text: &str) -> Option<Figures> {
    let figure = |line: &str| {
        let (place, figure) = line.split_once(' ')?;
        Some((*Measure::ALL.get(place.parse::<usize>().ok()?)?, figure.parse().ok()?))
    };
    text.lines().map(figure).collect()
}

fn measure(arguments: &Arguments, candidates: &[Candidate]) -> Result<Results> {
    let mut results = Results::default();
    let mut turns: Vec<&Candidate> = candidates.iter().collect();
    for round in 1..=arguments.rounds {
        for step in [Step::Buffered, Step::Timed, Step::Durable] {
            for candidate in &turns {
                if !step.opening().is_some_and(|opening| candidate.openings.contains(&opening)) {
                    continue;
                }
                eprintln!("round {round} of {}: {}, {step:?}", arguments.rounds, candidate.name);
                for (measure, figure) in in_a_process(arguments, Some(candidate), step)? {
                    results.note(candidate.name, measure, figure);
                }
            }
        }
        for (measure, figure) in in_a_process(arguments, None, Step::Loop)? {
            results.note(DISK, measure, figure);
        }
        // Nobody is always first, or always after the same one.
        turns.rotate_left(1);
    }
    Ok(results)
}

/// Does a step in a process and a directory of its own, with nothing left on the way to the disk from the one before.
fn in_a_process(arguments: &Arguments, candidate: Option<&Candidate>, step: Step) -> Result<Figures> {
    let name = candidate.map_or(DISK, |candidate| candidate.name);
    let directory = arguments.directory.join(name);
    fs::create_dir(&directory)?;
    rustix::fs::sync();
    let figures = start(arguments, candidate, step, &directory);
    fs::remove_dir_all(&directory)?;
    figures.map_err(|error| format!("{name}, {step:?}: {error}").into())
}

fn start(
    arguments: &Arguments,
    candidate: Option<&Candidate>,
    step: Step,
    directory: &Path,
) -> Result<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--step").arg(format!("{step:?}").to_lowercase());
    command.arg("--directory").arg(directory);
    command.args(["--entries", &arguments.entries.to_string(), "--seconds", &arguments.seconds.to_string()]);
    command.args(["--value-bytes", &arguments.value_bytes.to_string()]);
    if let Some(candidate) = candidate {
        command.args(["--only", candidate.name]);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    match understand(&text) {
        Some(figures) if output.status.success() => Ok(figures),
        _ => Err(format!("the process ended with {} and said {text:?}", output.status).into()),
    }
}

/// The table, and all that has to be known of how it was made.
fn report(arguments: &Arguments, candidates: &[Candidate], results: &Results) -> String {
    let of_larder = |candidate: &&Candidate| candidate.name.starts_with("larder");
    let peers = names(candidates.iter().filter(|candidate| !of_larder(candidate)));
    let others = names(candidates.iter().filter(of_larder).filter(|candidate| candidate.name != "larder"));
    let Arguments { entries, value_bytes, rounds, seconds, .. } = arguments;
    let mut text = format!(
        "Engines side by side, {}, medians of {rounds} rounds: {entries} entries, keys of 24 bytes, JSON values of \
         {value_bytes}, {seconds} s for each durable measure. Operations for each second, but for memory.\n\n\
         On {}.\n\n{}\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        machine::describe(&arguments.directory),
        results.table(&peers, &others)
    );
    text.push_str("| engine | version | settings |\n|---|---|---|\n");
    for Candidate { name, version, settings, .. } in candidates {
        text.push_str(&format!("| {name} | {version} | {settings} |\n"));
    }
    text.push_str(&format!("\nCaches of those that have one of their own: {} MiB.\n", CACHE_BYTES >> 20));
    text
}

fn names<'c>(candidates: impl Iterator<Item = &'c Candidate>) -> Vec<&'static str> {
    candidates.map(|candidate| candidate.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_arrive_as_they_were_told() {
        assert_eq!(understand("1 3.5\n0 1e6\n"), Some(vec![(Measure::Get, 3.5), (Measure::Load, 1e6)]));
        assert_eq!(understand(""), Some(Vec::new()));
        assert_eq!(understand("12 1"), None);
        assert_eq!(understand("0"), None);
    }

    #[test]
    fn the_number_of_entries_has_whole_prefixes() {
        assert_eq!(parse_entries("1000"), Ok(1000));
        for wrong in ["0", "150", "many"] {
            assert!(parse_entries(wrong).is_err());
        }
    }
}
