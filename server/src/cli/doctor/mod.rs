//! `larder doctor`: looks at everything that a server depends on, and says what is wrong and what to do.
//!
//! Each check is a small function over facts that were gathered before; gathering changes nothing. The store is looked at from outside,
//! whether a server has it open or not.

mod directory;
mod filesystem;
mod finding;
mod process;
mod server;
mod store;
mod sync;

use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::Status;
use super::failure::Failure;
use super::findings::count;
use super::object::Object;
use super::output::{Output, Style, say};
use super::session::Target;
use crate::serve::Setup;
use directory::{Directory, State};
use filesystem::{Backups, FileSystem, Kind};
use finding::{Finding, Level};
use process::{Descriptors, Memory};
use server::{Expected, Reach};

/// Tells what is wrong with a setup, and what to do about it.
#[derive(Debug, Args)]
#[command(
    after_help = "It looks at what `larder serve` would run by with the same environment and configuration file: the settings, the data \
    directory and its file system, room, descriptors, memory, clock, how long a sync takes, the store and the server. \
    Nothing is changed, whether a server runs or not. To measure the sync, it writes to a file without a name \
    beside the data. The checks of the store are quick ones, of its manifest and of where files begin and end: `larder verify` reads every byte.\n\n\
    Each finding is ok, a note, or wrong, and tells what to do.\n\n\
    Exit codes: 0 nothing is wrong, 1 something is, 2 the command line is wrong, 3 it could not look."
)]
pub(crate) struct Doctor {
    /// Directory of the store [default: as for `larder serve`]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file of the server
    #[arg(long, env = "LARDER_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Doctor {
    pub(super) fn run(&self, target: &Target) -> Result<Status, Failure> {
        let mut report = Report { out: target.output(), wrong: 0, notes: 0 };
        let (setup, faults) = Setup::of(self.config.as_deref(), self.data.as_deref());
        report.all(check_settings(&faults))?;
        if let Some(setup) = setup {
            examine(&setup, target, &mut report)?;
        }
        report.end()
    }
}

/// Tells findings as they come.
struct Report {
    out: Output,
    wrong: u64,
    notes: u64,
}

impl Report {
    fn one(&mut self, finding: Finding) -> Result<(), Failure> {
        match finding.level {
            Level::Ok => {}
            Level::Note => self.notes += 1,
            Level::Wrong => self.wrong += 1,
        }
        finding.show(&mut self.out)?;
        self.out.flush()
    }

    fn all(&mut self, findings: Vec<Finding>) -> Result<(), Failure> {
        findings.into_iter().try_for_each(|finding| self.one(finding))
    }

    fn end(mut self) -> Result<Status, Failure> {
        let Self { wrong, notes, .. } = self;
        if self.out.style() == Style::Json {
            let summary =
                Object::new().text("check", "summary").number("wrong", wrong).number("notes", notes);
            self.out.object(summary)?;
        }
        self.out.flush()?;
        let notes = count(notes, "note", "notes");
        match wrong {
            0 => say(&format_args!("nothing is wrong, {notes}")),
            1 => say(&format_args!("1 thing is wrong, {notes}")),
            _ => say(&format_args!("{wrong} things are wrong, {notes}")),
        }
        Ok(if wrong == 0 { Status::Done } else { Status::No })
    }
}

fn check_settings(faults: &[String]) -> Vec<Finding> {
    const CHECK: &str = "settings";
    if faults.is_empty() {
        return vec![Finding::ok(CHECK, "the environment and the configuration file are in order")];
    }
    let finding = |fault: &String| {
        let advice = "the server will not start with it; `larder help serve` lists the settings";
        Finding::wrong(CHECK, fault.lines().collect::<Vec<_>>().join(" "), advice)
    };
    faults.iter().map(finding).collect()
}

fn examine(setup: &Setup, target: &Target, report: &mut Report) -> Result<(), Failure> {
    let failed = |source: io::Error| Failure::Input { name: setup.data.display().to_string(), source };
    let directory = Directory::look(&setup.data).map_err(failed)?;
    report.all(directory::check(&directory))?;
    let file_system = FileSystem::look(&setup.data).map_err(failed)?;
    report.one(filesystem::check_kind(&file_system))?;
    report.one(filesystem::check_room(&file_system, setup.segment_bytes, setup.reserve_bytes))?;
    report.one(check_backups(setup, &directory, &file_system))?;
    if directory.state == State::There && !matches!(file_system.kind, Kind::Memory(_)) {
        report.one(sync::check(&sync::measure(&setup.data, file_system.device)))?;
    }
    examine_store(setup, target, report)
}

fn check_backups(setup: &Setup, directory: &Directory, file_system: &FileSystem) -> Finding {
    let backups = setup.backups.as_deref().and_then(|backups| std::path::absolute(backups).ok());
    let device = |path| FileSystem::look(path).ok().map(|file_system| file_system.device);
    filesystem::check_backups(
        backups
            .as_deref()
            .map(|path| Backups {
                path,
                data: &directory.path,
                same_device: device(path) == Some(file_system.device),
                no_directory: path.exists() && !path.is_dir(),
            })
            .as_ref(),
    )
}

/// The store, and what it takes to serve it; and the server.
fn examine_store(setup: &Setup, target: &Target, report: &mut Report) -> Result<(), Failure> {
    let inspected = larder_engine::inspect(&setup.data);
    report.all(store::check(&inspected))?;
    let inspection = inspected.unwrap_or_default();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
    report.one(store::check_clock(now_ms, inspection.time_ms, setup.max_clock_jump_ms))?;

    let is_named = target.names_server();
    let addr = if is_named { target.addr() } else { &setup.listen };
    let owner = inspection.owner.as_deref();
    let heard = server::ask(addr, target.options()?);
    report.all(server::check(Expected { addr, is_named, owner }, &heard))?;
    let Setup { allow_remote, has_tls, .. } = *setup;
    let reach = Reach { allow_remote, has_tls, has_keys: heard.as_ref().ok().map(|heard| heard.has_keys) };
    for listen in [Some(&setup.listen), setup.http.as_ref()].into_iter().flatten() {
        report.one(server::check_listen(listen, reach))?;
    }
    // What the server says of itself counts, if it is the one that has this store.
    let stats = heard.ok().and_then(|heard| heard.stats).filter(|_| owner.is_some()).unwrap_or_default();

    let (limit, whose) = process::descriptor_limit(owner);
    let connections_max = stats.connections_max.unwrap_or(setup.connections_max);
    let segments = inspection.segments;
    report.one(process::check_descriptors(&Descriptors { limit, whose, connections_max, segments }))?;
    let estimate = || process::index_estimate(inspection.records);
    let memory = Memory::look(stats.index_bytes.unwrap_or_else(estimate), stats.index_bytes.is_some());
    report.one(process::check_memory(&memory))
}
