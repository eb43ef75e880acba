//! A request line as its command sees it: arguments, then options, then perhaps JSON.
//!
//! The line is walked once from left to right. What is said about a line that is wrong is built here, away from the
//! path of a line that is right. Places are given as bytes of the line, counted from 1 as in an editor.

use std::borrow::Cow;

use crate::code::{Code, ParseError, shown};
use crate::json::{self, Compact, JsonError, JsonFault, Reader};
use crate::limits::Limits;
use crate::table::{Row, Verb};
use crate::token::{self, Token, TokenFault};

/// A line after its verb, and what it is measured against.
pub(super) struct Line<'a, 'l> {
    text: &'a str,
    at: usize,
    row: &'static Row,
    pub(super) limits: &'l Limits,
}

/// An option as it stands on the line.
pub(super) struct Opt<'a> {
    pub(super) name: &'a str,
    pub(super) value: Token<'a>,
    row: &'static Row,
}

impl<'a, 'l> Line<'a, 'l> {
    /// Reads the verb.
    pub(super) fn new(text: &'a str, limits: &'l Limits) -> Result<Self, ParseError> {
        let bytes = text.as_bytes();
        let start = bytes.iter().take_while(|&&byte| byte == b' ').count();
        let letters = bytes[start..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let end = start + letters;
        let verb = match bytes.get(end) {
            None | Some(b' ') => Verb::from_name(&bytes[start..end]),
            Some(_) => None,
        };
        let Some(verb) = verb else { return Err(unknown_verb(&text[start..])) };
        let row = verb.row();
        Ok(Self { text, at: end, row, limits })
    }

    pub(super) fn verb(&self) -> Verb {
        self.row.verb
    }

    /// Goes to the next thing on the line. False at the end.
    #[inline]
    pub(super) fn more(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.at < bytes.len()
    }

    /// Whether an argument comes next, rather than an option or the end.
    #[inline]
    pub(super) fn more_arguments(&mut self) -> bool {
        self.more() && token::option_value(self.text, self.at).is_none()
    }

    /// Takes an argument. `what` names it, and `code` is the error of a malformed one.
    #[inline]
    pub(super) fn argument(&mut self, code: Code, what: &str) -> Result<Token<'a>, ParseError> {
        if !self.more() {
            return Err(self.missing(what));
        }
        match token::read(self.text, self.at) {
            Ok(token) => {
                self.at = token.end;
                Ok(token)
            }
            Err(fault) => Err(malformed(fault, code, what)),
        }
    }

    /// Takes a key.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let token = self.argument(Code::BadKey, "key")?;
        name(token, self.limits.key_bytes, Code::BadKey, "key")
    }

    /// Takes a namespace.
    pub(super) fn namespace(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let token = self.argument(Code::BadNs, "namespace")?;
        name(token, self.limits.namespace_bytes, Code::BadNs, "namespace")
    }

    /// Takes the options, up to the end or to what is none; `take` is given each but `ns=`, which is handed back.
    #[inline]
    pub(super) fn options(
        &mut self,
        mut take: impl FnMut(Opt<'a>) -> Result<(), ParseError>,
    ) -> Result<Option<Cow<'a, str>>, ParseError> {
        let mut ns = None;
        while self.more() {
            let Some(value_at) = token::option_value(self.text, self.at) else { break };
            let option_name = &self.text[self.at..value_at - 1];
            let value = match token::read(self.text, value_at) {
                Ok(value) => value,
                Err(fault) => return Err(malformed(fault, Code::BadArg, option_name)),
            };
            self.at = value.end;
            let option = Opt { name: option_name, value, row: self.row };
            if option_name == "ns" && self.row.takes_namespace {
                let limit = self.limits.namespace_bytes;
                option.once(&mut ns, |option| name(option.value, limit, Code::BadNs, "namespace"))?;
            } else {
                take(option)?;
            }
        }
        Ok(ns)
    }

    /// Takes the rest of the line as JSON.
    #[inline]
    pub(super) fn json(&mut self) -> Result<Compact<'a>, ParseError> {
        if !self.more() {
            return Err(self.missing("JSON value"));
        }
        let document = match json::compact(&self.text[self.at..], self.limits.depth) {
            Ok(document) => document,
            Err(error) => return Err(bad_json(error, self.at)),
        };
        within_value_bytes(&document, self.limits)?;
        Ok(document)
    }

    /// The rest of the line, to be read as a JSON document piece by piece.
    pub(super) fn reader(&mut self) -> Result<Reader<'a>, ParseError> {
        if !self.more() {
            return Err(self.missing("JSON document"));
        }
        let (length, limit) = (self.text.len() - self.at, self.limits.transaction_bytes);
        if length > limit {
            return Err(ParseError::new(
                Code::TooBig,
                format!("the transaction has {length} bytes; the limit transaction_bytes is {limit}"),
            ));
        }
        Ok(Reader::new(self.text, self.at))
    }

    /// Nothing may follow any more.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), ParseError> {
        if self.more() { Err(self.superfluous()) } else { Ok(()) }
    }

    /// No option but `ns=` (where the command takes one), and nothing else.
    #[inline]
    pub(super) fn rest(&mut self) -> Result<Option<Cow<'a, str>>, ParseError> {
        let ns = self.options(|option| Err(option.unknown()))?;
        self.end()?;
        Ok(ns)
    }

    #[cold]
    pub(super) fn missing(&self, what: &str) -> ParseError {
        ParseError::new(
            Code::BadArg,
            format!("{} lacks its {what}; usage: {}", self.row.name, self.row.usage),
        )
    }

    #[cold]
    fn superfluous(&self) -> ParseError {
        let (at, rest) = (self.at + 1, shown(&self.text[self.at..]));
        ParseError::new(
            Code::BadArg,
            format!("nothing more may follow at byte {at}: {rest}; usage: {}", self.row.usage),
        )
    }
}

