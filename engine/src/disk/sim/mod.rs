//! A disk that exists in memory only and does to its files what real disks do at their worst, all from one seed.
//!
//! A store's promises are about power cuts, failing syncs and full disks, none of which a test can order from a real
//! disk. [`SimDisk`] keeps apart what the running process sees and what is on stable storage: bytes become durable by
//! [`DiskFile::sync`], names by [`Disk::sync_dir`], each without the other. [`SimDisk::crash`] cuts the power and
//! gives the disk that is found afterwards, with as much of what was not synced as a [`Survival`] says. Between
//! crashes, [`Fault`]s strike at chosen operations, capacity and other [`Limits`] can be reached and raised again, bits
//! can rot, and the lock can be stolen.
//!
//! The model is harsher than any one file system. A sector of 512 bytes is written as a whole or not at all, and
//! that is the only thing that is: of the unsynced changes to a file, each sector may be found in any version it had
//! since the last sync, whatever became of its neighbours, and the length in any state of its own. Operations on the
//! directory survive each on its own too, but those on one name in order; a rename is never half done. A file
//! whose name was not synced is lost however often its bytes were. A sync of what is
//! [overwritten](DiskFile::sync_overwritten) leaves every sector unsynced that no full sync has made durable before. What no kernel does is left out: contents that
//! never were, and changes to bytes that were not written.
//!
//! One simulated machine can have several directories ([`SimDisk::directory`]), as a backup needs: they share files by
//! links, space, faults, the count of operations, and the power. Each has names, a lock and a `sync_dir` of its own.
//!
//! The same calls on the same seed give the same results. It measures no time, and calls of several threads take
//! effect in the order in which they come.

mod contents;
mod directory;
mod fault;
mod inode;
mod limits;
mod random;
mod state;
#[cfg(test)]
mod tests;
mod trace;

use super::{Disk, DiskFile, DiskLock, Map};
use crate::sync::{Mutex, MutexGuard};
use inode::Reach;
use state::State;
use std::any::Any;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::sync::{Arc, PoisonError};

pub use fault::{Fault, When};
pub use limits::Limits;
pub use trace::{Op, OpKind};

/// How much of what was not synced is found after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Survival {
    /// None of it.
    Nothing,
    /// All of it.
    Everything,
    /// All operations up to a random one, of which only the first sectors survive if it is a write. Data and
    /// directory operations count in one order; what was synced survives in any case.
    Prefix,
    /// Any of it: each sector, length and directory operation by chance.
    Random,
}

impl Survival {
    /// Every policy there is, for tests that try them all.
    pub const ALL: [Survival; 4] =
        [Survival::Nothing, Survival::Everything, Survival::Prefix, Survival::Random];
}

/// A directory on a simulated disk. Clones are handles to the same one.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// What the names of its files begin with in the state; empty for the first directory, else with a slash at the end.
    directory: Arc<str>,
}

