//! The prompt: a line editor with the history of earlier shells, and with completion that asks the server.

use std::cell::{RefCell, RefMut};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustyline::completion::Completer;
use rustyline::config::{BellStyle, CompletionType};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Helper};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::complete::{What, names_in, wanted};
use super::history::{History, LINES_MAX};
use super::link::Link;
use crate::cli::failure::Failure;

/// How long the server has to say what a word may become. Nobody waits at a TAB for longer.
const COMPLETION_TIMEOUT: Duration = Duration::from_millis(400);

/// See the module.
pub(super) struct Editor {
    editor: rustyline::Editor<Completion, MemHistory>,
    history: History,
    link: Rc<RefCell<Link>>,
}

/// What the line editor calls back.
struct Completion {
    link: Rc<RefCell<Link>>,
    runtime: Rc<Runtime>,
}

impl Editor {
    pub(super) fn new(link: Link, runtime: Rc<Runtime>) -> Result<Self, Failure> {
        let config = Config::builder()
            .max_history_size(LINES_MAX)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(failed)?
            .completion_type(CompletionType::List)
            .bell_style(BellStyle::None)
            .build();
        let memory = MemHistory::with_config(&config);
        let mut editor = rustyline::Editor::with_history(config, memory).map_err(failed)?;
        let link = Rc::new(RefCell::new(link));
        editor.set_helper(Some(Completion { link: Rc::clone(&link), runtime }));
        let history = History::of_user();
        for line in history.load() {
            editor.add_history_entry(line).map_err(failed)?;
        }
        Ok(Self { editor, history, link })
    }

    /// The connection, which completion uses too while a line is read.
    pub(super) fn link(&self) -> RefMut<'_, Link> {
        self.link.borrow_mut()
    }

    /// What was typed; `None` at the end. The prompt is given plain and coloured.
    pub(super) fn read(&mut self, prompt: &(String, String)) -> Result<Option<String>, Failure> {
        loop {
            match self.editor.readline(prompt) {
                Ok(line) => {
                    let line = line.trim_end().to_owned();
                    if !line.is_empty() && self.history.keep(&line) {
                        self.editor.add_history_entry(line.as_str()).map_err(failed)?;
                    }
                    return Ok(Some(line));
                }
                // The line is given up.
                Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let Some(wanted) = line.get(..at).and_then(wanted) else { return Ok((at, Vec::new())) };
        let candidates = match wanted.what {
            What::Words(words) => words,
            // Without an answer in time, and without a connection, there is nothing to offer.
            names => self.ask(&names).unwrap_or_default(),
        };
        Ok((wanted.start, candidates.into_iter().map(ended).collect()))
    }
}

/// A word with the space after it, unless its value is still to come.
fn ended(word: String) -> String {
    if word.ends_with('=') { word } else { word + " " }
}

impl Completion {
    /// The names that there are; `None` where they are not known in time.
    fn ask(&self, names: &What) -> Option<Vec<String>> {
        // Nobody else has it: the shell waits for the line.
        let mut link = self.link.try_borrow_mut().ok()?;
        self.runtime.block_on(async { timeout(COMPLETION_TIMEOUT, find(&mut link, names)).await.ok() })
    }
}

async fn find(link: &mut Link, names: &What) -> Vec<String> {
    let mut found = Vec::new();
    for request in names.requests() {
        match link.peek(&request).await {
            Ok(reply) => found.extend(names_in(&reply)),
            Err(_) => break,
        }
    }
    found.dedup();
    found
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

fn failed(error: ReadlineError) -> Failure {
    Failure::Input { name: "the terminal".to_owned(), source: io::Error::other(error) }
}
