//! How long a sync takes where the data is. One that is too quick has waited for no disk, and what it says is worth nothing.
//!
//! Measured on a file without a name, in the file system of the data: blocks are appended to it, each followed by an `fdatasync`.
//! It leaves no trace, and touches no file of the store.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, major, minor, open};

use super::finding::Finding;

const BLOCK_BYTES: usize = 4096;
const SYNCS: usize = 64;
/// A slow disk is known to be one after fewer.
const TIME_MAX: Duration = Duration::from_secs(2);

/// Quicker than the way to any device and back.
const IMPOSSIBLE: Duration = Duration::from_micros(15);
/// Quicker than flash is written; a device whose cache is safe from power cuts may say so at once.
const CACHED: Duration = Duration::from_micros(150);
/// Quicker than a disk turns.
const TURNING: Duration = Duration::from_millis(1);
const SLOW: Duration = Duration::from_millis(50);

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syncs {
    pub(super) count: usize,
    pub(super) median: Duration,
    /// Whether the device says that it turns; `None` where that is not known.
    pub(super) rotational: Option<bool>,
}

/// Measures in a directory that is there.
pub(super) fn measure(directory: &Path, device: u64) -> io::Result<Syncs> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mut file = File::from(open(directory, flags, Mode::RUSR | Mode::WUSR)?);
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < SYNCS && (times.is_empty() || begin.elapsed() < TIME_MAX) {
        file.write_all(&[0x5a; BLOCK_BYTES])?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(Syncs { count: times.len(), median: times[times.len() / 2], rotational: rotational(device) })
}

fn rotational(device: u64) -> Option<bool> {
    let device = format!("/sys/dev/block/{}:{}", major(device), minor(device));
    // A partition has it from the disk that it is on.
    let places = ["queue/rotational", "../queue/rotational"];
    let text =
        places.into_iter().find_map(|place| std::fs::read_to_string(Path::new(&device).join(place)).ok())?;
    Some(text.trim() == "1")
}

pub(super) fn check(measured: &io::Result<Syncs>) -> Finding {
    const CHECK: &str = "sync";
    let Syncs { count, median, rotational } = match measured {
        Ok(syncs) => *syncs,
        Err(error) => {
            let what = format!("how long a sync takes could not be measured: {error}");
            return Finding::note(CHECK, what, "nothing is known of it then");
        }
    };
    let what = format!(
        "fdatasync after each of {count} appended blocks took {} us, by the median",
        median.as_micros()
    );
    if median < IMPOSSIBLE {
        return Finding::wrong(
            CHECK,
            format!("{what}: no disk is that quick, so something does not wait for it"),
            "look for mount options (nobarrier), for virtual disks that ignore flushes (cache=unsafe), and for eatmydata",
        );
    }
    if rotational == Some(true) && median < TURNING {
        return Finding::note(
            CHECK,
            format!("{what}: the disk says that it turns, and cannot be that quick by itself"),
            "if it is no virtual disk, its cache must have a battery, or be switched off (hdparm -W0)",
        );
    }
    if median < CACHED {
        return Finding::note(
            CHECK,
            format!("{what}: quicker than flash is written"),
            "right only if the cache of the device is safe from power cuts, as that of data-centre drives is",
        );
    }
    if median > SLOW {
        return Finding::note(
            CHECK,
            format!("{what}: slow"),
            "every durable write takes as long, however many share it",
        );
    }
    Finding::ok(CHECK, what)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn what_times_say() {
        let level = |micros, rotational| {
            check(&Ok(Syncs { count: 64, median: Duration::from_micros(micros), rotational })).level
        };
        assert_eq!((level(14, None), level(15, None)), (Level::Wrong, Level::Note));
        assert_eq!((level(149, Some(false)), level(150, Some(false))), (Level::Note, Level::Ok));
        assert_eq!((level(999, Some(true)), level(1_000, Some(true))), (Level::Note, Level::Ok));
        assert_eq!((level(50_000, None), level(50_001, None)), (Level::Ok, Level::Note));
        assert_eq!(check(&Err(io::ErrorKind::Unsupported.into())).level, Level::Note);
    }

    #[test]
    fn measuring_leaves_no_trace() {
        let directory = tempfile::tempdir().unwrap();
        // Where files without a name are not known, nothing is measured.
        if let Ok(syncs) = measure(directory.path(), 0) {
            assert!((1..=SYNCS).contains(&syncs.count) && syncs.rotational.is_none());
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
