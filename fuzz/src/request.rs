//! The protocol, from a stream of bytes to requests and replies.
//!
//! Input: four lengths of the pieces in which the stream arrives, one byte for the limit on lines, one for how much longer
//! that of a transaction may be, then the stream.

use crate::input::Input;
use crate::rewrite::rewrite;
use bytes::BytesMut;
use larder_protocol::json::{JsonFault, at_pointer, compact, decode_string, encode_string, merge_patch};
use larder_protocol::reply::{Event, No, Reply, write};
use larder_protocol::{
    Frame, Limits, LineCodec, LineLimits, Ttl, deadline, decode_cursor, encode_cursor, lines, parse,
    write_token,
};
use serde::de::IgnoredAny;
use serde_json::Value;
use std::borrow::Cow;
use std::iter;
use tokio_util::codec::Decoder;

/// What a server makes of a stream, with runs of lines taken apart: how they are grouped depends on the pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Line(Vec<u8>),
    TooLong,
    Overrun,
    Http,
    Tls,
    Incomplete,
}

/// Runs the target.
pub fn request(input: &[u8]) {
    let mut input = Input::new(input);
    let lengths: [u8; 4] = input.array();
    let line_bytes = match input.byte() {
        u8::MAX => Limits::DEFAULT.lines().line_bytes,
        small => 16 + usize::from(small) * 4,
    };
    let limits = LineLimits { line_bytes, transaction_bytes: line_bytes + usize::from(input.byte()) * 4 };
    let stream = input.rest();
    let seen = cut(limits, iter::once(stream));
    assert_eq!(seen, cut(limits, stream.chunks(1)), "one byte at a time");
    assert_eq!(seen, cut(limits, pieces(stream, lengths)), "in pieces of {lengths:?}");
    let mut before: &[u8] = b"";
    for line in &seen {
        if let Seen::Line(line) = line {
            check_request(line);
            check_reply(line);
            if let Ok(text) = str::from_utf8(line) {
                check_text(text, before);
            }
            before = line;
        }
    }
}

/// The stream in pieces of 1 to 256 bytes, their lengths in turn.
fn pieces(mut stream: &[u8], lengths: [u8; 4]) -> impl Iterator<Item = &[u8]> {
    lengths.into_iter().cycle().map_while(move |length| {
        let piece;
        (piece, stream) = stream.split_at_checked(usize::from(length) + 1).unwrap_or((stream, b""));
        (!piece.is_empty()).then_some(piece)
    })
}

fn cut<'a>(limits: LineLimits, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Seen> {
    let mut codec = LineCodec::new(limits);
    let mut buffer = BytesMut::new();
    let mut seen = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(frame) = codec.decode(&mut buffer).expect("the codec does no I/O") {
            note(frame, &mut seen);
        }
        assert!(buffer.len() <= limits.transaction_bytes, "what is over the limit is not kept");
    }
    while let Some(frame) = codec.decode_eof(&mut buffer).expect("the codec does no I/O") {
        note(frame, &mut seen);
    }
    assert!(buffer.is_empty());
    seen
}

fn note(frame: Frame, seen: &mut Vec<Seen>) {
    match frame {
        Frame::Lines(chunk) => {
            assert!(chunk.ends_with(b"\n"));
            seen.extend(lines(&chunk).map(|line| Seen::Line(line.to_vec())));
        }
        Frame::TooLong => seen.push(Seen::TooLong),
        Frame::Overrun => seen.push(Seen::Overrun),
        Frame::Http => seen.push(Seen::Http),
        Frame::Tls => seen.push(Seen::Tls),
        Frame::Incomplete => seen.push(Seen::Incomplete),
    }
}

/// A request that is understood can be written, as one line, and is then understood the same.
fn check_request(line: &[u8]) {
    let tight = Limits { value_bytes: 8, depth: 2, key_bytes: 4, namespace_bytes: 4, ..Limits::DEFAULT };
    let tight = parse(line, &tight);
    match parse(line, &Limits::DEFAULT) {
        Ok(request) => {
            let mut written = Vec::new();
            rewrite(&mut written, &request);
            let mut again = lines(&written);
            let rewritten = again.next().expect("a line was written");
            assert_eq!(parse(rewritten, &Limits::DEFAULT), Ok(request), "{:?}", written.escape_ascii());
            assert_eq!(again.next(), None, "one request is one line");
        }
        Err(error) => {
            assert!(tight.is_err(), "tighter limits allow no more");
            assert!(!error.text.contains(char::is_control), "{:?}", error.text);
        }
    }
}

