//! What the log can be short of.
//!
//! A shortage shows when a file is to be created or allocated, before any byte of a frame is written. So nothing has
//! failed, and it passes by itself. The same answer from a write or sync of the log itself is a failure like any other.

use rustix::io::Errno;
use std::fmt::{self, Display, Formatter};
use std::io;

/// What keeps the log from growing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortage {
    /// The file system has no space or no inodes left.
    Space,
    /// The quota of this user, group or project is used up.
    Quota,
    /// A segment would be longer than the process's files may be (`ulimit -f`), or than the file system can have them.
    FileSize,
    /// The process, or the whole system, has no file descriptor left.
    Descriptors,
}

impl Shortage {
    /// The shortage that an error tells of, if it does.
    pub(crate) fn of(error: &io::Error) -> Option<Shortage> {
        match Errno::from_io_error(error)? {
            Errno::NOSPC => Some(Shortage::Space),
            Errno::DQUOT => Some(Shortage::Quota),
            Errno::FBIG => Some(Shortage::FileSize),
            Errno::MFILE | Errno::NFILE => Some(Shortage::Descriptors),
            _ => None,
        }
    }

    /// Whether room that is given back elsewhere on the disk helps.
    pub(crate) fn is_of_room(self) -> bool {
        matches!(self, Shortage::Space | Shortage::Quota)
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Shortage::Space => "free some",
            Shortage::Quota => "free some, or have it raised",
            Shortage::FileSize => {
                "raise that limit (ulimit -f), or choose smaller segments and a smaller reserve"
            }
            Shortage::Descriptors => "raise the limit on open files (ulimit -n)",
        }
    }
}

impl Display for Shortage {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Shortage::Space => "no space or no inodes left",
            Shortage::Quota => "the quota is used up",
            Shortage::FileSize => "the limit on the size of files is too low",
            Shortage::Descriptors => "no file descriptor is left",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortages_are_told_from_other_errors() {
        for (errno, shortage) in [
            (Errno::NOSPC, Some(Shortage::Space)),
            (Errno::DQUOT, Some(Shortage::Quota)),
            (Errno::FBIG, Some(Shortage::FileSize)),
            (Errno::MFILE, Some(Shortage::Descriptors)),
            (Errno::NFILE, Some(Shortage::Descriptors)),
            (Errno::IO, None),
            (Errno::ROFS, None),
        ] {
            assert_eq!(Shortage::of(&errno.into()), shortage);
        }
        assert_eq!(Shortage::of(&io::Error::other("of the simulated disk")), None);
    }
}
