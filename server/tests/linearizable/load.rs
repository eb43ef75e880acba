//! Clients that do one operation after the other, on objects that all of them work on, and note what they asked for and
//! when, and what they were told and when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use super::checker::{End, Operation};
use super::model::{Change, Condition, KEYS, Op, Reply};
use crate::support::{Client, Random};

/// So few that every object always has several clients at it, and so many that a history stays short.
pub(super) const OBJECTS: usize = 6;

/// One client over all rounds.
#[derive(Debug)]
pub(super) struct Worker {
    random: Random,
    /// The value of the next set, of which there is no other.
    next_value: i64,
    /// The versions that it has last seen of each entry, where there was one.
    versions: [[Option<u64>; KEYS]; OBJECTS],
    /// What it did in this round, and on which object.
    pub(super) done: Vec<(usize, Operation)>,
}

impl Worker {
    pub(super) fn new(number: usize, seed: u64) -> Worker {
        let number = number as u64;
        Worker {
            random: Random::new(seed * 100 + number),
            // Far enough apart that what is added by increments leads from one to no other.
            next_value: i64::try_from(number + 1).unwrap() << 40,
            versions: [[None; KEYS]; OBJECTS],
            done: Vec::new(),
        }
    }

    /// Works until the server is gone, and says so with each answer. Time is a counter that everybody counts up.
    pub(super) fn work(&mut self, mut client: Client, time: &AtomicU64, answered: &Sender<()>) {
        let tick = || time.fetch_add(1, Ordering::SeqCst);
        loop {
            let (object, op) = self.pick();
            let request = request(object, &op);
            let called = tick();
            let reply = client.try_ask(&request);
            let at = tick();
            let end = match reply.as_deref().map(|reply| parse(&op, reply)) {
                Some(Some(reply)) => End::Answered { at, reply },
                Some(None) | None => End::Unknown { until: End::NEVER },
            };
            if let End::Answered { reply, .. } = end {
                self.learn(object, &op, reply);
                // The test may have had enough, and be about to kill the server.
                _ = answered.send(());
            }
            self.done.push((object, Operation { called, op, end }));
            if reply.is_none() {
                return;
            }
        }
    }

    fn pick(&mut self) -> (usize, Op) {
        let object = self.below(OBJECTS);
        let key = self.below(KEYS);
        let version = self.versions[object][key];
        let op = match self.below(16) {
            0..4 => Op::Get(key),
            4..6 => Op::Set { key, value: self.value(), condition: Condition::Always },
            6..8 => {
                let condition = match (self.below(4), version) {
                    (0, _) => Condition::Absent,
                    (1, _) | (_, None) => Condition::Present,
                    (_, Some(version)) => Condition::Version(version),
                };
                Op::Set { key, value: self.value(), condition }
            }
            8..10 => Op::Del { key, version: version.filter(|_| self.below(2) == 0) },
            10..13 => Op::Incr { key, by: 1 + i64::try_from(self.below(3)).unwrap() },
            _ => self.transaction(object),
        };
        (object, op)
    }

    /// Deletes of some entries, and then sets of others, by which the versions of the sets are known; half of the time after
    /// checks.
    fn transaction(&mut self, object: usize) -> Op {
        let (mut changes, mut sets) = (Vec::new(), Vec::new());
        for key in 0..KEYS {
            match self.below(5) {
                0 => {}
                1 => changes.push((key, Change::Del)),
                _ => sets.push((key, Change::Set(self.value()))),
            }
        }
        changes.append(&mut sets);
        if changes.is_empty() {
            changes.push((0, Change::Set(self.value())));
        }
        let mut checks = Vec::new();
        if self.below(2) == 0 {
            let known = self.versions[object];
            let count = 1 + self.below(KEYS - 1);
            checks.extend((0..count).map(|key| (key, known[key])));
        }
        Op::Txn { checks, changes }
    }

    /// Keeps the versions for conditions to come.
    fn learn(&mut self, object: usize, op: &Op, reply: Reply) {
        let known = &mut self.versions[object];
        match (op, reply) {
            (Op::Get(key), Reply::Nil)
            | (Op::Del { key, .. }, Reply::Nil | Reply::Written(_))
            | (Op::Set { key, .. }, Reply::Absent) => known[*key] = None,
            (Op::Get(key) | Op::Set { key, .. } | Op::Del { key, .. } | Op::Incr { key, .. }, reply) => {
                known[*key] = reply.version();
            }
            (Op::Txn { changes, .. }, Reply::Written(_)) => {
                let (deletes, sets): (Vec<_>, Vec<_>) =
                    changes.iter().partition(|(_, change)| *change == Change::Del);
                deletes.iter().for_each(|(key, _)| known[*key] = None);
                sets.iter().zip(op.drawn(reply)).for_each(|((key, _), version)| known[*key] = Some(version));
            }
            (Op::Txn { .. }, _) => {}
        }
    }

    fn value(&mut self) -> i64 {
        self.next_value += 1 << 20;
        self.next_value
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.random.below(end as u64)).unwrap()
    }
}

fn name(object: usize, key: usize) -> String {
    format!("o{object}:k{key}")
}

/// The line to send.
fn request(object: usize, op: &Op) -> String {
    let name = |key: &usize| name(object, *key);
    match op {
        Op::Get(key) => format!("GET {}", name(key)),
        Op::Set { key, value, condition } => {
            let condition = match condition {
                Condition::Always => String::new(),
                Condition::Absent => " if=absent".to_owned(),
                Condition::Present => " if=present".to_owned(),
                Condition::Version(version) => format!(" if={version}"),
            };
            format!("SET {}{condition} {value}", name(key))
        }
        Op::Del { key, version } => {
            let condition = version.map(|version| format!(" if={version}")).unwrap_or_default();
            format!("DEL {}{condition}", name(key))
        }
        Op::Incr { key, by } => format!("INCR {} by={by}", name(key)),
        Op::Txn { checks, changes } => {
            let checks = checks.iter().map(|(key, version)| {
                let version = version.map_or("null".to_owned(), |version| version.to_string());
                format!("{{\"key\":\"{}\",\"version\":{version}}}", name(key))
            });
            let changes = changes.iter().map(|(key, change)| match change {
                Change::Set(value) => format!("[\"set\",\"{}\",{value}]", name(key)),
                Change::Del => format!("[\"del\",\"{}\"]", name(key)),
            });
            let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(",");
            format!("TXN {{\"check\":[{}],\"ops\":[{}]}}", list(&mut { checks }), list(&mut { changes }))
        }
    }
}

/// What was answered; `None` if the answer is that nobody knows.
fn parse(op: &Op, reply: &str) -> Option<Reply> {
    let words: Vec<&str> = reply.split(' ').collect();
    let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("{reply:?} to {op:?}"));
    Some(match words[..] {
        ["VAL", version, "-", value] => {
            Reply::Value { version: number(version), value: value.parse().unwrap() }
        }
        ["NIL"] => Reply::Nil,
        ["OK", version] | ["OK", version, "-"] => Reply::Written(number(version)),
        ["NO", "EXISTS", version] => Reply::Exists(number(version)),
        ["NO", "VERSION", version] => Reply::Version(number(version)),
        ["NO", "ABSENT"] => Reply::Absent,
        ["NO", "CHECK", check] => Reply::Check(usize::try_from(number(check)).unwrap()),
        ["ERR", "INDOUBT", ..] => return None,
        _ => panic!("{reply:?} to {op:?}"),
    })
}
