//! Kills a process that uses a store in every way, again and again, and looks whether everything is as it was acknowledged.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use larder_engine::Store;

use super::Result;
use super::faults::{Fault, Faults};
use super::history::History;
use super::journal::{self, Step};
use super::load::{self, READERS, Session, reader_name, writer_name};
use crate::random::Random;

/// Writers, each with keys of its own.
const WRITERS: usize = 4;
/// Longest time that a process lives.
const LIFE_MS_MAX: u64 = 900;
/// Longest time that one lives which only opens the store.
const OPENING_MS_MAX: u64 = 30;

/// What came of it.
#[derive(Debug, Default)]
pub struct Mixed {
    /// Processes killed at work.
    pub kills: u64,
    /// Processes killed as they opened the store after such a kill.
    pub kills_at_open: u64,
    /// Opens that found the store not closed in order.
    pub recoveries: u64,
    /// Stores verified from end to end.
    pub verified: u64,
    /// Full compactions, after each of which everything was compared once more.
    pub compactions: u64,
    /// Changes acknowledged.
    pub acknowledged: u64,
    /// Changes that a kill caught under way.
    pub interrupted: u64,
    /// Values found and compared.
    pub compared: u64,
    /// What was wrong.
    pub faults: Faults,
}

/// Goes on for `time` in `directory`. `process` is the command that runs a [`Session`], once it got that as an argument.
pub fn run(
    directory: &Path,
    time: Duration,
    seed: u64,
    process: &dyn Fn() -> Result<Command>,
) -> Result<Mixed> {
    let mut killer = Killer {
        directory,
        process,
        random: Random::seeded(seed),
        histories: (0..WRITERS).map(History::new).collect(),
        mixed: Mixed::default(),
    };
    let started = Instant::now();
    // Nothing can be told after the first fault: what follows from it would be told as more of them.
    while started.elapsed() < time && killer.mixed.faults.is_empty() {
        killer.round()?;
    }
    let Killer { histories, mut mixed, .. } = killer;
    mixed.acknowledged = histories.iter().map(|history| history.acknowledged).sum();
    mixed.interrupted = histories.iter().map(|history| history.interrupted).sum();
    Ok(mixed)
}

struct Killer<'d> {
    directory: &'d Path,
    process: &'d dyn Fn() -> Result<Command>,
    random: Random,
    histories: Vec<History>,
    mixed: Mixed,
}

impl Killer<'_> {
    fn round(&mut self) -> Result<()> {
        let session = self.session()?;
        let life = 20 + self.random.below(LIFE_MS_MAX);
        self.run_and_kill(&session, life)?;
        self.mixed.kills += 1;
        self.replay(&session)?;
        while self.random.chance(0.3) {
            let life = self.random.below(OPENING_MS_MAX);
            self.run_and_kill(&Session { writers: Vec::new(), ..session.clone() }, life)?;
            self.mixed.kills_at_open += 1;
        }
        fs::remove_dir_all(&session.journals)?;
        if session.store.exists() { self.examine(&session) } else { Ok(()) }
    }

    fn session(&mut self) -> Result<Session> {
        let journals = self.directory.join("journals");
        fs::create_dir(&journals)?;
        Ok(Session {
            store: self.directory.join("store"),
            journals,
            seed: self.random.draw(),
            durable: self.random.chance(0.5),
            writers: self.histories.iter().map(|history| history.newest_number).collect(),
        })
    }

    fn run_and_kill(&mut self, session: &Session, life_ms: u64) -> Result<()> {
        let mut command = (self.process)()?;
        let mut process = Killed(command.arg(serde_json::to_string(session)?).spawn()?);
        thread::sleep(Duration::from_millis(life_ms));
        process.0.kill()?;
        let status = process.0.wait()?;
        if status.signal().is_none() {
            self.mixed.faults.note(Fault::Other, format!("the process ended by itself: {status}"));
        }
        Ok(())
    }

    /// Takes in what the threads of a process have told their journals.
    fn replay(&mut self, session: &Session) -> Result<()> {
        let faults = &mut self.mixed.faults;
        let floor = self.histories.iter().map(|history| history.newest_version).max().unwrap_or(0);
        for (writer, history) in self.histories.iter_mut().enumerate() {
            history.replay(journal::read(&session.journals, &writer_name(writer))?, floor, faults);
        }
        for reader in 0..READERS {
            for step in journal::read(&session.journals, &reader_name(reader))? {
                match step {
                    Step::Saw { writer, number } => self.histories[writer].saw(number),
                    Step::Fault(what) => faults.note(Fault::Other, format!("reader {reader}: {what}")),
                    Step::Begin(_) | Step::Done { .. } | Step::Refused => {}
                }
            }
        }
        Ok(())
    }

    /// Opens the store after a kill, and compares everything.
    fn examine(&mut self, session: &Session) -> Result<()> {
        if self.random.chance(0.3) {
            remove_hints(&session.store)?;
        }
        if self.random.chance(0.25) {
            self.verify_files(session)?;
        }
        let store = load::open(session)?;
        self.mixed.recoveries += u64::from(!store.report().clean);
        self.compare(&store)?;
        if self.random.chance(0.3) {
            let left = self.compact(&store)?;
            if left > 0 {
                self.mixed
                    .faults
                    .note(Fault::Other, format!("{left} bytes of tombstones after a compaction"));
            }
            self.compare(&store)?;
        }
        Ok(store.close()?)
    }

    /// Compacts everything. Returns the bytes of tombstones that are left. An entry that expires meanwhile leaves one, rightly:
    /// then it is done again.
    fn compact(&mut self, store: &Store) -> Result<u64> {
        loop {
            let expired = store.stats().expired;
            store.compact()?;
            self.mixed.compactions += 1;
            let stats = store.stats();
            if stats.expired == expired {
                return Ok(stats.tombstone_bytes);
            }
        }
    }

    fn compare(&mut self, store: &Store) -> Result<()> {
        for history in &mut self.histories {
            self.mixed.compared += history.verify(store, &mut self.mixed.faults)?;
        }
        Ok(())
    }

    fn verify_files(&mut self, session: &Session) -> Result<()> {
        let faults = &mut self.mixed.faults;
        let mut tell = |event: larder_engine::Event<'_>| {
            if let larder_engine::Event::Damage(damage) = event {
                faults.note(Fault::Other, format!("verify: {damage:?}"));
            }
        };
        match larder_engine::verify(&session.store, &mut tell) {
            // Killed before there was anything.
            Ok(_) | Err(larder_engine::Error::Missing { .. }) => self.mixed.verified += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// A process that does not outlive the run, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It is gone already as a rule.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn remove_hints(store: &Path) -> Result<()> {
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "hint") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
