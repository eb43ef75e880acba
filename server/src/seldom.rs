//! Warnings about what clients do, at most one of a kind in a minute: nobody fills the server's log from outside.

use std::fmt::Arguments;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

/// Time between two warnings of one kind.
const PAUSE: Duration = Duration::from_secs(60);

/// One kind of warning.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Logs a warning; only for those who look for details if there was one of this kind in the last minute.
    #[cold]
    pub(crate) fn warn(&self, text: Arguments<'_>) {
        if self.is_due() {
            warn!("{text}");
        } else {
            debug!("{text}");
        }
    }

    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= PAUSE);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}
