//! The simulated disk itself, behind the lock of its handle: how an operation runs, and what a crash leaves.

mod files;
mod names;

use super::Survival;
use super::contents::{BLOCK, Contents};
use super::directory::{Directory, directory_of};
use super::fault::{Extent, Failure, Fault, Faults, Verdict};
use super::inode::{Fate, Inode};
use super::limits::Limits;
use super::random::Random;
use super::trace::{Op, OpKind, Trace};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

const BLOCK_U64: u64 = BLOCK as u64;

#[derive(Debug)]
pub(super) struct State {
    pub(super) seed: u64,
    pub(super) limits: Limits,
    pub(super) faults: Faults,
    pub(super) trace: Trace,
    pub(super) dead: bool,
    /// Which guard of a directory's lock is the valid one.
    pub(super) owners: BTreeMap<Arc<str>, u64>,
    /// How many there have been.
    pub(super) locks: u64,
    random: Random,
    directory: Directory,
    inodes: BTreeMap<u64, Inode>,
    inodes_created: u64,
    /// Number of the last change that waits for a sync.
    sequence: u64,
    /// Bytes that files take, one more block for each of them included.
    used: u64,
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        State {
            seed,
            limits: Limits::default(),
            faults: Faults::default(),
            trace: Trace::default(),
            dead: false,
            owners: BTreeMap::new(),
            locks: 0,
            random: Random::new(seed),
            directory: Directory::default(),
            inodes: BTreeMap::new(),
            inodes_created: 0,
            sequence: 0,
            used: 0,
        }
    }

    /// The disk as it is found after a power cut now. The decisions move this disk's random sequence on, and so a
    /// second call finds another outcome.
    pub(super) fn survivor(&mut self, policy: Survival) -> State {
        self.dead = true;
        let fate = self.fate(policy);
        let mut random = self.random.fork();
        let names = self.directory.survivor(&fate, &mut random);
        let mut found = State::new(random.next());
        found.limits = self.limits;
        found.trace = self.trace.after_crash(policy as u64);
        found.inodes_created = self.inodes_created;
        for (name, number) in &names {
            if let Some(inode) = found.inodes.get_mut(number) {
                inode.links += 1;
            } else if let Some(inode) = self.inodes.get(number) {
                let inode = Inode::new(Arc::clone(name), inode.survivor(&fate, &mut random));
                found.adopt(*number, inode);
            }
        }
        found.directory = Directory::new(names);
        found
    }

    /// The disk as the next process finds it; this one is left without power and files.
    pub(super) fn after_kill(&mut self) -> State {
        let remains = State { dead: true, ..State::new(self.seed) };
        let mut found = std::mem::replace(self, remains);
        found.faults = Faults::default();
        found.owners.clear();
        let open: Vec<u64> =
            found.inodes.iter().filter(|(_, inode)| inode.handles > 0).map(|(number, _)| *number).collect();
        for number in open {
            found.close(number);
        }
        found
    }

    fn fate(&mut self, policy: Survival) -> Fate {
        match policy {
            Survival::Nothing => Fate::Before(0),
            Survival::Everything => Fate::Before(u64::MAX),
            Survival::Random => Fate::Random,
            Survival::Prefix => {
                let inodes = self.inodes.values().flat_map(Inode::pending);
                let mut pending: Vec<u64> = inodes.chain(self.directory.pending()).collect();
                pending.sort_unstable();
                let cut = self.random.index(pending.len() + 1);
                Fate::Before(pending.get(cut).copied().unwrap_or(u64::MAX))
            }
        }
    }

    /// Takes in a file that is there already, and counts its space.
    fn adopt(&mut self, number: u64, mut inode: Inode) {
        inode.allocated = inode.current().len().next_multiple_of(BLOCK_U64);
        self.used += inode.allocated + BLOCK_U64;
        self.inodes.insert(number, inode);
    }

    /// Counts and records an operation, and tells what is to become of it.
    fn begin(&mut self, mut op: Op) -> io::Result<Verdict> {
        self.check_power()?;
        op.fault = self.faults.strike(op.kind);
        if op.fault == Some(Fault::DiskFull) {
            self.limits.capacity_bytes = self.used;
        }
        let verdict = op.fault.into();
        self.trace.record(op);
        Ok(verdict)
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.dead { Err(Failure::PowerCut.into()) } else { Ok(()) }
    }

    fn fail(&mut self, failure: Failure) -> io::Error {
        self.dead |= failure == Failure::PowerCut;
        failure.into()
    }

    /// Runs an operation that takes effect wholly or not at all.
    fn run<T>(&mut self, op: Op, action: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        match self.begin(op)? {
            Verdict::Proceed | Verdict::ProceedShort => action(self),
            Verdict::Fail(extent, failure) => {
                let happens = match extent {
                    Extent::Nothing => false,
                    Extent::Partly => self.random.coin(),
                    Extent::Whole => true,
                };
                if happens {
                    // The caller is told of the fault, not of what came of the action.
                    drop(action(self));
                }
                Err(self.fail(failure))
            }
        }
    }

    fn op(&self, kind: OpKind, number: u64) -> io::Result<Op> {
        self.check_power()?;
        Ok(Op::new(kind, Arc::clone(&self.inode(number)?.name)))
    }

    fn inode(&self, number: u64) -> io::Result<&Inode> {
        self.inodes.get(&number).ok_or_else(not_found)
    }

    fn inode_mut(&mut self, number: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&number).ok_or_else(not_found)
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used
    }

    pub(super) fn file_count(&self) -> u64 {
        self.inodes.values().filter(|inode| inode.links > 0 || inode.handles > 0).count() as u64
    }

    pub(super) fn open_count(&self) -> u64 {
        self.inodes.values().map(|inode| inode.handles as u64).sum()
    }

    fn free(&self) -> u64 {
        self.limits.capacity_bytes.saturating_sub(self.used)
    }

    fn check_descriptors(&self) -> io::Result<()> {
        if self.open_count() < self.limits.descriptors { Ok(()) } else { Err(Errno::MFILE.into()) }
    }
}

