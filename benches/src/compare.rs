//! Every server under the same loads, and one report.
//!
//! One server lives at a time: another that rewrites its log in the background would take the core from it. A round
//! starts each server anew, fills it, waits until it is quiet and runs all loads; a figure is the median of its
//! rounds, so that a machine that is slow for a while does not decide.

mod context;
mod document;
mod sessions;
mod table;
mod tails;
mod targets;

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use crate::Error;
use crate::affinity::{Cores, pin};
use crate::contender::{Contender, Kind, Program};
use crate::measure::ServerUsage;
use crate::procfs;
use crate::report::Report;

use context::Context;
use table::Row;
use tails::Tails;

/// A server is quiet once it uses less than this share of a core over a whole pause.
const QUIET_SHARE_MAX: f64 = 0.05;
const QUIET_PAUSE: Duration = Duration::from_millis(250);
const QUIET_PAUSES_MAX: usize = 120;

/// What is the same for every run.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// The core of the server.
    pub server_core: usize,
    /// The core of the load generator.
    pub generator_core: usize,
    /// Connections to the server.
    pub connections: usize,
    /// Keys, all filled in first.
    pub keys: u64,
    /// The size of each value.
    pub value_bytes: usize,
    /// Bytes of keys and values of a shape at first; it has no more than `keys` keys either.
    pub shape_bytes: u64,
    /// Memory of the server that has four times as much data.
    pub memory_bytes: u64,
    /// How long each run takes.
    pub duration: Duration,
    /// Runs of each load against each server.
    pub rounds: usize,
    /// What keys, values and operations are drawn from.
    pub seed: u64,
    /// What is compared.
    pub parts: Vec<Part>,
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// GET and SET at three depths.
    Pipelines,
    /// Loads of production and of YCSB.
    Shapes,
    /// The slowest requests while something happens in the background.
    Tails,
}

/// What came out.
#[derive(Debug)]
pub struct Comparison {
    context: Context,
    conditions: Conditions,
    pipelines: Vec<Row>,
    shapes: Vec<Row>,
    tails: Option<Tails>,
    reports: Vec<(Kind, Report)>,
}

/// Runs every load against every server. `progress` is told of each run.
pub fn compare(
    programs: &[Program],
    conditions: &Conditions,
    mut progress: impl FnMut(&str),
) -> Result<Comparison, Error> {
    let context = Context::of(programs);
    let cores = Cores::current()?;
    let wants = |part| conditions.parts.contains(&part);
    let mut cells = Vec::new();
    let mut run = |sessions: Vec<sessions::Session>| -> Result<Vec<Row>, Error> {
        let ran = sessions::run(&sessions, programs, conditions, &mut progress)?;
        let rows = ran.iter().map(sessions::Cell::row).collect();
        cells.extend(ran);
        Ok(rows)
    };
    let pipelines = if wants(Part::Pipelines) { run(sessions::pipelines(conditions))? } else { Vec::new() };
    let shapes = if wants(Part::Shapes) { run(sessions::shapes(conditions))? } else { Vec::new() };
    let larder = programs.iter().find(|program| program.kind == Kind::Larder);
    let tails = match larder {
        Some(larder) if wants(Part::Tails) => {
            Some(tails::measure(larder, conditions, &cores, &mut progress)?)
        }
        _ => None,
    };
    let reports = cells.into_iter().flat_map(sessions::Cell::into_reports).collect();
    Ok(Comparison { context, conditions: conditions.clone(), pipelines, shapes, tails, reports })
}

impl Comparison {
    /// Writes `report.md`, its plots, and `runs.jsonl` with each run.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let plots = document::plots(self);
        for (name, chart) in &plots {
            fs::write(directory.join(format!("{name}.svg")), chart.svg())?;
        }
        fs::write(directory.join("report.md"), document::markdown(self, &plots))?;
        let mut lines = String::new();
        for (kind, report) in &self.reports {
            let run = serde_json::json!({ "server": kind.name(), "run": report });
            lines.push_str(&run.to_string());
            lines.push('\n');
        }
        fs::write(directory.join("runs.jsonl"), lines)
    }
}

/// Starts a server on its core. It takes over the cores of the thread that starts it.
fn start_on_core(
    conditions: &Conditions,
    start: impl FnOnce() -> Result<Contender, Error>,
) -> Result<Contender, Error> {
    pin(conditions.server_core)?;
    let contender = start()?;
    pin(conditions.generator_core)?;
    Ok(contender)
}

/// Lets the server finish what the fill left it to do. One that is never quiet is measured as it is.
fn await_quiet(pid: u32) -> Result<(), Error> {
    let mut before = procfs::sample(pid)?;
    for _ in 0..QUIET_PAUSES_MAX {
        thread::sleep(QUIET_PAUSE);
        let after = procfs::sample(pid)?;
        let usage = ServerUsage::between(&before, &after);
        if usage.cpu() + usage.children < QUIET_PAUSE.mul_f64(QUIET_SHARE_MAX) {
            break;
        }
        before = after;
    }
    Ok(())
}
