//! Bounds that the system puts on a process, and what a process takes within them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The same command, run by a shell that sets limits first.
pub(crate) fn limited(limits: &str, plain: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("{limits} && exec \"$@\"")).arg("sh").arg(plain.get_program());
    limited.args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// Memory of a process that is no file's.
pub(crate) fn anonymous_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// How many files and sockets a process has open.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// A control group for a process that may take so much memory, page cache and socket buffers included. It goes away with
/// its test.
#[derive(Debug)]
pub(crate) struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Says why not, if the system lets a test make none.
    pub(crate) fn new(bytes: u64) -> Option<MemoryGroup> {
        let name = format!("larder-test-{}", std::process::id());
        let unified = (Path::new("/sys/fs/cgroup"), "memory.max");
        let separate = (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes");
        for (parent, limit) in [unified, separate] {
            let group = MemoryGroup(parent.join(&name));
            let made = fs::create_dir(&group.0).and_then(|()| {
                // Not created if it is not there: that is a directory of another kind then.
                let mut file = fs::File::options().write(true).open(group.0.join(limit))?;
                std::io::Write::write_all(&mut file, bytes.to_string().as_bytes())
            });
            if made.is_ok() {
                return Some(group);
            }
        }
        println!("without a control group: this machine does not let a test make one");
        None
    }

    /// What a shell does to be of the group.
    pub(crate) fn enter(&self) -> String {
        format!("echo $$ > {}", self.0.join("cgroup.procs").display())
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Refused as long as a process is in it.
        _ = fs::remove_dir(&self.0);
    }
}
