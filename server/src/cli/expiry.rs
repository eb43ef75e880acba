//! Expiry: as it is asked for on the command line, and as it is shown.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use larder_client::{Ttl, rfc3339};

use super::output::Style;

/// A new expiry. One of the two.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Expires {
    /// Expire after this long: seconds, or 500ms, 90s, 5m, 2h, 7d, PT5M
    #[arg(long, value_name = "TTL", value_parser = Ttl::parse)]
    ttl: Option<Ttl>,
    /// Expire at this instant: 2030-01-31T12:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = Ttl::parse_instant)]
    at: Option<Ttl>,
}

impl Expires {
    pub(super) fn ttl(&self) -> Option<Ttl> {
        self.ttl.or(self.at)
    }
}

/// Unix milliseconds by this machine's clock.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// An expiry: how long from now and when for people, Unix milliseconds or `-` for programs.
pub(super) fn shown(expires_ms: Option<u64>, style: Style) -> String {
    match (expires_ms, style) {
        (None, Style::Terminal) => "never".into(),
        (None, _) => "-".into(),
        (Some(ms), Style::Terminal) => {
            let when = rfc3339(ms);
            match ms.checked_sub(now_ms()) {
                Some(left) => format!("in {}, {when}", in_words(left)),
                None => format!("due, {when}"),
            }
        }
        (Some(ms), _) => ms.to_string(),
    }
}

/// A length of time in its two largest units. Seconds are rounded: of an hour just given, an hour is left.
pub(super) fn in_words(ms: u64) -> String {
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    let seconds = ms.saturating_add(500) / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, _) => format!("{hours} h {} min", minutes % 60),
        (days, ..) => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_are_enough() {
        for (ms, words) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (59_499, "59 s"),
            (3_599_990, "1 h 0 min"),
            (61_000, "1 min 1 s"),
            (7_500_000, "2 h 5 min"),
            (90_000_000, "1 d 1 h"),
            (u64::MAX, "213503982334 d 14 h"),
        ] {
            assert_eq!(in_words(ms), words);
        }
    }
}
