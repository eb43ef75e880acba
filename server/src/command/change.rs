//! `INCR` and `PATCH`: a new value made of the old one.
//!
//! The old value may have to come from disk, and merging into a large one takes its time. So a change is made ahead, outside of
//! the store's lock, and under it is carried out if the entry still has the version that it was made of. If it has not,
//! somebody was faster, and the value is one that was written just now, and so is in memory: a small one is changed there and
//! then; before a large one the round ends, for the change to be made ahead once more. After [`ATTEMPTS_MAX`] of these it is
//! made under the lock, so that it gets done whatever the others do.

use std::str::from_utf8;

use larder_engine::{Address, Entry, Error, Expiry, Found, Put, Refusal, Store, Values, Writer};
use larder_protocol::json::{JsonFault, compact, merge_patch};
use larder_protocol::{Code, Command, Incr, Limits, ParseError, Patch, ValueType};

use super::answer::Answer;
use super::failure::refusal;
use super::read::{Scope, misrouted};
use super::write::expiry;
use crate::rooms::SMALL_BYTES;

/// Rounds in which a large value is changed ahead, and found to have been changed by somebody else.
pub(crate) const ATTEMPTS_MAX: usize = 4;

/// Stored bytes of an entry whose value is changed under the lock without more ado.
const LOCKED_BYTES_MAX: usize = 16 * 1024;

/// Stored bytes of the entries whose changes are made ahead at a time; the last may go beyond.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;

/// Changes that were made ahead, in the order of their commands.
#[derive(Debug, Default)]
pub(crate) struct Ahead<'t> {
    changes: std::vec::IntoIter<(&'t Command<'t>, Change)>,
    /// Whether a change that has come to nothing may be put off.
    patient: bool,
}

/// What is to become of an entry of that version.
#[derive(Debug)]
struct Change {
    /// `None` if there was no such entry.
    of: Option<u64>,
    outcome: Result<New, Unchanged>,
}

/// The new value, with all that stays as it was.
#[derive(Debug)]
struct New {
    json: Vec<u8>,
    tag: u8,
    description: Option<String>,
}

/// Why the entry stays as it is.
#[derive(Debug)]
enum Unchanged {
    Absent,
    Version(u64),
    Refused(ParseError),
}

/// Whether a command changes a value.
pub(crate) fn is_change(command: &Command<'_>) -> bool {
    matches!(command, Command::Incr(_) | Command::Patch(_))
}

/// Makes changes ahead, of as many of the commands as there is room for. Returns how many that are; there is always room for
/// one.
pub(crate) fn ahead<'t>(
    store: &Store,
    patient: bool,
    commands: impl Iterator<Item = (Scope<'t>, &'t Command<'t>)> + Clone,
) -> (Ahead<'t>, usize) {
    let mut bytes = 0;
    let mut changes = Vec::new();
    let looked_up = store.read(|view| {
        let mut found = Vec::new();
        for (scope, command) in commands.clone() {
            if bytes >= AHEAD_BYTES_MAX {
                break;
            }
            let at = command.key().and_then(|key| scope.address(key).ok());
            let entry = at.and_then(|at| view.get(at));
            bytes += entry.as_ref().map_or(0, Found::stored_bytes);
            found.push(entry);
        }
        found
    });
    // Not waited for. Nobody is told what is made of this, and the write that it leads to waits for it.
    drop(looked_up.map(|found, values| {
        let made = commands.clone().zip(&found).map(|((scope, command), found)| {
            let of = found.as_ref().map(Found::version);
            let outcome = load(values, found.as_ref()).and_then(|old| make(scope.limits, command, old));
            (command, Change { of, outcome })
        });
        changes.extend(made);
    }));
    let count = if changes.is_empty() { commands.count() } else { changes.len() };
    (Ahead { changes: changes.into_iter(), patient }, count)
}

