//! One pass over a document that checks its grammar and takes out the white space between its tokens.
//!
//! A document without such white space, as machines send it, is handed back as it came. The pass is a loop with one
//! bit for each open container instead of recursion, so no input can exhaust the stack.

use std::borrow::Cow;

use super::scan::{expected, literal, number, string};
use super::{JsonError, JsonFault, Kind};
use crate::limits::DEPTH_MAX;

/// A valid document without white space between its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compact<'a> {
    /// The document; borrowed where the input was compact already.
    pub text: Cow<'a, str>,
    /// What it is.
    pub kind: Kind,
}

/// Checks that `text` is one JSON document of at most `depth_max` levels (and never more than [`DEPTH_MAX`]), and
/// compacts it. White space before and after the document is let go without a copy.
///
/// ```
/// use larder_protocol::json::{Kind, compact};
///
/// let document = compact(r#" { "a" : [1.0, 1e400] } "#, 128)?;
/// assert_eq!((document.text.as_ref(), document.kind), (r#"{"a":[1.0,1e400]}"#, Kind::Object));
/// # Ok::<(), larder_protocol::json::JsonError>(())
/// ```
pub fn compact(text: &str, depth_max: usize) -> Result<Compact<'_>, JsonError> {
    let (document, end) = compact_at(text, 0, depth_max)?;
    let mut pass = Pass::new(text, end);
    pass.skip_outer_space();
    if pass.at < text.len() {
        return Err(JsonError::new(pass.at, JsonFault::Trailing));
    }
    Ok(document)
}

/// As [`compact`], of the document that begins at `at` or after white space from there on; gives also where it ends. What
/// follows is not looked at.
#[inline]
pub(super) fn compact_at(text: &str, at: usize, depth_max: usize) -> Result<(Compact<'_>, usize), JsonError> {
    let mut pass = Pass::new(text, at);
    pass.skip_outer_space();
    pass.run = pass.at;
    let kind = pass.document(depth_max.min(DEPTH_MAX))?;
    let end = pass.at;
    let last_run = &text[pass.run..end];
    let text = match pass.out {
        None => Cow::Borrowed(last_run),
        Some(mut out) => {
            out.push_str(last_run);
            Cow::Owned(out)
        }
    };
    Ok((Compact { text, kind }, end))
}

struct Pass<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Where the text that is not yet in `out` begins.
    run: usize,
    /// The compacted text, from the first inner white space on.
    out: Option<String>,
}

/// The open containers, innermost in the lowest bit: 1 for an object, 0 for an array.
struct Open {
    objects: u128,
    depth: usize,
}

impl Open {
    #[inline]
    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    #[inline]
    fn push(&mut self, object: bool) {
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }
}

impl<'a> Pass<'a> {
    fn new(text: &'a str, at: usize) -> Self {
        Self { text, bytes: text.as_bytes(), at, run: at, out: None }
    }

    #[inline]
    fn document(&mut self, depth_max: usize) -> Result<Kind, JsonError> {
        let mut open = Open { objects: 0, depth: 0 };
        let kind = match self.peek() {
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        };
        loop {
            if self.value(&mut open, depth_max)? {
                continue;
            }
            // A value is complete: close what it completes, up to the next place for a value.
            loop {
                if open.depth == 0 {
                    return Ok(kind);
                }
                self.skip_space();
                match (self.peek(), open.in_object()) {
                    (Some(b','), in_object) => {
                        self.at += 1;
                        self.skip_space();
                        if in_object {
                            self.member_name("a member name in quotes")?;
                        }
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        open.pop();
                    }
                    (_, true) => return Err(expected(self.bytes, self.at, "`,` or `}`")),
                    (_, false) => return Err(expected(self.bytes, self.at, "`,` or `]`")),
                }
            }
        }
    }

    /// Takes a scalar, an empty container, or the beginning of another one. True if a value must follow.
    #[inline]
    fn value(&mut self, open: &mut Open, depth_max: usize) -> Result<bool, JsonError> {
        // Most values are strings: they are spared the jump through a table that the match comes to.
        if self.peek() == Some(b'"') {
            self.at = string(self.bytes, self.at)?.end;
            return Ok(false);
        }
        let opening = match self.peek() {
            Some(opening @ (b'{' | b'[')) => opening,
            Some(b'-' | b'0'..=b'9') => {
                self.at = number(self.bytes, self.at)?;
                return Ok(false);
            }
            Some(b't') => {
                self.at = literal(self.bytes, self.at, "true")?;
                return Ok(false);
            }
            Some(b'f') => {
                self.at = literal(self.bytes, self.at, "false")?;
                return Ok(false);
            }
            Some(b'n') => {
                self.at = literal(self.bytes, self.at, "null")?;
                return Ok(false);
            }
            _ => return Err(expected(self.bytes, self.at, "a value")),
        };
        if open.depth == depth_max {
            return Err(JsonError::new(self.at, JsonFault::Depth(depth_max)));
        }
        let object = opening == b'{';
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(if object { b'}' } else { b']' }) {
            self.at += 1;
            return Ok(false);
        }
        open.push(object);
        if object {
            self.member_name("a member name in quotes, or `}`")?;
        }
        Ok(true)
    }

    /// Takes a member's name and colon, up to where its value begins.
    #[inline]
    fn member_name(&mut self, what: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(expected(self.bytes, self.at, what));
        }
        self.at = string(self.bytes, self.at)?.end;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(expected(self.bytes, self.at, "`:`"));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// White space outside the document.
    fn skip_outer_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// White space between tokens.
    #[inline]
    fn skip_space(&mut self) {
        // One comparison tells what is no white space; in valid compact text nothing else comes this way.
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.drop_space();
        }
    }

    #[cold]
    fn drop_space(&mut self) {
        if !self.peek().is_some_and(is_space) {
            return;
        }
        let out = self.out.get_or_insert_with(|| String::with_capacity(self.text.len() - self.run));
        out.push_str(&self.text[self.run..self.at]);
        self.skip_outer_space();
        self.run = self.at;
    }
}

#[inline]
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
