//! What the simulated disk and its process may not exceed.

/// Limits that can be reached, and raised again, while the disk is in use. Crashes leave them as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that the disk holds. Default 1 TiB.
    pub capacity_bytes: u64,
    /// Files that the disk holds: its inodes. Default: no limit.
    pub files: u64,
    /// Length of a file, in bytes, as the process may write it (`ulimit -f`). Default: no limit.
    pub file_bytes: u64,
    /// Files that the process may have open (`ulimit -n`). Default: no limit.
    pub descriptors: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { capacity_bytes: 1 << 40, files: u64::MAX, file_bytes: 1 << 62, descriptors: u64::MAX }
    }
}
