//! What the machine gives to a process: descriptors, and memory.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::finding::{Finding, bytes};

/// Descriptors beside those of connections and segments: the store's own, and the runtime's.
const OTHER_DESCRIPTORS: u64 = 64;
/// What an entry takes in the index: itself, its deadline, and what of its key does not fit.
const ENTRY_BYTES: u64 = 150;

/// The limit of descriptors.
#[derive(Clone, Debug)]
pub(super) struct Descriptors {
    /// `None`: no limit.
    pub(super) limit: Option<u64>,
    /// Whose limit it is.
    pub(super) whose: String,
    pub(super) connections_max: u32,
    pub(super) segments: usize,
}

/// That of a running process, as far as it can be read, or else the one up to which a server started here could raise its own.
pub(super) fn descriptor_limit(process: Option<&str>) -> (Option<u64>, String) {
    let of = |process: &str| {
        let number: u32 = process.parse().ok()?;
        limit_in(&fs::read_to_string(format!("/proc/{number}/limits")).ok()?)
    };
    match process.and_then(|process| Some((of(process)?, process))) {
        Some((limit, process)) => (limit, format!("process {process}")),
        None => (getrlimit(Resource::Nofile).maximum, "a server started here".to_owned()),
    }
}

/// Reads the soft limit. The inner `None` is one without a limit.
fn limit_in(limits: &str) -> Option<Option<u64>> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    }
}

pub(super) fn check_descriptors(descriptors: &Descriptors) -> Finding {
    const CHECK: &str = "descriptors";
    let Descriptors { limit, whose, connections_max, segments } = descriptors;
    let needed = u64::from(*connections_max) + *segments as u64 + OTHER_DESCRIPTORS;
    match limit {
        Some(limit) if *limit < needed => Finding::wrong(
            CHECK,
            format!(
                "{whose} may open {limit} files, but {connections_max} connections and {segments} segments need {needed}"
            ),
            "raise it (LimitNOFILE= of systemd, `ulimit -n`), or allow fewer connections with --max-connections",
        ),
        Some(limit) => {
            Finding::ok(CHECK, format!("{whose} may open {limit} files, {needed} are needed at most"))
        }
        None => Finding::ok(CHECK, format!("{whose} may open any number of files")),
    }
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// What the index takes, or will take.
    pub(super) index: u64,
    /// Whether it takes that already.
    pub(super) is_taken: bool,
    /// What programs can have without swapping.
    pub(super) available: Option<u64>,
    /// What this control group may have.
    pub(super) group_max: Option<u64>,
    /// What can still be promised, where the kernel promises no more than there is.
    pub(super) commit_left: Option<u64>,
}

/// The index of so many records, none of which may be dead.
pub(super) fn index_estimate(records: u64) -> u64 {
    records.saturating_mul(ENTRY_BYTES)
}

impl Memory {
    pub(super) fn look(index: u64, is_taken: bool) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/meminfo");
        let is_strict = read("/proc/sys/vm/overcommit_memory").trim() == "2";
        let commit_left =
            || Some(kib_in(&info, "CommitLimit:")?.saturating_sub(kib_in(&info, "Committed_AS:")?));
        let group =
            read("/proc/self/cgroup").lines().find_map(|line| line.strip_prefix("0::").map(str::to_owned));
        let group_max = group.map(|group| read(&format!("/sys/fs/cgroup{group}/memory.max")));
        Self {
            index,
            is_taken,
            available: kib_in(&info, "MemAvailable:"),
            group_max: group_max.and_then(|max| max.trim().parse().ok()),
            commit_left: if is_strict { commit_left() } else { None },
        }
    }
}

/// A line of `/proc/meminfo`, in bytes.
fn kib_in(info: &str, name: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

pub(super) fn check_memory(memory: &Memory) -> Finding {
    const CHECK: &str = "memory";
    const ADVICE: &str = "the index is kept in memory: give the machine, or the control group, more of it, or the store fewer entries";
    let Memory { index, is_taken, available, group_max, commit_left } = *memory;
    let (shown, verb) = (bytes(index), if is_taken { "takes" } else { "will take up to" });
    let limits = [
        ("available", available.filter(|_| !is_taken)),
        ("allowed to the control group", group_max),
        ("left to be promised, as vm.overcommit_memory is 2", commit_left.filter(|_| !is_taken)),
    ];
    let tight = limits.into_iter().find_map(|(what, limit)| {
        // A fifth is for everything else.
        let limit = limit?;
        (index > limit - limit / 5)
            .then(|| format!("the index {verb} {shown}, and {} are {what}", bytes(limit)))
    });
    match tight {
        Some(what) => Finding::wrong(CHECK, what, ADVICE),
        None => Finding::ok(CHECK, format!("the index {verb} {shown}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn descriptors() {
        let level = |limit| {
            let whose = "a server started here".to_owned();
            check_descriptors(&Descriptors { limit, whose, connections_max: 100, segments: 10 }).level
        };
        assert_eq!((level(Some(173)), level(Some(174)), level(None)), (Level::Wrong, Level::Ok, Level::Ok));
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max open files            1024                 524288               files\n";
        assert_eq!(limit_in(limits), Some(Some(1024)));
        assert_eq!(limit_in(&limits.replace("1024  ", "unlimited")), Some(None));
        assert_eq!(limit_in("nonsense"), None);
        let own = std::process::id().to_string();
        assert_eq!(
            descriptor_limit(Some(&own)),
            (getrlimit(Resource::Nofile).current, format!("process {own}"))
        );
        assert_eq!(descriptor_limit(Some("nobody")).1, "a server started here");
    }

    #[test]
    fn memory() {
        let sound = Memory { index: 80, available: Some(100), ..Memory::default() };
        assert_eq!(check_memory(&sound).level, Level::Ok);
        assert_eq!(check_memory(&Memory { index: 81, ..sound }).level, Level::Wrong);
        assert_eq!(check_memory(&Memory { index: 81, is_taken: true, ..sound }).level, Level::Ok);
        assert_eq!(
            check_memory(&Memory { is_taken: true, group_max: Some(90), ..sound }).level,
            Level::Wrong
        );
        assert_eq!(check_memory(&Memory { commit_left: Some(90), ..sound }).level, Level::Wrong);
        assert_eq!(check_memory(&Memory::default()).level, Level::Ok);
        assert_eq!(kib_in("MemTotal: 8 kB\nMemAvailable:       3 kB\n", "MemAvailable:"), Some(3 * 1024));
        assert_eq!(index_estimate(u64::MAX), u64::MAX);
    }
}
