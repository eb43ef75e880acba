//! From a line to the entry that it asks for. Values are cut out as text and never interpreted.

use std::borrow::Cow;

use larder_client::request::Set;
use larder_client::{Expiry, Ttl, ValueType};
use larder_protocol::json::{Compact, Kind, Pointer, compact, decode_string};
use larder_protocol::{DEPTH_MAX, TtlError};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// How lines are to be read.
pub(super) enum Form {
    /// As `export` writes them.
    Entries,
    /// As values that hold their own keys at this place.
    Objects(Pointer<'static>),
}

/// What a line asks for.
pub(super) struct Record<'a> {
    namespace: Option<Cow<'a, str>>,
    key: Cow<'a, str>,
    json: Cow<'a, str>,
    ttl: Option<Ttl>,
    value_type: Option<ValueType>,
    description: Option<Cow<'a, str>>,
}

/// Why a line is not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its deadline has passed.
    Expired,
    /// It is wrong.
    Bad(String),
}

/// A line of `export`. What an entry has and cannot be set is passed over; anything else is an error, since a
/// misspelt `ttl` must not make an entry live for ever.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ttl: Option<&'a RawValue>,
    #[serde(borrow)]
    expires_at: Option<&'a RawValue>,
    #[serde(rename = "type")]
    value_type: Option<Cow<'a, str>>,
    description: Option<Cow<'a, str>>,
    #[serde(rename = "organization")]
    _organization: Option<IgnoredAny>,
    #[serde(rename = "version")]
    _version: Option<IgnoredAny>,
    #[serde(rename = "created_at")]
    _created_at: Option<IgnoredAny>,
    #[serde(rename = "updated_at")]
    _updated_at: Option<IgnoredAny>,
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
}

impl Form {
    /// Objects with their keys in this field, a name or a JSON pointer; entries if there is none.
    pub(super) fn new(key_field: Option<&str>) -> Result<Self, String> {
        let Some(field) = key_field else { return Ok(Self::Entries) };
        let pointer = if field.starts_with('/') {
            field.to_owned()
        } else {
            format!("/{}", field.replace('~', "~0").replace('/', "~1"))
        };
        Pointer::new(pointer).map(Self::Objects).map_err(|error| format!("--key-field {field}: {error}"))
    }

    /// Reads a line; `now_ms` tells what has expired.
    pub(super) fn record<'a>(&self, line: &'a str, now_ms: u64) -> Result<Record<'a>, Fault> {
        match self {
            Self::Entries => entry(line, now_ms),
            Self::Objects(key) => object(line, key),
        }
    }
}

impl<'a> Record<'a> {
    /// The request that stores it.
    pub(super) fn request(&self) -> Set<'_> {
        let mut set = Set::new(&self.key, &self.json);
        if let Some(namespace) = &self.namespace {
            set = set.in_namespace(namespace);
        }
        if let Some(ttl) = self.ttl {
            set = set.expiry(Expiry::Set(ttl));
        }
        if let Some(value_type) = self.value_type {
            set = set.value_type(value_type);
        }
        match &self.description {
            Some(description) => set.description(description),
            None => set,
        }
    }

    /// About how many bytes it is on the wire.
    pub(super) fn bytes(&self) -> usize {
        self.key.len() + self.json.len() + self.description.as_ref().map_or(0, |text| text.len())
    }

    /// Its absolute deadline, if it has one.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        match self.ttl {
            Some(Ttl::At(unix_ms)) => Some(unix_ms),
            _ => None,
        }
    }
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Bad(what)
    }
}

fn entry(line: &str, now_ms: u64) -> Result<Record<'_>, Fault> {
    if !line.trim_ascii_start().starts_with('{') {
        // From an array the library would take the fields in the order of their declaration.
        document(line)?;
    }
    let entry: EntryLine<'_> = serde_json::from_str(line).map_err(|error| describe(line, &error))?;
    let ttl = match (given(entry.ttl), given(entry.expires_at)) {
        (None, None) => None,
        (Some(ttl), None) => Some(after(ttl)?),
        (None, Some(expires_at)) => Some(at(expires_at)?),
        (Some(_), Some(_)) => return Err(Fault::Bad("both ttl and expires_at; give one".into())),
    };
    if let Some(Ttl::At(unix_ms)) = ttl
        && unix_ms <= now_ms
    {
        return Err(Fault::Expired);
    }
    let value_type = match entry.value_type {
        None => None,
        Some(name) => Some(ValueType::from_name(&name).ok_or_else(|| format!("no type is called {name:?}"))?),
    };
    Ok(Record {
        namespace: entry.namespace,
        key: entry.key,
        json: Cow::Borrowed(entry.value.get()),
        ttl,
        value_type,
        description: entry.description,
    })
}

