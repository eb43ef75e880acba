//! What an object does: a handful of entries that a transaction may span, one operation at a time.
//!
//! The model says no more than docs/protocol.md: what each command answers in which state, and that every write draws a
//! version above all before it. Values are whole numbers. The version of a write whose answer was lost is not known, but
//! if anybody ever saw it, it is one of the versions that were seen and that no answered write accounts for.

use std::mem::replace;
use std::ops::Range;

/// Entries of an object.
pub(super) const KEYS: usize = 3;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Get(usize),
    Set { key: usize, value: i64, condition: Condition },
    Del { key: usize, version: Option<u64> },
    Incr { key: usize, by: i64 },
    Txn { checks: Vec<(usize, Option<u64>)>, changes: Vec<(usize, Change)> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    Absent,
    Present,
    Version(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Set(i64),
    Del,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// `VAL`, to a read or to `INCR`
    Value { version: u64, value: i64 },
    /// `NIL`
    Nil,
    /// `OK <version>`; of a transaction that has changed nothing, version 0
    Written(u64),
    /// `NO EXISTS`
    Exists(u64),
    /// `NO VERSION`
    Version(u64),
    /// `NO ABSENT`
    Absent,
    /// `NO CHECK`
    Check(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Entry {
    /// Not known for a write that was not answered, and whose version nobody saw.
    version: Option<u64>,
    value: i64,
}

/// A state of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    entries: [Option<Entry>; KEYS],
    /// No version up to this one can be drawn any more.
    floor: u64,
}

/// What an operation comes to in a state.
enum Effect {
    /// Nothing is changed; this is the answer, unless it would have to name a version that nobody saw.
    Answer(Option<Reply>),
    /// These changes, each with a version of its own. The answer is that of a `VAL` with this value, or else the version of
    /// the last.
    Changes(Vec<(usize, Change)>, Option<i64>),
}

impl Op {
    pub(super) fn is_read(&self) -> bool {
        matches!(self, Op::Get(_))
    }

    /// The versions that this is known to have drawn, if it was answered so: the last, and those of the sets at the end of a
    /// transaction. A delete before them may have found nothing, and then has drawn none.
    pub(super) fn drawn(&self, reply: Reply) -> Range<u64> {
        let last = match (self, reply) {
            (Op::Get(_), _) => 0,
            (_, Reply::Written(version) | Reply::Value { version, .. }) => version,
            _ => 0,
        };
        let sets = match self {
            Op::Txn { changes, .. } => {
                changes.iter().rev().take_while(|(_, change)| *change != Change::Del).count() as u64
            }
            _ => 1,
        };
        match last {
            0 => 0..0,
            last => (last + 1).saturating_sub(sets.max(1))..last + 1,
        }
    }
}

impl Reply {
    /// The version that the answer names.
    pub(super) fn version(self) -> Option<u64> {
        match self {
            Reply::Value { version, .. }
            | Reply::Written(version)
            | Reply::Exists(version)
            | Reply::Version(version) => Some(version),
            Reply::Nil | Reply::Absent | Reply::Check(_) => None,
        }
    }
}

impl State {
    /// The states that `op` may lead to from this one, if it is answered so. `None`: nobody knows its answer; then `seen` are
    /// the versions that were seen, and whose writes are not known.
    pub(super) fn after(&self, op: &Op, reply: Option<Reply>, seen: &[u64]) -> Vec<State> {
        let (changes, value) = match (self.effect(op), reply) {
            (Effect::Answer(answer), Some(reply)) if answer != Some(reply) => return Vec::new(),
            (Effect::Answer(_), _) => return vec![*self],
            (Effect::Changes(changes, value), _) => (changes, value),
        };
        let count = changes.len() as u64;
        // Of as many versions as there are changes, the first must be above all before it.
        let is_new = |last: &u64| last.checked_sub(count).is_some_and(|before| before >= self.floor);
        let Some(reply) = reply else {
            // Any of its versions may be one that was seen.
            let lasts = seen.iter().flat_map(|version| (0..count).map(move |after| version + after));
            let known = lasts.filter(is_new).map(|last| self.changed(&changes, Some(last)));
            return known.chain([self.changed(&changes, None)]).collect();
        };
        let answered = match (value, reply) {
            (Some(value), Reply::Value { version, value: told }) if told == value => version,
            (None, Reply::Written(version)) => version,
            _ => return Vec::new(),
        };
        if is_new(&answered) { vec![self.changed(&changes, Some(answered))] } else { Vec::new() }
    }

    fn changed(&self, changes: &[(usize, Change)], last: Option<u64>) -> State {
        let mut state = *self;
        for (number, &(key, change)) in changes.iter().enumerate() {
            let version = last.map(|last| last - (changes.len() - 1 - number) as u64);
            state.entries[key] = match change {
                Change::Set(value) => Some(Entry { version, value }),
                Change::Del => None,
            };
            state.floor = version.unwrap_or(state.floor + 1);
        }
        state
    }

    fn effect(&self, op: &Op) -> Effect {
        let version = |key: usize| self.entries[key].map(|entry| entry.version);
        match op {
            Op::Get(key) => Effect::Answer(match self.entries[*key] {
                None => Some(Reply::Nil),
                Some(Entry { version, value }) => version.map(|version| Reply::Value { version, value }),
            }),
            Op::Set { key, value, condition } => match (condition, version(*key)) {
                (Condition::Absent, Some(found)) => Effect::Answer(found.map(Reply::Exists)),
                (Condition::Present | Condition::Version(_), None) => Effect::Answer(Some(Reply::Absent)),
                (Condition::Version(wanted), Some(found)) if found != Some(*wanted) => {
                    Effect::Answer(found.map(Reply::Version))
                }
                _ => Effect::Changes(vec![(*key, Change::Set(*value))], None),
            },
            Op::Del { key, version: wanted } => match (wanted, version(*key)) {
                (_, None) => Effect::Answer(Some(Reply::Nil)),
                (Some(wanted), Some(found)) if found != Some(*wanted) => {
                    Effect::Answer(found.map(Reply::Version))
                }
                _ => Effect::Changes(vec![(*key, Change::Del)], None),
            },
            Op::Incr { key, by } => {
                let sum = self.entries[*key].map_or(0, |entry| entry.value) + by;
                Effect::Changes(vec![(*key, Change::Set(sum))], Some(sum))
            }
            Op::Txn { checks, changes } => {
                let holds = |&(key, wanted): &(usize, Option<u64>)| match (wanted, version(key)) {
                    (None, found) => found.is_none(),
                    (Some(wanted), found) => found == Some(Some(wanted)),
                };
                match checks.iter().position(|check| !holds(check)) {
                    Some(failed) => Effect::Answer(Some(Reply::Check(failed))),
                    None => match self.effective(changes) {
                        effective if effective.is_empty() => Effect::Answer(Some(Reply::Written(0))),
                        effective => Effect::Changes(effective, None),
                    },
                }
            }
        }
    }
    /// Those of the changes that change something: all but deletes of what is not there by then.
    fn effective(&self, changes: &[(usize, Change)]) -> Vec<(usize, Change)> {
        let mut there = self.entries.map(|entry| entry.is_some());
        let mut is_effective = |&(key, change): &(usize, Change)| {
            let was_there = replace(&mut there[key], change != Change::Del);
            was_there || change != Change::Del
        };
        changes.iter().copied().filter(|change| is_effective(change)).collect()
    }
}
