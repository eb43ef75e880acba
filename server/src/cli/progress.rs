//! A bar on standard error for whoever watches there.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// For so many bytes, if that is known; none if nobody watches.
pub(super) fn bar(bytes: Option<u64>) -> Option<ProgressBar> {
    if !stderr().is_terminal() {
        return None;
    }
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent} %, {bytes_per_sec}, {eta} left"),
        None => (ProgressBar::no_length(), "{bytes} read, {bytes_per_sec}"),
    };
    Some(match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    })
}
