//! Servers that are started, filled, and put under loads: GET and SET at three depths, and the loads by name.

use std::time::Instant;

use super::table::Row;
use super::{Conditions, await_quiet, start_on_core};
use crate::Error;
use crate::contender::{Contender, Kind, Level, Program, Purpose};
use crate::measure::measure;
use crate::mix::Action;
use crate::pool::Pool;
use crate::random::Random;
use crate::report::{Report, Setting};
use crate::shape::{Shape, Traffic};
use crate::value::Values;
use crate::weighted::Weighted;
use crate::workload::{Budget, Choice, Expiring, Pace, Workload};

const PIPELINES: [usize; 3] = [1, 16, 64];
/// The depth at which shapes are run.
const SHAPE_PIPELINE: usize = 16;

/// Loads against servers that are filled in the same way.
#[derive(Debug)]
pub(super) struct Session {
    level: Level,
    kinds: &'static [Kind],
    keys: u64,
    loads: Vec<Load>,
}

#[derive(Debug, Clone)]
struct Load {
    name: String,
    pipeline: usize,
    traffic: Traffic,
}

/// One load against one server, and what its runs came to.
#[derive(Debug)]
pub(super) struct Cell {
    session: usize,
    kind: Kind,
    level: Level,
    load: Load,
    /// `None` if the server lacks what is asked of it.
    reports: Option<Vec<Report>>,
}

/// GET and SET; SET also where it is acknowledged once it is on disk.
pub(super) fn pipelines(conditions: &Conditions) -> Vec<Session> {
    let load = |name: &str, action, pipeline| Load {
        name: name.to_owned(),
        pipeline,
        traffic: Traffic {
            value_bytes: conditions.value_bytes,
            mix: Weighted::always(action),
            ..Traffic::default()
        },
    };
    let loads = |name, action| PIPELINES.map(|pipeline| load(name, action, pipeline));
    let keys = conditions.keys;
    vec![
        Session {
            level: Level::Buffered,
            kinds: &[Kind::Larder, Kind::Limit, Kind::Redis, Kind::Memcached],
            keys,
            loads: [loads("GET", Action::Get), loads("SET", Action::Set)].concat(),
        },
        Session {
            level: Level::Durable,
            kinds: &[Kind::Larder, Kind::Redis],
            keys,
            loads: loads("SET", Action::Set).to_vec(),
        },
    ]
}

/// The loads by name. Each begins with as many keys as make the bytes that were asked for.
pub(super) fn shapes(conditions: &Conditions) -> Vec<Session> {
    use clap::ValueEnum as _;
    let session = |shape: &Shape| {
        let traffic = shape.traffic();
        let entry_bytes = (traffic.key_bytes + traffic.value_bytes) as u64;
        Session {
            level: Level::Buffered,
            kinds: &[Kind::Larder, Kind::Redis, Kind::Memcached],
            keys: (conditions.shape_bytes / entry_bytes).clamp(1, conditions.keys),
            loads: vec![Load { name: shape.name(), pipeline: SHAPE_PIPELINE, traffic }],
        }
    };
    Shape::value_variants().iter().map(session).collect()
}

/// Runs everything as many times as there are rounds.
pub(super) fn run(
    sessions: &[Session],
    programs: &[Program],
    conditions: &Conditions,
    progress: &mut impl FnMut(&str),
) -> Result<Vec<Cell>, Error> {
    let mut cells = cells(sessions, programs);
    for round in 1..=conditions.rounds {
        for (number, session) in sessions.iter().enumerate() {
            for program in programs.iter().filter(|program| session.kinds.contains(&program.kind)) {
                let mut cells: Vec<_> = cells
                    .iter_mut()
                    .filter(|cell| (cell.session, cell.kind) == (number, program.kind))
                    .filter(|cell| cell.reports.is_some())
                    .collect();
                let Some(first) = cells.first() else { continue };
                let level = program.kind.level(session.level).unwrap_or_default();
                let name =
                    format!("round {round} of {}: {} ({level})", conditions.rounds, program.kind.name());
                progress(&name);
                let values =
                    Values::generate(&mut Random::seeded(conditions.seed), first.load.traffic.value_bytes);
                let contender = start_filled(program, session, first, conditions, &values)?;
                for cell in &mut cells {
                    progress(&format!("{name}, {} x {}", cell.load.name, cell.load.pipeline));
                    cell.run(&contender, session.keys, conditions, &values)?;
                }
            }
        }
    }
    Ok(cells)
}

fn cells(sessions: &[Session], programs: &[Program]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (number, session) in sessions.iter().enumerate() {
        for load in &session.loads {
            for program in programs.iter().filter(|program| session.kinds.contains(&program.kind)) {
                let can = program.kind.dialect().has_scans() || !load.traffic.has_scans();
                cells.push(Cell {
                    session: number,
                    kind: program.kind,
                    level: session.level,
                    load: load.clone(),
                    reports: can.then(Vec::new),
                });
            }
        }
    }
    cells
}

fn start_filled(
    program: &Program,
    session: &Session,
    cell: &Cell,
    conditions: &Conditions,
    values: &Values,
) -> Result<Contender, Error> {
    let purpose = Purpose::Requests { value_bytes: values.bytes(), level: session.level };
    let contender = start_on_core(conditions, || Contender::start(program, purpose))?;
    let mut pool = Pool::open(contender.addr, conditions.connections)?;
    pool.fill(cell.fill(session.keys, conditions, values))?;
    await_quiet(contender.pid())?;
    Ok(contender)
}

impl Cell {
    fn fill<'a>(&self, keys: u64, conditions: &Conditions, values: &'a Values) -> Workload<'a> {
        let random = Random::seeded(conditions.seed);
        let traffic = &self.load.traffic;
        let fill = Workload::fill(self.kind.dialect(), traffic.key_bytes, keys, values, random);
        Workload { expiring: Expiring::Drawn(traffic.lifetimes.clone()), ..fill }
    }

    /// One run on fresh connections. A run with a faulty reply is no measurement.
    fn run(
        &mut self,
        contender: &Contender,
        keys: u64,
        conditions: &Conditions,
        values: &Values,
    ) -> Result<(), Error> {
        let mut pool = Pool::open(contender.addr, conditions.connections)?;
        let Load { name, pipeline, traffic } = &self.load;
        let workload = Workload {
            pipeline: *pipeline,
            choice: Choice::Drawn(traffic.draw(keys)),
            pace: Pace::Closed,
            budget: Budget::Until(Instant::now() + conditions.duration),
            ..self.fill(keys, conditions, values)
        };
        let measurement = measure(&mut pool, workload, Some(contender.pid()))?;
        measurement.tally.require_faultless()?;
        let setting = Setting {
            dialect: self.kind.dialect(),
            load: name.clone(),
            rate_per_s: None,
            connections: conditions.connections,
            pipeline: *pipeline,
            keys,
            key_bytes: traffic.key_bytes,
            value_bytes: traffic.value_bytes,
        };
        self.reports.get_or_insert_default().push(Report::new(setting, &measurement));
        Ok(())
    }

    pub(super) fn row(&self) -> Row {
        Row::of_medians(&self.load.name, self.load.pipeline, self.kind, self.level, self.reports.as_deref())
    }

    pub(super) fn into_reports(self) -> impl Iterator<Item = (Kind, Report)> {
        self.reports.into_iter().flatten().map(move |report| (self.kind, report))
    }
}
