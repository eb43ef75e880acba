//! JSON objects of one line, written field by field; values go in as the text that they are.

use larder_protocol::json::encode_string;

/// An object under construction.
pub(super) struct Object(Vec<u8>);

impl Object {
    pub(super) fn new() -> Self {
        Self(b"{".to_vec())
    }

    /// A field whose value is JSON already.
    pub(super) fn raw(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        self.name(name);
        encode_string(&mut self.0, text);
        self
    }

    pub(super) fn number(self, name: &str, number: u64) -> Self {
        self.raw(name, &number.to_string())
    }

    /// A number, or null.
    pub(super) fn number_or_null(self, name: &str, number: Option<u64>) -> Self {
        match number {
            Some(number) => self.number(name, number),
            None => self.raw(name, "null"),
        }
    }

    /// The object as text.
    pub(super) fn end(mut self) -> String {
        self.0.push(b'}');
        String::from_utf8_lossy(&self.0).into_owned()
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        encode_string(&mut self.0, name);
        self.0.push(b':');
    }
}
