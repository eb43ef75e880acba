//! The text protocol of memcached: a request is a line, behind which a value stands with its length ahead.
//!
//! Its times are seconds: from now on if they are at most thirty days, of the Unix epoch otherwise.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Expiry, Malformed, Recognised, Reply, Request, Stored, decimal, encode_decimal, line};

const CRLF: &[u8] = b"\r\n";

/// What follows the bytes of a value that was read.
const VALUE_END: &[u8] = b"\r\nEND\r\n";

/// The longest time that counts from now on.
const RELATIVE_SECONDS_MAX: u32 = 30 * 86_400;

pub(super) fn encode(key: &[u8], request: &Request<'_>, out: &mut Vec<u8>) {
    match request {
        Request::Get => encode_get(b"get ", key, out),
        Request::GetToSwap => encode_get(b"gets ", key, out),
        Request::Set(stored) => encode_stored(b"set ", key, stored, None, out),
        Request::Add(stored) => encode_stored(b"add ", key, stored, None, out),
        Request::Swap(stored, version) => encode_stored(b"cas ", key, stored, Some(*version), out),
        // There is none; the server says so.
        Request::Scan(_) => encode_get(b"list ", key, out),
    }
}

fn encode_get(verb: &[u8], key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(verb);
    out.extend_from_slice(key);
    out.extend_from_slice(CRLF);
}

fn encode_stored(verb: &[u8], key: &[u8], stored: &Stored<'_>, version: Option<u64>, out: &mut Vec<u8>) {
    out.extend_from_slice(verb);
    out.extend_from_slice(key);
    out.extend_from_slice(b" 0 ");
    encode_decimal(expiry_seconds(stored.expiry), out);
    out.push(b' ');
    encode_decimal(stored.value.len() as u64, out);
    if let Some(version) = version {
        out.push(b' ');
        encode_decimal(version, out);
    }
    out.extend_from_slice(CRLF);
    out.extend_from_slice(stored.value);
    out.extend_from_slice(CRLF);
}

fn expiry_seconds(expiry: Expiry) -> u64 {
    match expiry {
        Expiry::Never => 0,
        Expiry::After { seconds } if seconds <= RELATIVE_SECONDS_MAX => seconds.into(),
        Expiry::After { seconds } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.as_secs() + u64::from(seconds)
        }
        Expiry::At { unix_ms } => unix_ms.div_ceil(1000),
    }
}

pub(super) fn recognise(bytes: &[u8]) -> Result<Option<Recognised>, Malformed> {
    let Some((text, length)) = line(bytes)? else { return Ok(None) };
    let mut words = text.split(|byte| *byte == b' ');
    let reply = match words.next().unwrap_or_default() {
        b"VALUE" => {
            // Then key and flags, the length, and the version if it was asked for.
            let size = words.nth(2).and_then(decimal).ok_or(Malformed)?;
            let version = words.next().map_or(Some(0), decimal).ok_or(Malformed)?;
            return recognise_value(&bytes[length..], length, size, version);
        }
        b"END" => Reply::Nil,
        b"STORED" => Reply::Done,
        b"NOT_STORED" | b"EXISTS" => Reply::Refused,
        b"NOT_FOUND" => Reply::Nil,
        b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR" => Reply::Error,
        _ => return Err(Malformed),
    };
    Ok(Some(Recognised { reply, length }))
}

/// The value behind its header; it is skipped by its length and never searched.
fn recognise_value(
    body: &[u8],
    header: usize,
    size: usize,
    version: u64,
) -> Result<Option<Recognised>, Malformed> {
    let end = size.checked_add(VALUE_END.len()).ok_or(Malformed)?;
    match body.get(size..end) {
        None => Ok(None),
        Some(VALUE_END) => {
            Ok(Some(Recognised { reply: Reply::Value { bytes: size, version }, length: header + end }))
        }
        Some(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{encoded, recognised_at_every_split, stored, value};
    use super::super::{Dialect, Operation};
    use super::*;

    #[test]
    fn requests_have_the_length_ahead_of_a_value() {
        let stored = stored(r#"{"a":123456}"#);
        let dated = |expiry| Stored { expiry, ..stored };
        for (request, expected) in [
            (Request::Get, "get user:1|"),
            (Request::GetToSwap, "gets user:1|"),
            (Request::Set(stored), "set user:1 0 0 12|{\"a\":123456}|"),
            (
                Request::Set(dated(Expiry::After { seconds: 2_592_000 })),
                "set user:1 0 2592000 12|{\"a\":123456}|",
            ),
            (
                Request::Add(dated(Expiry::At { unix_ms: 1_773_572_400_123 })),
                "add user:1 0 1773572401 12|{\"a\":123456}|",
            ),
            (Request::Swap(stored, 17), "cas user:1 0 0 12 17|{\"a\":123456}|"),
        ] {
            assert_eq!(encoded(Dialect::Memcached, &[request]).replace("\r\n", "|"), expected);
        }
        // As a time from now on it would be one of 1970.
        assert!(expiry_seconds(Expiry::After { seconds: RELATIVE_SECONDS_MAX + 1 }) > 1_000_000_000);
    }

    #[test]
    fn replies_are_recognised_at_every_split() {
        use Operation::{Add, Get, GetToSwap, Set, Swap};
        recognised_at_every_split(
            Dialect::Memcached,
            &[
                (Get, "VALUE user:1 0 17\r\n{\"a\":\"\r\nEND\r\n\"  }\r\nEND\r\n", value(17)),
                (Get, "END\r\n", Reply::Nil),
                (GetToSwap, "VALUE a 0 1 23\r\n3\r\nEND\r\n", Reply::Value { bytes: 1, version: 23 }),
                (GetToSwap, "END\r\n", Reply::Nil),
                (Set, "STORED\r\n", Reply::Done),
                (Set, "SERVER_ERROR out of memory storing object\r\n", Reply::Error),
                (Set, "CLIENT_ERROR bad data chunk\r\n", Reply::Error),
                (Set, "ERROR\r\n", Reply::Error),
                (Add, "NOT_STORED\r\n", Reply::Refused),
                (Swap, "EXISTS\r\n", Reply::Refused),
                (Swap, "NOT_FOUND\r\n", Reply::Nil),
                (Get, "VALUE a 0 0\r\n\r\nEND\r\n", value(0)),
            ],
        );
    }

    #[test]
    fn other_bytes_are_malformed() {
        for text in [
            "\r\n",
            "STORED\n",
            "stored\r\n",
            "VALUE a 0\r\n",
            "VALUE a 0 x\r\n",
            "VALUE a 0 -1\r\n",
            "VALUE a 0 1 x\r\n",
            "VALUE a 0 1\r\nabcEND\r\n",
            "VALUE a 0 1\r\na\r\nSTORED\r\n",
            "OK 1\r\n",
        ] {
            assert_eq!(recognise(text.as_bytes()), Err(Malformed), "{text:?}");
        }
        assert_eq!(recognise(format!("VALUE a 0 {}\r\n", usize::MAX).as_bytes()), Err(Malformed));
    }
}
