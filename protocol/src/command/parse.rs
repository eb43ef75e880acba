//! From a line to a [`Request`]: one function for each shape of command, one pass over the line.

use std::borrow::Cow;

use super::line::{Line, Opt};
use super::manage;
use super::{
    BACKUP_NAME_BYTES_MAX, Command, Condition, Expiry, Incr, KEYS_MAX, LIST_PAGE_DEFAULT, List,
    NAMESPACES_PAGE_DEFAULT, PAGE_MAX, Patch, Request, Secret, Set, Watch, transaction,
};
use crate::code::{Code, ParseError, shown};
use crate::cursor::decode_cursor;
use crate::json::{Compact, Pointer};
use crate::limits::Limits;
use crate::table::Verb;
use crate::ttl::{Ttl, TtlError};
use crate::value_type::ValueType;

type Parsed<'a> = Result<Request<'a>, ParseError>;

/// Parses one line, without its LF (or CR LF). No clock is looked at: [`deadline`](crate::deadline) checks the times.
///
/// ```
/// use larder_protocol::{Command, Limits, parse};
///
/// let request = parse(b"GET user:42 ns=app", &Limits::DEFAULT)?;
/// assert_eq!(request.ns.as_deref(), Some("app"));
/// assert!(matches!(request.command, Command::Get { key, path: None } if key == "user:42"));
/// # Ok::<(), larder_protocol::ParseError>(())
/// ```
pub fn parse<'a>(line: &'a [u8], limits: &Limits) -> Parsed<'a> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => return Err(not_utf8(error.valid_up_to())),
    };
    let line = Line::new(text, limits)?;
    match line.verb() {
        Verb::Get => get(line),
        Verb::Set => set(line),
        Verb::Mget => keys(line, |keys| Command::Mget { keys }),
        Verb::Del => del(line),
        Verb::Exists => keys(line, |keys| Command::Exists { keys }),
        Verb::Entry => key_alone(line, |key| Command::Entry { key }),
        Verb::Ttl => key_alone(line, |key| Command::Ttl { key }),
        Verb::Persist => key_alone(line, |key| Command::Persist { key }),
        Verb::Touch => touch(line),
        Verb::Incr => incr(line),
        Verb::Patch => patch(line),
        Verb::Delprefix => delprefix(line),
        Verb::Txn => txn(line),
        Verb::List => list(line),
        Verb::Count => count(line),
        Verb::Namespaces => namespaces(line),
        Verb::Hello => hello(line),
        Verb::Auth => auth(line),
        Verb::Ns => ns(line),
        Verb::Help => help(line),
        Verb::Ping => bare(line, Command::Ping),
        Verb::Quit => bare(line, Command::Quit),
        Verb::Sync => bare(line, Command::Sync),
        Verb::Stats => bare(line, Command::Stats),
        Verb::Compact => bare(line, Command::Compact),
        Verb::Backup => backup(line),
        Verb::Watch => watch(line),
        Verb::Org => manage::org(line),
        Verb::Key => manage::key(line),
    }
}

#[cold]
fn not_utf8(valid: usize) -> ParseError {
    ParseError::new(Code::Encoding, format!("the line is not UTF-8 at byte {}", valid + 1))
}

fn bare<'a>(mut line: Line<'a, '_>, command: Command<'a>) -> Parsed<'a> {
    let ns = line.rest()?;
    Ok(Request { ns, command })
}

fn key_alone<'a>(mut line: Line<'a, '_>, command: impl FnOnce(Cow<'a, str>) -> Command<'a>) -> Parsed<'a> {
    let key = line.key()?;
    bare(line, command(key))
}

fn keys<'a>(mut line: Line<'a, '_>, command: impl FnOnce(Vec<Cow<'a, str>>) -> Command<'a>) -> Parsed<'a> {
    let mut keys = vec![line.key()?];
    while line.more_arguments() {
        if keys.len() == KEYS_MAX {
            return Err(ParseError::new(
                Code::BadArg,
                format!("more than {KEYS_MAX} keys; send several requests"),
            ));
        }
        keys.push(line.key()?);
    }
    bare(line, command(keys))
}

