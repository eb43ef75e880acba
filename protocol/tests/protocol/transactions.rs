//! The document of a `TXN`: what it asks for, and what is told about one that is wrong.

use std::borrow::Cow;

use larder_protocol::{
    CHECKS_MAX, Check, Code, Command, Expiry, Limits, OPERATIONS_MAX, Operation, ParseError, Request, Set,
    Transaction, Ttl, ValueType, Write, parse,
};
use proptest::prelude::*;

fn read(document: &str) -> Result<Transaction<'static>, ParseError> {
    let line: &'static str = Box::leak(format!("TXN {document}").into_boxed_str());
    match parse(line.as_bytes(), &Limits::DEFAULT)? {
        Request { ns: None, command: Command::Txn(transaction) } => Ok(transaction),
        other => panic!("{other:?}"),
    }
}

fn error(document: &str) -> ParseError {
    let error = read(document).expect_err(document);
    assert!(!error.text.contains(char::is_control), "{error}");
    error
}

fn set(key: &'static str, json: &'static str, value_type: ValueType) -> Set<'static> {
    Set {
        key: key.into(),
        json: json.into(),
        value_type,
        expiry: Expiry::Clear,
        condition: None,
        description: None,
    }
}

#[test]
fn checks_and_operations() {
    assert_eq!(read("{}").unwrap(), Transaction::default());
    assert_eq!(read(" { \"ops\" : [ ] , \"check\":[]} ").unwrap(), Transaction::default());
    let document = r#"{"check":[{"key":"a","version":7},{"version":null,"ns":"n s","key":"b"}],
        "ops":[["set","a",{ "x" : 1.0 },{"ttl":60,"ns":"m"}],["del","b"],["del","c",{"ns":"m"}],["set","d",null]]}"#
        .replace('\n', " ");
    let sixty = Expiry::Set(Ttl::After(60_000));
    let expected = Transaction {
        checks: vec![
            Check { ns: None, key: "a".into(), version: Some(7) },
            Check { ns: Some("n s".into()), key: "b".into(), version: None },
        ],
        operations: vec![
            Operation {
                ns: Some("m".into()),
                write: Write::Set(Set { expiry: sixty, ..set("a", "{\"x\":1.0}", ValueType::Json) }),
            },
            Operation { ns: None, write: Write::Del { key: "b".into() } },
            Operation { ns: Some("m".into()), write: Write::Del { key: "c".into() } },
            Operation { ns: None, write: Write::Set(set("d", "null", ValueType::Json)) },
        ],
    };
    assert_eq!(read(&document).unwrap(), expected);
}

