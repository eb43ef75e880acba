//! The writer of a `TXN`'s document, piece by piece, so that it need not be in memory a second time.

use super::{RequestError, RequestLine, Stage};
use crate::command::Expiry;
use crate::json::{compact, encode_string};
use crate::limits::DEPTH_MAX;
use crate::rfc3339::rfc3339;
use crate::ttl::Ttl;
use crate::value_type::ValueType;

/// The document of a transaction under construction, see [`RequestLine::transaction`].
#[derive(Debug)]
#[must_use = "nothing is sent before `end` completes the line"]
pub struct TransactionLine<'o> {
    line: RequestLine<'o>,
    /// The list that is being written.
    list: List,
}

/// What a set within a transaction may say besides key and value.
#[derive(Clone, Copy, Debug)]
pub struct SetOptions<'a> {
    /// Its namespace, if it is not that of the request.
    pub ns: Option<&'a str>,
    /// What becomes of the expiry.
    pub expiry: Expiry,
    /// The type, where the value alone does not tell.
    pub value_type: Option<ValueType>,
    /// The note.
    pub description: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    None,
    Checks,
    Operations,
}

impl<'o> RequestLine<'o> {
    /// Goes on with the document of a transaction. Options come before it, and nothing after it.
    pub fn transaction(mut self) -> TransactionLine<'o> {
        if self.stage == Stage::Json {
            self.fail(RequestError::Order);
        } else if self.enter(Stage::Json) {
            self.out.extend_from_slice(b" {");
        }
        TransactionLine { line: self, list: List::None }
    }
}

impl<'o> TransactionLine<'o> {
    /// Adds a check: the entry has this version, or is absent. Checks come before operations.
    pub fn check(mut self, ns: Option<&str>, key: &str, version: Option<u64>) -> Self {
        if self.item(List::Checks) {
            let out = &mut *self.line.out;
            out.extend_from_slice(b"{\"key\":");
            encode_string(out, key);
            if let Some(ns) = ns {
                out.extend_from_slice(b",\"ns\":");
                encode_string(out, ns);
            }
            out.extend_from_slice(b",\"version\":");
            match version {
                Some(version) => out.extend_from_slice(itoa::Buffer::new().format(version).as_bytes()),
                None => out.extend_from_slice(b"null"),
            }
            out.push(b'}');
        }
        self
    }

    /// Adds a set. The value is checked and compacted.
    pub fn set(mut self, key: &str, json: &str, options: SetOptions<'_>) -> Self {
        if self.item(List::Operations) {
            let out = &mut *self.line.out;
            out.extend_from_slice(b"[\"set\",");
            encode_string(out, key);
            out.push(b',');
            match compact(json, DEPTH_MAX) {
                Ok(document) => out.extend_from_slice(document.text.as_bytes()),
                Err(error) => self.line.fail(RequestError::Json(error)),
            }
            self.options(options);
        }
        self
    }

    /// Adds a delete.
    pub fn del(mut self, ns: Option<&str>, key: &str) -> Self {
        if self.item(List::Operations) {
            let out = &mut *self.line.out;
            out.extend_from_slice(b"[\"del\",");
            encode_string(out, key);
            self.options(SetOptions { ns, expiry: Expiry::Clear, value_type: None, description: None });
        }
        self
    }

    /// Completes the line; after an error the buffer is as it was before.
    pub fn end(self) -> Result<(), RequestError> {
        if self.list > List::None {
            self.line.out.push(b']');
        }
        self.line.out.push(b'}');
        self.line.end()
    }

    /// Goes to the next item of a list, if it may still come and nothing has failed.
    fn item(&mut self, list: List) -> bool {
        if list < self.list {
            self.line.fail(RequestError::Order);
        }
        let begins: &[u8] = match (self.list, list) {
            (List::None, List::Checks) => b"\"check\":[",
            (List::None, _) => b"\"ops\":[",
            (List::Checks, List::Operations) => b"],\"ops\":[",
            _ => b",",
        };
        self.list = list;
        self.line.out.extend_from_slice(begins);
        self.line.error.is_none()
    }

    /// Ends an operation, with those options that say something.
    fn options(&mut self, options: SetOptions<'_>) {
        let SetOptions { ns, expiry, value_type, description } = options;
        let out = &mut *self.line.out;
        let name = |out: &mut Vec<u8>, name: &str, first: &mut bool| {
            out.extend_from_slice(if std::mem::take(first) { b",{" } else { b"," });
            encode_string(out, name);
            out.push(b':');
        };
        let mut first = true;
        match expiry {
            Expiry::Clear => {}
            Expiry::Keep => {
                name(out, "keepttl", &mut first);
                out.extend_from_slice(b"true");
            }
            Expiry::Set(Ttl::After(ms)) => {
                name(out, "ttl", &mut first);
                encode_string(out, &format!("{ms}ms"));
            }
            Expiry::Set(Ttl::At(unix_ms)) => {
                name(out, "at", &mut first);
                encode_string(out, &rfc3339(unix_ms));
            }
        }
        let texts = [("type", value_type.map(ValueType::as_str)), ("desc", description), ("ns", ns)];
        for (option, text) in texts {
            if let Some(text) = text {
                name(out, option, &mut first);
                encode_string(out, text);
            }
        }
        out.extend_from_slice(if first { b"]" } else { b"}]" });
    }
}
