//! What is known about every key: what was acknowledged, and what was under way.
//!
//! Each writer has keys of its own and makes one step after the other, so after a kill its keys are as all acknowledged
//! steps have left them, with or without the one that was under way, and that is there as a whole or not at all.

use larder_engine::{Entry, Found, Store, Tenant};

use super::Result;
use super::change::{Action, Change, KEYS, Lifetime, namespace, number_of, with_address};
use super::faults::{Fault, Faults};
use super::journal::{Outcome, Step};

/// A value that a key has, whether its deadline has passed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    /// Number of the change that gave it.
    number: u64,
    /// Not known while the change is not acknowledged.
    version: Option<u64>,
    deadline: Option<u64>,
}

type Keys = Vec<Option<Held>>;

/// One writer's keys.
#[derive(Debug)]
pub struct History {
    writer: usize,
    keys: Keys,
    under_way: Option<Vec<Change>>,
    /// The highest number of a change, made or not.
    pub newest_number: u64,
    /// The highest version answered or found.
    pub newest_version: u64,
    /// The highest number of a value that a reader saw.
    seen: u64,
    /// How many changes were acknowledged.
    pub acknowledged: u64,
    /// How many were under way when a process was killed.
    pub interrupted: u64,
}

/// What one look at the store gives of a writer's keys.
struct Look {
    now_ms: u64,
    entries: Vec<Option<Entry>>,
    count: u64,
}

impl History {
    /// A writer that has not begun.
    #[must_use]
    pub fn new(writer: usize) -> Self {
        Self {
            writer,
            keys: vec![None; KEYS],
            under_way: None,
            newest_number: 0,
            newest_version: 0,
            seen: 0,
            acknowledged: 0,
            interrupted: 0,
        }
    }

    /// Takes in what the writer did in a session, whose versions must be above `floor`.
    pub fn replay(&mut self, steps: Vec<Step>, floor: u64, faults: &mut Faults) {
        for step in steps {
            match step {
                Step::Begin(changes) => {
                    self.newest_number = changes.last().map_or(0, |change| change.number);
                    self.under_way = Some(changes);
                }
                Step::Done { now_ms, outcomes } => {
                    for (change, outcome) in self.under_way.take().unwrap_or_default().iter().zip(outcomes) {
                        self.acknowledge(change, outcome, now_ms, floor, faults);
                    }
                }
                Step::Refused => self.under_way = None,
                Step::Saw { .. } => {}
                Step::Fault(what) => faults.note(Fault::Other, format!("writer {}: {what}", self.writer)),
            }
        }
        self.interrupted += self.under_way.as_ref().map_or(0, |changes| changes.len() as u64);
    }

    /// A reader saw the value of this change.
    pub fn saw(&mut self, number: u64) {
        self.seen = self.seen.max(number);
    }

    fn acknowledge(
        &mut self,
        change: &Change,
        outcome: Option<Outcome>,
        now_ms: u64,
        floor: u64,
        faults: &mut Faults,
    ) {
        self.acknowledged += 1;
        let place = format!("writer {} key {}", self.writer, change.key);
        let before = self.keys[change.key];
        let live = before.filter(|held| is_live(held, now_ms));
        let Some(outcome) = outcome else {
            if let Some(held) = live {
                faults.note(Fault::Lost, format!("{place}: {held:?}, but {change:?} found nothing"));
            }
            self.keys[change.key] = None;
            return;
        };
        if outcome.version <= self.newest_version.max(floor) {
            let what =
                format!("{place}: version {} after {}", outcome.version, self.newest_version.max(floor));
            faults.note(Fault::Other, what);
        }
        self.newest_version = self.newest_version.max(outcome.version);
        if live.is_none() && !matches!(change.action, Action::Put(_)) {
            faults.note(Fault::Resurrected, format!("{place}: {before:?}, but {change:?} found something"));
            return;
        }
        let after = change.applied_to(live);
        if after.is_some_and(|after| after.deadline != outcome.deadline) {
            faults.note(Fault::Other, format!("{place}: {change:?} of {live:?} has led to {outcome:?}"));
        }
        let stamped =
            |held: Held| Held { version: Some(outcome.version), deadline: outcome.deadline, ..held };
        self.keys[change.key] = after.map(stamped);
    }