#[test]
fn a_set_has_the_options_of_one() {
    let date = set("a", "\"2030-01-31\"", ValueType::String);
    let full = Set { value_type: ValueType::Date, description: Some("a note".into()), ..date.clone() };
    for (options, expected) in [
        (r#"{"type":"date","desc":"a note"}"#, full),
        (r#"{"ttl":"5m"}"#, Set { expiry: Expiry::Set(Ttl::After(300_000)), ..date.clone() }),
        (r#"{"ttl":"1970-01-01T00:00:01Z"}"#, Set { expiry: Expiry::Set(Ttl::At(1_000)), ..date.clone() }),
        (r#"{"at":"1970-01-01T00:00:01Z"}"#, Set { expiry: Expiry::Set(Ttl::At(1_000)), ..date.clone() }),
        (r#"{"keepttl":true}"#, Set { expiry: Expiry::Keep, ..date.clone() }),
        (r#"{"keepttl":false}"#, date.clone()),
        ("{}", date),
    ] {
        let read = read(&format!(r#"{{"ops":[["set","a","2030-01-31",{options}]]}}"#)).unwrap();
        assert_eq!(read.operations, [Operation { ns: None, write: Write::Set(expected) }]);
    }
}

#[test]
fn what_is_wrong_has_its_code_and_its_place() {
    let deep = format!(r#"{{"ops":[["set","a",{}{}]]}}"#, "[".repeat(129), "]".repeat(129));
    let wide = |item: &str, count: usize| vec![item; count].join(",");
    let checks = format!(r#"{{"check":[{}]}}"#, wide(r#"{"key":"a","version":1}"#, CHECKS_MAX + 1));
    let operations = format!(r#"{{"ops":[{}]}}"#, wide(r#"["del","a"]"#, OPERATIONS_MAX + 1));
    let note = format!(r#"{{"ops":[["set","a",1,{{"desc":"{}"}}]]}}"#, "x".repeat(1_001));
    let big = format!(r#"{{"ops":[["set","a","{}"]]}}"#, "x".repeat(1 << 20));
    for (document, code, part) in [
        ("{", Code::BadJson, "byte 6"),
        ("{} {}", Code::BadJson, "after the end"),
        ("{\"ops\":[],}", Code::BadJson, "byte 15"),
        ("{\"ops\":[[\"del\",\"a\"]", Code::BadJson, "too early"),
        ("{\"ops\":[[\"set\",\"a\",01]]}", Code::BadJson, "byte "),
        (&deep, Code::BadJson, "128 levels"),
        ("[]", Code::BadArg, "expected an object"),
        ("null", Code::BadArg, "expected an object"),
        ("{\"ops\":{}}", Code::BadArg, "expected an array"),
        ("{\"ops\":[{}]}", Code::BadArg, "expected an array: [\"set\",key,value]"),
        ("{\"ops\":[[]]}", Code::BadArg, "expected \"set\" or \"del\""),
        ("{\"ops\":[[\"incr\",\"a\"]]}", Code::BadArg, "ops[0]: no operation incr"),
        ("{\"ops\":[[\"SET\",\"a\",1]]}", Code::BadArg, "no operation SET"),
        ("{\"ops\":[[\"set\",\"a\"]]}", Code::BadArg, "expected `,` and a value"),
        ("{\"ops\":[[\"set\",1,1]]}", Code::BadArg, "expected a key"),
        ("{\"ops\":[[\"del\",\"a\",1]]}", Code::BadArg, "expected an object with options"),
        ("{\"ops\":[[\"del\",\"a\",{},1]]}", Code::BadArg, "expected `]`"),
        ("{\"check\":[{\"key\":\"a\"}]}", Code::BadArg, "check[0]: a check lacks its version"),
        ("{\"check\":[{\"version\":1}]}", Code::BadArg, "check[0]: a check lacks its key"),
        ("{\"check\":[{\"key\":\"a\",\"version\":1.0}]}", Code::BadArg, "a version or null, not 1.0"),
        ("{\"check\":[{\"key\":\"a\",\"version\":-1}]}", Code::BadArg, "version"),
        ("{\"check\":[{\"key\":\"a\",\"version\":\"1\"}]}", Code::BadArg, "version"),
        ("{\"check\":[{\"key\":\"a\",\"version\":18446744073709551616}]}", Code::BadArg, "version"),
        (&checks, Code::BadArg, "check has more than 1000"),
        (&operations, Code::BadArg, "ops has more than 1000"),
        ("{\"ops\":[[\"set\",\"a\",1,{\"keepttl\":1}]]}", Code::BadArg, "keepttl must be true or false"),
        ("{\"ops\":[[\"set\",\"a\",1,{\"type\":\"TREE\"}]]}", Code::BadArg, "type must be STRING"),
        ("{\"ops\":[[\"set\",\"a\",1,{\"desc\":1}]]}", Code::BadArg, "expected a string"),
        ("{\"oops\":[]}", Code::BadOpt, "a transaction has no oops"),
        ("{\"ops\":[],\"\\u006fps\":[]}", Code::BadOpt, "ops is given twice"),
        (
            "{\"check\":[{\"key\":\"a\",\"key\":\"b\",\"version\":1}]}",
            Code::BadOpt,
            "check[0]: key is given twice",
        ),
        ("{\"check\":[{\"key\":\"a\",\"version\":1,\"x\":1}]}", Code::BadOpt, "a check has no x"),
        ("{\"ops\":[[\"set\",\"a\",1,{\"if\":1}]]}", Code::BadOpt, "ops[0]: a set has no if"),
        ("{\"ops\":[[\"del\",\"a\",{\"ttl\":1}]]}", Code::BadOpt, "a del has no ttl"),
        ("{\"ops\":[[\"set\",\"a\",1,{\"ttl\":1,\"keepttl\":true}]]}", Code::BadOpt, "contradicts"),
        ("{\"ops\":[[\"set\",\"a\",1,{\"ns\":\"n\",\"ns\":\"n\"}]]}", Code::BadOpt, "ns is given twice"),
        ("{\"ops\":[[\"set\",\"\",1]]}", Code::BadKey, "ops[0]: a key must not be empty"),
        ("{\"ops\":[[\"del\",\"a\"],[\"del\",\"a\\u0000\"]]}", Code::BadKey, "ops[1]: a key must not hold"),
        ("{\"ops\":[[\"del\",\"\\ud800\"]]}", Code::BadKey, "surrogate"),
        (
            "{\"check\":[{\"key\":\"a\",\"ns\":\"\",\"version\":1}]}",
            Code::BadNs,
            "a namespace must not be empty",
        ),
        ("{\"ops\":[[\"set\",\"a\",1,{\"ttl\":1.5}]]}", Code::BadTtl, "ops[0]: write a TTL"),
        ("{\"ops\":[[\"set\",\"a\",1,{\"ttl\":-5}]]}", Code::BadTtl, "negative"),
        ("{\"ops\":[[\"set\",\"a\",1,{\"ttl\":\"soon\"}]]}", Code::BadTtl, "write a TTL"),
        ("{\"ops\":[[\"set\",\"a\",1,{\"at\":\"5m\"}]]}", Code::BadTtl, "instant"),
        (
            "{\"ops\":[[\"set\",\"a\",1,{\"type\":\"DATE\"}]]}",
            Code::Type,
            "ops[0]: the value is not of type DATE",
        ),
        (&note, Code::TooBig, "description_chars"),
        (&big, Code::TooBig, "value_bytes"),
    ] {
        let error = error(document);
        assert_eq!(error.code, code, "{document:.80}: {error}");
        assert!(error.text.contains(part), "{document:.80}: {error}");
    }
}

#[test]
fn its_length_is_limited() {
    let limits = Limits { transaction_bytes: 20, ..Limits::DEFAULT };
    let line = |spaces: usize| format!("TXN {{\"ops\":[]}}{}", " ".repeat(spaces));
    assert!(parse(line(10).as_bytes(), &limits).is_ok());
    let error = parse(line(11).as_bytes(), &limits).unwrap_err();
    assert_eq!(
        (error.code, error.text.as_str()),
        (Code::TooBig, "the transaction has 21 bytes; the limit transaction_bytes is 20")
    );
}

#[test]
fn the_common_case_borrows() {
    let line = r#"TXN ns=app {"check":[{"key":"a","version":1}],"ops":[["set","b",{"x":[1]},{"desc":"d"}]]}"#;
    let Command::Txn(transaction) = parse(line.as_bytes(), &Limits::DEFAULT).unwrap().command else {
        panic!("a TXN was due")
    };
    assert!(matches!(transaction.checks[0].key, Cow::Borrowed(_)));
    let Write::Set(set) = &transaction.operations[0].write else { panic!("a set was due") };
    assert!(matches!((&set.key, &set.json), (Cow::Borrowed(_), Cow::Borrowed(_))));
    assert!(matches!(set.description, Some(Cow::Borrowed(_))));
}

proptest! {
    #![proptest_config(crate::same_cases())]

    /// What `serde_json` takes for JSON is a transaction or of another form; what it does not, is not JSON here either.
    #[test]
    fn json_is_told_from_what_is_none(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"check\"", "\"ops\"", "\"set\"", "\"del\"", "\"key\"", "\"version\"", "\"a\"",
            "1", "null", "[\"del\",\"a\"]", "{\"key\":\"a\",\"version\":null}", " ",
        ]), 0..12),
    ) {
        let document = format!("{{\"ops\":[{}", pieces.concat());
        let is_json = serde_json::from_str::<serde_json::Value>(&document).is_ok();
        match read(&document) {
            Ok(_) => prop_assert!(is_json),
            // The first thing that is wrong is told, and what comes after it is not looked at.
            Err(error) if error.code == Code::BadJson => prop_assert!(!is_json, "{}", error),
            Err(_) => {}
        }
    }
}
