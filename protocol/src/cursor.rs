//! Cursors of listings: the last name returned, in base64url, so that it is one bare token whatever the name holds.
//!
//! To a client a cursor is opaque. It names a place in the order of keys, not a state of the server, and so stays
//! good across restarts and changes, in both directions of reading.

use data_encoding::BASE64URL_NOPAD;

/// A cursor that was not made by [`encode_cursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor; pass on what stood after `next=`, unchanged")]
pub struct CursorError;

/// Appends the cursor of the last name of a page.
///
/// ```
/// # use larder_protocol::{decode_cursor, encode_cursor};
/// let mut out = Vec::new();
/// encode_cursor(&mut out, "user:2");
/// assert_eq!(out, b"dXNlcjoy");
/// assert_eq!(decode_cursor("dXNlcjoy").as_deref(), Ok("user:2"));
/// ```
pub fn encode_cursor(out: &mut Vec<u8>, last_name: &str) {
    let start = out.len();
    out.resize(start + BASE64URL_NOPAD.encode_len(last_name.len()), 0);
    BASE64URL_NOPAD.encode_mut(last_name.as_bytes(), &mut out[start..]);
}

/// The last name of the page before. Each name has one cursor only: stray bits and padding are refused.
pub fn decode_cursor(cursor: &str) -> Result<String, CursorError> {
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| CursorError)?;
    let name = String::from_utf8(bytes).map_err(|_| CursorError)?;
    if name.is_empty() || name.contains(char::is_control) { Err(CursorError) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_encoded_is_decoded() {
        for name in ["a", "ab", "abc", "user:2", "é \u{10ffff}"] {
            let mut cursor = Vec::new();
            encode_cursor(&mut cursor, name);
            assert_eq!(decode_cursor(std::str::from_utf8(&cursor).unwrap()).as_deref(), Ok(name));
        }
        for bad in ["", "YQ==", "YR", "Y", "/w", "_w", "AA", "dXNlcjoy!", "é"] {
            assert_eq!(decode_cursor(bad), Err(CursorError), "{bad}");
        }
    }
}
