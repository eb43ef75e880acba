//! Cores: the generator on one and the server on another, so that neither takes the other's time.

use rustix::thread::{CpuSet, sched_setaffinity};

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
