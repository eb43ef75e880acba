//! What the system has counted for a process: CPU time and resident memory, from `/proc`.
//!
//! CPU time is read twice. `stat` splits it into user and system but counts in clock ticks of usually 10 ms;
//! `schedstat` counts nanoseconds, for each thread, and forgets threads that have ended. Child processes are kept
//! apart: a server that rewrites its log in one does so in bursts that would drown the cost of a request.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;

/// The counters of a process at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// CPU time outside the kernel, in whole clock ticks.
    pub user: Duration,
    /// CPU time inside the kernel, in whole clock ticks.
    pub system: Duration,
    /// CPU time of the threads that live, to the nanosecond; `None` where the kernel does not keep it.
    pub on_cpu: Option<Duration>,
    /// CPU time of its child processes, living and ended, in whole clock ticks.
    pub children: Duration,
    /// Pages that it had to wait for the disk for.
    pub major_faults: u64,
    /// Resident memory, without that of its children.
    pub resident_bytes: u64,
}

/// Counters of `stat`: faults and ticks of the process itself, and ticks of the children that it has waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    major_faults: u64,
    user: u64,
    system: u64,
    children_user: u64,
    children_system: u64,
}

impl Ticks {
    fn own(self) -> u64 {
        self.user + self.system
    }

    fn children(self) -> u64 {
        self.children_user + self.children_system
    }
}

/// Reads the counters of this process.
pub fn sample(pid: u32) -> Result<Sample, Error> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    // A child that ends before its turn is in its parent's counters next time.
    let living: u64 = living_children(&process)?
        .iter()
        .filter_map(|child| read(&child.join("stat"), parse_stat).ok())
        .map(|ticks| ticks.own() + ticks.children())
        .sum();
    let ticks = read(&process.join("stat"), parse_stat)?;
    Ok(Sample {
        user: duration(ticks.user),
        system: duration(ticks.system),
        on_cpu: on_cpu(&process)?,
        children: duration(ticks.children() + living),
        major_faults: ticks.major_faults,
        resident_bytes: read(&process.join("status"), parse_resident)?,
    })
}

/// Memory of this process that is not the page cache's.
pub fn anonymous_bytes() -> Result<u64, Error> {
    read(Path::new("/proc/self/status"), |text| parse_kib(text, "RssAnon:"))
}

/// The living children that any thread of the process has started.
fn living_children(process: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for thread in threads(process)? {
        let text = fs::read_to_string(thread.join("children")).unwrap_or_default();
        found.extend(text.split_ascii_whitespace().map(|pid| Path::new("/proc").join(pid)));
    }
    Ok(found)
}

/// The sum over the threads. One that ends between the listing and its reading is left out.
fn on_cpu(process: &Path) -> Result<Option<Duration>, Error> {
    let nanos: Vec<u64> = threads(process)?
        .iter()
        .filter_map(|thread| fs::read_to_string(thread.join("schedstat")).ok())
        .filter_map(|text| parse_schedstat(&text))
        .collect();
    Ok((!nanos.is_empty()).then(|| Duration::from_nanos(nanos.iter().sum())))
}

fn threads(process: &Path) -> Result<Vec<PathBuf>, Error> {
    let path = process.join("task");
    let list = || fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>();
    list().map_err(|source| Error::Procfs { path: path.clone(), source })
}

fn read<T>(path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    let failed = |source| Error::Procfs { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    parse(&text).ok_or_else(|| failed(io::Error::new(ErrorKind::InvalidData, "unexpected text")))
}

fn duration(ticks: u64) -> Duration {
    Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

/// Fields 12 and 14 to 17. The name of the program, field 2, may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Ticks> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let major_faults = fields.nth(9)?.parse().ok()?;
    let mut fields = fields.skip(1);
    let mut next = || fields.next()?.parse().ok();
    Some(Ticks {
        major_faults,
        user: next()?,
        system: next()?,
        children_user: next()?,
        children_system: next()?,
    })
}

/// Nanoseconds on a core, before those of waiting for one and the count of time slices.
fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn parse_resident(text: &str) -> Option<u64> {
    parse_kib(text, "VmRSS:")
}

/// The line of `status` that begins so, in KiB although it says kB.
fn parse_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_any_program_name() {
        let rest = "S 1 4711 4711 0 -1 4194560 1893 0 3 0 1234 567 8 9 20 0 5 0 8912 1 2 3";
        let ticks = Ticks { major_faults: 3, user: 1234, system: 567, children_user: 8, children_system: 9 };
        for name in ["larder", "a b", "x) S (y", ""] {
            assert_eq!(parse_stat(&format!("4711 ({name}) {rest}\n")), Some(ticks), "{name:?}");
        }
        assert_eq!(parse_stat("4711 (larder) S 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn schedstat_starts_with_the_time_on_a_core() {
        assert_eq!(parse_schedstat("98765432109 1234567 4321\n"), Some(98_765_432_109));
        assert_eq!(parse_schedstat("\n"), None);
    }

    #[test]
    fn resident_memory_is_in_kib() {
        let text = "Name:\tlarder\nVmPeak:\t  300000 kB\nVmRSS:\t  123456 kB\nRssAnon:\t  100 kB\n";
        assert_eq!(parse_resident(text), Some(123_456 * 1024));
        assert_eq!(parse_kib(text, "RssAnon:"), Some(100 * 1024));
        assert_eq!(parse_resident("Name:\tkthreadd\n"), None);
        assert_eq!(parse_resident("VmRSS:\t99999999999999999999 kB\n"), None);
    }

    #[test]
    fn this_process_has_counters() {
        let sample = sample(std::process::id()).expect("own counters");
        assert!(sample.resident_bytes > 0);
        assert!(anonymous_bytes().expect("own counters") > 0);
    }
}
