//! Fields of a JSON object that a reply consists of, read without a tree.

use larder_protocol::json::{at_pointer, decode_string};
use larder_protocol::reply::ReplyError;

/// A compact JSON object.
#[derive(Clone, Copy)]
pub(super) struct Object<'a>(pub(super) &'a str);

impl<'a> Object<'a> {
    /// The JSON text of a field, `null` counting as none. `pointer` is a slash and the name.
    pub(super) fn optional(self, pointer: &str) -> Result<Option<&'a str>, ReplyError> {
        let found = at_pointer(self.0.as_bytes(), pointer).map_err(|_| ReplyError::Fields)?;
        let found = found.map(std::str::from_utf8).transpose().map_err(|_| ReplyError::Encoding)?;
        Ok(found.filter(|&json| json != "null"))
    }

    pub(super) fn optional_text(self, pointer: &str) -> Result<Option<String>, ReplyError> {
        self.optional(pointer)?.map(text).transpose()
    }

    pub(super) fn optional_number(self, pointer: &str) -> Result<Option<u64>, ReplyError> {
        self.optional(pointer)?.map(|json| json.parse().map_err(|_| ReplyError::Fields)).transpose()
    }

    pub(super) fn text(self, pointer: &str) -> Result<String, ReplyError> {
        self.optional_text(pointer)?.ok_or(ReplyError::Fields)
    }

    pub(super) fn number(self, pointer: &str) -> Result<u64, ReplyError> {
        self.optional_number(pointer)?.ok_or(ReplyError::Fields)
    }
}

fn text(json: &str) -> Result<String, ReplyError> {
    decode_string(json).map(std::borrow::Cow::into_owned).map_err(|_| ReplyError::Fields)
}