fn object<'a>(line: &'a str, pointer: &Pointer<'_>) -> Result<Record<'a>, Fault> {
    let document = document(line)?;
    let key = pointer.find(document.text.as_bytes()).and_then(|found| str::from_utf8(found).ok());
    let key = match key {
        Some(text) if text.starts_with('"') => {
            decode_string(text).map_err(|error| error.to_string())?.into_owned()
        }
        Some(number) if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => number.to_owned(),
        Some(_) => return Err(Fault::Bad(format!("{} is neither a string nor a number", pointer.as_str()))),
        None => return Err(Fault::Bad(format!("there is nothing at {}", pointer.as_str()))),
    };
    let key = Cow::Owned(key);
    Ok(Record { namespace: None, key, json: document.text, ttl: None, value_type: None, description: None })
}

/// The line as a JSON object, or why it is none.
fn document(line: &str) -> Result<Compact<'_>, Fault> {
    let document =
        compact(line, DEPTH_MAX).map_err(|error| format!("{error} at byte {}", error.position + 1))?;
    if document.kind == Kind::Object { Ok(document) } else { Err(Fault::Bad("not a JSON object".into())) }
}

/// A field that says something; null says nothing.
fn given(field: Option<&RawValue>) -> Option<&str> {
    field.map(RawValue::get).filter(|&json| json != "null")
}

/// A number of seconds, or any spelling in a string.
fn after(json: &str) -> Result<Ttl, Fault> {
    let text = if json.starts_with('"') {
        decode_string(json).map_err(|error| format!("ttl: {error}"))?
    } else {
        Cow::Borrowed(json)
    };
    Ttl::parse(&text).map_err(|error| deadline_fault("ttl", error))
}

/// Unix milliseconds, or an RFC 3339 instant in a string.
fn at(json: &str) -> Result<Ttl, Fault> {
    if json.starts_with('"') {
        let text = decode_string(json).map_err(|error| format!("expires_at: {error}"))?;
        return Ttl::parse_instant(&text).map_err(|error| deadline_fault("expires_at", error));
    }
    let unix_ms = json.parse().map(Ttl::At);
    unix_ms.map_err(|_| Fault::Bad("expires_at is neither Unix milliseconds nor an RFC 3339 instant".into()))
}

fn deadline_fault(field: &str, error: TtlError) -> Fault {
    match error {
        TtlError::Past => Fault::Expired,
        error => Fault::Bad(format!("{field}: {error}")),
    }
}