    /// Compares what the store holds with what it may hold, and settles on it. Gives how many keys were there.
    pub fn verify(&mut self, store: &Store, faults: &mut Faults) -> Result<u64> {
        let look = look(store, self.writer)?;
        let live = look.entries.iter().flatten().count() as u64;
        if look.count != live {
            let what = format!("writer {}: {live} keys, but {} are counted", self.writer, look.count);
            faults.note(Fault::Other, what);
        }
        let changes = self.under_way.take().unwrap_or_default();
        let candidates = self.candidates(&changes);
        let fits = |keys: &&Keys| changes.iter().all(|change| look.fits(self.writer, change.key, keys));
        match candidates.iter().position(|keys| fits(&keys)) {
            Some(number) => {
                if number + 1 == candidates.len() {
                    self.check_unseen(&changes, faults);
                }
                self.keys.clone_from(&candidates[number]);
            }
            None => self.tell_misfit(&changes, &candidates, &look, faults),
        }
        for key in 0..KEYS {
            self.settle(key, &look, faults);
        }
        Ok(live)
    }

    /// The states that the keys may be in: first as the changes under way would leave them, last without them.
    fn candidates(&self, changes: &[Change]) -> Vec<Keys> {
        let with = |is_expired: bool| {
            let mut keys = self.keys.clone();
            for change in changes {
                let before = keys[change.key].filter(|_| !is_expired);
                keys[change.key] = change.applied_to(before);
            }
            keys
        };
        // Whether a deadline had passed when the change was made is not known, and makes a difference to some.
        if changes.is_empty() {
            vec![self.keys.clone()]
        } else {
            vec![with(false), with(true), self.keys.clone()]
        }
    }

    /// What a reader saw is not taken back.
    fn check_unseen(&self, changes: &[Change], faults: &mut Faults) {
        if let Some(change) = changes.iter().find(|change| change.number <= self.seen) {
            let what = format!("writer {}: a reader saw {change:?}, and now it is gone", self.writer);
            faults.note(Fault::Lost, what);
        }
    }

    /// No state fits. If each key by itself does, then the changes are there by half.
    fn tell_misfit(&self, changes: &[Change], candidates: &[Keys], look: &Look, faults: &mut Faults) {
        let fits_some =
            |change: &Change| candidates.iter().any(|keys| look.fits(self.writer, change.key, keys));
        if changes.iter().all(fits_some) {
            faults.note(Fault::Half, format!("writer {}: of {changes:?} only some is there", self.writer));
        }
    }

    /// Compares one key, and goes on from what is there, so that nothing is told twice.
    fn settle(&mut self, key: usize, look: &Look, faults: &mut Faults) {
        let expected = self.keys[key].filter(|held| is_live(held, look.now_ms));
        let found = look.entries[key].as_ref();
        if !look.fits(self.writer, key, &self.keys) {
            let place = format!("writer {} key {key}", self.writer);
            let found =
                found.map(|entry| (describe(self.writer, key, entry), entry.version, entry.expires_at));
            let what = format!("{place}: {:?} at {}, but {found:?} is there", self.keys[key], look.now_ms);
            if expected.is_some() {
                faults.note(Fault::Lost, what.clone());
            }
            if found.is_some() {
                faults.note(Fault::Resurrected, what);
            }
        }
        if let Some(entry) = found {
            let number = number_of(self.writer, key, &entry.value).unwrap_or(0);
            self.newest_version = self.newest_version.max(entry.version);
            self.keys[key] = Some(Held { number, version: Some(entry.version), deadline: entry.expires_at });
        } else {
            self.keys[key] = None;
        }
    }
}

