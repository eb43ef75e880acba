//! The process that is killed: writers, readers and compactions on one store, until the end, which comes from outside.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use larder_engine::{Condition, Durability, Expiry, Options, Put, Store};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::Result;
use super::change::{Action, Change, KEYS, Lifetime, number_of, value, with_address};
use super::journal::{Journal, Outcome, Step};
use crate::random::Random;

/// Readers beside the writers.
pub const READERS: usize = 2;
/// Small, so that every session goes over many segments.
const SEGMENT_BYTES: u64 = 64 << 10;
/// Most changes of a transaction.
const TRANSACTION_MAX: u64 = 8;
/// Longest time that a value lives which does not live for ever.
const LIFETIME_MS_MAX: u64 = 3_000;
/// Keys that every other change is of: what the rest of them hold gets old, and its records far from those that supersede it.
const HOT_KEYS: usize = KEYS / 16;
/// Longest time between two full compactions.
const COMPACTION_MS_MAX: u64 = 1_500;

/// What a process is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// The store.
    pub store: PathBuf,
    /// Where the threads keep their journals.
    pub journals: PathBuf,
    /// Fixes all that is drawn.
    pub seed: u64,
    /// Whether writes are acknowledged when they are on stable storage.
    pub durable: bool,
    /// For each writer the number of its newest change so far. Without writers the store is opened, and that is all.
    pub writers: Vec<u64>,
}

/// The name of a writer's journal.
#[must_use]
pub fn writer_name(writer: usize) -> String {
    format!("writer{writer}")
}

/// The name of a reader's journal.
#[must_use]
pub fn reader_name(reader: usize) -> String {
    format!("reader{reader}")
}

/// Opens the store of a session: all that the feed would retain is compacted too.
pub fn open(session: &Session) -> larder_engine::Result<Store> {
    let durability = if session.durable { Durability::Durable } else { Durability::Buffered };
    Options::new()
        .durability(durability)
        .segment_bytes(SEGMENT_BYTES)
        .feed_retention_bytes(0)
        .open(&session.store)
}

/// Goes on until the process is killed, or a thread finds something wrong, and has told its journal.
pub fn run(session: &Session) -> Result<()> {
    // Whoever was to kill it may be killed first.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let store = open(session)?;
    thread::scope(|scope| -> Result<()> {
        for (writer, newest) in session.writers.iter().enumerate() {
            let random = Random::seeded(session.seed.wrapping_mul(64) + writer as u64);
            let mut load = Load::new(session, &store, &writer_name(writer), random)?;
            scope.spawn(move || load.until_wrong(|load| load.write(writer, *newest)));
        }
        for reader in 0..READERS.min(session.writers.len()) {
            let random = Random::seeded(session.seed.wrapping_mul(64) + 32 + reader as u64);
            let mut load = Load::new(session, &store, &reader_name(reader), random)?;
            scope.spawn(move || load.until_wrong(|load| load.read(session.writers.len())));
        }
        compact(&store, Random::seeded(session.seed))
    })
}

fn compact(store: &Store, mut random: Random) -> Result<()> {
    loop {
        thread::sleep(Duration::from_millis(random.below(COMPACTION_MS_MAX)));
        store.compact()?;
    }
}

/// One thread's part of the load.
struct Load<'s> {
    store: &'s Store,
    journal: Journal,
    random: Random,
}

impl<'s> Load<'s> {
    fn new(session: &Session, store: &'s Store, name: &str, random: Random) -> Result<Self> {
        Ok(Self { store, journal: Journal::create(&session.journals, name)?, random })
    }

    fn until_wrong(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(error) = work(self) {
            eprintln!("{error}");
            // Without a journal the end of the process says enough.
            let _ = self.journal.note(&Step::Fault(error.to_string()));
            std::process::exit(1);
        }
    }

    fn write(&mut self, writer: usize, mut newest: u64) -> Result<()> {
        loop {
            let now_ms = self.store.read(|view| view.now_ms()).wait()?;
            let changes = self.draw(newest, now_ms);
            newest += changes.len() as u64;
            self.journal.note(&Step::Begin(changes.clone()))?;
            let done = self.make(writer, &changes)?;
            self.journal.note(&done)?;
        }
    }

