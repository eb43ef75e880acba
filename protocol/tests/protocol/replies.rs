//! What the server writes is what the client reads.

use larder_protocol::reply::{Event, EventKind, No, Reply, ReplyError, write};
use larder_protocol::{COMMANDS, Code, Verb, decode_cursor, lines};
use proptest::prelude::*;

/// The reply as written, which must be exactly one line.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    assert_eq!(out.pop(), Some(b'\n'));
    assert!(!out.contains(&b'\n'));
    out
}

#[test]
fn every_reply_looks_as_the_contract_says() {
    let lines: Vec<String> = [
        written(write::ok),
        written(|out| write::ok_number(out, 3)),
        written(write::ok_none),
        written(|out| write::ok_written(out, 17, Some(1_773_572_400_000))),
        written(|out| write::ok_json(out, b"{}")),
        written(|out| write::ok_namespace(out, "a b")),
        written(|out| write::val(out, 17, None, br#""u_456""#)),
        written(write::nil),
        written(|out| write::no_exists(out, 17)),
        written(|out| write::no_version(out, 18)),
        written(write::no_absent),
        written(|out| write::no_check(out, 0)),
        written(write::no_path),
        written(|out| write::item_entry(out, "user:1", 4, None, None)),
        written(|out| write::item_entry(out, "a=b", 4, Some(9), Some(b"1"))),
        written(|out| write::item_namespace(out, "default", 12)),
        written(|out| write::end(out, 2, Some("user:2"))),
        written(|out| write::end(out, 0, None)),
        written(|out| write::event(out, EventKind::Set, 5, "default", "k", Some(9), Some(b"1"))),
        written(|out| write::event(out, EventKind::Del, 6, "default", "k", None, None)),
        written(|out| write::event_progress(out, 7)),
        written(|out| write::err(out, Code::BadArg, "a\nb\u{85}c")),
        written(|out| write::err(out, Code::Internal, "")),
    ]
    .into_iter()
    .map(|line| String::from_utf8(line).unwrap())
    .collect();
    let expected = r#"OK
OK 3
OK -
OK 17 1773572400000
OK {}
OK "a b"
VAL 17 - "u_456"
NIL
NO EXISTS 17
NO VERSION 18
NO ABSENT
NO CHECK 0
NO PATH
ITEM user:1 4 -
ITEM "a=b" 4 9 1
ITEM default 12
END 2 next=dXNlcjoy
END 0
EVT set 5 default k 9 1
EVT del 6 default k -
EVT progress 7
ERR BADARG a?b?c
ERR INTERNAL"#;
    assert_eq!(lines.join("\n"), expected);
    for line in expected.lines() {
        assert!(Reply::parse(line.as_bytes()).is_ok(), "{line}");
    }
}

#[test]
fn help_comes_from_the_table() {
    let mut out = Vec::new();
    write::help(&mut out, None);
    let replies: Vec<_> = lines(&out).map(|line| Reply::parse(line).unwrap()).collect();
    for (row, reply) in COMMANDS.iter().zip(&replies) {
        assert!(matches!(reply, Reply::Item(fields) if fields.text() == row.usage));
    }
    assert_eq!(replies[COMMANDS.len()..], [Reply::End { count: COMMANDS.len() as u64, next: None }]);

    out.clear();
    write::help(&mut out, Some(Verb::Ping));
    assert_eq!(out, b"ITEM PING\nITEM answers OK\nEND 2\n");
}

#[test]
fn what_is_no_reply_is_an_error() {
    assert_eq!(Reply::parse(b"HTTP/1.1 200 OK"), Err(ReplyError::Kind));
    assert_eq!(Reply::parse(b""), Err(ReplyError::Kind));
    assert_eq!(Reply::parse(b"OK \xff"), Err(ReplyError::Encoding));
    for line in [
        "VAL",
        "VAL 1",
        "VAL 1 -",
        "VAL x - 1",
        "NIL 1",
        "NO",
        "NO WAY",
        "NO EXISTS",
        "NO ABSENT 1",
        "END",
        "END x",
        "END 1 x",
        "EVT",
        "EVT moved 1",
        "EVT set 1 a",
        "EVT progress",
        "ERR",
    ] {
        assert_eq!(Reply::parse(line.as_bytes()), Err(ReplyError::Fields), "{line}");
    }
    let Ok(Reply::Ok(fields)) = Reply::parse(b"OK 1 2 3") else { panic!("an OK was due") };
    assert!(fields.none().is_err() && fields.number().is_err() && fields.written().is_err());
}

#[test]
fn conditions_are_told_apart() {
    let no = |line: &[u8]| match Reply::parse(line) {
        Ok(Reply::No(no)) => no,
        other => panic!("{other:?}"),
    };
    assert_eq!(no(b"NO EXISTS 17"), No::Exists(17));
    assert_eq!(no(b"NO VERSION 18"), No::Version(18));
    assert_eq!(no(b"NO ABSENT"), No::Absent);
    assert_eq!(no(b"NO CHECK 3"), No::Check(3));
    assert_eq!(no(b"NO PATH"), No::Path);
}

proptest! {
    #![proptest_config(crate::same_cases())]

    #[test]
    fn names_and_numbers_go_there_and_back(
        name in ".{1,20}",
        key in any::<String>(),
        version: u64,
        expires_ms: Option<u64>,
        value in prop::option::of(any::<String>()),
    ) {
        let json = value.map(|value| serde_json::Value::String(value).to_string());
        let bytes = json.as_deref().map(str::as_bytes);

        let line = written(|out| write::item_entry(out, &key, version, expires_ms, bytes));
        let Ok(Reply::Item(fields)) = Reply::parse(&line) else { panic!("an ITEM was due") };
        let item = fields.entry().unwrap();
        prop_assert_eq!((item.key.as_ref(), item.version, item.expires_ms, item.json), (&key[..], version, expires_ms, json.as_deref()));

        let line = written(|out| write::item_namespace(out, &name, version));
        let Ok(Reply::Item(fields)) = Reply::parse(&line) else { panic!("an ITEM was due") };
        prop_assert_eq!(fields.namespace().unwrap(), (name.as_str().into(), version));

        let line = written(|out| write::event(out, EventKind::Expire, version, &name, &key, expires_ms, bytes));
        let event = Event::Change {
            kind: EventKind::Expire,
            version,
            namespace: name.as_str().into(),
            key: key.as_str().into(),
            expires_ms,
            json: json.as_deref(),
        };
        prop_assert_eq!(Reply::parse(&line), Ok(Reply::Evt(event)));

        let line = written(|out| write::ok_written(out, version, expires_ms));
        let Ok(Reply::Ok(fields)) = Reply::parse(&line) else { panic!("an OK was due") };
        prop_assert_eq!(fields.written(), Ok((version, expires_ms)));

        let line = written(|out| write::ok_namespace(out, &name));
        let Ok(Reply::Ok(fields)) = Reply::parse(&line) else { panic!("an OK was due") };
        prop_assert_eq!(fields.token().unwrap(), name.as_str());

        let line = written(|out| write::val(out, version, expires_ms, bytes.unwrap_or(b"null")));
        let value = Reply::Val { version, expires_ms, json: json.as_deref().unwrap_or("null") };
        prop_assert_eq!(Reply::parse(&line), Ok(value));

        let line = written(|out| write::end(out, version, Some(&name)));
        let Ok(Reply::End { count, next: Some(cursor) }) = Reply::parse(&line) else { panic!("an END was due") };
        prop_assert_eq!(count, version);
        if !name.contains(char::is_control) {
            prop_assert_eq!(decode_cursor(cursor).unwrap(), name);
        }

        let line = written(|out| write::err(out, Code::Failed, &key));
        let is_error = matches!(Reply::parse(&line), Ok(Reply::Err { code: "FAILED", .. }));
        prop_assert!(is_error);
    }

    #[test]
    fn no_line_makes_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..40), kind in prop::sample::select(vec!["", "OK ", "VAL ", "NO ", "ITEM ", "END ", "EVT set "])) {
        let line = [kind.as_bytes(), &line].concat();
        if let Ok(Reply::Ok(fields) | Reply::Item(fields)) = Reply::parse(&line) {
            let _ = (fields.number_or_none(), fields.written(), fields.token(), fields.entry(), fields.namespace());
        }
    }
}
