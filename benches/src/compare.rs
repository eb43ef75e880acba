//! Every server under the same loads, and one table.
//!
//! One server lives at a time: another that rewrites its log in the background would take the core from it. A round
//! starts each server anew, fills it, waits until it is quiet and runs all loads; a figure is the median of its
//! rounds, so that a machine that is slow for a while does not decide.

use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::affinity::pin;
use crate::contender::{Contender, Kind, Program, Purpose};
use crate::measure::{ServerUsage, measure};
use crate::pool::Pool;
use crate::procfs;
use crate::random::Random;
use crate::report::{Report, Setting};
use crate::table::{Row, table};
use crate::value::Values;
use crate::workload::{Budget, Choice, FILL_PIPELINE, Workload};

/// The loads: the name of the operation and its share of SETs.
const OPERATIONS: [(&str, f64); 2] = [("GET", 0.0), ("SET", 1.0)];
const PIPELINES: [usize; 3] = [1, 16, 64];

/// A server is quiet once it uses less than this share of a core over a whole pause.
const QUIET_SHARE_MAX: f64 = 0.05;
const QUIET_PAUSE: Duration = Duration::from_millis(250);
const QUIET_PAUSES_MAX: usize = 120;

/// What is the same for every run.
#[derive(Debug, Clone, Copy)]
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
    /// How long each run takes.
    pub duration: Duration,
    /// Runs of each load against each server.
    pub rounds: usize,
    /// What keys, values and operations are drawn from.
    pub seed: u64,
}

/// One load against one server, and what its runs came to.
struct Cell {
    kind: Kind,
    operation: &'static str,
    set_share: f64,
    pipeline: usize,
    reports: Vec<Report>,
}

/// Runs every load against every server and returns the table in Markdown. `progress` is told of each run.
pub fn compare(
    programs: &[Program],
    conditions: &Conditions,
    mut progress: impl FnMut(&str),
) -> Result<String, Error> {
    let values = Values::generate(&mut Random::seeded(conditions.seed), conditions.value_bytes);
    let mut cells = cells(programs);
    for round in 1..=conditions.rounds {
        for program in programs {
            let name = program.kind.name();
            progress(&format!("round {round} of {}: {name}", conditions.rounds));
            let contender = start(program, conditions)?;
            fill(&contender, program.kind, conditions, &values)?;
            await_quiet(contender.pid())?;
            for cell in cells.iter_mut().filter(|cell| cell.kind == program.kind) {
                progress(&format!(
                    "round {round} of {}: {name}, {} x {}",
                    conditions.rounds, cell.operation, cell.pipeline
                ));
                cell.run(&contender, conditions, &values)?;
            }
        }
    }
    let rows: Vec<Row> = cells
        .iter()
        .map(|cell| Row::of_medians(cell.operation, cell.pipeline, cell.kind, &cell.reports))
        .collect();
    Ok(table(&rows))
}

fn cells(programs: &[Program]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (operation, set_share) in OPERATIONS {
        for pipeline in PIPELINES {
            for &Program { kind, .. } in programs {
                cells.push(Cell { kind, operation, set_share, pipeline, reports: Vec::new() });
            }
        }
    }
    cells
}

/// A server takes over the core of the thread that starts it.
fn start(program: &Program, conditions: &Conditions) -> Result<Contender, Error> {
    pin(conditions.server_core)?;
    let contender = Contender::start(program, Purpose::Requests { value_bytes: conditions.value_bytes })?;
    pin(conditions.generator_core)?;
    Ok(contender)
}

fn fill(contender: &Contender, kind: Kind, conditions: &Conditions, values: &Values) -> Result<(), Error> {
    let mut pool = Pool::open(contender.addr, conditions.connections)?;
    let random = Random::seeded(conditions.seed);
    pool.fill(Workload::fill(kind.dialect(), FILL_PIPELINE, conditions.keys, values, random))
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

impl Cell {
    /// One run on fresh connections. A run with a faulty reply is no measurement.
    fn run(&mut self, contender: &Contender, conditions: &Conditions, values: &Values) -> Result<(), Error> {
        let Conditions { connections, keys, value_bytes, duration, seed, .. } = *conditions;
        let dialect = self.kind.dialect();
        let mut pool = Pool::open(contender.addr, connections)?;
        let workload = Workload {
            dialect,
            pipeline: self.pipeline,
            first_key: 0,
            keys,
            deadlines: None,
            values,
            choice: Choice::Random { set_share: self.set_share },
            budget: Budget::Until(Instant::now() + duration),
            random: Random::seeded(seed),
        };
        let measurement = measure(&mut pool, workload, Some(contender.pid()))?;
        measurement.tally.require_faultless()?;
        let setting = Setting {
            dialect,
            operation: self.operation.to_owned(),
            connections,
            pipeline: self.pipeline,
            keys,
            value_bytes,
        };
        self.reports.push(Report::new(setting, &measurement));
        Ok(())
    }
}
