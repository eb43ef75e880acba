//! Reading a document piece by piece, by whoever knows what it must look like.
//!
//! The reader goes over the text once, from left to right; its caller says at each place what has to come. So a document
//! of a known form is checked and taken apart in one pass, and what is taken out borrows from it. Positions are those of
//! the whole text, which may begin before the document.

use std::borrow::Cow;

use super::compact::{Compact, compact, compact_at, is_space};
use super::scan::{expected, string};
use super::string::decode_string;
use super::{JsonError, JsonFault};
use crate::limits::DEPTH_MAX;

/// A place in a document.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the document that begins at `at`, or after white space from there on.
    pub(crate) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// Where the next token begins.
    pub(crate) fn at(&mut self) -> usize {
        while self.text.as_bytes().get(self.at).copied().is_some_and(is_space) {
            self.at += 1;
        }
        self.at
    }

    /// The first byte of the next token.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let at = self.at();
        self.text.as_bytes().get(at).copied()
    }

    /// Takes this byte, if it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    /// Takes this byte, or else what is named so was expected.
    pub(crate) fn demand(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(expected(self.text.as_bytes(), self.at, what)) }
    }

    /// Takes a string, and decodes it.
    pub(crate) fn string(&mut self, what: &'static str) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at();
        if self.peek() != Some(b'"') {
            return Err(expected(self.text.as_bytes(), start, what));
        }
        self.at = string(self.text.as_bytes(), start)?.end;
        decode_string(&self.text[start..self.at])
            .map_err(|error| JsonError { position: start + error.position, ..error })
    }

    /// Takes any document, compacted.
    pub(crate) fn document(&mut self, depth_max: usize) -> Result<Compact<'a>, JsonError> {
        let (document, end) = compact_at(self.text, self.at, depth_max)?;
        self.at = end;
        Ok(document)
    }

    /// Takes an object: `member` is given each name, and takes the value.
    pub(crate) fn object<E: From<JsonError>>(
        &mut self,
        what: &'static str,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.demand(b'{', what)?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string("a member name in quotes")?;
            self.demand(b':', "`:`")?;
            member(self, name)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.demand(b',', "`,` or `}`")?;
        }
    }

    /// Takes an array: `element` takes each element, and is told which, from 0.
    pub(crate) fn array<E: From<JsonError>>(
        &mut self,
        what: &'static str,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        self.demand(b'[', what)?;
        if self.take(b']') {
            return Ok(());
        }
        for index in 0.. {
            element(self, index)?;
            if self.take(b']') {
                break;
            }
            self.demand(b',', "`,` or `]`")?;
        }
        Ok(())
    }

    /// Whether from there to the end of the text there is one document.
    pub(crate) fn is_json_from(&self, at: usize) -> bool {
        compact(&self.text[at..], DEPTH_MAX).is_ok()
    }

    /// Nothing may follow any more.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        let at = self.at();
        if at < self.text.len() { Err(JsonError::new(at, JsonFault::Trailing)) } else { Ok(()) }
    }
}