/// Carries a change out, with the next of those that were made ahead if it still holds. `None` if it is to be made ahead once
/// more.
pub(super) fn change<'t>(
    writer: &mut Writer<'_>,
    scope: Scope<'t>,
    command: &'t Command<'t>,
    ahead: &mut Ahead<'t>,
) -> Option<Answer<'t>> {
    // Those of commands that were not allowed are passed over.
    let made = ahead.changes.find(|(of, _)| std::ptr::eq(*of, command)).map(|(_, change)| change);
    let at = match command.key().map(|key| scope.address(key)) {
        Some(Ok(at)) => at,
        Some(Err(refused)) => return Some(refused),
        None => return Some(misrouted().into()),
    };
    let fresh = match command {
        // Whether it is used or not: the same request is right or wrong whatever there is.
        Command::Incr(Incr { ttl: Some(ttl), .. }) => match expiry(scope, writer.now_ms(), *ttl) {
            Ok(expiry) => expiry,
            Err(refused) => return Some(refused),
        },
        _ => Expiry::Never,
    };
    let of = writer.stamp(at).map(|stamp| stamp.version);
    let outcome = match made.filter(|change| change.of == of) {
        Some(change) => change.outcome,
        None => {
            let found = writer.get(at);
            let bytes = found.as_ref().map_or(0, Found::stored_bytes);
            if ahead.patient && bytes > LOCKED_BYTES_MAX {
                return None;
            }
            let old = writer.transaction(|transaction| transaction.entry(at));
            old.map_err(|error| unreadable(&error)).and_then(|old| make(scope.limits, command, old))
        }
    };
    let expiry = if of.is_some() { Expiry::Keep } else { fresh };
    Some(match outcome {
        Ok(new) => put(writer, at, expiry, new),
        Err(Unchanged::Absent) => Answer::Value(None, None),
        Err(Unchanged::Version(version)) => Answer::Written(Err(Refusal::Version { version })),
        Err(Unchanged::Refused(error)) => error.into(),
    })
}

/// The answer to a change, a large value left to the log: an answer may have to wait until it can be sent.
pub(crate) fn light<'t>(
    writer: &mut Writer<'_>,
    scope: Scope<'t>,
    command: &'t Command<'t>,
    answer: Answer<'t>,
) -> Answer<'t> {
    let is_large = matches!(&answer, Answer::Changed(_, json) if json.len() > SMALL_BYTES);
    let at = command.key().filter(|_| is_large).and_then(|key| scope.address(key).ok());
    match at.and_then(|at| writer.get(at)) {
        Some(found) => Answer::Value(Some(found), None),
        None => answer,
    }
}

fn put<'t>(writer: &mut Writer<'_>, at: Address<'_>, expiry: Expiry, new: New) -> Answer<'t> {
    let New { json, tag, description } = new;
    let put = Put { expiry, description: description.as_deref(), ..Put::new(&json).tag(tag) };
    match writer.put(at, &put) {
        Ok(Ok(stamp)) => Answer::Changed(stamp, json),
        Ok(Err(_)) => misrouted().into(),
        Err(error) => refusal(&error).into(),
    }
}

fn load(values: &Values, found: Option<&Found>) -> Result<Option<Entry>, Unchanged> {
    found.map(|found| values.entry(found)).transpose().map_err(|error| unreadable(&error))
}

#[cold]
fn unreadable(error: &Error) -> Unchanged {
    Unchanged::Refused(refusal(error))
}

fn make(limits: &Limits, command: &Command<'_>, old: Option<Entry>) -> Result<New, Unchanged> {
    match (command, old) {
        (Command::Incr(incr), old) => incremented(incr, old),
        (Command::Patch(_), None) => Err(Unchanged::Absent),
        (Command::Patch(patch), Some(old)) => match patch.version {
            Some(version) if version != old.version => Err(Unchanged::Version(old.version)),
            _ => patched(limits, patch, old),
        },
        _ => Err(refused(Code::Internal, "this command changes no value")),
    }
}

