//! The line protocol: a request is a line, a reply is a line.

use memchr::memchr;

use super::{
    Expiry, Malformed, Notice, Operation, Recognised, Reply, Request, Stored, decimal, encode_decimal,
};
use crate::key;

pub(super) const WATCH: &[u8] = b"WATCH\n";

/// A scan is of the keys that differ from the one drawn in this many bytes at the end.
const SCANNED_BYTES: usize = 2;

pub(super) fn encode(key: &[u8], request: &Request<'_>, out: &mut Vec<u8>) {
    let verb: &[u8] = match request {
        Request::Get | Request::GetToSwap => b"GET ",
        Request::Set(_) | Request::Add(_) | Request::Swap(..) => b"SET ",
        Request::Scan(limit) => return encode_scan(key, *limit, out),
    };
    out.extend_from_slice(verb);
    out.extend_from_slice(key);
    match request {
        Request::Set(stored) => encode_stored(stored, out),
        Request::Add(stored) => {
            out.extend_from_slice(b" if=absent");
            encode_stored(stored, out);
        }
        Request::Swap(stored, version) => {
            out.extend_from_slice(b" if=");
            encode_decimal(*version, out);
            encode_stored(stored, out);
        }
        Request::Get | Request::GetToSwap | Request::Scan(_) => {}
    }
    out.push(b'\n');
}

fn encode_stored(Stored { value, expiry }: &Stored<'_>, out: &mut Vec<u8>) {
    match *expiry {
        Expiry::Never => {}
        Expiry::After { seconds } => {
            out.extend_from_slice(b" ttl=");
            encode_decimal(seconds.into(), out);
        }
        Expiry::At { unix_ms } => {
            let instant =
                i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            let instant = instant.unwrap_or(jiff::Timestamp::MAX);
            out.extend_from_slice(format!(" at={instant}").as_bytes());
        }
    }
    out.push(b' ');
    out.extend_from_slice(value);
}

fn encode_scan(key: &[u8], limit: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"LIST prefix=");
    out.extend_from_slice(&key[..key.len().saturating_sub(SCANNED_BYTES)]);
    out.extend_from_slice(b" values=1 limit=");
    encode_decimal(limit.into(), out);
    out.push(b'\n');
}

pub(super) fn recognise_notice(bytes: &[u8]) -> Result<Option<(Notice, usize)>, Malformed> {
    let Some(end) = memchr(b'\n', bytes) else { return Ok(None) };
    let (word, fields) = split_word(&bytes[..end]);
    let notice = match word {
        b"OK" => Notice::Begun,
        b"ERR" => Notice::Error,
        b"EVT" => {
            let mut fields = fields.split(|byte| *byte == b' ');
            match fields.next() {
                // Then version, namespace, key.
                Some(b"expire") => Notice::Expired(fields.nth(2).and_then(key::id).ok_or(Malformed)?),
                _ => Notice::Other,
            }
        }
        _ => return Err(Malformed),
    };
    Ok(Some((notice, end + 1)))
}

pub(super) fn recognise(asked: Operation, bytes: &[u8]) -> Result<Option<Recognised>, Malformed> {
    let Some(end) = memchr(b'\n', bytes) else { return Ok(None) };
    let (word, fields) = split_word(&bytes[..end]);
    let reply = match word {
        b"VAL" => recognise_value(asked, fields).ok_or(Malformed)?,
        b"OK" => Reply::Done,
        b"NO" => Reply::Refused,
        b"NIL" => Reply::Nil,
        b"ERR" => Reply::Error,
        b"ITEM" | b"END" if asked == Operation::Scan => return recognise_listing(bytes),
        _ => return Err(Malformed),
    };
    Ok(Some(Recognised { reply, length: end + 1 }))
}

/// Lines of items, and the one that says how many there were or why there are no more.
fn recognise_listing(bytes: &[u8]) -> Result<Option<Recognised>, Malformed> {
    let mut start = 0;
    while let Some(length) = memchr(b'\n', &bytes[start..]) {
        let end = start + length;
        let (word, fields) = split_word(&bytes[start..end]);
        let reply = match word {
            b"ITEM" => None,
            b"END" => Some(Reply::Entries(decimal(split_word(fields).0).ok_or(Malformed)?)),
            b"ERR" => Some(Reply::Error),
            _ => return Err(Malformed),
        };
        start = end + 1;
        if let Some(reply) = reply {
            return Ok(Some(Recognised { reply, length: start }));
        }
    }
    Ok(None)
}

