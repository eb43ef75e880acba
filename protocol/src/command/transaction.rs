//! `TXN`: a JSON document of checks and operations, read in one pass into what it asks for.
//!
//! Keys, values and options are held to the same rules as those of `SET` and `DEL`, and what may be named once must not be
//! named twice. What is refused is told with its place in the document.

use std::borrow::Cow;

use super::line::{bad_json, text_name, within_value_bytes};
use super::parse::{TYPE_NAMES, checked_description, type_of};
use super::{Expiry, Set};
use crate::code::{Code, ParseError, shown};
use crate::json::{JsonError, JsonFault, Kind, Reader};
use crate::limits::{DEPTH_MAX, Limits};
use crate::ttl::Ttl;
use crate::value_type::ValueType;

/// Most checks of one `TXN`.
pub const CHECKS_MAX: usize = 1_000;
/// Most operations of one `TXN`.
pub const OPERATIONS_MAX: usize = 1_000;

/// The document of a `TXN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// What must hold before; at most [`CHECKS_MAX`].
    pub checks: Vec<Check<'a>>,
    /// What is then done, in order; at most [`OPERATIONS_MAX`].
    pub operations: Vec<Operation<'a>>,
}

/// What must hold of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check<'a> {
    /// Its namespace; `None` means that of the request.
    pub ns: Option<Cow<'a, str>>,
    /// Its key.
    pub key: Cow<'a, str>,
    /// The version that it must have; `None` means that it must be absent.
    pub version: Option<u64>,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Where; `None` means the namespace of the request.
    pub ns: Option<Cow<'a, str>>,
    /// What.
    pub write: Write<'a>,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write<'a> {
    /// Creates or replaces an entry, without a condition of its own.
    Set(Set<'a>),
    /// Deletes an entry, if it is there.
    Del {
        /// The key.
        key: Cow<'a, str>,
    },
}

impl<'a> Transaction<'a> {
    /// Reads a document that stands alone, by the rules of a `TXN`. How long it may be is for the caller to say.
    pub fn parse(document: &'a str, limits: &Limits) -> Result<Self, ParseError> {
        read(Reader::new(document, 0), limits)
    }
}

/// An error on the way through the document.
enum Fault {
    Json(JsonError),
    Refused(ParseError),
}

type Read<T> = Result<T, Fault>;

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<ParseError> for Fault {
    fn from(error: ParseError) -> Self {
        Self::Refused(error)
    }
}

/// Reads the document, which is the rest of a line.
pub(super) fn read<'a>(mut reader: Reader<'a>, limits: &Limits) -> Result<Transaction<'a>, ParseError> {
    let start = reader.at();
    document(&mut reader, limits).map_err(|fault| match fault {
        // The reader's positions are those of the line.
        Fault::Json(error) => told(error, &reader, start),
        Fault::Refused(error) => error,
    })
}

/// What did not come where it was expected may be good JSON, of another form.
#[cold]
fn told(error: JsonError, reader: &Reader<'_>, start: usize) -> ParseError {
    match error.fault {
        JsonFault::Expected(what) if reader.is_json_from(start) => ParseError::new(
            Code::BadArg,
            format!("transaction, at byte {}: expected {what}", error.position + 1),
        ),
        _ => bad_json(error, 0),
    }
}

fn document<'a>(reader: &mut Reader<'a>, limits: &Limits) -> Read<Transaction<'a>> {
    let (mut checks, mut operations) = (None, None);
    reader.object("an object with `check` and `ops`", |reader, name| match name.as_ref() {
        "check" => once(&mut checks, reader, "check", |reader| {
            list(reader, "check", CHECKS_MAX, |reader| check(reader, limits))
        }),
        "ops" => once(&mut operations, reader, "ops", |reader| {
            list(reader, "ops", OPERATIONS_MAX, |reader| operation(reader, limits))
        }),
        _ => Err(unknown(&name, "a transaction", "check and ops")),
    })?;
    reader.end()?;
    Ok(Transaction { checks: checks.unwrap_or_default(), operations: operations.unwrap_or_default() })
}

