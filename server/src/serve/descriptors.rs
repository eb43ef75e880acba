//! File descriptors: as many as the system allows, of which connections leave some to the store.
//!
//! A connection takes one, and so does each file of the log. A store that finds none cannot go on to its next file, and
//! takes no writes until it can; so clients must not be able to take the last.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// The share of all descriptors that is kept for files to come, and its bounds.
const RESERVE_SHARE: u64 = 4;
const RESERVE_MIN: u64 = 16;
const RESERVE_MAX: u64 = 256;
/// Where it cannot be looked up how many are open, they are taken to be so many.
const OPEN_GUESS: u64 = 64;

/// Raises the limit as far as this user may. Returns what it is then.
pub(super) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // With the limit as it was, there is room for fewer; that is told then.
    _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let now = getrlimit(Resource::Nofile).current.or(current);
    now.unwrap_or(u64::MAX)
}

/// How many connections there is room for, of those wanted. To be asked once everything else is open.
pub(super) fn room(wanted: u32, limit: u64) -> u32 {
    let open = fs::read_dir("/proc/self/fd").map_or(OPEN_GUESS, |open| open.count() as u64);
    let room = share(limit, open);
    if room < wanted {
        warn!(
            "there is room for {room} connections instead of {wanted}, as this process may open {limit} files; \
             raise its limit (ulimit -n, LimitNOFILE=), or lower --max-connections"
        );
    }
    room.min(wanted)
}

fn share(limit: u64, open: u64) -> u32 {
    let reserve = (limit / RESERVE_SHARE).clamp(RESERVE_MIN, RESERVE_MAX);
    let room = limit.saturating_sub(open).saturating_sub(reserve);
    u32::try_from(room).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_left_to_the_store() {
        assert_eq!(share(64, 20), 28);
        assert_eq!(share(1_024, 24), 744);
        assert_eq!(share(20_000, 44), 19_700);
        assert_eq!(share(16, 30), 1);
        assert_eq!(share(u64::MAX, 30), u32::MAX);
    }
}
