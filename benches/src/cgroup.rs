//! A server that has no more than so much memory, pages of files included: a control group of its own, below that of
//! this process (version 1 or 2), or a scope of systemd where that cannot be made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// Where there is a systemd, this is.
const SYSTEMD: &str = "/run/systemd/system";

/// A bound on the memory of the processes that it starts.
#[derive(Debug)]
pub struct MemoryLimit {
    bytes: u64,
    /// The control group; without one systemd makes it.
    group: Option<PathBuf>,
}

impl MemoryLimit {
    /// A bound of so many bytes; where there can be none, why.
    pub fn new(bytes: u64) -> Result<Self, String> {
        match make_group(bytes) {
            Ok(group) => Ok(Self { bytes, group: Some(group) }),
            Err(_) if Path::new(SYSTEMD).exists() => Ok(Self { bytes, group: None }),
            Err(error) => Err(format!("no control group for memory can be made here ({error})")),
        }
    }

    /// The program, to be started within the bound; its arguments are to be added.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command;
        match &self.group {
            Some(group) => {
                command = Command::new("sh");
                command.args(["-c", r#"echo $$ >"$0/cgroup.procs" && exec "$@""#]).arg(group);
            }
            None => {
                command = Command::new("systemd-run");
                command.args(["--quiet", "--scope", &format!("--property=MemoryMax={}", self.bytes)]);
                if !rustix::process::geteuid().is_root() {
                    command.arg("--user");
                }
                command.arg("--");
            }
        }
        command.arg(program);
        command
    }
}

impl Drop for MemoryLimit {
    /// A group can be removed once the last process in it has been taken down, which is a moment after it has ended.
    fn drop(&mut self) {
        const ATTEMPTS: u32 = 50;
        for _ in 0..ATTEMPTS {
            match self.group.as_ref().map(fs::remove_dir) {
                Some(Err(error)) if error.kind() == io::ErrorKind::ResourceBusy => {
                    thread::sleep(Duration::from_millis(20));
                }
                _ => return,
            }
        }
    }
}

fn make_group(bytes: u64) -> io::Result<PathBuf> {
    let (parent, limit) = own_group(&fs::read_to_string("/proc/self/cgroup")?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this process is in none"))?;
    let group = parent.join(format!("larder-compare-{}", std::process::id()));
    fs::create_dir(&group)?;
    // Where memory is not among what the parent hands down, there is no such file.
    match fs::OpenOptions::new().write(true).open(group.join(limit)) {
        Ok(mut file) => io::Write::write_all(&mut file, bytes.to_string().as_bytes()),
        Err(error) => Err(error),
    }
    .inspect_err(|_| {
        let _ = fs::remove_dir(&group);
    })?;
    Ok(group)
}

/// The group of this process and the name of the file with the bound, from the lines of `/proc/self/cgroup`: of version 1
/// that of the controller of memory, of version 2 the only one.
fn own_group(lines: &str) -> Option<(PathBuf, &'static str)> {
    let groups = || lines.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let below = |mount: &str, path: &str| Path::new(mount).join(path.trim_start_matches('/'));
    let of_memory = groups().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    match of_memory {
        Some((_, path)) => Some((below(&format!("{MOUNT}/memory"), path), "memory.limit_in_bytes")),
        None => groups()
            .find(|(controllers, _)| controllers.is_empty())
            .map(|(_, path)| (below(MOUNT, path), "memory.max")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_either_version_is_found() {
        let version_1 = "9:name=systemd:/\n4:cpu,memory:/a/b\n3:cpuset:/\n0::/\n";
        let expected = (PathBuf::from("/sys/fs/cgroup/memory/a/b"), "memory.limit_in_bytes");
        assert_eq!(own_group(version_1), Some(expected));
        let version_2 = "0::/user.slice/user-0.slice\n";
        let expected = (PathBuf::from("/sys/fs/cgroup/user.slice/user-0.slice"), "memory.max");
        assert_eq!(own_group(version_2), Some(expected));
        assert_eq!(own_group("3:cpuset:/\n"), None);
    }
}