/// An array of at most `count_max` items. What is wrong with one of them says with which.
fn list<'a, T>(
    reader: &mut Reader<'a>,
    name: &'static str,
    count_max: usize,
    mut item: impl FnMut(&mut Reader<'a>) -> Read<T>,
) -> Read<Vec<T>> {
    let mut items = Vec::new();
    reader.array("an array", |reader, index| {
        if index == count_max {
            let text =
                format!("{name} has more than {count_max} items; split the transaction, or do without");
            return Err(Fault::from(ParseError::new(Code::BadArg, text)));
        }
        let read = item(reader).map_err(|fault| match fault {
            Fault::Refused(ParseError { code, text }) => {
                Fault::Refused(ParseError { code, text: format!("{name}[{index}]: {text}") })
            }
            json => json,
        })?;
        items.push(read);
        Ok(())
    })?;
    Ok(items)
}

/// `{"key":…,"ns":…,"version":n|null}`
fn check<'a>(reader: &mut Reader<'a>, limits: &Limits) -> Read<Check<'a>> {
    let (mut key, mut ns, mut version) = (None, None, None);
    reader.object("an object with `key` and `version`", |reader, name| match name.as_ref() {
        "key" => once(&mut key, reader, "key", |reader| read_key(reader, limits)),
        "ns" => once(&mut ns, reader, "ns", |reader| read_namespace(reader, limits)),
        "version" => once(&mut version, reader, "version", read_version),
        _ => Err(unknown(&name, "a check", "key, ns and version")),
    })?;
    let lacks = |what| Fault::from(ParseError::new(Code::BadArg, format!("a check lacks its {what}")));
    Ok(Check {
        ns,
        key: key.ok_or_else(|| lacks("key"))?,
        version: version.ok_or_else(|| lacks("version; null stands for absent"))?,
    })
}

/// `["set",key,value,{…}]` or `["del",key,{…}]`, the options left out where there are none.
fn operation<'a>(reader: &mut Reader<'a>, limits: &Limits) -> Read<Operation<'a>> {
    reader.demand(b'[', "an array: [\"set\",key,value] or [\"del\",key]")?;
    let verb = text(reader, "\"set\" or \"del\"", Code::BadArg)?;
    let mut options = Options::default();
    let write = match verb.as_ref() {
        "set" => {
            comma(reader, "`,` and a key")?;
            let key = read_key(reader, limits)?;
            comma(reader, "`,` and a value")?;
            let document = reader.document(limits.depth)?;
            within_value_bytes(&document, limits)?;
            options.read(reader, limits, true)?;
            Write::Set(Set {
                key,
                value_type: type_of(&document, options.value_type)?,
                json: document.text,
                expiry: options.expiry.unwrap_or(Expiry::Clear),
                condition: None,
                description: options.description,
            })
        }
        "del" => {
            comma(reader, "`,` and a key")?;
            let key = read_key(reader, limits)?;
            options.read(reader, limits, false)?;
            Write::Del { key }
        }
        _ => {
            let text = format!("no operation {}; there are set and del", shown(&verb));
            return Err(ParseError::new(Code::BadArg, text).into());
        }
    };
    reader.demand(b']', "`]`")?;
    Ok(Operation { ns: options.ns, write })
}

fn comma(reader: &mut Reader<'_>, what: &'static str) -> Read<()> {
    Ok(reader.demand(b',', what)?)
}

/// What may stand at the end of an operation.
#[derive(Default)]
struct Options<'a> {
    ns: Option<Cow<'a, str>>,
    expiry: Option<Expiry>,
    value_type: Option<ValueType>,
    description: Option<Cow<'a, str>>,
}

impl<'a> Options<'a> {
    /// Reads them, if any stand there; all of them for a set, `ns` alone for a delete.
    fn read(&mut self, reader: &mut Reader<'a>, limits: &Limits, set: bool) -> Read<()> {
        if !reader.take(b',') {
            return Ok(());
        }
        reader.object("an object with options", |reader, name| match name.as_ref() {
            "ns" => once(&mut self.ns, reader, "ns", |reader| read_namespace(reader, limits)),
            "ttl" | "at" | "keepttl" if set => self.expiry(reader, &name),
            "type" if set => once(&mut self.value_type, reader, "type", |reader| {
                let name = text(reader, "a string", Code::BadArg)?;
                let refused = || refused("type", TYPE_NAMES, &name);
                ValueType::from_name(&name).ok_or_else(refused)
            }),
            "desc" if set => once(&mut self.description, reader, "desc", |reader| {
                let description = text(reader, "a string", Code::BadArg)?;
                Ok(checked_description(description, limits.description_chars)?)
            }),
            _ if set => Err(unknown(&name, "a set", "ttl, at, keepttl, type, desc and ns")),
            _ => Err(unknown(&name, "a del", "ns")),
        })
    }