impl<'a> Opt<'a> {
    /// Fills the slot of an option, which must be empty.
    #[inline]
    pub(super) fn once<T>(
        self,
        slot: &mut Option<T>,
        read: impl FnOnce(Self) -> Result<T, ParseError>,
    ) -> Result<(), ParseError> {
        if slot.is_some() {
            return Err(ParseError::new(Code::BadOpt, format!("option {} is given twice", self.name)));
        }
        *slot = Some(read(self)?);
        Ok(())
    }

    #[cold]
    pub(super) fn unknown(&self) -> ParseError {
        ParseError::new(
            Code::BadOpt,
            format!("{} has no option {}; usage: {}", self.row.name, shown(self.name), self.row.usage),
        )
    }

    /// A value that is not what `wanted` says.
    #[cold]
    pub(super) fn refused(&self, wanted: &str) -> ParseError {
        ParseError::new(
            Code::BadArg,
            format!("option {} must be {wanted}, not {}", self.name, shown(&self.value.text)),
        )
    }
}

/// Checks the length of a value.
#[inline]
pub(super) fn within_value_bytes(document: &Compact<'_>, limits: &Limits) -> Result<(), ParseError> {
    let (length, limit) = (document.text.len(), limits.value_bytes);
    if length > limit {
        return Err(ParseError::new(
            Code::TooBig,
            format!("the value has {length} bytes; the limit value_bytes is {limit}"),
        ));
    }
    Ok(())
}

/// Checks a key or a namespace, of which nothing but its length is left to check where it stood bare.
#[inline]
fn name<'a>(token: Token<'a>, limit: usize, code: Code, what: &str) -> Result<Cow<'a, str>, ParseError> {
    if token.bare && !token.text.is_empty() && token.text.len() <= limit {
        return Ok(token.text);
    }
    text_name(token.text, limit, code, what)
}

/// As [`name`], of any text.
pub(super) fn text_name<'a>(
    text: Cow<'a, str>,
    limit: usize,
    code: Code,
    what: &str,
) -> Result<Cow<'a, str>, ParseError> {
    if text.is_empty() || text.len() > limit || text.contains(char::is_control) {
        return Err(bad_name(text.len(), limit, code, what));
    }
    Ok(text)
}

#[cold]
fn bad_name(length: usize, limit: usize, code: Code, what: &str) -> ParseError {
    let text = if length == 0 {
        format!("a {what} must not be empty")
    } else if length > limit {
        format!("the {what} has {length} bytes; the limit {what}_bytes is {limit}")
    } else {
        format!("a {what} must not hold control characters")
    };
    ParseError::new(code, text)
}

#[cold]
fn malformed(fault: TokenFault, code: Code, what: &str) -> ParseError {
    let (at, text) = fault.describe();
    ParseError::new(code, format!("{what}, at byte {}: {text}", at + 1))
}

#[cold]
pub(super) fn bad_json(error: JsonError, start: usize) -> ParseError {
    let at = start + error.position + 1;
    let hint = match error.fault {
        JsonFault::Expected(_) if error.position == 0 => "; a text is written in double quotes",
        _ => "",
    };
    ParseError::new(Code::BadJson, format!("value, at byte {at}: {error}{hint}"))
}

#[cold]
fn unknown_verb(rest: &str) -> ParseError {
    match rest.split(' ').next() {
        None | Some("") => {
            ParseError::new(Code::BadCmd, "the line holds no command; HELP lists the commands")
        }
        Some(word) => {
            ParseError::new(Code::BadCmd, format!("no command {}; HELP lists the commands", shown(word)))
        }
    }
}