fn get<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let key = line.key()?;
    let mut path = None;
    let ns = line.options(|option| match option.name {
        "path" => option.once(&mut path, |option| {
            let pointer = Pointer::new(option.value.text);
            pointer.map_err(|error| ParseError::new(Code::BadArg, format!("option path: {error}")))
        }),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    Ok(Request { ns, command: Command::Get { key, path } })
}

fn set<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let key = line.key()?;
    let (mut expiry, mut condition, mut value_type, mut description) = (None, None, None, None);
    let description_chars = line.limits.description_chars;
    let ns = line.options(|option| match option.name {
        "ttl" | "at" | "keepttl" => exclusive(option, &mut expiry),
        "if" => option.once(&mut condition, read_condition),
        "type" => option.once(&mut value_type, read_type),
        "desc" => {
            option.once(&mut description, |option| checked_description(option.value.text, description_chars))
        }
        _ => Err(option.unknown()),
    })?;
    let document = line.json()?;
    let value_type = type_of(&document, value_type)?;
    let expiry = expiry.unwrap_or(Expiry::Clear);
    let command = Command::Set(Set { key, json: document.text, value_type, expiry, condition, description });
    Ok(Request { ns, command })
}

fn del<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let key = line.key()?;
    let (mut version, mut get) = (None, None);
    let ns = line.options(|option| match option.name {
        "if" => option.once(&mut version, |option| number(&option, "a version")),
        "get" => option.once(&mut get, read_flag),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    Ok(Request { ns, command: Command::Del { key, version, get: get.unwrap_or(false) } })
}

fn touch<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let key = line.key()?;
    let mut expiry = None;
    let ns = line.options(|option| match option.name {
        "ttl" | "at" => exclusive(option, &mut expiry),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    let Some(Expiry::Set(ttl)) = expiry else { return Err(line.missing("ttl= or at=")) };
    Ok(Request { ns, command: Command::Touch { key, ttl } })
}

fn incr<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let key = line.key()?;
    let (mut by, mut init, mut ttl) = (None, None, None);
    let ns = line.options(|option| match option.name {
        "by" => option.once(&mut by, |option| signed(&option)),
        "init" => option.once(&mut init, |option| signed(&option)),
        "ttl" => option.once(&mut ttl, |option| Ok(Ttl::parse(&option.value.text)?)),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    let command = Command::Incr(Incr { key, by: by.unwrap_or(1), init: init.unwrap_or(0), ttl });
    Ok(Request { ns, command })
}

fn patch<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let key = line.key()?;
    let mut version = None;
    let ns = line.options(|option| match option.name {
        "if" => option.once(&mut version, |option| number(&option, "a version")),
        _ => Err(option.unknown()),
    })?;
    let json = line.json()?.text;
    Ok(Request { ns, command: Command::Patch(Patch { key, json, version }) })
}

fn delprefix<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let prefix = line.argument(Code::BadArg, "prefix")?.text;
    let prefix = checked_prefix(prefix, line.limits.key_bytes)
        .map_err(|wanted| ParseError::new(Code::BadArg, format!("a prefix has {wanted}")))?;
    let mut dry = None;
    let ns = line.options(|option| match option.name {
        "dry" => option.once(&mut dry, read_flag),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    Ok(Request { ns, command: Command::Delprefix { prefix, dry: dry.unwrap_or(false) } })
}

fn txn<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let ns = line.options(|option| Err(option.unknown()))?;
    let transaction = transaction::read(line.reader()?, line.limits)?;
    Ok(Request { ns, command: Command::Txn(transaction) })
}

fn list<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let (mut prefix, mut limit, mut after, mut reverse, mut values) = (None, None, None, None, None);
    let key_bytes = line.limits.key_bytes;
    let ns = line.options(|option| match option.name {
        "prefix" => option.once(&mut prefix, |option| read_prefix(option, key_bytes)),
        "limit" => option.once(&mut limit, read_page),
        "cursor" => option.once(&mut after, |option| read_cursor(&option, key_bytes)),
        "reverse" => option.once(&mut reverse, read_flag),
        "values" => option.once(&mut values, read_flag),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    let command = Command::List(List {
        prefix: prefix.unwrap_or_default(),
        limit: limit.unwrap_or(LIST_PAGE_DEFAULT),
        after,
        reverse: reverse.unwrap_or(false),
        values: values.unwrap_or(false),
    });
    Ok(Request { ns, command })
}

fn count<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let mut prefix = None;
    let key_bytes = line.limits.key_bytes;
    let ns = line.options(|option| match option.name {
        "prefix" => option.once(&mut prefix, |option| read_prefix(option, key_bytes)),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    Ok(Request { ns, command: Command::Count { prefix: prefix.unwrap_or_default() } })
}

fn namespaces<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let (mut prefix, mut limit, mut after) = (None, None, None);
    let namespace_bytes = line.limits.namespace_bytes;
    let ns = line.options(|option| match option.name {
        "prefix" => option.once(&mut prefix, |option| read_prefix(option, namespace_bytes)),
        "limit" => option.once(&mut limit, read_page),
        "cursor" => option.once(&mut after, |option| read_cursor(&option, namespace_bytes)),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    let command = Command::Namespaces {
        prefix: prefix.unwrap_or_default(),
        limit: limit.unwrap_or(NAMESPACES_PAGE_DEFAULT),
        after,
    };
    Ok(Request { ns, command })
}

fn watch<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let (mut prefix, mut all, mut from, mut values) = (None, None, None, None);
    let key_bytes = line.limits.key_bytes;
    let ns = line.options(|option| match option.name {
        "prefix" => option.once(&mut prefix, |option| read_prefix(option, key_bytes)),
        "all" => option.once(&mut all, read_flag),
        "from" => option.once(&mut from, |option| number(&option, "a version")),
        "values" => option.once(&mut values, read_flag),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    let all = all.unwrap_or(false);
    if all && ns.is_some() {
        return Err(ParseError::new(Code::BadOpt, "all=1 and ns= exclude each other; give one of them"));
    }
    let (prefix, values) = (prefix.unwrap_or_default(), values.unwrap_or(false));
    Ok(Request { ns, command: Command::Watch(Watch { prefix, all, from, values }) })
}

fn hello<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let (mut token, mut name) = (None, None);
    let ns = line.options(|option| match option.name {
        "token" => option.once(&mut token, |option| Ok(Secret(option.value.text))),
        "name" => option.once(&mut name, |option| Ok(option.value.text)),
        _ => Err(option.unknown()),
    })?;
    line.end()?;
    Ok(Request { ns, command: Command::Hello { token, name } })
}

fn auth<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let token = Secret(line.argument(Code::BadArg, "token")?.text);
    bare(line, Command::Auth(token))
}

fn ns<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let namespace = if line.more_arguments() { Some(line.namespace()?) } else { None };
    bare(line, Command::Ns(namespace))
}

fn help<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let mut verb = None;
    if line.more_arguments() {
        let name = line.argument(Code::BadArg, "verb")?.text;
        let Some(found) = Verb::from_name(name.as_bytes()) else {
            return Err(ParseError::new(
                Code::BadArg,
                format!("no command {}; HELP lists the commands", shown(&name)),
            ));
        };
        verb = Some(found);
    }
    bare(line, Command::Help(verb))
}

fn backup<'a>(mut line: Line<'a, '_>) -> Parsed<'a> {
    let name = line.argument(Code::BadArg, "name")?.text;
    check_backup_name(&name)?;
    bare(line, Command::Backup { name })
}

/// Checks that this can be the name of a backup, which is that of a directory: letters, digits, `.`, `_` and `-`, without a
/// leading dot, at most [`BACKUP_NAME_BYTES_MAX`].
pub fn check_backup_name(name: &str) -> Result<(), ParseError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = (1..=BACKUP_NAME_BYTES_MAX).contains(&name.len());
    if fits && !name.starts_with('.') && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(ParseError::new(
        Code::BadArg,
        format!(
            "{} cannot be the name of a backup; it has up to {BACKUP_NAME_BYTES_MAX} letters, digits, dots, _ and -, \
             and no dot in front",
            shown(name)
        ),
    ))
}

/// `ttl=`, `at=` and `keepttl=` share one slot, and so exclude each other.
fn exclusive(option: Opt<'_>, slot: &mut Option<Expiry>) -> Result<(), ParseError> {
    if slot.is_some() {
        return Err(ParseError::new(
            Code::BadOpt,
            format!("option {} repeats or contradicts another; give one of ttl, at, keepttl", option.name),
        ));
    }
    let expiry = match option.name {
        "ttl" => Expiry::Set(Ttl::parse(&option.value.text)?),
        "at" => Expiry::Set(Ttl::parse_instant(&option.value.text)?),
        _ if read_flag(option)? => Expiry::Keep,
        _ => Expiry::Clear,
    };
    *slot = Some(expiry);
    Ok(())
}

impl From<TtlError> for ParseError {
    fn from(error: TtlError) -> Self {
        Self::new(Code::BadTtl, error.to_string())
    }
}

fn read_condition(option: Opt<'_>) -> Result<Condition, ParseError> {
    match option.value.text.as_ref() {
        "absent" => Ok(Condition::Absent),
        "present" => Ok(Condition::Present),
        _ => number(&option, "absent, present or a version").map(Condition::Version),
    }
}

/// The names that there are for types.
pub(super) const TYPE_NAMES: &str = "STRING, NUMBER, BOOLEAN, JSON, DATETIME, DATE or DURATION";

fn read_type(option: Opt<'_>) -> Result<ValueType, ParseError> {
    ValueType::from_name(&option.value.text).ok_or_else(|| option.refused(TYPE_NAMES))
}

/// The type of a document: the one that is named for it, if it fits.
#[inline]
pub(super) fn type_of(document: &Compact<'_>, named: Option<ValueType>) -> Result<ValueType, ParseError> {
    match named {
        None => Ok(ValueType::of(document.kind)),
        Some(named) => match named.check(&document.text, document.kind) {
            Ok(()) => Ok(named),
            Err(error) => Err(ParseError::new(Code::Type, error.to_string())),
        },
    }
}

pub(super) fn checked_description(text: Cow<'_, str>, limit: usize) -> Result<Cow<'_, str>, ParseError> {
    // A text has no more characters than bytes, so most are never counted.
    if text.len() > limit && text.chars().count() > limit {
        return Err(ParseError::new(
            Code::TooBig,
            format!(
                "the description has {} characters; the limit description_chars is {limit}",
                text.chars().count()
            ),
        ));
    }
    Ok(text)
}

fn read_flag(option: Opt<'_>) -> Result<bool, ParseError> {
    match option.value.text.as_ref() {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(option.refused("1 or 0")),
    }
}

fn read_page(option: Opt<'_>) -> Result<usize, ParseError> {
    let limit = number(&option, "a number from 1 to 10000")?;
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    limit.ok_or_else(|| option.refused("a number from 1 to 10000"))
}

fn read_prefix(option: Opt<'_>, bytes_max: usize) -> Result<Cow<'_, str>, ParseError> {
    match checked_prefix(option.value.text.clone(), bytes_max) {
        Ok(prefix) => Ok(prefix),
        Err(wanted) => Err(option.refused(&wanted)),
    }
}

/// A prefix may be empty, but holds only what a name may hold. The error is what it may be.
fn checked_prefix(text: Cow<'_, str>, bytes_max: usize) -> Result<Cow<'_, str>, String> {
    if text.len() > bytes_max || text.contains(char::is_control) {
        return Err(format!("at most {bytes_max} bytes without control characters"));
    }
    Ok(text)
}

fn read_cursor(option: &Opt<'_>, bytes_max: usize) -> Result<String, ParseError> {
    match decode_cursor(&option.value.text) {
        Ok(name) if name.len() <= bytes_max => Ok(name),
        _ => Err(ParseError::new(Code::BadCursor, crate::cursor::CursorError.to_string())),
    }
}

/// Digits alone: a sign is not a number's here.
pub(super) fn number(option: &Opt<'_>, wanted: &str) -> Result<u64, ParseError> {
    let text = &option.value.text;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| option.refused(wanted))
}

/// Digits, with a minus in front where it is less than zero.
fn signed(option: &Opt<'_>) -> Result<i64, ParseError> {
    let text = &option.value.text;
    let refused = || option.refused("a whole number of 64 bits, as 5 or -5");
    text.parse().ok().filter(|_| !text.starts_with('+')).ok_or_else(refused)
}
