//! How many instructions the hot paths take, as callgrind counts them, against what they took when that was last agreed on.
//!
//! Each path is a process under `valgrind`, which counts what happens in [`counted`] alone. A count does not depend on what else the
//! machine does, so that what a change adds is seen where a clock would see noise. It does depend on the compiler, which is pinned,
//! on the locked libraries, and a little on the C library and on the processor's vector instructions: hence the tolerance, and
//! that nothing but x86-64 with AVX2 is held to a base line that was taken there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io, thread};

use larder_micro::{PATHS, counted};

const USAGE: &str = "\
usage: larder-instructions             count the instructions of all hot paths, and compare them with the base line
       larder-instructions --bless     make what is counted now the base line";

/// What the exit code says if nothing could be counted here.
const SKIPPED: u8 = 77;

/// By how much a count may differ from the base line. Runs differ by less than a hundredth, since the hashes' key does; other
/// C libraries by two or three. A change that costs more than this is one that somebody should know about.
const TOLERANCE: f64 = 0.05;

const BASE_LINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.tsv");

/// Instructions an operation, by the names of the paths.
type Counts = BTreeMap<String, f64>;
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => compare(),
        ["--bless"] => bless(),
        ["--walk", name] => walk(name),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("larder-instructions: {error}");
        ExitCode::FAILURE
    })
}

/// Walks a path so that a tool around this process can count it: once to have everything loaded, and once that counts.
fn walk(name: &str) -> Result<ExitCode> {
    let (_, make) = PATHS.iter().find(|(known, _)| *known == name).ok_or("there is no such path")?;
    let mut path = make();
    (path.walk)();
    counted(&mut path.walk);
    println!("{}", path.operations);
    Ok(ExitCode::SUCCESS)
}

fn compare() -> Result<ExitCode> {
    let Some(counts) = count_all()? else { return Ok(ExitCode::from(SKIPPED)) };
    let base_line =
        fs::read_to_string(BASE_LINE).map_err(|error| format!("cannot read {BASE_LINE}: {error}"))?;
    let base_line = parse(&base_line).ok_or_else(|| format!("{BASE_LINE} is not what --bless writes"))?;
    let (text, moved) = comparison(&base_line, &counts);
    print!("{text}");
    if moved.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "\nMore than {:.0} % from the base line: {}.\n\
         If that is meant, say why in the commit, and take the counts over with `larder-instructions --bless`.\n\
         If it is not, `valgrind --tool=callgrind {} --walk NAME` and callgrind_annotate tell where they are.",
        TOLERANCE * 100.0,
        moved.join(", "),
        env::current_exe()?.display()
    );
    Ok(ExitCode::FAILURE)
}

fn bless() -> Result<ExitCode> {
    let Some(counts) = count_all()? else { return Ok(ExitCode::from(SKIPPED)) };
    let mut text = String::new();
    for (name, _) in PATHS {
        let count = counts.get(*name).ok_or("a path was not counted")?;
        writeln!(text, "{name}\t{count:.1}")?;
        println!("{count:>10.1}  {name}");
    }
    fs::write(BASE_LINE, text)?;
    Ok(ExitCode::SUCCESS)
}

fn parse(base_line: &str) -> Option<Counts> {
    let entry = |line: &str| {
        let (name, count) = line.split_once('\t')?;
        Some((name.to_owned(), count.parse().ok().filter(|count: &f64| *count > 0.0)?))
    };
    base_line.lines().map(entry).collect()
}

/// A table of all paths, and those that are not where they were, a new one and one that is gone among them.
fn comparison(base_line: &Counts, counts: &Counts) -> (String, Vec<String>) {
    let mut moved = Vec::new();
    let mut text = String::from("base line       now  change\n");
    let names: std::collections::BTreeSet<&String> = base_line.keys().chain(counts.keys()).collect();
    for name in names {
        let line = match (base_line.get(name), counts.get(name)) {
            (Some(before), Some(now)) => {
                let change = now / before - 1.0;
                let is_moved = change.abs() > TOLERANCE;
                if is_moved {
                    moved.push(format!("{name} by {:+.1} %", change * 100.0));
                }
                let mark = if is_moved { "  <--" } else { "" };
                format!("{before:>9.1} {now:>9.1} {:>+6.1}%  {name}{mark}\n", change * 100.0)
            }
            (before, _) => {
                let what = if before.is_some() { "is gone" } else { "is new" };
                moved.push(format!("{name} {what}"));
                format!("{:>27}  {name}  <-- {what}\n", "")
            }
        };
        text.push_str(&line);
    }
    (text, moved)
}

