//! What is known about every key: what was acknowledged, what was under way, what was seen.
//!
//! Each writer has keys of its own, and numbers its writes. So for each key there are few states that it may be in
//! after a crash: that of the last write acknowledged, or of one sent after it.

use std::collections::{BTreeMap, HashSet};

use crate::support::Client;

pub(crate) const KEYS: usize = 8;

/// A write that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// Counts the writer's writes.
    pub(crate) number: u64,
    pub(crate) delete: bool,
    /// Known once it was answered.
    pub(crate) version: Option<u64>,
}

/// One key: the state last known for certain, and writes since then that may have happened.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) settled: Operation,
    pub(crate) in_flight: Vec<Operation>,
}

/// One writer and its keys.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) id: usize,
    pub(crate) next_number: u64,
    pub(crate) keys: Vec<Key>,
    /// All versions that its writes were answered with.
    pub(crate) versions: Vec<u64>,
}

/// The highest number of a value that any reader saw, by writer and key.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) numbers: BTreeMap<(usize, usize), u64>,
    pub(crate) newest_version: u64,
}

impl Seen {
    pub(crate) fn merge(&mut self, other: Seen) {
        self.newest_version = self.newest_version.max(other.newest_version);
        for (key, number) in other.numbers {
            let seen = self.numbers.entry(key).or_default();
            *seen = number.max(*seen);
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) writers: Vec<Writer>,
    seen: Seen,
    newest_version: u64,
}

/// The name of a key.
pub(crate) fn name(writer: usize, key: usize) -> String {
    format!("w{writer}:k{key}")
}

/// The value that a writer gives a key by its write of that number: always the same, and never that of another.
pub(crate) fn value(writer: usize, key: usize, number: u64) -> String {
    let length = if number % 64 == 3 { 20_000 } else { number * 37 % 400 };
    let filler: String = (0..length).map(|at| char::from(b'a' + ((at + number) % 26) as u8)).collect();
    format!("{{\"n\":{number},\"w\":{writer},\"k\":{key},\"filler\":\"{filler}\"}}")
}

/// Version and number of a value as `VAL` shows it, all of which must be as it was written. `None` for `NIL`.
pub(crate) fn parse(writer: usize, key: usize, reply: &str) -> Option<(u64, u64)> {
    if reply == "NIL" {
        return None;
    }
    let mut words = reply.splitn(4, ' ');
    assert_eq!(words.next(), Some("VAL"), "{reply}");
    let version = words.next().unwrap().parse().unwrap();
    assert_eq!(words.next(), Some("-"));
    let json = words.next().unwrap();
    let digits = json.strip_prefix("{\"n\":").unwrap().split(',').next().unwrap();
    let number = digits.parse().unwrap();
    assert!(json == value(writer, key, number), "half a value at {}: {reply}", name(writer, key));
    Some((version, number))
}

impl History {
    pub(crate) fn new(writers: usize) -> History {
        let nothing = Operation { number: 0, delete: true, version: None };
        let key = Key { settled: nothing, in_flight: Vec::new() };
        let writer = |id| Writer { id, next_number: 1, keys: vec![key.clone(); KEYS], versions: Vec::new() };
        History { writers: (0..writers).map(writer).collect(), seen: Seen::default(), newest_version: 0 }
    }

    pub(crate) fn newest_version(&self) -> u64 {
        self.newest_version
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.writers.iter().map(|writer| writer.versions.len()).sum()
    }

    /// Takes in a round that is over, with what readers saw that must not be gone.
    pub(crate) fn note(&mut self, seen: Seen) {
        self.seen = seen;
        let versions = self.writers.iter().flat_map(|writer| &writer.versions);
        let unique: HashSet<_> = versions.clone().collect();
        assert_eq!(unique.len(), self.acknowledged(), "a version was given out twice");
        let newest = versions.max().copied().unwrap_or_default();
        self.newest_version = self.newest_version.max(newest).max(self.seen.newest_version);
    }

    /// Compares what a restarted server holds with what it may hold, and settles on it.
    pub(crate) fn verify(&mut self, client: &mut Client) {
        for writer in &mut self.writers {
            let names: Vec<_> = (0..KEYS).map(|key| name(writer.id, key)).collect();
            client.send(format!("MGET {}\n", names.join(" ")));
            let found: Vec<_> = (0..KEYS).map(|key| parse(writer.id, key, &client.reply())).collect();
            let newest = found.iter().flatten().map(|(_, number)| *number).max().unwrap_or_default();
            for (index, found) in found.into_iter().enumerate() {
                let seen = self.seen.numbers.get(&(writer.id, index)).copied().unwrap_or_default();
                let place = name(writer.id, index);
                writer.keys[index].settle(found, newest, seen, &place);
                self.newest_version = self.newest_version.max(found.map_or(0, |(version, _)| version));
            }
        }
    }
}

impl Key {
    /// Decides which write the state found comes from. `newest` is the newest write of the same writer, on any key,
    /// that is known to have survived: a crash leaves a prefix, so no write before it may be missing.
    fn settle(&mut self, found: Option<(u64, u64)>, newest: u64, seen: u64, place: &str) {
        let candidates: Vec<_> = [self.settled].into_iter().chain(self.in_flight.drain(..)).collect();
        let fits = |candidate: &Operation| match found {
            Some((_, number)) => !candidate.delete && candidate.number == number,
            None => candidate.delete,
        };
        let Some(survivor) = candidates.iter().rev().find(|candidate| fits(candidate)) else {
            panic!("{place} is {found:?}, but may be one of {candidates:?}");
        };
        let missing = candidates.iter().find(|other| (survivor.number + 1..=newest).contains(&other.number));
        assert!(missing.is_none(), "{place}: {missing:?} is gone, but the later write {newest} is there");
        assert!(survivor.number >= seen, "{place}: a reader saw write {seen}, and now it is {survivor:?}");
        let version = found.map(|(version, _)| version);
        if let (Some(answered), Some(version)) = (survivor.version, version) {
            assert_eq!(answered, version, "{place}: the version has changed");
        }
        if let (Some(before), Some(version)) = (self.settled.version, version) {
            assert!(version >= before, "{place}: the version went back from {before} to {version}");
        }
        self.settled = Operation { version: version.or(survivor.version), ..*survivor };
    }
}