/// A reply that is understood can be written, and is then understood the same.
fn check_reply(line: &[u8]) {
    let Ok(reply) = Reply::parse(line) else { return };
    if line.ends_with(b"\r") {
        // No server writes JSON that ends so, and a second CR would be taken for the line's.
        return;
    }
    let mut out = Vec::new();
    match &reply {
        Reply::Ok(fields) | Reply::Item(fields) => {
            let _ = (fields.none(), fields.number(), fields.number_or_none(), fields.written());
            let _ = (fields.token(), fields.namespace());
            if let Ok(item) = fields.entry() {
                write::item_entry(
                    &mut out,
                    &item.key,
                    item.version,
                    item.expires_ms,
                    item.json.map(str::as_bytes),
                );
                let Ok(Reply::Item(again)) = written(&out) else { panic!("an item was written") };
                assert_eq!(again.entry(), Ok(item));
            }
            return;
        }
        Reply::Val { version, expires_ms, json } => {
            write::val(&mut out, *version, *expires_ms, json.as_bytes());
        }
        Reply::Nil => write::nil(&mut out),
        Reply::No(No::Exists(version)) => write::no_exists(&mut out, *version),
        Reply::No(No::Version(version)) => write::no_version(&mut out, *version),
        Reply::No(No::Absent) => write::no_absent(&mut out),
        Reply::No(No::Check(index)) => write::no_check(&mut out, *index),
        Reply::No(No::Path) => write::no_path(&mut out),
        Reply::Evt(Event::Progress { version }) => write::event_progress(&mut out, *version),
        Reply::Evt(Event::Change { kind, version, namespace, key, expires_ms, json }) => {
            write::event(&mut out, *kind, *version, namespace, key, *expires_ms, json.map(str::as_bytes));
        }
        // Their parts are left as text, which need not be what a server writes.
        Reply::End { .. } | Reply::Err { .. } => return,
    }
    assert_eq!(written(&out), Ok(reply));
}

fn written(out: &[u8]) -> Result<Reply<'_>, larder_protocol::reply::ReplyError> {
    Reply::parse(lines(out).next().unwrap_or_default())
}

/// Everything that reads a text, on any text.
fn check_text(text: &str, before: &[u8]) {
    check_json(text);
    check_pointer(text, before);
    if let Ok(before) = str::from_utf8(before) {
        check_merge(before, text);
    }
    check_string(text);
    if let Ok(name) = decode_cursor(text) {
        let mut cursor = Vec::new();
        encode_cursor(&mut cursor, &name);
        assert_eq!(cursor, text.as_bytes(), "a name has one cursor");
    }
    if let Ok(ttl) = Ttl::parse(text)
        && let Ok(deadline_ms) = deadline(ttl, 1_000, 5_000)
    {
        assert!((1_001..=6_000).contains(&deadline_ms));
    }
    let mut token = Vec::new();
    write_token(&mut token, text);
    assert!(!token.contains(&b'\n'));
}

fn check_json(text: &str) {
    // This reader checks the grammar and nothing else, as ours does: any number, any escape. It knows no depth.
    let theirs = serde_json::from_str::<IgnoredAny>(text);
    match compact(text, 128) {
        Ok(document) => {
            assert!(theirs.is_ok(), "{theirs:?}");
            assert_eq!(document.text, without_space(text));
            let again = compact(&document.text, 128).expect("what was compacted is valid");
            assert!(matches!(again.text, Cow::Borrowed(_)) && again == document, "compacting is idempotent");
        }
        Err(error) => {
            assert!(error.position <= text.len());
            assert!(theirs.is_err() || matches!(error.fault, JsonFault::Depth(_)), "{error:?}");
        }
    }
}

/// A valid document without the white space between its tokens, the simple way.
fn without_space(text: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |character: &char| {
        let keep = in_string || !matches!(character, ' ' | '\t' | '\n' | '\r');
        match (in_string, escaped, *character) {
            (true, true, _) => escaped = false,
            (true, false, '\\') => escaped = true,
            (_, false, '"') => in_string = !in_string,
            _ => {}
        }
        keep
    };
    text.chars().filter(keep).collect()
}

/// A pointer finds what it would find in a tree; in what is no document, it finds anything or nothing.
fn check_pointer(pointer: &str, document: &[u8]) {
    let Ok(found) = at_pointer(document, pointer) else { return };
    let Ok(text) = str::from_utf8(document) else { return };
    let is_compact = compact(text, 128).is_ok_and(|compacted| compacted.text == text);
    if let (true, Ok(tree)) = (is_compact, serde_json::from_str::<Value>(text)) {
        let found: Option<Value> =
            found.map(|found| serde_json::from_slice(found).expect("a part is a document"));
        assert_eq!(found.as_ref(), tree.pointer(pointer));
    }
}

/// A merge patch gives what the pseudo code of RFC 7396 gives; of what is no JSON it gives anything or an error.
fn check_merge(target: &str, patch: &str) {
    let _ = merge_patch(target, patch);
    let compacted = |text: &str| compact(text, 128).ok().map(|document| document.text.into_owned());
    let (Some(target), Some(patch)) = (compacted(target), compacted(patch)) else { return };
    let tree = |text: &str| serde_json::from_str::<Value>(text);
    if let (Ok(old), Ok(change)) = (tree(&target), tree(&patch)) {
        let merged = merge_patch(&target, &patch).expect("both are valid");
        assert_eq!(compacted(&merged).as_ref(), Some(&merged), "the result is valid and compact");
        assert_eq!(tree(&merged).expect("as valid as the two"), merged_trees(old, &change));
    }
}

