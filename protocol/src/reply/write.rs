//! Writers of reply lines. Each appends one whole line, LF included, to the connection's buffer.
//!
//! A `Vec<u8>` rather than a generic sink: it grows by itself, so no writer can fail, and the buffer is reused.
//! JSON passed in must be compact, as it is stored; it is copied as it stands.

use crate::code::Code;
use crate::cursor::encode_cursor;
use crate::reply::EventKind;
use crate::table::{COMMANDS, Verb};
use crate::token::write_token;

/// `OK`
pub fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"OK\n");
}

/// `OK <number>`: a count, a version, milliseconds left.
pub fn ok_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(b"OK ");
    digits(out, number);
    out.push(b'\n');
}

/// `OK -`: there is no number to tell, as for the time left to an entry that does not expire.
pub fn ok_none(out: &mut Vec<u8>) {
    out.extend_from_slice(b"OK -\n");
}

/// `OK <version> <expires>`
pub fn ok_written(out: &mut Vec<u8>, version: u64, expires_ms: Option<u64>) {
    out.extend_from_slice(b"OK ");
    stamp(out, version, expires_ms);
    out.push(b'\n');
}

/// `OK <json>`
pub fn ok_json(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(b"OK ");
    json_end(out, json);
}

/// `OK <namespace>`
pub fn ok_namespace(out: &mut Vec<u8>, namespace: &str) {
    out.extend_from_slice(b"OK ");
    write_token(out, namespace);
    out.push(b'\n');
}

/// `VAL <version> <expires> <json>`
#[inline]
pub fn val(out: &mut Vec<u8>, version: u64, expires_ms: Option<u64>, json: &[u8]) {
    // The head is at most 4 bytes, two numbers of 20 digits, and 3 separators.
    out.reserve(json.len() + 48);
    out.extend_from_slice(b"VAL ");
    stamp(out, version, expires_ms);
    out.push(b' ');
    json_end(out, json);
}

/// `NIL`
pub fn nil(out: &mut Vec<u8>) {
    out.extend_from_slice(b"NIL\n");
}

/// `NO EXISTS <version>`: the entry that should be absent has this version.
pub fn no_exists(out: &mut Vec<u8>, version: u64) {
    no(out, b"EXISTS ", version);
}

/// `NO VERSION <version>`: the entry has this version, not the one asked for.
pub fn no_version(out: &mut Vec<u8>, version: u64) {
    no(out, b"VERSION ", version);
}

/// `NO ABSENT`: the entry that should be there is absent.
pub fn no_absent(out: &mut Vec<u8>) {
    out.extend_from_slice(b"NO ABSENT\n");
}

/// `NO CHECK <i>`: this check of a transaction, counted from 0, does not hold.
pub fn no_check(out: &mut Vec<u8>, index: u64) {
    no(out, b"CHECK ", index);
}

/// `NO PATH`: the value has nothing at that path.
pub fn no_path(out: &mut Vec<u8>) {
    out.extend_from_slice(b"NO PATH\n");
}

/// `ITEM <key> <version> <expires> [json]`
pub fn item_entry(out: &mut Vec<u8>, key: &str, version: u64, expires_ms: Option<u64>, json: Option<&[u8]>) {
    out.extend_from_slice(b"ITEM ");
    write_token(out, key);
    out.push(b' ');
    stamp(out, version, expires_ms);
    optional_json_end(out, json);
}

/// `ITEM <namespace> <live entries>`
pub fn item_namespace(out: &mut Vec<u8>, namespace: &str, live: u64) {
    out.extend_from_slice(b"ITEM ");
    write_token(out, namespace);
    out.push(b' ');
    digits(out, live);
    out.push(b'\n');
}

/// `ITEM <json>`
pub fn item_json(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(b"ITEM ");
    json_end(out, json);
}

/// `END <count> [next=<cursor>]`; `last_name` is the last name of the page while more follows, else `None`.
pub fn end(out: &mut Vec<u8>, count: u64, last_name: Option<&str>) {
    out.extend_from_slice(b"END ");
    digits(out, count);
    if let Some(name) = last_name {
        out.extend_from_slice(b" next=");
        encode_cursor(out, name);
    }
    out.push(b'\n');
}

/// The whole reply to `HELP`: the usage of every command, or the usage of one and what it does.
pub fn help(out: &mut Vec<u8>, verb: Option<Verb>) {
    let mut count = 0;
    let mut item = |text: &str| {
        out.extend_from_slice(b"ITEM ");
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
        count += 1;
    };
    if let Some(verb) = verb {
        item(verb.row().usage);
        item(verb.row().help);
    } else {
        COMMANDS.iter().for_each(|row| item(row.usage));
    }
    end(out, count, None);
}

/// `EVT set|del|expire <version> <namespace> <key> <expires> [json]`
pub fn event(
    out: &mut Vec<u8>,
    kind: EventKind,
    version: u64,
    namespace: &str,
    key: &str,
    expires_ms: Option<u64>,
    json: Option<&[u8]>,
) {
    out.extend_from_slice(b"EVT ");
    out.extend_from_slice(kind.as_str().as_bytes());
    out.push(b' ');
    digits(out, version);
    out.push(b' ');
    write_token(out, namespace);
    out.push(b' ');
    write_token(out, key);
    out.push(b' ');
    expires(out, expires_ms);
    optional_json_end(out, json);
}

/// `EVT progress <version>`: everything up to this version has been sent.
pub fn event_progress(out: &mut Vec<u8>, version: u64) {
    out.extend_from_slice(b"EVT progress ");
    digits(out, version);
    out.push(b'\n');
}

/// `ERR <CODE> <text>`; a control character in the text, which could end the line, becomes `?`.
pub fn err(out: &mut Vec<u8>, code: Code, text: &str) {
    out.extend_from_slice(b"ERR ");
    out.extend_from_slice(code.as_str().as_bytes());
    if !text.is_empty() {
        out.push(b' ');
        if text.contains(char::is_control) {
            out.extend_from_slice(text.replace(char::is_control, "?").as_bytes());
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.push(b'\n');
}

fn no(out: &mut Vec<u8>, what: &[u8], number: u64) {
    out.extend_from_slice(b"NO ");
    out.extend_from_slice(what);
    digits(out, number);
    out.push(b'\n');
}

#[inline]
fn stamp(out: &mut Vec<u8>, version: u64, expires_ms: Option<u64>) {
    digits(out, version);
    out.push(b' ');
    expires(out, expires_ms);
}

#[inline]
fn expires(out: &mut Vec<u8>, expires_ms: Option<u64>) {
    match expires_ms {
        Some(ms) => digits(out, ms),
        None => out.push(b'-'),
    }
}

fn optional_json_end(out: &mut Vec<u8>, json: Option<&[u8]>) {
    match json {
        Some(json) => {
            out.push(b' ');
            json_end(out, json);
        }
        None => out.push(b'\n'),
    }
}

#[inline]
fn json_end(out: &mut Vec<u8>, json: &[u8]) {
    debug_assert!(memchr::memchr(b'\n', json).is_none(), "compact JSON holds no raw line feed");
    out.extend_from_slice(json);
    out.push(b'\n');
}

#[inline]
fn digits(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
