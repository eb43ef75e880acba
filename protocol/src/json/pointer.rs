//! Reading one place of a document by JSON Pointer (RFC 6901), by skipping over the rest.
//!
//! The document must be valid and compact, as [`compact`](super::compact) leaves it; anything else finds nothing or
//! something arbitrary, but never panics. Of duplicate keys the last one wins, as in most parsers, which is why an
//! object is read to its end.

use std::borrow::Cow;

use super::scan::{number, string};
use super::string::decode_string;

/// A well-formed pointer: empty (the whole document) or `/token/token…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer<'a>(Cow<'a, str>);

/// Why a text is no JSON pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// A pointer that is not empty begins with a slash.
    #[error("a JSON pointer is empty or begins with `/`")]
    Slash,
    /// A tilde is followed by 0 or 1.
    #[error("in a JSON pointer `~` stands only in `~0` (a tilde) and `~1` (a slash)")]
    Tilde,
}

impl<'a> Pointer<'a> {
    /// Checks the form of a pointer.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, PointerError> {
        let text = text.into();
        if !text.is_empty() && !text.starts_with('/') {
            return Err(PointerError::Slash);
        }
        let well_formed = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        if well_formed { Ok(Self(text)) } else { Err(PointerError::Tilde) }
    }

    /// The pointer as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of the value at this place of `document`, if there is one.
    #[must_use]
    pub fn find<'d>(&self, document: &'d [u8]) -> Option<&'d [u8]> {
        self.0.split('/').skip(1).try_fold(document, |value, token| match value.first()? {
            b'{' => member(value, &unescape(token)),
            b'[' => element(value, array_index(token)?),
            _ => None,
        })
    }
}

/// Reads the place `pointer` of a compact, valid `document`; `Ok(None)` where it has nothing there.
///
/// ```
/// use larder_protocol::json::at_pointer;
///
/// let document = br#"{"user":{"tags":["a","b"]}}"#;
/// assert_eq!(at_pointer(document, "/user/tags/1")?, Some(&br#""b""#[..]));
/// assert_eq!(at_pointer(document, "/user/tags/-")?, None);
/// # Ok::<(), larder_protocol::json::PointerError>(())
/// ```
pub fn at_pointer<'d>(document: &'d [u8], pointer: &str) -> Result<Option<&'d [u8]>, PointerError> {
    Pointer::new(pointer).map(|pointer| pointer.find(document))
}

/// `~1` is a slash and `~0` a tilde, decoded in this order so that `~01` is `~1`.
fn unescape(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(token)
    }
}

/// `0`, or digits without a leading zero. `-`, the place after the last element, never holds anything.
fn array_index(token: &str) -> Option<usize> {
    let digits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = token == "0" || !token.starts_with('0');
    if digits && canonical { token.parse().ok() } else { None }
}

/// The value of the last member of that name.
fn member<'d>(object: &'d [u8], name: &str) -> Option<&'d [u8]> {
    let mut found = None;
    let mut at = 1;
    while object.get(at)? != &b'}' {
        let key = string(object, at).ok()?;
        // After the key stands its colon.
        let value_at = key.end + 1;
        let end = value_end(object, value_at)?;
        let raw = object.get(at..key.end)?;
        if if key.escaped { decodes_to(raw, name) } else { raw.get(1..raw.len() - 1)? == name.as_bytes() } {
            found = object.get(value_at..end);
        }
        at = after_comma(object, end);
    }
    found
}

/// Whether a key with escapes stands for `name`. One with half a surrogate pair stands for no text at all.
fn decodes_to(raw: &[u8], name: &str) -> bool {
    std::str::from_utf8(raw).is_ok_and(|raw| decode_string(raw).is_ok_and(|key| key == name))
}

fn element(array: &[u8], index: usize) -> Option<&[u8]> {
    let mut at = 1;
    let mut passed = 0;
    while array.get(at)? != &b']' {
        let end = value_end(array, at)?;
        if passed == index {
            return array.get(at..end);
        }
        passed += 1;
        at = after_comma(array, end);
    }
    None
}

fn after_comma(text: &[u8], at: usize) -> usize {
    if text.get(at) == Some(&b',') { at + 1 } else { at }
}

/// Where the value that begins at `at` ends. Brackets are counted, not matched: the document is valid.
pub(super) fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => at = string(text, at).ok()?.end,
            b'-' | b'0'..=b'9' => at = number(text, at).ok()?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b't' | b'n' => at += 4,
            b'f' => at += 5,
            b',' | b':' if depth > 0 => at += 1,
            _ => return None,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}
