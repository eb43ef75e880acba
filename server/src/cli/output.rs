//! Standard output in the style of its reader, and sentences on standard error.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use super::failure::Failure;
use super::object::Object;
use super::pretty;

/// Whom the output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// A person.
    Terminal,
    /// Another program's lines and columns.
    Plain,
    /// Another program's JSON.
    Json,
}

pub(super) struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    style: Style,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let stdout = io::stdout().lock();
        let style = match (json, stdout.is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Plain,
        };
        Self { stdout: BufWriter::new(stdout), style }
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }

    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.stdout, "{line}").map_err(Failure::Output)
    }

    /// Text that has its line ends already.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.stdout.write_all(text.as_bytes()).map_err(Failure::Output)
    }

    pub(super) fn object(&mut self, object: Object) -> Result<(), Failure> {
        self.line(object.end())
    }

    /// A value by itself: indented for people, as it is for programs.
    pub(super) fn value(&mut self, json: &str) -> Result<(), Failure> {
        match self.style {
            Style::Terminal => self.line(pretty::indented(json)),
            Style::Plain | Style::Json => self.line(json),
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(Failure::Output)
    }
}

/// Says something on standard error. If nobody listens there, nobody is to be told.
pub(super) fn say(what: &dyn Display) {
    // Texts of a server must not steer the terminal.
    let text = what.to_string().replace(char::is_control, "?");
    _ = writeln!(io::stderr(), "larder: {text}");
}