fn merged_trees(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut members = match target {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    for (name, value) in patch {
        let old = members.remove(name).unwrap_or(Value::Null);
        if !value.is_null() {
            members.insert(name.clone(), merged_trees(old, value));
        }
    }
    Value::Object(members)
}

fn check_string(text: &str) {
    if text.starts_with('"') && text.ends_with('"') {
        assert_eq!(decode_string(text).ok().map(Cow::into_owned), serde_json::from_str(text).ok());
    }
    let mut encoded = Vec::new();
    encode_string(&mut encoded, text);
    let encoded = str::from_utf8(&encoded).expect("a JSON string is UTF-8");
    assert_eq!(decode_string(encoded).as_deref(), Ok(text));
}

/// Valid inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    const STREAMS: [&str; 15] = [
        "PING\r\n\nGET session:42 path=/user/tags/1 ns=app\nQUIT\n",
        "SET \"user 42\" ttl=5m if=absent type=JSON desc=\"a \\u00e9 note\" { \"a\" : [1.0, -1e400, true, null] }\n",
        "SET k at=2030-01-31T12:00:00.5Z type=DATETIME \"2030-01-31T12:00:00Z\"\nTOUCH k ttl=PT5M\nTTL k\nPERSIST k\n",
        "SET k at=9999-12-31T23:59:60.999999999-23:59 1\nTOUCH k at=1970-01-01T23:59:00.000000001+23:59\n",
        "MGET a b \"c=d\" ns=x\nEXISTS a a\nDEL a if=17 get=1\nENTRY a\nSET k keepttl=1 if=present \"\\ud83d\\ude00\"\n",
        "LIST prefix=user: limit=10 cursor=dXNlcjoy reverse=1 values=1\nCOUNT prefix=\"\"\nNAMESPACES limit=5 cursor=YQ\n",
        "HELLO token=secret name=test\nNS app\nNS\nHELP get\nSYNC\nSTATS\nAUTH lk_1_2\n",
        "ORG create acme plan=team entries=600 value_bytes=- rate=5\nORG set acme plan=free\nORG list\nORG delete acme\n",
        "KEY create org=acme scope=read_only ns=a,b* ttl=1h name=\"a b\"\nKEY list org=acme\nKEY revoke 0a\n",
        "INCR k by=-5 init=10 ttl=5m ns=x\nPATCH k if=3 {\"a\":{\"b\":null},\"c\":1.0}\nDELPREFIX user: dry=1\nCOMPACT\n",
        "TXN ns=n {\"check\":[{\"key\":\"a\",\"version\":7},{\"key\":\"b\",\"ns\":\"m\",\"version\":null}],\"ops\":[[\"set\",\"a\",{\"x\":[1]},{\"ttl\":60,\"type\":\"JSON\",\"desc\":\"d\"}],[\"set\",\"b\",1,{\"keepttl\":true}],[\"set\",\"c\",null,{\"at\":\"2030-01-31T12:00:00Z\"}],[\"del\",\"a\",{\"ns\":\"m\"}]]}\n",
        "{\"a\":{\"b\":1,\"c\":2},\"a\":{\"x\":[{}]},\"\\u0062\":1}\n{\"a\":{\"x\":null,\"y\":{\"z\":null}},\"b\":{\"c\":1}}\n",
        "OK 17 -\nVAL 17 1700000000000 {\"a\":1}\nNIL\nNO EXISTS 3\nNO PATH\nITEM \"a b\" 4 - [1]\nEND 1 next=YQ\n",
        "EVT set 5 default \"k 1\" - 1\nEVT expire 6 default k 9\nEVT progress 7\nERR BADJSON value, at byte 7\n",
        "{\"user\":{\"tags\":[\"a\",\"b\"],\"a/b\":{\"~\":0}}}\n/user/tags/1\n{\"\\u0061\":1,\"a\":[{}]}\n/a/0\n[[[[]]]]\n/0/0\n",
    ];
    let head = |limit: u8| [3, 0, 16, 255, limit, 4];
    let stream = |text: &str| [&head(u8::MAX)[..], text.as_bytes()].concat();
    let http = [&head(8)[..], b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"].concat();
    let long = [&head(0)[..], &[b'x'; 40], b"\nPING\n", &[b'y'; 300]].concat();
    let longer = [&head(0)[..], b"TXN {\"ops\":[[\"del\",\"a\"]]}\nTXN ", &[b' '; 40], b"\nPING\n"].concat();
    let tls = [&head(8)[..], b"\r\n\x16\x03\x01\x00\x05\x01\nPING\n"].concat();
    STREAMS.iter().map(|text| stream(text)).chain([http, long, longer, tls]).collect()
}
