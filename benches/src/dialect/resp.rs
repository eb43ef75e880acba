//! RESP2: a request is an array of bulk strings with their lengths ahead, and so is a value.

use super::{
    Expiry, Malformed, Notice, Operation, Recognised, Reply, Request, Stored, decimal, encode_decimal, line,
};
use crate::key;

const CRLF: &[u8] = b"\r\n";

/// The keys that expire, of the database that everybody is in; where `notify-keyspace-events` has `Ex`.
pub(super) const WATCH: &[u8] = b"*2\r\n$9\r\nSUBSCRIBE\r\n$22\r\n__keyevent@0__:expired\r\n";

pub(super) fn encode(key: &[u8], request: &Request<'_>, out: &mut Vec<u8>) {
    match request {
        Request::Get => encode_array(&[b"GET", key], out),
        // A swap is a transaction that fails if the key was changed since it was watched.
        Request::GetToSwap => {
            encode_array(&[b"WATCH", key], out);
            encode_array(&[b"GET", key], out);
        }
        Request::Set(stored) => encode_set(key, stored, None, out),
        Request::Add(stored) => encode_set(key, stored, Some(b"NX"), out),
        Request::Swap(stored, _) => {
            encode_array(&[b"MULTI"], out);
            encode_set(key, stored, None, out);
            encode_array(&[b"EXEC"], out);
        }
        // There is none; the server says so.
        Request::Scan(_) => encode_array(&[b"LIST", key], out),
    }
}

fn encode_set(key: &[u8], stored: &Stored<'_>, condition: Option<&[u8]>, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let expiry: Option<(&[u8], &str)> = match stored.expiry {
        Expiry::Never => None,
        Expiry::After { seconds } => Some((b"EX", digits.format(seconds))),
        Expiry::At { unix_ms } => Some((b"PXAT", digits.format(unix_ms))),
    };
    encode_count(3 + 2 * usize::from(expiry.is_some()) + usize::from(condition.is_some()), out);
    for part in [b"SET", key, stored.value] {
        encode_bulk(part, out);
    }
    if let Some((option, time)) = expiry {
        encode_bulk(option, out);
        encode_bulk(time.as_bytes(), out);
    }
    if let Some(condition) = condition {
        encode_bulk(condition, out);
    }
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
                let length: usize = decimal(length).ok_or(Malformed)?;
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

fn encode_array(parts: &[&[u8]], out: &mut Vec<u8>) {
    encode_count(parts.len(), out);
    for part in parts {
        encode_bulk(part, out);
    }
}

fn encode_count(parts: usize, out: &mut Vec<u8>) {
    out.push(b'*');
    encode_decimal(parts as u64, out);
    out.extend_from_slice(CRLF);
}

fn encode_bulk(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'$');
    encode_decimal(text.len() as u64, out);
    out.extend_from_slice(CRLF);
    out.extend_from_slice(text);
    out.extend_from_slice(CRLF);
}

pub(super) fn recognise(asked: Operation, bytes: &[u8]) -> Result<Option<Recognised>, Malformed> {
    let ahead: &[&[u8]] = match asked {
        Operation::GetToSwap => &[b"+OK"],
        Operation::Swap => &[b"+OK", b"+QUEUED"],
        Operation::Get | Operation::Set | Operation::Add | Operation::Scan => &[],
    };
    let mut start = 0;
    for expected in ahead {
        match line(&bytes[start..])? {
            None => return Ok(None),
            Some((text, length)) if text == *expected => start += length,
            Some(_) => return Err(Malformed),
        }
    }
    let Some(mut found) = recognise_last(&bytes[start..])? else { return Ok(None) };
    found.length += start;
    if asked == Operation::Add && found.reply == Reply::Nil {
        found.reply = Reply::Refused;
    }
    Ok(Some(found))
}

/// The reply to a command by itself, or to the `EXEC` of one.
fn recognise_last(bytes: &[u8]) -> Result<Option<Recognised>, Malformed> {
    let Some((text, length)) = line(bytes)? else { return Ok(None) };
    let reply = match text {
        b"+OK" => Reply::Done,
        b"$-1" => Reply::Nil,
        b"*-1" => Reply::Refused,
        b"*1" => {
            return match line(&bytes[length..])? {
                None => Ok(None),
                Some((b"+OK", only)) => Ok(Some(Recognised { reply: Reply::Done, length: length + only })),
                Some(_) => Err(Malformed),
            };
        }
        [b'-', ..] => Reply::Error,
        [b'$', digits @ ..] => return recognise_bulk(&bytes[length..], length, digits),
        _ => return Err(Malformed),
    };
    Ok(Some(Recognised { reply, length }))
}

