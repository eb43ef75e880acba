//! The line protocol: a request is a line, a reply is a line.

use memchr::memchr;

use super::{Malformed, Notice, Recognised, Reply};
use crate::key;

pub(super) const WATCH: &[u8] = b"WATCH\n";

pub(super) fn encode_get(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(key);
    out.push(b'\n');
}

pub(super) fn encode_set(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"SET ");
    out.extend_from_slice(key);
    out.push(b' ');
    out.extend_from_slice(value);
    out.push(b'\n');
}

pub(super) fn encode_set_until(key: &[u8], value: &[u8], deadline_ms: u64, out: &mut Vec<u8>) {
    let deadline = i64::try_from(deadline_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let deadline = deadline.unwrap_or(jiff::Timestamp::MAX);
    out.extend_from_slice(b"SET ");
    out.extend_from_slice(key);
    out.extend_from_slice(format!(" at={deadline} ").as_bytes());
    out.extend_from_slice(value);
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

pub(super) fn recognise(bytes: &[u8]) -> Result<Option<Recognised>, Malformed> {
    let Some(end) = memchr(b'\n', bytes) else { return Ok(None) };
    let (word, fields) = split_word(&bytes[..end]);
    let reply = match word {
        b"VAL" => Reply::Value(json_of_value(fields).ok_or(Malformed)?.len()),
        b"OK" => Reply::Done,
        b"NIL" => Reply::Nil,
        b"ERR" => Reply::Error,
        _ => return Err(Malformed),
    };
    Ok(Some(Recognised { reply, length: end + 1 }))
}

/// What follows `<version> <expires>`. It is JSON and may itself hold spaces.
fn json_of_value(fields: &[u8]) -> Option<&[u8]> {
    let version_end = memchr(b' ', fields)?;
    let rest = &fields[version_end + 1..];
    let expires_end = memchr(b' ', rest)?;
    Some(&rest[expires_end + 1..])
}

fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b' ', line) {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{noticed_at_every_split, recognised_at_every_split};
    use super::*;
    use crate::dialect::Dialect;

    #[test]
    fn requests_are_lines() {
        let mut out = Vec::new();
        encode_get(b"user:1", &mut out);
        encode_set(b"user:1", br#"{"a":1}"#, &mut out);
        assert_eq!(out, b"GET user:1\nSET user:1 {\"a\":1}\n");
        out.clear();
        encode_set_until(b"user:1", b"1", 1_773_572_400_123, &mut out);
        assert_eq!(out, b"SET user:1 at=2026-03-15T11:00:00.123Z 1\n");
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
        recognised_at_every_split(
            Dialect::Larder,
            b"VAL 17 - {\"name\":\"a b\"}\nNIL\nOK 18 1773572400000\nOK\nERR BADKEY no such thing\nVAL 1 2 3\n",
            &[Reply::Value(14), Reply::Nil, Reply::Done, Reply::Done, Reply::Error, Reply::Value(1)],
        );
    }

    #[test]
    fn other_lines_are_malformed() {
        for line in ["\n", "NO EXISTS 3\n", "VAL 17\n", "VAL 17 -\n", "+OK\r\n", "VALUE 1 - 2\n"] {
            assert_eq!(recognise(line.as_bytes()), Err(Malformed), "{line:?}");
        }
    }
}
