//! A bar for whoever watches a long piece of work.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};
use larder_engine::Transfer;

/// A bar on standard error, if that is a terminal, over so many bytes, if that is known.
pub(super) fn bar(bytes: Option<u64>) -> Option<ProgressBar> {
    if !stderr().is_terminal() {
        return None;
    }
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent} %, {bytes_per_sec}, {eta} left"),
        None => (ProgressBar::no_length(), "{bytes} done, {bytes_per_sec}"),
    };
    Some(match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    })
}

/// Does `work` with a bar that follows it.
pub(super) fn watched<R>(work: impl FnOnce(&mut dyn FnMut(Transfer)) -> R) -> R {
    let bar = bar(Some(0));
    let result = work(&mut |transfer| {
        if let Some(bar) = &bar {
            bar.set_length(transfer.bytes_total);
            bar.set_position(transfer.bytes);
        }
    });
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    result
}
