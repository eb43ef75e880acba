//! RESP2: a request is an array of bulk strings with their lengths ahead, and so is a value.

use memchr::memchr;

use super::{Malformed, Notice, Recognised, Reply};
use crate::key;

const CRLF: &[u8] = b"\r\n";

/// The keys that expire, of the database that everybody is in; where `notify-keyspace-events` has `Ex`.
pub(super) const WATCH: &[u8] = b"*2\r\n$9\r\nSUBSCRIBE\r\n$22\r\n__keyevent@0__:expired\r\n";

pub(super) fn encode_get(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
    encode_bulk(key, out);
}

pub(super) fn encode_set(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"*3\r\n$3\r\nSET\r\n");
    encode_bulk(key, out);
    encode_bulk(value, out);
}

pub(super) fn encode_set_until(key: &[u8], value: &[u8], deadline_ms: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"*5\r\n$3\r\nSET\r\n");
    encode_bulk(key, out);
    encode_bulk(value, out);
    out.extend_from_slice(b"$4\r\nPXAT\r\n");
    encode_bulk(itoa::Buffer::new().format(deadline_ms).as_bytes(), out);
}

/// An array of three: what it is, the channel, and the key or how many channels there are.
pub(super) fn recognise_notice(bytes: &[u8]) -> Result<Option<(Notice, usize)>, Malformed> {
    let Some((head, mut at)) = line(bytes)? else { return Ok(None) };
    if head.starts_with(b"-") {
        return Ok(Some((Notice::Error, at)));
    }
    if head != b"*3" {
        return Err(Malformed);
    }
    let mut parts: [&[u8]; 3] = [&[]; 3];
    for part in &mut parts {
        let Some((head, length)) = line(&bytes[at..])? else { return Ok(None) };
        at += length;
        match head.split_first() {
            Some((b':', number)) => *part = number,
            Some((b'$', length)) => {
                let length = decimal(length).ok_or(Malformed)?;
                let end = length.checked_add(CRLF.len()).ok_or(Malformed)?;
                let Some(body) = bytes[at..].get(..end) else { return Ok(None) };
                *part = body.strip_suffix(CRLF).ok_or(Malformed)?;
                at += end;
            }
            _ => return Err(Malformed),
        }
    }
    let notice = match parts {
        [b"message", _, name] => Notice::Expired(key::id(name).ok_or(Malformed)?),
        [b"subscribe", ..] => Notice::Begun,
        _ => Notice::Other,
    };
    Ok(Some((notice, at)))
}

/// The line that `bytes` starts with, without its end, and its length with it.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    let Some(end) = memchr(b'\n', bytes) else { return Ok(None) };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    Ok(Some((line, end + 1)))
}

fn encode_bulk(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'$');
    out.extend_from_slice(itoa::Buffer::new().format(text.len()).as_bytes());
    out.extend_from_slice(CRLF);
    out.extend_from_slice(text);
    out.extend_from_slice(CRLF);
}

pub(super) fn recognise(bytes: &[u8]) -> Result<Option<Recognised>, Malformed> {
    let Some((line, length)) = line(bytes)? else { return Ok(None) };
    let (kind, text) = line.split_first().ok_or(Malformed)?;
    let reply = match kind {
        b'+' if text == b"OK" => Reply::Done,
        b'-' => Reply::Error,
        b'$' if text == b"-1" => Reply::Nil,
        b'$' => return recognise_bulk(&bytes[length..], length, text),
        _ => return Err(Malformed),
    };
    Ok(Some(Recognised { reply, length }))
}

/// The value behind its header; it is skipped by its length and never searched.
fn recognise_bulk(body: &[u8], header: usize, length: &[u8]) -> Result<Option<Recognised>, Malformed> {
    let length = decimal(length).ok_or(Malformed)?;
    let body_end = length.checked_add(CRLF.len()).ok_or(Malformed)?;
    match body.get(length..body_end) {
        None => Ok(None),
        Some(CRLF) => Ok(Some(Recognised { reply: Reply::Value(length), length: header + body_end })),
        Some(_) => Err(Malformed),
    }
}

fn decimal(text: &[u8]) -> Option<usize> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{noticed_at_every_split, recognised_at_every_split};
    use super::*;
    use crate::dialect::Dialect;

    #[test]
    fn requests_are_arrays_of_bulk_strings() {
        let mut out = Vec::new();
        encode_get(b"user:1", &mut out);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$6\r\nuser:1\r\n");
        out.clear();
        encode_set(b"user:1", br#"{"a":123456}"#, &mut out);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$6\r\nuser:1\r\n$12\r\n{\"a\":123456}\r\n");
        out.clear();
        encode_set_until(b"user:1", b"1", 1_773_572_400_123, &mut out);
        assert_eq!(
            out,
            b"*5\r\n$3\r\nSET\r\n$6\r\nuser:1\r\n$1\r\n1\r\n$4\r\nPXAT\r\n$13\r\n1773572400123\r\n"
        );
    }

    #[test]
    fn notices_are_recognised_at_every_split() {
        noticed_at_every_split(
            Dialect::Resp,
            b"*3\r\n$9\r\nsubscribe\r\n$22\r\n__keyevent@0__:expired\r\n:1\r\n\
              *3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$24\r\nuser:0000000000000000009\r\n\
              *3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n-ERR no\r\n",
            &[Notice::Begun, Notice::Expired(9), Notice::Other, Notice::Error],
        );
        for text in ["+OK\r\n", "*2\r\n", "*3\r\n+a\r\n", "*3\r\n$1\r\nabc", "*3\r\n$x\r\n"] {
            assert_eq!(recognise_notice(text.as_bytes()), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn replies_are_recognised_at_every_split() {
        recognised_at_every_split(
            Dialect::Resp,
            b"$14\r\n{\"name\":\"a\r\n\"}\r\n$-1\r\n+OK\r\n-ERR no such thing\r\n$0\r\n\r\n$1\r\n3\r\n",
            &[Reply::Value(14), Reply::Nil, Reply::Done, Reply::Error, Reply::Value(0), Reply::Value(1)],
        );
    }

    #[test]
    fn other_bytes_are_malformed() {
        for text in
            ["\r\n", "+OK\n", "+PONG\r\n", ":1\r\n", "$\r\n", "$+1\r\n", "$-2\r\n", "$1\r\nabc", "*0\r\n"]
        {
            assert_eq!(recognise(text.as_bytes()), Err(Malformed), "{text:?}");
        }
        assert_eq!(recognise(format!("${}\r\n", usize::MAX).as_bytes()), Err(Malformed));
    }
}
