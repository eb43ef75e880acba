//! The writer of request lines, for clients.
//!
//! Whatever is passed in, one call of [`RequestLine::end`] appends exactly one line, or nothing: names become tokens
//! and are escaped where they must be, and a value is checked and compacted, so that none can add a line or an option.

mod transaction;

use crate::json::{self, JsonError};
use crate::limits::DEPTH_MAX;
use crate::table::Verb;
use crate::token::write_token;

pub use transaction::{SetOptions, TransactionLine};

/// A request line under construction at the end of a buffer; pipelined requests share one.
///
/// ```
/// use larder_protocol::{RequestLine, Verb};
///
/// let mut out = Vec::new();
/// RequestLine::new(&mut out, Verb::Set).token("user 42").option("ttl", "5m").json(r#"{ "a": 1 }"#).end()?;
/// assert_eq!(out, b"SET \"user 42\" ttl=5m {\"a\":1}\n");
/// # Ok::<(), larder_protocol::RequestError>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is sent before `end` completes the line"]
pub struct RequestLine<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    stage: Stage,
    error: Option<RequestError>,
}

/// Why a request was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The value is not JSON.
    #[error("the value is refused at byte {}: {}", .0.position, .0.fault)]
    Json(JsonError),
    /// The name of an option is empty, or not of lower-case letters, digits and `_`.
    #[error("the name of an option has lower-case letters, digits and _ alone")]
    OptionName,
    /// Arguments come first, then options, then one value; checks come before operations.
    #[error("a request has its arguments first, then its options, then its value, checks before operations")]
    Order,
    /// An operation of a transaction has no condition.
    #[error("within a transaction a write has no condition of its own; add a check")]
    Condition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Arguments,
    Options,
    Json,
}

impl<'o> RequestLine<'o> {
    /// Begins a line at the end of `out`.
    pub fn new(out: &'o mut Vec<u8>, verb: Verb) -> Self {
        let start = out.len();
        out.extend_from_slice(verb.as_str().as_bytes());
        Self { out, start, stage: Stage::Arguments, error: None }
    }

    /// Adds an argument: a key, a namespace, a prefix.
    pub fn token(mut self, text: &str) -> Self {
        if self.enter(Stage::Arguments) {
            self.out.push(b' ');
            write_token(self.out, text);
        }
        self
    }

    /// Adds an option.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        if self.option_name(name) {
            write_token(self.out, value);
        }
        self
    }

    /// Adds an option whose value is a number.
    pub fn option_number(mut self, name: &str, value: u64) -> Self {
        if self.option_name(name) {
            self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        }
        self
    }

    /// Adds the value, checked and compacted.
    pub fn json(mut self, text: &str) -> Self {
        if self.stage == Stage::Json {
            self.fail(RequestError::Order);
        } else if self.enter(Stage::Json) {
            match json::compact(text, DEPTH_MAX) {
                Ok(document) => {
                    self.out.push(b' ');
                    self.out.extend_from_slice(document.text.as_bytes());
                }
                Err(error) => self.fail(RequestError::Json(error)),
            }
        }
        self
    }

    /// Completes the line; after an error the buffer is as it was before.
    pub fn end(self) -> Result<(), RequestError> {
        if let Some(error) = self.error {
            self.out.truncate(self.start);
            return Err(error);
        }
        self.out.push(b'\n');
        Ok(())
    }

    fn option_name(&mut self, name: &str) -> bool {
        let fits =
            !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !fits {
            self.fail(RequestError::OptionName);
        }
        let enters = self.enter(Stage::Options);
        if enters {
            self.out.push(b' ');
            self.out.extend_from_slice(name.as_bytes());
            self.out.push(b'=');
        }
        enters
    }

    /// Goes on to a part of the line, if it may still come and nothing has failed.
    fn enter(&mut self, stage: Stage) -> bool {
        if stage < self.stage {
            self.fail(RequestError::Order);
        }
        self.stage = stage;
        self.error.is_none()
    }

    /// Keeps the first error.
    fn fail(&mut self, error: RequestError) {
        self.error.get_or_insert(error);
    }
}
