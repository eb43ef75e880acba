//! A workload that keeps a history: every state in commit order, and which of them nothing may take away.

use crate::support::{Chance, Contents, HandClock, Model, Place, at, dump, options, place, value};
use larder_engine::disk::Disk;
use larder_engine::disk::sim::SimDisk;
use larder_engine::{
    Compaction, Condition, Decision, Durability, Entry, Error, Expiry, Put, Result, Stamp, Store, Writer,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// So small that a few writes fill several of them.
const SEGMENT_BYTES: u64 = 4096;

/// One change to one entry.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A value of so many bytes, that expires after so many milliseconds.
    Put(&'static str, usize, Option<u64>),
    Delete(&'static str),
    Touch(&'static str, u64),
}

/// Changes that happen all or not at all.
pub(crate) type Group = Vec<Change>;

/// One step of a workload.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Groups that are written at once and waited for together; they can take several frames and segments.
    Write(Vec<Group>),
    /// Time passes.
    Pass(u64),
    Sync,
    /// Close in order, open again.
    Reopen,
    /// Everything with anything dead in it is compacted…
    Compact,
    /// …or only what is worth it, in small jobs.
    Tidy,
    /// A backup into the directory of that name.
    Backup(&'static str),
}

pub(crate) fn put(key: &'static str, size: usize) -> Step {
    Step::Write(vec![vec![Change::Put(key, size, None)]])
}

pub(crate) fn put_for(key: &'static str, size: usize, ms: u64) -> Step {
    Step::Write(vec![vec![Change::Put(key, size, Some(ms))]])
}

pub(crate) fn delete(key: &'static str) -> Step {
    Step::Write(vec![vec![Change::Delete(key)]])
}

pub(crate) fn transaction(group: Group) -> Step {
    Step::Write(vec![group])
}

/// A bit of everything: replacements, deletes, deadlines, transactions, many frames at once, a transaction that takes
/// a segment of its own, rotation, a sync, a close in order.
pub(crate) fn small() -> Vec<Step> {
    use Change::{Delete, Put, Touch};
    vec![
        put("a", 30),
        put_for("b", 600, 1000),
        put("a", 700),
        delete("a"),
        transaction(vec![Put("c", 40, None), Put("d", 1500, Some(500)), Delete("b"), Touch("c", 9000)]),
        Step::Pass(600),
        put("d", 20),
        Step::Sync,
        Step::Write(vec![vec![Put("a", 1562, None)], vec![Delete("c")], vec![Put("e", 1562, None)]]),
        put("b", 10),
        Step::Write(vec![vec![Put("big", 1953, None)], vec![Put("f", 5, None)]]),
        delete("big"),
        transaction(vec![Put("a", 2343, None), Put("g", 2343, Some(50)), Delete("e")]),
        Step::Compact,
        Step::Pass(60),
        put("g", 3),
        delete("f"),
        Step::Reopen,
        put("a", 9),
        Step::Write(vec![vec![Delete("a")], vec![Put("h", 9, None)], vec![Put("a", 8, None)]]),
        Step::Sync,
        delete("h"),
        Step::Compact,
        put("h", 1),
    ]
}

/// Jobs in a row, and between them what each must get right: tombstones whose older puts lie in segments that stay, entries
/// overwritten, deleted and expired since they were copied, records superseded by what is not durable yet, segments that are
/// wholly dead.
pub(crate) fn compacting() -> Vec<Step> {
    use Change::{Delete, Put};
    vec![
        // So little of this segment is dead when `a` goes that it is not worth compacting.
        put("a", 20),
        Step::Write(vec![vec![Put("b", 1700, None)], vec![Put("c", 1700, None)]]),
        put("x", 1600),
        transaction(vec![Delete("a"), Put("x", 1700, None)]),
        put_for("t", 900, 500),
        put("x", 1500),
        Step::Tidy,
        put("y", 1900),
        delete("y"),
        put("x", 1800),
        Step::Sync,
        put("x", 1400),
        Step::Tidy,
        Step::Pass(600),
        put("t", 40),
        Step::Reopen,
        delete("x"),
        put("a", 30),
        put("z", 1900),
        Step::Tidy,
        delete("a"),
        put("z", 1800),
        Step::Compact,
        Step::Write(vec![vec![Put("a", 1500, None)], vec![Delete("b")], vec![Put("z", 1700, None)]]),
        Step::Tidy,
        delete("c"),
        Step::Compact,
        put("b", 10),
    ]
}

/// Backups on the way, with jobs before and behind them that take the segments they hold out of the store.
pub(crate) fn backed_up() -> Vec<Step> {
    vec![
        put("a", 1500),
        put("b", 1200),
        put("a", 1600),
        Step::Backup("first"),
        delete("b"),
        put("a", 1700),
        Step::Compact,
        put_for("c", 600, 900),
        Step::Backup("second"),
        put("a", 10),
        Step::Pass(1000),
        put("c", 5),
        Step::Compact,
        put("d", 20),
    ]
}

/// Steps by chance, of which every fifth is compaction, with more deletes and deadlines.
pub(crate) fn churn(seed: u64, length: usize) -> Vec<Step> {
    const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let mut chance = Chance::new(seed);
    let mut change = || {
        let (key, size) = (chance.pick(&KEYS), chance.pick(&[5, 30, 300, 900, 1700]));
        match chance.below(12) {
            0..=3 => Step::Write(vec![vec![Change::Delete(key)]]),
            4 => put_for(key, size, 1 + chance.below(900)),
            5 => Step::Write(vec![
                vec![Change::Put(key, size, None)],
                vec![Change::Delete(chance.pick(&KEYS))],
            ]),
            6 => Step::Pass(chance.below(700)),
            7 => Step::Tidy,
            8 if chance.below(2) == 0 => Step::Compact,
            8 if chance.below(2) == 0 => Step::Reopen,
            8 => Step::Sync,
            _ => put(key, size),
        }
    };
    (0..length).map(|_| change()).collect()
}

/// Steps by chance.
pub(crate) fn random(seed: u64, length: usize) -> Vec<Step> {
    const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let mut chance = Chance::new(seed);
    let change = |chance: &mut Chance| {
        let key = chance.pick(&KEYS);
        let size = chance.pick(&[0, 1, 50, 400, 511, 512, 3000, 585, 1562]);
        match chance.below(10) {
            0..=2 => Change::Delete(key),
            3 => Change::Touch(key, 1 + chance.below(3000)),
            4 => Change::Put(key, size, Some(1 + chance.below(2000))),
            _ => Change::Put(key, size, None),
        }
    };
    let mut step = || match chance.below(20) {
        0..=1 => Step::Pass(chance.below(1500)),
        2..=3 => Step::Sync,
        4 => Step::Reopen,
        5 => Step::Compact,
        _ => {
            let groups = 1 + chance.below(3);
            let group = |chance: &mut Chance| {
                let changes = if chance.below(3) == 0 { 1 + chance.below(4) } else { 1 };
                (0..changes).map(|_| change(chance)).collect()
            };
            Step::Write((0..groups).map(|_| group(&mut chance)).collect())
        }
    };
    (0..length).map(|_| step()).collect()
}

/// What happened, as far as anybody was told.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// The states in commit order, the empty one first.
    pub(crate) states: Vec<Arc<Model>>,
    /// The newest version in each of them.
    pub(crate) versions: Vec<u64>,
    /// Every put that was logged, also one that its own transaction has overwritten.
    pub(crate) written: BTreeMap<(Place, u64), Entry>,
    /// The last state that a power cut must not take away.
    pub(crate) floor: usize,
    /// The last state that was acknowledged.
    pub(crate) acknowledged: usize,
    /// Highest version that was answered.
    pub(crate) answered: u64,
    /// Highest version that was assigned.
    pub(crate) assigned: u64,
    /// Directories of backups, the state that each holds, and whether it was reported to be complete.
    pub(crate) backups: Vec<(&'static str, usize, bool)>,
}

impl History {
    fn new() -> History {
        History {
            states: vec![Arc::default()],
            versions: vec![0],
            written: BTreeMap::new(),
            floor: 0,
            acknowledged: 0,
            answered: 0,
            assigned: 0,
            backups: Vec::new(),
        }
    }

    pub(crate) fn last(&self) -> usize {
        self.states.len() - 1
    }

    /// What the store holds is the state numbered `index`, and everything after it never was.
    pub(crate) fn settle_on(&mut self, index: usize) {
        self.states.truncate(index + 1);
        self.versions.truncate(index + 1);
        let newest = self.versions[index];
        self.written.retain(|(_, version), _| *version <= newest);
        (self.floor, self.acknowledged) = (index, index);
    }

    /// The newest state that looks like `found`, not below `floor`.
    pub(crate) fn find(&self, found: &Contents, floor: usize, now_ms: u64) -> Option<usize> {
        (floor..self.states.len()).rev().find(|index| self.states[*index].live(now_ms) == *found)
    }

    /// As [`History::find`], but the oldest of them.
    pub(crate) fn find_oldest(&self, found: &Contents, floor: usize, now_ms: u64) -> Option<usize> {
        (floor..self.states.len()).find(|index| self.states[*index].live(now_ms) == *found)
    }
}

enum Outcome {
    Put(Place, Vec<u8>, Option<u64>, Decision<Stamp>),
    Delete(Place, Decision<Option<(u64, u64)>>),
    Touch(Place, u64, Option<Stamp>),
}

/// A workload under way.
pub(crate) struct Run {
    pub(crate) disk: SimDisk,
    pub(crate) durability: Durability,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) store: Option<Store>,
    pub(crate) history: History,
    values: u64,
}

impl Run {
    pub(crate) fn new(disk: &SimDisk, durability: Durability) -> Run {
        Run {
            disk: disk.clone(),
            durability,
            clock: HandClock::new(),
            store: None,
            history: History::new(),
            values: 0,
        }
    }

    /// A run that finds the disk of another one after a crash, in the state numbered `index`.
    pub(crate) fn goes_on(&self, disk: &SimDisk, index: usize) -> Run {
        let mut history = self.history.clone();
        history.settle_on(index);
        let clock = Arc::clone(&self.clock);
        Run {
            disk: disk.clone(),
            durability: self.durability,
            clock,
            store: None,
            history,
            values: self.values,
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        larder_engine::Clock::wall_ms(&*self.clock)
    }

    pub(crate) fn open(&mut self) -> Result<()> {
        // As eager as it can be.
        let compaction = Compaction {
            space_amplification: 1.05,
            bytes_per_second: 0,
            background: false,
            ..Compaction::default()
        };
        let options =
            options(self.durability, &self.clock).segment_bytes(SEGMENT_BYTES).compaction(compaction);
        self.store = Some(options.open_on(Arc::new(self.disk.clone()))?);
        Ok(())
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    /// Runs all steps, up to the first error.
    pub(crate) fn all(&mut self, steps: &[Step]) -> Result<()> {
        self.open()?;
        steps.iter().try_for_each(|step| self.step(step))
    }

    pub(crate) fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Write(groups) => self.write(groups),
            Step::Pass(ms) => {
                self.clock.pass(*ms);
                Ok(())
            }
            Step::Sync => self.sync(),
            Step::Reopen => {
                self.close()?;
                self.open()
            }
            Step::Compact => {
                let report = self.store().compact()?;
                assert!(report.damaged.is_empty() || self.disk.is_crashed(), "{:?}", report.damaged);
                // All of it is sealed for that.
                self.history.floor = self.history.last();
                Ok(())
            }
            Step::Tidy => {
                self.store().compact_as_needed()?;
                let damaged = self.store().stats().compaction.damaged;
                assert!(damaged.is_empty() || self.disk.is_crashed(), "{damaged:?}");
                Ok(())
            }
            Step::Backup(name) => self.back_up(name),
        }
    }

    fn back_up(&mut self, name: &'static str) -> Result<()> {
        let directory: Arc<dyn Disk> = Arc::new(self.disk.directory(name));
        let state = self.history.last();
        self.history.backups.push((name, state, false));
        self.store().backup_on(&directory, |_| ())?;
        self.history.backups.pop();
        self.history.backups.push((name, state, true));
        self.history.floor = state;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<()> {
        self.store().sync().wait()?;
        self.history.floor = self.history.last();
        Ok(())
    }

    pub(crate) fn close(&mut self) -> Result<()> {
        let store = self.store.take().expect("it is open");
        store.close()?;
        self.history.floor = self.history.last();
        Ok(())
    }

    fn write(&mut self, groups: &[Group]) -> Result<()> {
        let (first, now_ms) = (self.values, self.now_ms());
        self.values += groups.iter().map(|group| group.len() as u64).sum::<u64>();
        let mut early = Vec::new();
        let pending = self.store().write(|writer| {
            let mut number = first;
            groups.iter().map(|group| run_group(writer, group, &mut number, now_ms)).collect::<Vec<_>>()
        });
        // What was planned is known before it is acknowledged.
        let pending = pending.map(|results, _| early = results);
        let mut highest = self.history.assigned;
        let mut error = None;
        for result in early {
            match result {
                Ok(outcomes) => self.note(outcomes, now_ms, &mut highest),
                // It did not happen; others of the same write may have.
                Err(refused) => error = Some(refused),
            }
        }
        self.history.assigned = highest;
        pending.wait()?;
        self.history.acknowledged = self.history.last();
        self.history.answered = highest;
        if self.durability == Durability::Durable {
            self.history.floor = self.history.last();
        }
        error.map_or(Ok(()), Err)
    }

    fn note(&mut self, outcomes: Vec<Outcome>, now_ms: u64, highest: &mut u64) {
        let mut model = Model::clone(&self.history.states[self.history.last()]);
        let mut written = Vec::new();
        let mut grows = |version: u64| {
            assert!(version > *highest, "version {version} after {highest}");
            *highest = version;
        };
        for outcome in outcomes {
            match outcome {
                Outcome::Put(place, value, deadline, decision) => {
                    decision.iter().for_each(|stamp| grows(stamp.version));
                    let put = Put::new(&value);
                    let put = deadline.map_or(put, |deadline| put.expires_at(deadline));
                    model.put(&place, &put, now_ms, &Ok(decision));
                    written.extend(model.record(&place));
                }
                Outcome::Delete(place, decision) => {
                    decision.iter().flatten().for_each(|(version, _)| grows(*version));
                    model.delete(&place, Condition::Always, now_ms, &decision);
                }
                Outcome::Touch(place, deadline, stamp) => {
                    stamp.iter().for_each(|stamp| grows(stamp.version));
                    model.touch(&place, Expiry::At(deadline), now_ms, &Ok(stamp));
                    written.extend(model.record(&place));
                }
            }
        }
        self.history.written.extend(written);
        self.history.states.push(Arc::new(model));
        self.history.versions.push(*highest);
    }

    /// Reads the whole store and finds the state it is in: at least `floor`.
    #[track_caller]
    pub(crate) fn state(&self, floor: usize, context: &str) -> usize {
        let found = dump(self.store()).unwrap_or_else(|error| panic!("{context}: {error}"));
        let now_ms = self.now_ms();
        self.history.find(&found, floor, now_ms).unwrap_or_else(|| {
            let any = self.history.find(&found, 0, now_ms);
            panic!(
                "{context}: not a state from {floor} to {} (it is {any:?})\nfound:    {:#?}\nexpected: {:#?}",
                self.history.last(),
                crate::support::brief(&found),
                crate::support::brief(&self.history.states[floor].live(now_ms)),
            )
        })
    }
}

fn run_group(
    writer: &mut Writer<'_>,
    group: &[Change],
    number: &mut u64,
    now_ms: u64,
) -> Result<Vec<Outcome>> {
    let mut numbered = |change: &Change| {
        *number += 1;
        (change.clone(), *number)
    };
    match group {
        [change] => {
            let (change, number) = numbered(change);
            let outcome = match change {
                Change::Put(key, size, ttl) => {
                    let (value, deadline) = (value(number, size), ttl.map(|ttl| now_ms + ttl));
                    let decision = writer.put(at(key), &put_of(&value, deadline))?;
                    Outcome::Put(place(key), value, deadline, decision)
                }
                Change::Delete(key) => {
                    let decision = writer.delete(at(key), Condition::Always)?;
                    Outcome::Delete(
                        place(key),
                        decision.map(|done| done.map(|done| (done.version, done.found.version()))),
                    )
                }
                Change::Touch(key, ttl) => {
                    let stamp = writer.touch(at(key), Expiry::At(now_ms + ttl))?;
                    Outcome::Touch(place(key), now_ms + ttl, stamp)
                }
            };
            Ok(vec![outcome])
        }
        _ => writer.transaction(|batch| {
            let each = |change: &Change| -> Result<Outcome, Error> {
                let (change, number) = numbered(change);
                Ok(match change {
                    Change::Put(key, size, ttl) => {
                        let (value, deadline) = (value(number, size), ttl.map(|ttl| now_ms + ttl));
                        let decision = batch.put(at(key), &put_of(&value, deadline))?;
                        Outcome::Put(place(key), value, deadline, decision)
                    }
                    Change::Delete(key) => {
                        let decision = batch.delete(at(key), Condition::Always)?;
                        Outcome::Delete(
                            place(key),
                            decision.map(|done| done.map(|done| (done.version, done.found.version()))),
                        )
                    }
                    Change::Touch(key, ttl) => {
                        let stamp = batch.touch(at(key), Expiry::At(now_ms + ttl))?;
                        Outcome::Touch(place(key), now_ms + ttl, stamp)
                    }
                })
            };
            group.iter().map(each).collect()
        }),
    }
}

fn put_of(value: &[u8], deadline: Option<u64>) -> Put<'_> {
    deadline.map_or(Put::new(value), |deadline| Put::new(value).expires_at(deadline))
}
