//! A run between two readings of every clock: wall time, the server's CPU time, the generator's own.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Error;
use crate::pool::Pool;
use crate::procfs;
use crate::tally::Tally;
use crate::workload::Workload;

/// What a run came to.
#[derive(Debug)]
pub struct Measurement {
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// The replies.
    pub tally: Tally,
    /// CPU time of the thread that generated the load.
    pub generator_cpu: Duration,
    /// What the server used, if its process is known.
    pub server: Option<ServerUsage>,
}

/// What the server used during the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerUsage {
    /// CPU time outside the kernel, in whole clock ticks.
    pub user: Duration,
    /// CPU time inside the kernel, in whole clock ticks.
    pub system: Duration,
    /// CPU time to the nanosecond, where the kernel keeps it and no thread ended that had counted before.
    pub on_cpu: Option<Duration>,
    /// CPU time of its child processes, in whole clock ticks; not part of the others.
    pub children: Duration,
    /// Pages that it had to wait for the disk for.
    pub major_faults: u64,
    /// Resident memory at the end.
    pub resident_bytes: u64,
}

impl ServerUsage {
    pub(crate) fn between(before: &procfs::Sample, after: &procfs::Sample) -> Self {
        let on_cpu = match (before.on_cpu, after.on_cpu) {
            (Some(before), Some(after)) => after.checked_sub(before),
            _ => None,
        };
        Self {
            user: after.user.saturating_sub(before.user),
            system: after.system.saturating_sub(before.system),
            on_cpu,
            children: after.children.saturating_sub(before.children),
            major_faults: after.major_faults.saturating_sub(before.major_faults),
            resident_bytes: after.resident_bytes,
        }
    }

    /// CPU time of the process itself, by the finer of the two counters.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.on_cpu.unwrap_or(self.user + self.system)
    }
}

/// Drives the workload and reads the clocks around it.
pub fn measure(
    pool: &mut Pool,
    workload: Workload<'_>,
    server_pid: Option<u32>,
) -> Result<Measurement, Error> {
    let server_before = server_pid.map(procfs::sample).transpose()?;
    let generator_before = thread_cpu();
    let started = Instant::now();

    let tally = pool.drive(workload)?;

    let elapsed = started.elapsed();
    let generator_cpu = thread_cpu().saturating_sub(generator_before);
    let server_after = server_pid.map(procfs::sample).transpose()?;
    let server = server_before.zip(server_after).map(|(before, after)| ServerUsage::between(&before, &after));
    Ok(Measurement { elapsed, tally, generator_cpu, server })
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(user_ms: u64, system_ms: u64, on_cpu_ms: Option<u64>) -> procfs::Sample {
        procfs::Sample {
            user: Duration::from_millis(user_ms),
            system: Duration::from_millis(system_ms),
            on_cpu: on_cpu_ms.map(Duration::from_millis),
            children: Duration::ZERO,
            major_faults: 0,
            resident_bytes: 4096,
        }
    }

    #[test]
    fn the_finer_counter_counts_where_there_is_one() {
        let before = sample(10, 20, Some(33));
        let usage = ServerUsage::between(&before, &sample(40, 60, Some(105)));
        assert_eq!(usage.cpu(), Duration::from_millis(72));
        assert_eq!((usage.user, usage.system), (Duration::from_millis(30), Duration::from_millis(40)));
        for after in [sample(40, 60, None), sample(40, 60, Some(1))] {
            assert_eq!(ServerUsage::between(&before, &after).cpu(), Duration::from_millis(70));
        }
    }
}