/// What is wrong with a line that is no entry. The library speaks of lines too, but it has only ever seen one.
fn describe(line: &str, error: &serde_json::Error) -> Fault {
    if let Err(fault) = document(line) {
        return fault;
    }
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    Fault::Bad(format!("{what} at byte {}", error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_000_000;

    fn line(line: &str) -> Result<String, Fault> {
        sent(&Form::Entries, line)
    }

    fn sent(form: &Form, line: &str) -> Result<String, Fault> {
        let record = form.record(line, NOW_MS)?;
        let mut out = Vec::new();
        larder_client::request::Request::write(&record.request(), None, &mut out).unwrap();
        Ok(String::from_utf8(out).unwrap().trim_end().to_owned())
    }

    fn fault(line_text: &str) -> String {
        match line(line_text) {
            Err(Fault::Bad(what)) => what,
            other => panic!("{line_text}: {other:?}"),
        }
    }

    #[test]
    fn every_field_is_sent_and_values_keep_their_text() {
        for (text, expected) in [
            (r#"{"key":"k","value":null}"#, "SET k null"),
            (
                r#"{"key":"k","value":{"b":1.0,"a":[1E400, 1234567890123456789012345678901234567890]}}"#,
                r#"SET k {"b":1.0,"a":[1E400,1234567890123456789012345678901234567890]}"#,
            ),
            (
                r#"{"namespace":"n m","key":"k","value":"\ud800","ttl":90,"description":"a note","type":null}"#,
                r#"SET k ttl=90000ms desc="a note" ns="n m" "\ud800""#,
            ),
            (r#"{"key":"k","value":1,"ttl":"5m","expires_at":null}"#, "SET k ttl=300000ms 1"),
            (r#"{"key":"k","value":1,"expires_at":1773154800000}"#, "SET k at=2026-03-10T15:00:00.000Z 1"),
            (
                r#"{"key":"k","value":"2030-01-31","type":"DATE","expires_at":"2026-03-10T16:00:00+01:00"}"#,
                r#"SET k at=2026-03-10T15:00:00.000Z type=DATE "2030-01-31""#,
            ),
            (
                r#"{"id":"ds_1","organization":"default","key":"k","value":1,"version":3,"created_at":1,"updated_at":2}"#,
                "SET k 1",
            ),
        ] {
            assert_eq!(line(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_has_expired_is_told_from_what_is_wrong() {
        for text in [
            r#"{"key":"k","value":1,"expires_at":1000000}"#,
            r#"{"key":"k","value":1,"expires_at":"1970-01-01T00:00:00Z"}"#,
            r#"{"key":"k","value":1,"expires_at":"1960-01-01T00:00:00Z"}"#,
        ] {
            assert_eq!(line(text), Err(Fault::Expired), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("nonsense", "not JSON: expected null at byte 1"),
            (r#"{"key":"k","value":1"#, "ends too early at byte 21"),
            (r#"{"key":"k","value":1} {}"#, "after the end of the document at byte 23"),
            ("[]", "not a JSON object"),
            (r#"["k",1,null,null,null,null,null,null,null,null,null,null]"#, "not a JSON object"),
            (r#"{"key":"k"}"#, "missing field `value`"),
            (r#"{"value":1}"#, "missing field `key`"),
            (r#"{"key":7,"value":1}"#, "invalid type"),
            (r#"{"key":"k","value":1,"tll":5}"#, "unknown field `tll`"),
            (r#"{"key":"k","key":"l","value":1}"#, "duplicate field"),
            (r#"{"key":"k","value":1,"ttl":5,"expires_at":9999999}"#, "give one"),
            (r#"{"key":"k","value":1,"ttl":"soon"}"#, "ttl: write a TTL"),
            (r#"{"key":"k","value":1,"ttl":-5}"#, "must not be negative"),
            (r#"{"key":"k","value":1,"expires_at":1.5}"#, "neither Unix milliseconds"),
            (r#"{"key":"k","value":1,"expires_at":"tomorrow"}"#, "RFC 3339"),
            (r#"{"key":"k","value":1,"type":"TREE"}"#, "no type is called \"TREE\""),
        ] {
            let what = fault(text);
            assert!(what.contains(part) && !what.contains(" line "), "{text}: {what}");
        }
    }

    #[test]
    fn objects_are_values_and_hold_their_keys() {
        let by_id = Form::new(Some("id")).unwrap();
        assert_eq!(
            sent(&by_id, r#" {"id": "a b", "n": 1.0} "#).unwrap(),
            r#"SET "a b" {"id":"a b","n":1.0}"#
        );
        assert_eq!(sent(&by_id, r#"{"id":17}"#).unwrap(), r#"SET 17 {"id":17}"#);
        let nested = Form::new(Some("/user/ids/0")).unwrap();
        assert_eq!(sent(&nested, r#"{"user":{"ids":["u1"]}}"#).unwrap(), r#"SET u1 {"user":{"ids":["u1"]}}"#);
        let odd = Form::new(Some("a/b~c")).unwrap();
        assert_eq!(sent(&odd, r#"{"a/b~c":1}"#).unwrap(), r#"SET 1 {"a/b~c":1}"#);
        for bad in ["{}", r#"{"id":null}"#, r#"{"id":{}}"#, r#"{"id":"\ud800"}"#, "[1]", "{"] {
            assert!(matches!(sent(&by_id, bad), Err(Fault::Bad(_))), "{bad}");
        }
        assert!(Form::new(Some("/a~2")).is_err());
    }
}
