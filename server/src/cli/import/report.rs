//! What became of the lines: counted, the first bad ones in full, and a bar for whoever watches.

use std::fmt::Display;

use indicatif::ProgressBar;

use crate::cli::failure::Failure;
use crate::cli::object::Object;
use crate::cli::output::{Output, Style, say};
use crate::cli::progress;

/// Bad lines that are reported one by one; more are only counted.
const SHOWN_MAX: u64 = 20;

pub(super) struct Report {
    imported: u64,
    failed: u64,
    expired: u64,
    unanswered: u64,
    bar: Option<ProgressBar>,
}

impl Report {
    /// For an input of so many bytes, if that is known.
    pub(super) fn new(bytes: Option<u64>) -> Self {
        Self { imported: 0, failed: 0, expired: 0, unanswered: 0, bar: progress::bar(bytes) }
    }

    /// Notes how far the input has been read.
    pub(super) fn read_up_to(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    pub(super) fn imported(&mut self) {
        self.imported += 1;
    }

    pub(super) fn expired(&mut self) {
        self.expired += 1;
    }

    pub(super) fn failed(&mut self, line: u64, what: &dyn Display) {
        self.failed += 1;
        if self.failed <= SHOWN_MAX {
            let tell = || say(&format_args!("line {line}: {what}"));
            match &self.bar {
                Some(bar) => bar.suspend(tell),
                None => tell(),
            }
        }
    }

    /// Notes lines whose answers never came.
    pub(super) fn unanswered(&mut self, count: usize) {
        self.unanswered += count as u64;
    }

    pub(super) fn is_clean(&self) -> bool {
        self.failed == 0
    }

    /// Says it all.
    pub(super) fn finish(&self, out: &mut Output) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.failed > SHOWN_MAX {
            say(&format_args!("{} more lines failed", self.failed - SHOWN_MAX));
        }
        let mut summary = format!("imported {}, failed {}", self.imported, self.failed);
        for (count, what) in [(self.expired, "expired"), (self.unanswered, "not answered")] {
            if count > 0 {
                summary.push_str(&format!(", {what} {count}"));
            }
        }
        say(&summary);
        if out.style() != Style::Json {
            return Ok(());
        }
        out.object(
            Object::new()
                .number("imported", self.imported)
                .number("failed", self.failed)
                .number("expired", self.expired)
                .number("unanswered", self.unanswered),
        )?;
        out.flush()
    }
}
