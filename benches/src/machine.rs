//! What a run was made on, in words: for whoever reads its figures on another machine.

use std::fs;
use std::path::Path;

/// The machine, and the file system of `directory`, in a line. What cannot be found out is left out.
#[must_use]
pub fn describe(directory: &Path) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory, mounts) = (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/self/mounts"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = [
        field(&cpu, "model name").map(|model| format!("{cores} × {model}")),
        field(&memory, "MemTotal").and_then(gibibytes).map(|gibibytes| format!("{gibibytes} GiB of memory")),
        fs::canonicalize(directory).ok().and_then(|path| file_system(&mounts, &path).map(str::to_owned)),
        Some(format!("Linux {}", read("/proc/sys/kernel/osrelease").trim())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What follows the name and the colon in the first line that has them.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':')).map(str::trim)
}

fn gibibytes(kibibytes: &str) -> Option<u64> {
    Some(kibibytes.strip_suffix(" kB")?.parse::<u64>().ok()?.div_ceil(1 << 20))
}

/// The type of the file system that `path` is on: that of the last mount with the longest path that leads there.
fn file_system<'m>(mounts: &'m str, path: &Path) -> Option<&'m str> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    });
    let leading = mounts.filter(|(point, _)| path.starts_with(point));
    leading.max_by_key(|(point, _)| point.components().count()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let cpu = "processor\t: 0\nmodel name\t: Some CPU @ 2.60GHz\nprocessor\t: 1\nmodel name\t: Another\n";
        assert_eq!(field(cpu, "model name"), Some("Some CPU @ 2.60GHz"));
        assert_eq!(field("MemTotal:       24655088 kB\n", "MemTotal").and_then(gibibytes), Some(24));
        assert_eq!(field(cpu, "flags"), None);
    }

    #[test]
    fn the_nearest_mount_counts() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /data tmpfs rw 0 0\n/dev/vdb /data xfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/data/store")), Some("xfs"));
        assert_eq!(file_system(mounts, Path::new("/database")), Some("ext4"));
        assert_eq!(file_system("", Path::new("/")), None);
    }
}
