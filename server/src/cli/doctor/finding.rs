//! What a check has found, and how it is told.

use crate::cli::failure::Failure;
use crate::cli::object::Object;
use crate::cli::output::{Output, Style};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Something to be done about.
    Wrong,
}

/// What one check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) level: Level,
    pub(super) what: String,
    /// What to do; empty where there is nothing to be done.
    pub(super) advice: String,
}

impl Finding {
    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, what: what.into(), advice: String::new() }
    }

    pub(super) fn note(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, level: Level::Note, what: what.into(), advice: advice.into() }
    }

    pub(super) fn wrong(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, level: Level::Wrong, what: what.into(), advice: advice.into() }
    }

    pub(super) fn show(&self, out: &mut Output) -> Result<(), Failure> {
        let Self { check, level, what, advice } = self;
        let level = match level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Wrong => "wrong",
        };
        match out.style() {
            Style::Json => out.object(
                Object::new()
                    .text("check", check)
                    .text("level", level)
                    .text("what", what)
                    .text("advice", advice),
            ),
            Style::Plain => out.line(one_line(&format!("{level}\t{check}\t{what}\t{advice}"))),
            Style::Terminal => {
                out.line(one_line(&format!("{level:<5}  {check}: {what}")))?;
                if advice.is_empty() {
                    Ok(())
                } else {
                    out.line(format_args!("       -> {}", one_line(advice)))
                }
            }
        }
    }
}

/// Names of files and texts of servers must not break the line, or steer the terminal.
fn one_line(text: &str) -> String {
    text.replace(|character: char| character.is_control() && character != '\t', "?")
}

/// A number of bytes for people.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.into_iter().find(|&(unit, _)| number >= unit) {
        Some((unit, name)) => format!("{}.{} {name}", number / unit, number % unit * 10 / unit),
        None => format!("{number} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_words() {
        assert_eq!(bytes(1_000), "1000 bytes");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(8 << 20), "8.0 MiB");
        assert_eq!(bytes(u64::MAX), "17179869183.9 GiB");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(one_line("a\nb\u{1b}[2J\tc"), "a?b?[2J\tc");
    }
}