/// What tests do behind the back of the engine: no operations, and nothing of it is ever pending.
impl State {
    pub(super) fn names(&self, directory: &str) -> Vec<String> {
        let names = self.directory.current().keys().filter(|name| directory_of(name) == directory);
        names.map(|name| name[directory.len()..].to_owned()).collect()
    }

    pub(super) fn read_file(&self, name: &str) -> Option<Vec<u8>> {
        let number = self.directory.current().get(name)?;
        Some(self.inodes.get(number)?.current().to_bytes())
    }

    pub(super) fn write_file(&mut self, name: &str, bytes: &[u8]) {
        let contents = Contents::from_bytes(bytes);
        let number = self.directory.current().get(name).copied();
        match number.and_then(|number| self.inodes.get_mut(&number)) {
            Some(inode) => {
                self.used -= inode.allocated;
                inode.replace(contents);
                inode.allocated = inode.current().len().next_multiple_of(BLOCK_U64);
                self.used += inode.allocated;
            }
            None => drop(self.insert(name.into(), contents)),
        }
        self.settle_directory(directory_of(name));
    }

    pub(super) fn remove_file(&mut self, name: &str) -> io::Result<()> {
        let number = self.find(name)?;
        let sequence = self.next_sequence();
        self.directory.remove(sequence, name.into());
        self.unlink(number)?;
        self.settle_directory(directory_of(name));
        Ok(())
    }

    pub(super) fn flip_bit(&mut self, name: &str, offset: u64, bit: u32) -> io::Result<()> {
        let number = self.find(name)?;
        let inode = self.inode_mut(number)?;
        let mask = 1_u8.checked_shl(bit).filter(|_| offset < inode.current().len());
        inode.flip(offset, mask.ok_or(io::ErrorKind::InvalidInput)?);
        Ok(())
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}