impl SimDisk {
    /// An empty disk whose every decision derives from `seed`, with a capacity of 1 TiB.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(State::new(seed))), directory: "".into() }
    }

    /// Another directory of the same machine, which is there and durable as soon as somebody asks for it.
    pub fn directory(&self, name: &str) -> SimDisk {
        debug_assert!(!name.contains('/'), "{name:?} is a name, not a path");
        SimDisk { state: Arc::clone(&self.state), directory: format!("{name}/").into() }
    }

    /// This directory on what another machine found.
    fn found(&self, state: State) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(state)), directory: Arc::clone(&self.directory) }
    }

    /// The name of a file among those of all directories.
    fn path(&self, name: &str) -> Arc<str> {
        format!("{}{name}", self.directory).into()
    }

    /// A thread that panicked while it held the lock must not take the disk away from the test that looks into it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power, if it is not cut already, and gives the disk as it is found afterwards: without lock and
    /// faults, counting from zero, with a seed that derives from this one's.
    ///
    /// This disk, with every handle and file opened on it, only fails from now on, so that no thread left behind can
    /// reach the new one. A second call finds the disk in the same state, but may decide otherwise.
    pub fn crash(&self, policy: Survival) -> SimDisk {
        self.found(self.state().survivor(policy))
    }

    /// Kills the process that uses the disk, and gives the disk to the next one: nothing is lost, but what was not
    /// synced is not durable by that, and a later crash can still take it away. Lock and faults are gone and the
    /// counts at zero, as after a crash; open files are closed, and a power cut stays one.
    ///
    /// All that is left of this disk is that it fails.
    pub fn kill(&self) -> SimDisk {
        self.found(self.state().after_kill())
    }

    /// Whether it fails for good: the power was cut, by a fault or by [`SimDisk::crash`], or the process killed.
    pub fn is_crashed(&self) -> bool {
        self.state().dead
    }

    /// Lets `fault` strike the changing operation that finds [`SimDisk::op_count`] at `number`.
    pub fn fail_at(&self, number: u64, fault: Fault) {
        self.state().faults.changes().faults.insert(number, fault);
    }

    /// Lets `fault` strike the reading operation that finds [`SimDisk::read_count`] at `number`.
    pub fn fail_read_at(&self, number: u64, fault: Fault) {
        self.state().faults.reads().faults.insert(number, fault);
    }

    /// Lets `fault` strike the next operation of that kind; ordered twice, the next two.
    pub fn fail_next(&self, kind: OpKind, fault: Fault) {
        self.state().faults.order_next(kind, fault);
    }

    /// How many operations there were that change something or sync, failed ones included.
    pub fn op_count(&self) -> u64 {
        self.state().faults.changes().count
    }

    /// How many operations there were that only look ([`OpKind::is_read`]), failed ones included.
    pub fn read_count(&self) -> u64 {
        self.state().faults.reads().count
    }

    /// A hash over all operations so far and what they wrote, crashes included.
    pub fn trace_hash(&self) -> u64 {
        self.state().trace.hash()
    }

    /// From now on keeps a list of all operations, on this disk and on those that crashes leave.
    pub fn keep_trace(&self) {
        self.state().trace.keep_list();
    }

    /// The operations since [`SimDisk::keep_trace`] or, if later, since the last crash.
    pub fn trace(&self) -> Vec<Op> {
        self.state().trace.list().to_vec()
    }

    /// Sets how many bytes the disk holds. A capacity below [`SimDisk::used_bytes`] leaves no space free.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().limits.capacity_bytes = bytes;
    }

    /// Sets all limits. What is beyond them already stays as it is.
    pub fn set_limits(&self, limits: Limits) {
        self.state().limits = limits;
    }

    /// How many files there are, those included that have lost their names and are still open.
    pub fn file_count(&self) -> u64 {
        self.state().file_count()
    }

    /// How many files are open, each as often as it is.
    pub fn open_count(&self) -> u64 {
        self.state().open_count()
    }

    /// Bytes taken: each file's length or allocation in blocks of 4 KiB, and one block more for the file as such.
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    /// Bit rot: inverts bit number `bit` (0 to 7) of the byte at `offset`, on stable storage and for later reads.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u32) -> io::Result<()> {
        self.state().flip_bit(&self.path(name), offset, bit)
    }

    /// The bytes of a file as the running process sees them; works without power, and counts as no operation.
    pub fn read_file(&self, name: &str) -> Option<Vec<u8>> {
        self.state().read_file(&self.path(name))
    }

    /// Puts a file there, or other contents into it, past all faults and limits, and durable at once; the whole
    /// directory becomes durable with it.
    pub fn write_file(&self, name: &str, bytes: &[u8]) {
        self.state().write_file(&self.path(name), bytes);
    }

    /// Takes a file's name away, past all faults; the whole directory becomes durable with it.
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        self.state().remove_file(&self.path(name))
    }

    /// The names of all files in order, past all faults.
    pub fn file_names(&self) -> Vec<String> {
        self.state().names(&self.directory)
    }

    /// Takes the lock away from whoever holds it, as if that process had been killed: the next [`Disk::lock`]
    /// succeeds, and the old guard has no effect any more.
    pub fn steal_lock(&self) {
        self.state().owners.remove(&self.directory);
    }

    /// Takes the lock in the name of another process, for as long as the guard lives, whoever holds it: that one's
    /// guard has no effect any more.
    pub fn take_lock(&self) -> Box<dyn DiskLock> {
        self.guard(&mut self.state())
    }

    fn guard(&self, state: &mut State) -> Box<dyn DiskLock> {
        state.locks += 1;
        let owner = state.locks;
        state.owners.insert(Arc::clone(&self.directory), owner);
        Box::new(SimLock { disk: self.clone(), owner })
    }

    fn file(&self, number: u64, state: &mut State) -> Arc<dyn DiskFile> {
        state.add_handle(number);
        Arc::new(SimFile { disk: self.clone(), number })
    }
}

impl Debug for SimDisk {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let mut shown = formatter.debug_struct("SimDisk");
        shown
            .field("seed", &state.seed)
            .field("crashed", &state.dead)
            .field("files", &state.names(&self.directory));
        shown.finish_non_exhaustive()
    }
}

impl Disk for SimDisk {
    fn location(&self) -> String {
        let seed = self.state().seed;
        match self.directory.strip_suffix('/') {
            Some(directory) => format!("directory {directory} of the simulated disk of seed {seed}"),
            None => format!("simulated disk of seed {seed}"),
        }
    }

    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        state.check_power()?;
        if state.owners.contains_key(&self.directory) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.guard(&mut state))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.state().list(&self.directory)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let number = state.create(self.path(name))?;
        Ok(self.file(number, &mut state))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let number = state.open(&self.path(name))?;
        Ok(self.file(number, &mut state))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.state().rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state().remove(self.path(name))
    }

    fn link_from(&self, source: &(dyn Disk + 'static), name: &str) -> io::Result<()> {
        let source: &dyn Any = source;
        let source: &SimDisk = source.downcast_ref().ok_or(io::ErrorKind::Unsupported)?;
        if !Arc::ptr_eq(&self.state, &source.state) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        self.state().link(source.path(name), self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.state().sync_dir(&self.directory)
    }

    fn overwrites_in_place(&self) -> bool {
        true
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.state().free_bytes()
    }
}

/// Ownership of a [`SimDisk`].
#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    owner: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.owners.get(&self.disk.directory) == Some(&self.owner) {
            state.owners.remove(&self.disk.directory);
        }
    }
}

/// An open file of a [`SimDisk`]; it remains readable after its name is gone.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    number: u64,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.state().drop_handle(self.number);
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.state().read_at(self.number, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.state().write_at(self.number, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state().sync(self.number, Reach::Everything)
    }

    fn sync_overwritten(&self) -> io::Result<()> {
        self.disk.state().sync(self.number, Reach::Overwritten)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.state().set_len(self.number, length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.disk.state().allocate(self.number, length)
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.state().len(self.number)
    }

    fn map(&self, _length: u64) -> io::Result<Option<Map>> {
        Ok(None)
    }
}
