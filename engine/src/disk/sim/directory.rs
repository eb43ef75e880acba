//! The simulated directory: durable names, current names, and the operations in between.

use super::inode::Fate;
use super::random::{Chance, Random};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which file each name stands for.
pub(super) type Names = BTreeMap<Arc<str>, u64>;

/// The names of the files, and how far the disk knows them.
#[derive(Debug, Default)]
pub(super) struct Directory {
    durable: Names,
    current: Names,
    pending: Vec<Entry>,
}

/// One operation on the directory since the last sync: a name goes and a name comes, as one; a rename does both.
#[derive(Debug)]
struct Entry {
    sequence: u64,
    gone: Option<Arc<str>>,
    comes: Option<(Arc<str>, u64)>,
}

impl Entry {
    fn apply(&self, names: &mut Names) {
        if let Some(name) = &self.gone {
            names.remove(name);
        }
        if let Some((name, inode)) = &self.comes {
            names.insert(Arc::clone(name), *inode);
        }
    }

    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.gone.iter().chain(self.comes.iter().map(|(name, _)| name))
    }
}

impl Directory {
    /// A directory that is durable as it is.
    pub(super) fn new(names: Names) -> Directory {
        Directory { durable: names.clone(), current: names, pending: Vec::new() }
    }

    /// What the running process sees.
    pub(super) fn current(&self) -> &Names {
        &self.current
    }

    /// The sequence numbers of the operations that a crash may take back.
    pub(super) fn pending(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().map(|entry| entry.sequence)
    }

    /// The files that a crash now could bring to light.
    pub(super) fn recoverable_inodes(&self) -> BTreeSet<u64> {
        let pending = self.pending.iter().filter_map(|entry| entry.comes.as_ref());
        self.durable.values().chain(pending.map(|(_, inode)| inode)).copied().collect()
    }

    pub(super) fn insert(&mut self, sequence: u64, name: Arc<str>, inode: u64) {
        self.push(Entry { sequence, gone: None, comes: Some((name, inode)) });
    }

    pub(super) fn rename(&mut self, sequence: u64, from: Arc<str>, to: Arc<str>, inode: u64) {
        self.push(Entry { sequence, gone: Some(from), comes: Some((to, inode)) });
    }

    pub(super) fn remove(&mut self, sequence: u64, name: Arc<str>) {
        self.push(Entry { sequence, gone: Some(name), comes: None });
    }

    fn push(&mut self, entry: Entry) {
        entry.apply(&mut self.current);
        self.pending.push(entry);
    }

    /// Makes the names that begin like this durable: those of one directory.
    pub(super) fn sync(&mut self, directory: &str) {
        for entry in self.take_pending(directory) {
            entry.apply(&mut self.durable);
        }
    }

    fn take_pending(&mut self, directory: &str) -> Vec<Entry> {
        let is_of = |entry: &Entry| entry.names().all(|name| directory_of(name) == directory);
        let (taken, left) = std::mem::take(&mut self.pending).into_iter().partition(is_of);
        self.pending = left;
        taken
    }

    /// A sync cut short: some operations are durable, the others still pending.
    pub(super) fn sync_partly(&mut self, directory: &str, random: &mut Random) {
        let chance = random.chance();
        let taken = self.take_pending(directory);
        let left = any_subset(&taken, chance, &mut self.durable, random);
        let left = taken.into_iter().zip(left).filter_map(|(entry, left)| left.then_some(entry));
        self.pending.extend(left);
    }

    /// What a failed sync does: the operations are no longer pending, and not durable either.
    pub(super) fn forget_pending(&mut self, directory: &str) {
        self.take_pending(directory);
    }

    /// The names as found after a power cut.
    pub(super) fn survivor(&self, fate: &Fate, random: &mut Random) -> Names {
        let mut found = self.durable.clone();
        match *fate {
            Fate::Before(limit) => {
                self.pending
                    .iter()
                    .filter(|entry| entry.sequence < limit)
                    .for_each(|entry| entry.apply(&mut found));
            }
            Fate::Random => {
                let chance = random.chance();
                any_subset(&self.pending, chance, &mut found, random);
            }
        }
        found
    }
}

/// The part of a name that says in which directory it is.
pub(super) fn directory_of(name: &str) -> &str {
    name.rfind('/').map_or("", |slash| &name[..=slash])
}

/// Applies a random subset of `entries` to `names`; tells of each entry whether it was left out.
///
/// An operation never overtakes an earlier one on the same name: a file is not renamed before it is there.
fn any_subset(entries: &[Entry], chance: Chance, names: &mut Names, random: &mut Random) -> Vec<bool> {
    let mut blocked = BTreeSet::new();
    let decide = |entry: &Entry| {
        let left = entry.names().any(|name| blocked.contains(name)) || !chance.draw(random);
        if left {
            blocked.extend(entry.names().cloned());
        } else {
            entry.apply(names);
        }
        left
    };
    entries.iter().map(decide).collect()
}
