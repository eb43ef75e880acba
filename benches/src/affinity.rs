//! Cores: the generator on one and the server on another, so that neither takes the other's time.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Error;

/// Keeps the calling thread, and the threads and processes that it starts from now on, on one core.
pub fn pin(core: usize) -> Result<(), Error> {
    let failed = |source: rustix::io::Errno| Error::Pin { core, source: source.into() };
    if core >= CpuSet::MAX_CPU {
        return Err(failed(rustix::io::Errno::INVAL));
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(failed)
}

/// The cores that a thread may run on, to be given back to it later.
#[derive(Debug, Clone, Copy)]
pub struct Cores(CpuSet);

impl Cores {
    /// Those of the calling thread.
    pub fn current() -> Result<Self, Error> {
        sched_getaffinity(None).map(Self).map_err(|source| Error::Cores(source.into()))
    }

    /// Lets the calling thread, and those that it starts from now on, run on these again.
    pub fn restore(&self) -> Result<(), Error> {
        sched_setaffinity(None, &self.0).map_err(|source| Error::Cores(source.into()))
    }
}
