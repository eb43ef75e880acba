//! Tokens: bare where they can be, JSON strings otherwise. The reading half serves the request parser and the reply
//! parser, the writing half both sides' writers, so the two ends cannot disagree.

use std::borrow::Cow;

use crate::json::{JsonError, JsonFault, decode_string, encode_string, scan_string};
use crate::swar;

/// A token as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// What it says.
    pub(crate) text: Cow<'a, str>,
    /// Whether it stood there bare, and so holds no control character.
    pub(crate) bare: bool,
    /// Where it ended in the line: at a space or at the end.
    pub(crate) end: usize,
}

/// Why there is no token, and at which byte of the line, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFault {
    /// Nothing stands there.
    Empty(usize),
    /// A bare token cannot hold this.
    NotBare(usize),
    /// A JSON string that is none.
    Json(JsonError),
    /// Text right after the closing quote.
    NoSpace(usize),
}

/// Reads the token that begins at `start`.
#[inline]
pub(crate) fn read(line: &str, start: usize) -> Result<Token<'_>, TokenFault> {
    let bytes = line.as_bytes();
    let end = ascii_run(bytes, start);
    match bytes.get(end) {
        None | Some(b' ') if end > start => {
            Ok(Token { text: Cow::Borrowed(&line[start..end]), bare: true, end })
        }
        Some(b'"') if end == start => read_quoted(line, start),
        Some(0x80..) => read_wide(line, start),
        None | Some(b' ') => Err(TokenFault::Empty(start)),
        Some(_) => Err(TokenFault::NotBare(end)),
    }
}

/// Where the bare ASCII characters from `at` on end.
#[inline]
fn ascii_run(bytes: &[u8], at: usize) -> usize {
    swar::find(
        bytes,
        at,
        |word| {
            let named = swar::equal(word, b'"') | swar::equal(word, b'=') | swar::equal(word, b'\\');
            swar::below(word, b'!') | named | swar::equal(word, 0x7f) | swar::wide(word)
        },
        |byte| matches!(byte, 0..=b' ' | b'"' | b'=' | b'\\' | 0x7f..),
    )
}

/// Reads a bare token that holds characters outside ASCII.
fn read_wide(line: &str, start: usize) -> Result<Token<'_>, TokenFault> {
    let refused = |c: char| matches!(c, '"' | '=' | '\\') || c.is_whitespace() || c.is_control();
    let end = line[start..].find(refused).map_or(line.len(), |at| start + at);
    match line.as_bytes().get(end) {
        None | Some(b' ') => Ok(Token { text: Cow::Borrowed(&line[start..end]), bare: true, end }),
        Some(_) => Err(TokenFault::NotBare(end)),
    }
}

fn read_quoted(line: &str, start: usize) -> Result<Token<'_>, TokenFault> {
    let in_line = |error: JsonError| TokenFault::Json(error);
    let end = scan_string(line.as_bytes(), start).map_err(in_line)?.end;
    if !matches!(line.as_bytes().get(end), None | Some(b' ')) {
        return Err(TokenFault::NoSpace(end));
    }
    let text = decode_string(&line[start..end])
        .map_err(|error| in_line(JsonError { position: start + error.position, ..error }))?;
    Ok(Token { text, bare: false, end })
}

/// Where the value of the option that begins at `start` begins, if an option begins there.
#[inline]
pub(crate) fn option_value(line: &str, start: usize) -> Option<usize> {
    let rest = line.as_bytes().get(start..)?;
    let name = rest.iter().take_while(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')).count();
    if name > 0 && rest.get(name) == Some(&b'=') { Some(start + name + 1) } else { None }
}

/// Whether `text` can stand bare.
#[must_use]
pub fn is_bare(text: &str) -> bool {
    read(text, 0).is_ok_and(|token| token.bare && token.end == text.len())
}

/// Appends `text` as a token: bare where it can be, a JSON string otherwise.
pub fn write_token(out: &mut Vec<u8>, text: &str) {
    if is_bare(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        encode_string(out, text);
    }
}

impl TokenFault {
    /// The place and the text of the message for people.
    pub(crate) fn describe(self) -> (usize, String) {
        match self {
            Self::Empty(at) => (at, "is empty; write \"\" for an empty text".into()),
            Self::NotBare(at) => {
                (at, "holds a space, control character, \", = or \\; write it as a JSON string".into())
            }
            Self::Json(JsonError { position, fault: JsonFault::End }) => {
                (position, "lacks its closing quote".into())
            }
            Self::Json(JsonError { position, fault }) => (position, fault.to_string()),
            Self::NoSpace(at) => (at, "must be followed by a space".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_run_ends_at_each_special_byte_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let special = byte <= b' ' || byte >= 0x7f || matches!(byte, b'"' | b'=' | b'\\');
            for place in 0..20 {
                for filler in *b"a!#<>[]~" {
                    let mut text = [filler; 20];
                    text[place] = byte;
                    assert_eq!(ascii_run(&text, 0), if special { place } else { 20 }, "{byte} at {place}");
                }
            }
        }
    }

    #[test]
    fn bare_is_what_needs_no_quotes() {
        for bare in ["a", "user:42", "é", "a,b;c{d}[e]'", "😀"] {
            assert!(is_bare(bare), "{bare}");
        }
        for quoted in [
            "",
            " ",
            "a b",
            "a=b",
            "a\"",
            "\"a\"",
            "a\\b",
            "a\tb",
            "\u{7f}",
            "é\u{85}",
            "é\u{2028}",
            "é=",
            "é b",
        ] {
            assert!(!is_bare(quoted), "{quoted:?}");
        }
    }
}