fn incremented(incr: &Incr<'_>, old: Option<Entry>) -> Result<New, Unchanged> {
    let (number, tag, description) = match old {
        None => (incr.init, ValueType::Number.tag(), None),
        Some(Entry { value, tag, description, .. }) => (integer(&value)?, tag, description),
    };
    let sum = number.checked_add(incr.by).ok_or_else(|| {
        refused(Code::Range, format!("{number} and {} make a number that 64 bits cannot hold", incr.by))
    })?;
    Ok(New { json: sum.to_string().into_bytes(), tag, description })
}

/// The number that a value is, if it is written as a whole one: `1.0` and `1e3` are not, as others may read them as fractions.
fn integer(json: &[u8]) -> Result<i64, Unchanged> {
    let digits = json.strip_prefix(b"-").unwrap_or(json);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(refused(
            Code::Type,
            "the value is no whole number, written without fraction and exponent",
        ));
    }
    let number = from_utf8(json).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| refused(Code::Range, "the value is a number that 64 bits cannot hold"))
}

fn patched(limits: &Limits, patch: &Patch<'_>, old: Entry) -> Result<New, Unchanged> {
    let Entry { value, tag, description, .. } = old;
    let target = from_utf8(&value).ok();
    let merged = target.and_then(|target| merge_patch(target, &patch.json).ok());
    let merged =
        merged.ok_or_else(|| refused(Code::Type, "the stored value is not JSON, and cannot be patched"))?;
    let document = compact(&merged, limits.depth).map_err(|error| match error.fault {
        JsonFault::Depth(_) => refused(Code::BadJson, format!("the patched value would be {error}")),
        _ => refused(Code::Type, "the stored value is not JSON, and cannot be patched"),
    })?;
    let (length, limit) = (document.text.len(), limits.value_bytes);
    if length > limit {
        let text = format!("the patched value would have {length} bytes; the limit value_bytes is {limit}");
        return Err(refused(Code::TooBig, text));
    }
    // A date that is still one stays one.
    let kept = ValueType::from_tag(tag).filter(|kept| kept.check(&document.text, document.kind).is_ok());
    let tag = kept.unwrap_or(ValueType::of(document.kind)).tag();
    Ok(New { json: merged.into_bytes(), tag, description })
}

#[cold]
fn refused(code: Code, text: impl Into<String>) -> Unchanged {
    Unchanged::Refused(ParseError { code, text: text.into() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use larder_engine::disk::sim::SimDisk;
    use larder_engine::{Options, Tenant};
    use larder_protocol::parse;

    use super::*;
    use crate::access::{Grant, Organization, Scope as KeyScope};

    #[test]
    fn a_large_value_is_left_to_the_log() {
        let options = Options::new().segment_bytes(1 << 20).background(false);
        let store = options.open_on(Arc::new(SimDisk::new(1))).unwrap();
        let grant = Grant::without_key(Arc::new(Organization::default()), KeyScope::Admin);
        let limits = Limits::DEFAULT;
        let scope = Scope { grant: &grant, tenant: Tenant::DEFAULT, namespace: "n", limits: &limits };
        let at = Address::new(Tenant::DEFAULT, "n", "k").unwrap();
        let patch = parse(b"PATCH k {\"b\":1}", &limits).unwrap().command;
        for (length, is_large) in [(10, false), (SMALL_BYTES, true)] {
            let text = "x".repeat(length);
            let json = format!("{{\"a\":\"{text}\"}}");
            _ = store.put(at, &Put::new(json.as_bytes())).unwrap().unwrap();
            let pending = store.write(|writer| {
                let answer = change(writer, scope, &patch, &mut Ahead::default()).unwrap();
                light(writer, scope, &patch, answer)
            });
            let (mut answer, values) = pending.map(|answer, values| (answer, values.clone())).wait().unwrap();
            let expected = format!("{{\"a\":\"{text}\",\"b\":1}}").into_bytes();
            answer.release();
            match answer {
                Answer::Value(Some(found), None) if is_large => {
                    assert_eq!(values.value(&found, &mut Vec::new()).unwrap(), expected);
                }
                Answer::Changed(_, json) if !is_large => assert_eq!(json, expected),
                other => panic!("{length}: {other:?}"),
            }
        }
    }
}