/// The fields `<version> <expires> <json>`, of which the last may itself hold spaces.
fn recognise_value(asked: Operation, fields: &[u8]) -> Option<Reply> {
    let version_end = memchr(b' ', fields)?;
    let rest = &fields[version_end + 1..];
    let expires_end = memchr(b' ', rest)?;
    let version = if asked == Operation::GetToSwap { decimal(&fields[..version_end])? } else { 0 };
    Some(Reply::Value { bytes: rest.len() - expires_end - 1, version })
}

fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b' ', line) {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::super::tests::{encoded, noticed_at_every_split, recognised_at_every_split, stored, value};
    use super::*;

    #[test]
    fn requests_are_lines() {
        let stored = stored(r#"{"a":1}"#);
        let dated = |expiry| Stored { expiry, ..stored };
        let requests = [
            Request::Get,
            Request::GetToSwap,
            Request::Set(stored),
            Request::Set(dated(Expiry::After { seconds: 86_400 })),
            Request::Set(dated(Expiry::At { unix_ms: 1_773_572_400_123 })),
            Request::Add(stored),
            Request::Swap(stored, 17),
            Request::Scan(30),
        ];
        assert_eq!(
            encoded(Dialect::Larder, &requests),
            "GET user:1\nGET user:1\nSET user:1 {\"a\":1}\nSET user:1 ttl=86400 {\"a\":1}\n\
             SET user:1 at=2026-03-15T11:00:00.123Z {\"a\":1}\nSET user:1 if=absent {\"a\":1}\n\
             SET user:1 if=17 {\"a\":1}\nLIST prefix=user values=1 limit=30\n"
        );
    }

    #[test]
    fn notices_are_recognised_at_every_split() {
        noticed_at_every_split(
            Dialect::Larder,
            b"OK 7\nEVT set 8 default user:0000000000000000009 -\nEVT progress 8\n\
              EVT expire 9 default user:0000000000000000009 1773572400123\nERR SLOW 9\n",
            &[Notice::Begun, Notice::Other, Notice::Other, Notice::Expired(9), Notice::Error],
        );
        for line in ["\n", "NIL\n", "EVT expire 9 default other 1\n", "EVT expire\n"] {
            assert_eq!(recognise_notice(line.as_bytes()), Err(Malformed), "{line:?}");
        }
    }

    #[test]
    fn replies_are_recognised_at_every_split() {
        use Operation::{Add, Get, GetToSwap, Scan, Set, Swap};
        recognised_at_every_split(
            Dialect::Larder,
            &[
                (Get, "VAL 17 - {\"name\":\"a b\"}\n", value(14)),
                (GetToSwap, "VAL 17 - {\"name\":\"a b\"}\n", Reply::Value { bytes: 14, version: 17 }),
                (Get, "NIL\n", Reply::Nil),
                (Set, "OK 18 1773572400000\n", Reply::Done),
                (Set, "OK\n", Reply::Done),
                (Add, "NO EXISTS 3\n", Reply::Refused),
                (Swap, "NO VERSION 3\n", Reply::Refused),
                (Get, "ERR BADKEY no such thing\n", Reply::Error),
                (Scan, "ITEM a 1 - \"END 7\"\nITEM b 2 - 2\nEND 2 next=dXNlcjoy\n", Reply::Entries(2)),
                (Scan, "END 0\n", Reply::Entries(0)),
                (Scan, "ITEM a 1 - 1\nERR DAMAGED b\n", Reply::Error),
                (Scan, "ERR BADOPT no such thing\n", Reply::Error),
                (Get, "VAL 1 2 3\n", value(1)),
            ],
        );
    }

    #[test]
    fn other_lines_are_malformed() {
        for line in ["\n", "VAL 17\n", "VAL 17 -\n", "VAL x - 1\n", "+OK\r\n", "VALUE 1 - 2\n", "END 0\n"] {
            assert_eq!(recognise(Operation::GetToSwap, line.as_bytes()), Err(Malformed), "{line:?}");
        }
        for lines in ["END\n", "END x\n", "ITEM a 1 -\nOK\n"] {
            assert_eq!(recognise(Operation::Scan, lines.as_bytes()), Err(Malformed), "{lines:?}");
        }
    }
}
