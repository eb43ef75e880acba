//! A short run of the fuzz targets with the stable toolchain: seeds, then mutations of seeds, all from one number.
//!
//! It is no match for a fuzzer that watches which code its inputs reach, but takes seconds, needs nothing installed,
//! and does the same on every machine.

#![forbid(unsafe_code)]

use cap::Cap;
use larder_fuzz::mutate::{Random, mutate};
use std::alloc::System;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, io, mem, panic, process, thread};

const USAGE: &str = "\
usage: larder-fuzz [TARGET] [--iterations N] [--seed N]   run all targets, or one
       larder-fuzz TARGET FILE...                         run one target on files
       larder-fuzz --write-seeds                          write the seeds to corpus/, for libFuzzer
targets: request, log, store, verify, salvage";

/// A target, and how to run it.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
    /// Iterations of a run that names no number.
    iterations: u64,
}

const TARGETS: [Target; 5] = [
    Target {
        name: "request",
        run: larder_fuzz::request,
        seeds: larder_fuzz::request_seeds,
        iterations: 1_000_000,
    },
    Target { name: "log", run: larder_fuzz::log, seeds: larder_fuzz::log_seeds, iterations: 5_000_000 },
    Target { name: "store", run: larder_fuzz::store, seeds: larder_fuzz::store_seeds, iterations: 40_000 },
    Target { name: "verify", run: larder_fuzz::verify, seeds: larder_fuzz::store_seeds, iterations: 20_000 },
    Target {
        name: "salvage",
        run: larder_fuzz::salvage,
        seeds: larder_fuzz::store_seeds,
        iterations: 20_000,
    },
];

/// Counts what is allocated, touched or not.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Most memory that the process may ever have taken, in bytes: an input is a few kilobytes, and so are the files made of it.
const MEMORY_MAX: usize = 128 << 20;

/// An input that takes this long hangs.
const HANG: Duration = Duration::from_secs(10);

/// The input under test, empty if there is none: for the panic hook, which also comes to hear of what ends in an abort,
/// and for the watchdog.
static CURRENT: Mutex<(&str, Vec<u8>)> = Mutex::new(("", Vec::new()));

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    target: Option<&'static Target>,
    files: Vec<PathBuf>,
    iterations: Option<u64>,
    seed: u64,
    write_seeds: bool,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("larder-fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments::default();
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--iterations" => arguments.iterations = Some(words.next()?.parse().ok()?),
            "--seed" => arguments.seed = words.next()?.parse().ok()?,
            "--write-seeds" => arguments.write_seeds = true,
            option if option.starts_with("--") => return None,
            file if arguments.target.is_some() => arguments.files.push(file.into()),
            name => arguments.target = Some(TARGETS.iter().find(|target| target.name == name)?),
        }
    }
    Some(arguments)
}

/// Does what was asked for; false if a target failed.
fn run(arguments: &Arguments) -> io::Result<bool> {
    if arguments.write_seeds {
        return write_seeds().map(|()| true);
    }
    if let Some(target) = arguments.target
        && !arguments.files.is_empty()
    {
        for file in &arguments.files {
            (target.run)(&fs::read(file)?);
            println!("{}: {} passes", target.name, file.display());
        }
        return Ok(true);
    }
    println!("seed {}", arguments.seed);
    keep_what_panics();
    keep_what_hangs();
    for target in
        TARGETS.iter().filter(|target| arguments.target.is_none_or(|wanted| wanted.name == target.name))
    {
        let started = Instant::now();
        let iterations = arguments.iterations.unwrap_or(target.iterations);
        if !run_target(target, iterations, arguments.seed) {
            return Ok(false);
        }
        let (seconds, mib) = (started.elapsed().as_secs_f64(), MEMORY.max_allocated() >> 20);
        println!("{}: {iterations} inputs in {seconds:.1} s, {mib} MiB of memory at most", target.name);
    }
    Ok(true)
}

/// Runs seeds, then mutations of them; false if one failed.
fn run_target(target: &Target, iterations: u64, seed: u64) -> bool {
    let seeds = (target.seeds)();
    let mut random = Random::new(seed);
    for number in 0..iterations {
        let mut input = Vec::new();
        match usize::try_from(number).ok().and_then(|number| seeds.get(number)) {
            Some(seed) => input.clone_from(seed),
            None => {
                input.clone_from(&seeds[random.below(seeds.len())]);
                mutate(&mut input, &seeds[random.below(seeds.len())], &mut random);
            }
        }
        *current() = (target.name, input.clone());
        // A target keeps nothing from one input to the next that a panic could leave half done.
        let run = || {
            (target.run)(&input);
            let taken = MEMORY.max_allocated();
            assert!(taken <= MEMORY_MAX, "{taken} bytes of memory were taken");
        };
        if panic::catch_unwind(run).is_err() {
            return false;
        }
    }
    true
}

fn current() -> impl std::ops::DerefMut<Target = (&'static str, Vec<u8>)> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the input of the first panic written to a file.
fn keep_what_panics() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        report(panic);
        keep_current("panic");
    }));
}

/// Ends the process if it is at the same input for too long.
fn keep_what_hangs() {
    thread::spawn(|| {
        let mut before = Vec::new();
        loop {
            thread::sleep(HANG);
            let input = current().1.clone();
            if !input.is_empty() && input == before {
                eprintln!("an input takes more than {} s", HANG.as_secs());
                keep_current("hang");
                process::exit(1);
            }
            before = input;
        }
    });
}

fn keep_current(what: &str) {
    match mem::take(&mut *current()) {
        ("", _) => {}
        (name, input) => match keep(name, what, &input) {
            Ok(path) => eprintln!("to run it again: larder-fuzz {name} {}", path.display()),
            Err(error) => eprintln!("larder-fuzz: the input cannot be kept: {error}"),
        },
    }
}

fn keep(name: &str, what: &str, input: &[u8]) -> io::Result<PathBuf> {
    let directory = package().join("artifacts").join(name);
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{what}-{:08x}", crc32fast::hash(input)));
    fs::write(&path, input)?;
    Ok(path)
}

fn write_seeds() -> io::Result<()> {
    for target in &TARGETS {
        let directory = package().join("corpus").join(target.name);
        fs::create_dir_all(&directory)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(directory.join(format!("seed-{number:03}")), seed)?;
        }
    }
    Ok(())
}

/// The directory of this package, where Cargo tells it; else the present one.
fn package() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}
