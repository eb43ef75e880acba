//! JSON strings to text and back.

use std::borrow::Cow;

use super::scan::string;
use super::{JsonError, JsonFault};

/// Appends `text` as a JSON string, quotes included. Escapes what JSON demands and nothing else.
pub fn encode_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut run = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => 0,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[run..at]);
        run = at + 1;
        if short == 0 {
            out.extend_from_slice(b"\\u00");
            out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
        } else {
            out.extend([b'\\', short]);
        }
    }
    out.extend_from_slice(&text.as_bytes()[run..]);
    out.push(b'"');
}

/// The text that a JSON string (quotes included, nothing around it) stands for; borrowed where it holds no escape.
/// Half of a surrogate pair is an error, since it stands for no character.
pub fn decode_string(json: &str) -> Result<Cow<'_, str>, JsonError> {
    let bytes = json.as_bytes();
    if bytes.first() != Some(&b'"') {
        return Err(super::scan::expected(bytes, 0, "a string"));
    }
    let scanned = string(bytes, 0)?;
    if scanned.end < bytes.len() {
        return Err(JsonError::new(scanned.end, JsonFault::Trailing));
    }
    let body = &json[1..scanned.end - 1];
    if scanned.escaped { unescape(body).map(Cow::Owned) } else { Ok(Cow::Borrowed(body)) }
}

/// Decodes the body of a string whose escapes are known to be well formed.
fn unescape(body: &str) -> Result<String, JsonError> {
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let escape = &rest[at..];
        // Positions count from the opening quote.
        let position = body.len() - escape.len() + 1;
        let (character, length) = match escape.as_bytes().get(1) {
            Some(b'u') => unicode_escape(escape).ok_or(JsonError::new(position, JsonFault::Surrogate))?,
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(&itself) => (char::from(itself), 2),
            None => return Err(JsonError::new(position, JsonFault::End)),
        };
        text.push(character);
        rest = &escape[length..];
    }
    text.push_str(rest);
    Ok(text)
}

/// The character of a `\uXXXX`, or of two that make a surrogate pair, and the length of the escape.
fn unicode_escape(escape: &str) -> Option<(char, usize)> {
    let first = code_unit(escape)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 6));
    }
    let second = code_unit(escape.get(6..)?)?;
    if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    let scalar = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    char::from_u32(scalar).map(|character| (character, 12))
}

/// The number in the `\uXXXX` at the beginning of `text`.
fn code_unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}