    /// `ttl`, `at` and `keepttl` exclude each other.
    fn expiry(&mut self, reader: &mut Reader<'a>, name: &str) -> Read<()> {
        if self.expiry.is_some() {
            let text = format!("option {name} repeats or contradicts another; give one of ttl, at, keepttl");
            return Err(ParseError::new(Code::BadOpt, text).into());
        }
        self.expiry = Some(match name {
            "ttl" => Expiry::Set(Ttl::parse(&number_or_text(reader)?).map_err(ParseError::from)?),
            "at" => {
                let instant = text(reader, "a string", Code::BadTtl)?;
                Expiry::Set(Ttl::parse_instant(&instant).map_err(ParseError::from)?)
            }
            _ if read_bool(reader)? => Expiry::Keep,
            _ => Expiry::Clear,
        });
        Ok(())
    }
}

/// Fills the slot of a member, which must be empty.
fn once<'a, T>(
    slot: &mut Option<T>,
    reader: &mut Reader<'a>,
    name: &str,
    read: impl FnOnce(&mut Reader<'a>) -> Read<T>,
) -> Read<()> {
    if slot.is_some() {
        return Err(ParseError::new(Code::BadOpt, format!("{name} is given twice")).into());
    }
    *slot = Some(read(reader)?);
    Ok(())
}

/// What a string says. `code` is the error of one that stands for no text.
fn text<'a>(reader: &mut Reader<'a>, what: &'static str, code: Code) -> Read<Cow<'a, str>> {
    match reader.string(what) {
        Err(JsonError { position, fault: fault @ JsonFault::Surrogate }) => {
            Err(ParseError::new(code, format!("at byte {}: {fault}", position + 1)).into())
        }
        read => Ok(read?),
    }
}

fn read_key<'a>(reader: &mut Reader<'a>, limits: &Limits) -> Read<Cow<'a, str>> {
    let key = text(reader, "a key in quotes", Code::BadKey)?;
    Ok(text_name(key, limits.key_bytes, Code::BadKey, "key")?)
}

fn read_namespace<'a>(reader: &mut Reader<'a>, limits: &Limits) -> Read<Cow<'a, str>> {
    let name = text(reader, "a namespace in quotes", Code::BadNs)?;
    Ok(text_name(name, limits.namespace_bytes, Code::BadNs, "namespace")?)
}

/// A version, or null for none.
fn read_version(reader: &mut Reader<'_>) -> Read<Option<u64>> {
    let document = reader.document(DEPTH_MAX)?;
    match document.kind {
        Kind::Null => Ok(None),
        // Of the spellings of a number, this takes digits alone.
        _ => document
            .text
            .parse()
            .map(Some)
            .map_err(|_| refused("version", "a version or null", &document.text)),
    }
}

/// A number as it is written, or what a string says.
fn number_or_text<'a>(reader: &mut Reader<'a>) -> Read<Cow<'a, str>> {
    match reader.peek() {
        Some(b'-' | b'0'..=b'9') => Ok(reader.document(DEPTH_MAX)?.text),
        _ => text(reader, "a number of seconds or a string", Code::BadTtl),
    }
}

fn read_bool(reader: &mut Reader<'_>) -> Read<bool> {
    let document = reader.document(DEPTH_MAX)?;
    match document.text.as_ref() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(refused("keepttl", "true or false", other)),
    }
}

#[cold]
fn unknown(name: &str, of: &str, known: &str) -> Fault {
    ParseError::new(Code::BadOpt, format!("{of} has no {}; it has {known}", shown(name))).into()
}

/// A value that is not what `wanted` says.
#[cold]
fn refused(name: &str, wanted: &str, found: &str) -> Fault {
    ParseError::new(Code::BadArg, format!("{name} must be {wanted}, not {}", shown(found))).into()
}