/// Counts all paths; `None`, with the reason told, if that cannot be done here.
fn count_all() -> Result<Option<Counts>> {
    if let Some(reason) = why_not() {
        eprintln!("instructions are not counted: {reason}");
        return Ok(None);
    }
    let directory = tempfile::tempdir()?;
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let counts = thread::scope(|scope| {
        let count_some = |first: usize| {
            let some = PATHS.iter().skip(first).step_by(workers);
            some.map(|(name, _)| Ok(((*name).to_owned(), count(name, directory.path())?)))
                .collect::<Result<Vec<_>>>()
        };
        let workers: Vec<_> = (0..workers).map(|first| scope.spawn(move || count_some(first))).collect();
        let counted = workers.into_iter().map(|worker| worker.join().expect("a worker does not panic"));
        counted.collect::<Result<Vec<_>>>()
    })?;
    Ok(Some(counts.into_iter().flatten().collect()))
}

fn why_not() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx2") {
        return Some("the base line is of a processor with AVX2");
    }
    if cfg!(not(target_arch = "x86_64")) {
        return Some("the base line is of x86-64");
    }
    let asked = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    match asked {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("valgrind is not installed"),
        _ => None,
    }
}

/// Instructions an operation of a path.
fn count(name: &str, directory: &Path) -> Result<f64> {
    let place = PATHS.iter().position(|(known, _)| *known == name).ok_or("there is no such path")?;
    let file = directory.join(place.to_string());
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--toggle-collect=*larder_micro*counted*"]);
    command.arg(format!("--callgrind-out-file={}", file.display()));
    command.arg(env::current_exe()?).args(["--walk", name]);
    let output = command.stdin(Stdio::null()).output()?;
    let (said, complaints) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    let operations: f64 = match said.trim().parse() {
        Ok(operations) if output.status.success() => operations,
        _ => return Err(format!("{name} under valgrind ended with {}: {complaints}", output.status).into()),
    };
    let summary = fs::read_to_string(&file)?;
    let instructions = instructions(&summary).filter(|instructions| *instructions > 0.0);
    Ok(instructions.ok_or_else(|| format!("valgrind has counted nothing of {name}"))? / operations)
}

/// The total of what callgrind has written.
fn instructions(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, f64)]) -> Counts {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn every_path_can_be_walked() {
        for (name, make) in PATHS {
            let mut path = make();
            counted(&mut path.walk);
            counted(&mut path.walk);
            assert!(path.operations > 0, "{name}");
        }
    }

    #[test]
    fn the_base_line_is_of_these_paths() {
        let base_line = parse(&fs::read_to_string(BASE_LINE).expect("the base line")).expect("lines of it");
        let names: Vec<&str> = base_line.keys().map(String::as_str).collect();
        let mut known: Vec<&str> = PATHS.iter().map(|(name, _)| *name).collect();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn what_moves_further_than_the_tolerance_is_told() {
        let base_line = counts(&[("a", 100.0), ("b", 100.0), ("c", 100.0), ("gone", 1.0)]);
        let now = counts(&[("a", 104.9), ("b", 105.1), ("c", 94.0), ("new", 1.0)]);
        let (text, moved) = comparison(&base_line, &now);
        assert_eq!(moved, ["b by +5.1 %", "c by -6.0 %", "gone is gone", "new is new"]);
        assert!(text.contains("    100.0     104.9   +4.9%  a\n"), "{text}");
        assert!(text.contains("    100.0     105.1   +5.1%  b  <--\n"), "{text}");
    }

    #[test]
    fn a_base_line_is_names_and_counts() {
        assert_eq!(parse("a b\t12.5\nc\t3\n"), Some(counts(&[("a b", 12.5), ("c", 3.0)])));
        for wrong in ["a", "a\t", "a\tx", "a\t0", "a\t-1"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_total_is_found() {
        assert_eq!(instructions("events: Ir\nsummary: 0\n\ntotals: 1234\n"), Some(1234.0));
        assert_eq!(instructions("events: Ir\n"), None);
    }
}