    /// The next changes. In a transaction none depends on what is there: whether that had expired could not be told.
    fn draw(&mut self, newest: u64, now_ms: u64) -> Vec<Change> {
        let random = &mut self.random;
        let count = if random.chance(0.15) { 2 + random.below(TRANSACTION_MAX - 1) } else { 1 };
        let draw = |number| {
            let kind = random.below(if count == 1 { 20 } else { 15 });
            let lifetime = match random.below(10) {
                0..4 => Lifetime::Endless,
                4..6 if count == 1 => Lifetime::Same,
                // As many short ones as long ones.
                _ => Lifetime::Until(now_ms + 1 + LIFETIME_MS_MAX / (1 + random.below(LIFETIME_MS_MAX))),
            };
            let action = match kind {
                0..12 => Action::Put(lifetime),
                12..15 => Action::Delete,
                _ => Action::Touch(lifetime),
            };
            let keys = if random.chance(0.5) { HOT_KEYS } else { KEYS };
            Change { number, key: random.index(keys), action }
        };
        (newest + 1..=newest + count).map(draw).collect()
    }

    /// Makes the changes, all or none.
    fn make(&self, writer: usize, changes: &[Change]) -> Result<Step> {
        let (now_ms, made) = match changes {
            [change] => self.make_one(writer, change)?,
            changes => self.make_all(writer, changes)?,
        };
        match made {
            Ok(outcomes) => Ok(Step::Done { now_ms, outcomes }),
            Err(larder_engine::Error::DeadlinePassed { .. }) => Ok(Step::Refused),
            Err(error) => Err(error.into()),
        }
    }

    fn make_one(&self, writer: usize, change: &Change) -> larder_engine::Result<Made> {
        let value = value(writer, change.key, change.number);
        let made = self.store.write(|store| {
            let outcome = with_address(writer, change.key, |at| match change.action {
                Action::Put(lifetime) => {
                    store.put(at, &put(&value, lifetime)).map(|put| put.ok().map(Outcome::from))
                }
                Action::Delete => store.delete(at, Condition::Always).map(deleted),
                Action::Touch(lifetime) => {
                    store.touch(at, lifetime.into()).map(|stamp| stamp.map(Outcome::from))
                }
            });
            (store.now_ms(), outcome.map(|outcome| vec![outcome]))
        });
        made.wait()
    }

    fn make_all(&self, writer: usize, changes: &[Change]) -> larder_engine::Result<Made> {
        let made = self.store.write(|store| {
            let outcomes = store.transaction(|transaction| {
                let make = |change: &Change| {
                    let value = value(writer, change.key, change.number);
                    with_address(writer, change.key, |at| match change.action {
                        Action::Put(lifetime) => {
                            let put = transaction.put(at, &put(&value, lifetime))?;
                            Ok(put.ok().map(Outcome::from))
                        }
                        Action::Delete => transaction.delete(at, Condition::Always).map(deleted),
                        Action::Touch(lifetime) => {
                            Ok(transaction.touch(at, lifetime.into())?.map(Outcome::from))
                        }
                    })
                };
                changes.iter().map(make).collect()
            });
            (store.now_ms(), outcomes)
        });
        made.wait()
    }

    /// Reads keys of all writers. What is found must be whole, not expired, and not older than what was found before.
    fn read(&mut self, writers: usize) -> Result<()> {
        let mut seen = BTreeMap::new();
        let mut newest = vec![0; writers];
        loop {
            let (writer, key) = (self.random.index(writers), self.random.index(KEYS));
            let look = self.store.read(|view| (view.now_ms(), with_address(writer, key, |at| view.get(at))));
            let loaded = look.map(|(now_ms, found), values| {
                let entry = found.map(|found| values.entry(&found)).transpose();
                entry.map(|entry| (now_ms, entry))
            });
            let (now_ms, Some(entry)) = loaded.wait()?? else { continue };
            let number = number_of(writer, key, &entry.value)?;
            let before = seen.insert((writer, key), number).unwrap_or(0);
            if number < before || entry.expires_at.is_some_and(|deadline| deadline <= now_ms) {
                let what = format!(
                    "writer {writer} key {key}: change {number} after {before}, at {now_ms}: {:?}",
                    entry.expires_at
                );
                return Err(what.into());
            }
            if number > newest[writer] {
                newest[writer] = number;
                self.journal.note(&Step::Saw { writer, number })?;
            }
        }
    }
}

/// The engine's time, and what each change was answered with.
type Made = (u64, larder_engine::Result<Vec<Option<Outcome>>>);

fn put(value: &[u8], lifetime: Lifetime) -> Put<'_> {
    Put { expiry: Expiry::from(lifetime), ..Put::new(value) }
}

fn deleted(deleted: larder_engine::Decision<Option<larder_engine::Deleted>>) -> Option<Outcome> {
    let deleted = deleted.ok().flatten();
    deleted.map(|deleted| Outcome { version: deleted.version, deadline: None })
}

impl From<larder_engine::Stamp> for Outcome {
    fn from(stamp: larder_engine::Stamp) -> Outcome {
        Outcome { version: stamp.version, deadline: stamp.expires_at }
    }
}
