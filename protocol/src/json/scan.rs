//! The lexical pieces of JSON: where a string, a number or a literal ends.
//!
//! Strings make up most of most documents, so their bodies are searched eight bytes at a time.

use super::{JsonError, JsonFault};
use crate::swar;

/// A scanned string: where it ends (after its closing quote) and whether it holds escapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanned {
    pub(crate) end: usize,
    pub(crate) escaped: bool,
}

/// Scans the string whose opening quote stands at `open`.
#[inline]
pub(crate) fn string(text: &[u8], open: usize) -> Result<Scanned, JsonError> {
    let mut at = open + 1;
    let mut escaped = false;
    loop {
        at = plain_run(text, at);
        match text.get(at) {
            Some(b'"') => return Ok(Scanned { end: at + 1, escaped }),
            Some(b'\\') => {
                escaped = true;
                at = escape(text, at)?;
            }
            Some(_) => return Err(JsonError::new(at, JsonFault::Control)),
            None => return Err(JsonError::new(at, JsonFault::End)),
        }
    }
}

/// The first byte at or after `at` that is a quote, a backslash or a control character, else the end of the text.
#[inline]
fn plain_run(text: &[u8], at: usize) -> usize {
    swar::find(
        text,
        at,
        |word| swar::below(word, 0x20) | swar::equal(word, b'"') | swar::equal(word, b'\\'),
        |byte| byte < 0x20 || byte == b'"' || byte == b'\\',
    )
}

/// Checks the escape at `at` and returns the offset after it.
fn escape(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            for offset in at + 2..at + 6 {
                match text.get(offset) {
                    Some(digit) if digit.is_ascii_hexdigit() => {}
                    Some(_) => return Err(JsonError::new(at, JsonFault::Escape)),
                    None => return Err(JsonError::new(offset, JsonFault::End)),
                }
            }
            Ok(at + 6)
        }
        Some(_) => Err(JsonError::new(at, JsonFault::Escape)),
        None => Err(JsonError::new(at + 1, JsonFault::End)),
    }
}

/// Scans the number that begins at `at` (with a digit or a minus) and returns the offset after it.
#[inline]
pub(crate) fn number(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match text.get(at) {
        // A digit after a leading zero is left standing, and refused as what may not follow a value.
        Some(b'0') => at + 1,
        _ => digits(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(text, at)?;
    }
    Ok(at)
}

/// At least one digit.
#[inline]
fn digits(text: &[u8], from: usize) -> Result<usize, JsonError> {
    let mut at = from;
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    if at > from { Ok(at) } else { Err(expected(text, at, "a digit")) }
}

/// Scans the literal `word` at `at` and returns the offset after it.
#[inline]
pub(crate) fn literal(text: &[u8], at: usize, word: &'static str) -> Result<usize, JsonError> {
    let end = at + word.len();
    if text.get(at..end) == Some(word.as_bytes()) { Ok(end) } else { Err(expected(text, at, word)) }
}

/// The error for a text that goes on otherwise than with `what`, or not at all.
#[cold]
pub(crate) fn expected(text: &[u8], at: usize, what: &'static str) -> JsonError {
    let fault = if at < text.len() { JsonFault::Expected(what) } else { JsonFault::End };
    JsonError::new(at, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_run_ends_at_each_special_byte_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                for filler in [b'a', b' ', 0x7f, 0x80, 0xff, b'#', b'!', b'[', b']'] {
                    let mut text = [filler; 20];
                    text[place] = byte;
                    let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(plain_run(&text, 0), if special { place } else { 20 }, "{byte} at {place}");
                }
            }
        }
    }
}
