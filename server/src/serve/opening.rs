//! Says how far the opening of a large store has come, for whoever watches the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_engine::OpenProgress;
use tracing::info;

/// A store that opens in less than this says nothing; one that takes longer says something this often.
const INTERVAL: Duration = Duration::from_secs(1);

/// What to do with each step of an open.
pub(super) fn reporter() -> impl Fn(OpenProgress) + Send + Sync {
    let told = Mutex::new(Instant::now());
    move |progress: OpenProgress| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= INTERVAL {
            *told = Instant::now();
            info!("opening the store: {}", describe(progress));
        }
    }
}

fn describe(OpenProgress { bytes_done, bytes_total }: OpenProgress) -> String {
    const MIB: u64 = 1 << 20;
    let percent = bytes_done.saturating_mul(100).checked_div(bytes_total).unwrap_or(100);
    format!("{percent} % of {} MiB of log loaded", bytes_total / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_words() {
        let progress = |bytes_done, bytes_total| describe(OpenProgress { bytes_done, bytes_total });
        assert_eq!(progress(3 << 20, 12 << 20), "25 % of 12 MiB of log loaded");
        assert_eq!(progress(0, 0), "100 % of 0 MiB of log loaded");
    }
}