impl Change {
    /// What it makes of a key.
    fn applied_to(&self, before: Option<Held>) -> Option<Held> {
        let deadline = |lifetime| match lifetime {
            Lifetime::Endless => None,
            Lifetime::Until(deadline_ms) => Some(deadline_ms),
            Lifetime::Same => before.and_then(|held| held.deadline),
        };
        match self.action {
            Action::Put(lifetime) => {
                Some(Held { number: self.number, version: None, deadline: deadline(lifetime) })
            }
            Action::Delete => None,
            Action::Touch(lifetime) => {
                before.map(|held| Held { version: None, deadline: deadline(lifetime), ..held })
            }
        }
    }
}

impl Look {
    /// Whether a key is as it would be in that state.
    fn fits(&self, writer: usize, key: usize, keys: &Keys) -> bool {
        match (keys[key].filter(|held| is_live(held, self.now_ms)), &self.entries[key]) {
            (None, None) => true,
            (Some(held), Some(entry)) => {
                number_of(writer, key, &entry.value).is_ok_and(|number| number == held.number)
                    && entry.expires_at == held.deadline
                    && held.version.is_none_or(|version| version == entry.version)
            }
            _ => false,
        }
    }
}

fn is_live(held: &Held, now_ms: u64) -> bool {
    held.deadline.is_none_or(|deadline| now_ms < deadline)
}

fn describe(writer: usize, key: usize, entry: &Entry) -> String {
    match number_of(writer, key, &entry.value) {
        Ok(number) => format!("the value of change {number}"),
        Err(error) => error.to_string(),
    }
}