/// The value behind its header; it is skipped by its length and never searched.
fn recognise_bulk(body: &[u8], header: usize, length: &[u8]) -> Result<Option<Recognised>, Malformed> {
    let length: usize = decimal(length).ok_or(Malformed)?;
    let body_end = length.checked_add(CRLF.len()).ok_or(Malformed)?;
    match body.get(length..body_end) {
        None => Ok(None),
        Some(CRLF) => Ok(Some(Recognised {
            reply: Reply::Value { bytes: length, version: 0 },
            length: header + body_end,
        })),
        Some(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::super::tests::{encoded, noticed_at_every_split, recognised_at_every_split, stored, value};
    use super::*;

    #[test]
    fn requests_are_arrays_of_bulk_strings() {
        let stored = stored(r#"{"a":123456}"#);
        let dated = |expiry| Stored { expiry, ..stored };
        for (request, expected) in [
            (Request::Get, "*2|$3|GET|$6|user:1|"),
            (Request::GetToSwap, "*2|$5|WATCH|$6|user:1|*2|$3|GET|$6|user:1|"),
            (Request::Set(stored), "*3|$3|SET|$6|user:1|$12|{\"a\":123456}|"),
            (
                Request::Set(dated(Expiry::At { unix_ms: 1_773_572_400_123 })),
                "*5|$3|SET|$6|user:1|$12|{\"a\":123456}|$4|PXAT|$13|1773572400123|",
            ),
            (
                Request::Add(dated(Expiry::After { seconds: 60 })),
                "*6|$3|SET|$6|user:1|$12|{\"a\":123456}|$2|EX|$2|60|$2|NX|",
            ),
            (Request::Swap(stored, 0), "*1|$5|MULTI|*3|$3|SET|$6|user:1|$12|{\"a\":123456}|*1|$4|EXEC|"),
        ] {
            assert_eq!(encoded(Dialect::Resp, &[request]).replace("\r\n", "|"), expected);
        }
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
        use Operation::{Add, Get, GetToSwap, Set, Swap};
        recognised_at_every_split(
            Dialect::Resp,
            &[
                (Get, "$14\r\n{\"name\":\"a\r\n\"}\r\n", value(14)),
                (Get, "$-1\r\n", Reply::Nil),
                (GetToSwap, "+OK\r\n$1\r\n3\r\n", value(1)),
                (GetToSwap, "+OK\r\n$-1\r\n", Reply::Nil),
                (Set, "+OK\r\n", Reply::Done),
                (Set, "-ERR no such thing\r\n", Reply::Error),
                (Add, "+OK\r\n", Reply::Done),
                (Add, "$-1\r\n", Reply::Refused),
                (Swap, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n", Reply::Done),
                (Swap, "+OK\r\n+QUEUED\r\n*-1\r\n", Reply::Refused),
                (Get, "$0\r\n\r\n", value(0)),
            ],
        );
    }

    #[test]
    fn other_bytes_are_malformed() {
        for text in
            ["\r\n", "+OK\n", "+PONG\r\n", ":1\r\n", "$\r\n", "$+1\r\n", "$-2\r\n", "$1\r\nabc", "*0\r\n"]
        {
            assert_eq!(recognise(Operation::Get, text.as_bytes()), Err(Malformed), "{text:?}");
        }
        for text in ["-OOM\r\n", "+OK\r\n-OOM\r\n", "+OK\r\n+OK\r\n"] {
            assert_eq!(recognise(Operation::Swap, text.as_bytes()), Err(Malformed), "{text:?}");
        }
        let nested = "*1\r\n".repeat(3);
        assert_eq!(recognise(Operation::Get, nested.as_bytes()), Err(Malformed));
        let huge = format!("${}\r\n", usize::MAX);
        assert_eq!(recognise(Operation::Get, huge.as_bytes()), Err(Malformed));
    }
}
