//! JSON as text: checked, compacted and read without ever building a tree.
//!
//! A value is stored with its exact text less the white space between tokens, so nothing here interprets more than
//! the grammar of RFC 8259: numbers are not converted, escapes not decoded, duplicate keys not merged. Text comes in
//! as `&str`, because a request line is checked for UTF-8 once as a whole.

mod compact;
mod merge;
mod pointer;
mod read;
mod scan;
mod string;

pub use compact::{Compact, compact};
pub use merge::merge_patch;
pub use pointer::{Pointer, PointerError, at_pointer};
pub(crate) use read::Reader;
pub(crate) use scan::string as scan_string;
pub use string::{decode_string, encode_string};

/// What kind of document a JSON text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `"…"`
    String,
    /// `-1.5e3`
    Number,
    /// `true` or `false`
    Boolean,
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `null`
    Null,
}

/// Why a text is not the JSON it should be, and at which byte of it, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct JsonError {
    /// Offset of the byte at fault; the length of the text where it ends too early.
    pub position: usize,
    /// What is wrong there.
    pub fault: JsonFault,
}

/// What can be wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonFault {
    /// The text ends within the document.
    #[error("the JSON ends too early")]
    End,
    /// Something else had to stand here.
    #[error("not JSON: expected {0}")]
    Expected(&'static str),
    /// A raw control character within a string.
    #[error("not JSON: a control character in a string must be escaped")]
    Control,
    /// A backslash that begins no escape.
    #[error("not JSON: no such escape")]
    Escape,
    /// Half of a surrogate pair, where the string has to be decoded.
    #[error("half of a surrogate pair stands for no character")]
    Surrogate,
    /// More text after the document.
    #[error("not JSON: text after the end of the document")]
    Trailing,
    /// More levels of nesting than allowed.
    #[error("nested more than {0} levels deep")]
    Depth(usize),
}

impl JsonError {
    #[cold]
    pub(crate) fn new(position: usize, fault: JsonFault) -> Self {
        Self { position, fault }
    }
}