/// All keys of a writer at one instant, so that the clock has no say in what is compared.
fn look(store: &Store, writer: usize) -> Result<Look> {
    let looked = store.read(|view| {
        let found: Vec<Option<Found>> =
            (0..KEYS).map(|key| with_address(writer, key, |at| view.get(at))).collect();
        (view.now_ms(), found, view.count(Tenant::DEFAULT, &namespace(writer), ""))
    });
    let loaded = looked.map(|(now_ms, found, count), values| -> larder_engine::Result<Look> {
        let mut entries = Vec::with_capacity(KEYS);
        for found in &found {
            entries.push(found.as_ref().map(|found| values.entry(found)).transpose()?);
        }
        Ok(Look { now_ms, entries, count })
    });
    Ok(loaded.wait()??)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endurance::change::value;
    use larder_engine::{Condition, Expiry, Options, Put};

    /// A store, and the history of writer 0, to whom it belongs.
    struct Case {
        store: Store,
        history: History,
        faults: Faults,
        _directory: tempfile::TempDir,
    }

    fn change(number: u64, key: usize, action: Action) -> Change {
        Change { number, key, action }
    }

    fn endless(number: u64, key: usize) -> Change {
        change(number, key, Action::Put(Lifetime::Endless))
    }

    impl Case {
        fn new() -> Case {
            let directory = tempfile::tempdir().expect("a directory");
            let store = Options::new().open(directory.path()).expect("a new store");
            let (history, faults) = (History::new(0), Faults::default());
            Case { store, history, faults, _directory: directory }
        }

        /// Makes a put in the store.
        fn put(&self, number: u64, key: usize, expiry: Expiry) -> Outcome {
            let value = value(0, key, number);
            let put = Put { expiry, ..Put::new(&value) };
            let stamp = with_address(0, key, |at| self.store.put(at, &put)).expect("a healthy store");
            stamp.expect("no condition").into()
        }

        fn delete(&self, key: usize) -> Outcome {
            let deleted = with_address(0, key, |at| self.store.delete(at, Condition::Always));
            let deleted = deleted.expect("a healthy store").expect("no condition").expect("it is there");
            Outcome { version: deleted.version, deadline: None }
        }

        /// Has the history know of a step that was acknowledged.
        fn done(&mut self, change: Change, outcome: Option<Outcome>) {
            let now_ms = self.store.read(|view| view.now_ms()).wait().expect("a healthy store");
            let steps = vec![Step::Begin(vec![change]), Step::Done { now_ms, outcomes: vec![outcome] }];
            self.history.replay(steps, 0, &mut self.faults);
        }

        fn begun(&mut self, changes: Vec<Change>) {
            self.history.replay(vec![Step::Begin(changes)], 0, &mut self.faults);
        }

        /// Lost, resurrected, half, other.
        fn verify(&mut self) -> [u64; 4] {
            self.history.verify(&self.store, &mut self.faults).expect("a healthy store");
            [Fault::Lost, Fault::Resurrected, Fault::Half, Fault::Other].map(|kind| self.faults.count(kind))
        }
    }

    #[test]
    fn what_was_acknowledged_fits() {
        let mut case = Case::new();
        let outcome = case.put(1, 7, Expiry::Never);
        case.done(endless(1, 7), Some(outcome));
        let outcome = case.delete(7);
        case.done(change(2, 7, Action::Delete), Some(outcome));
        case.done(change(3, 7, Action::Delete), None);
        let until = case.store.read(|view| view.now_ms()).wait().expect("a healthy store") + 1_000_000;
        let outcome = case.put(4, 7, Expiry::At(until));
        case.done(change(4, 7, Action::Put(Lifetime::Until(until))), Some(outcome));
        let outcome = case.put(5, 7, Expiry::Keep);
        case.done(change(5, 7, Action::Put(Lifetime::Same)), Some(outcome));
        assert_eq!(case.verify(), [0; 4], "{:?}", case.faults);
    }

    #[test]
    fn a_lost_write_is_told() {
        let mut case = Case::new();
        let outcome = case.put(1, 7, Expiry::Never);
        case.done(endless(1, 7), Some(outcome));
        case.delete(7);
        assert_eq!(case.verify(), [1, 0, 0, 0]);
    }

    #[test]
    fn an_older_value_is_told() {
        let mut case = Case::new();
        case.put(1, 7, Expiry::Never);
        case.done(endless(1, 7), Some(Outcome { version: 1, deadline: None }));
        case.done(endless(2, 7), Some(Outcome { version: 2, deadline: None }));
        assert_eq!(case.verify(), [1, 1, 0, 0]);
    }

    #[test]
    fn what_was_deleted_or_has_expired_and_is_there_is_told() {
        let mut case = Case::new();
        for key in [7, 8] {
            case.put(1, key, Expiry::Never);
        }
        case.done(endless(1, 7), Some(Outcome { version: 1, deadline: None }));
        case.done(change(2, 7, Action::Delete), Some(Outcome { version: 2, deadline: None }));
        let brief = change(3, 8, Action::Put(Lifetime::Until(1)));
        case.done(brief, Some(Outcome { version: 3, deadline: Some(1) }));
        assert_eq!(case.verify(), [0, 2, 0, 0]);
    }

    #[test]
    fn what_was_under_way_is_there_or_not_but_not_by_half() {
        let both = vec![endless(3, 7), endless(4, 8)];
        for (made, expected) in [(0, [0; 4]), (2, [0; 4]), (1, [1, 1, 1, 0])] {
            let mut case = Case::new();
            for (number, key) in [(1, 7), (2, 8)] {
                let outcome = case.put(number, key, Expiry::Never);
                case.done(endless(number, key), Some(outcome));
            }
            case.begun(both.clone());
            for change in &both[..made] {
                case.put(change.number, change.key, Expiry::Never);
            }
            assert_eq!(case.verify(), expected, "{made} made: {:?}", case.faults);
            let settled = case.verify();
            assert_eq!(settled, expected, "told twice");
        }
    }

    #[test]
    fn what_a_reader_saw_is_not_taken_back() {
        let mut case = Case::new();
        case.begun(vec![endless(1, 7)]);
        case.history.saw(1);
        assert_eq!(case.verify(), [1, 0, 0, 0]);
    }

    #[test]
    fn a_version_that_was_given_out_before_is_told() {
        let mut case = Case::new();
        let outcome = case.put(1, 7, Expiry::Never);
        case.done(endless(1, 7), Some(outcome));
        case.done(endless(2, 8), Some(outcome));
        assert_eq!(case.faults.count(Fault::Other), 1);
    }

    #[test]
    fn a_deadline_other_than_ordered_is_told() {
        let mut case = Case::new();
        let outcome = case.put(1, 7, Expiry::At(u64::MAX >> 20));
        case.done(endless(1, 7), Some(outcome));
        assert_eq!(case.faults.count(Fault::Other), 1);
    }
}
