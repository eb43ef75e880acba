//! What is a request, and what is told about a line that is none.

use std::borrow::Cow;

use larder_protocol::{
    COMMANDS, Code, Command, Condition, Expiry, Incr, Key, Limit, Limits, List, NewKey, Org, ParseError,
    Patch, Request, RequestError, RequestLine, Secret, Set, Settings, Ttl, ValueType, Verb, Watch, is_bare,
    parse, write_token,
};
use proptest::prelude::*;

fn request(line: &str) -> Request<'_> {
    parse(line.as_bytes(), &Limits::DEFAULT).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn command(line: &str) -> Command<'_> {
    let request = request(line);
    assert_eq!(request.ns, None, "{line}");
    request.command
}

fn error(line: &str) -> ParseError {
    let error = parse(line.as_bytes(), &Limits::DEFAULT).expect_err(line);
    assert!(!error.text.contains(char::is_control), "{error}");
    error
}

fn set<'a>(key: &'a str, json: &'a str, value_type: ValueType) -> Set<'a> {
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
fn reads_and_small_commands() {
    assert_eq!(command("PING"), Command::Ping);
    assert_eq!(command("  qUiT  "), Command::Quit);
    assert_eq!(command("sync"), Command::Sync);
    assert_eq!(command("Stats"), Command::Stats);
    assert_eq!(command("HELP"), Command::Help(None));
    assert_eq!(command("HELP get"), Command::Help(Some(Verb::Get)));
    assert_eq!(command("NS"), Command::Ns(None));
    assert_eq!(command("NS \"a b\""), Command::Ns(Some("a b".into())));
    assert_eq!(command("ENTRY a"), Command::Entry { key: "a".into() });
    assert_eq!(command("TTL a"), Command::Ttl { key: "a".into() });
    assert_eq!(command("PERSIST a"), Command::Persist { key: "a".into() });
    assert_eq!(command("GET é:1"), Command::Get { key: "é:1".into(), path: None });
    assert_eq!(command(r#"GET "a=\u0062""#), Command::Get { key: "a=b".into(), path: None });
    let Command::Get { path: Some(path), .. } = command("GET a path=/user/0") else {
        panic!("a path was due")
    };
    assert_eq!(path.as_str(), "/user/0");
    assert_eq!(
        command("MGET a \"b c\" a"),
        Command::Mget { keys: vec!["a".into(), "b c".into(), "a".into()] }
    );
    assert_eq!(command("EXISTS a"), Command::Exists { keys: vec!["a".into()] });
    assert_eq!(command("COUNT"), Command::Count { prefix: "".into() });
    assert_eq!(command("COUNT prefix=user:"), Command::Count { prefix: "user:".into() });
    let hello = Command::Hello { token: Some(Secret("t".into())), name: Some("me too".into()) };
    assert_eq!(command(r#"HELLO token=t name="me too""#), hello);
    assert!(!format!("{hello:?}").contains("\"t\""));
    assert_eq!(command("HELLO"), Command::Hello { token: None, name: None });
}

#[test]
fn writes() {
    assert_eq!(command("SET a 1"), Command::Set(set("a", "1", ValueType::Number)));
    assert_eq!(command("SET a \"b\" "), Command::Set(set("a", "\"b\"", ValueType::String)));
    assert_eq!(command("SET a { \"x\" : 1 }"), Command::Set(set("a", "{\"x\":1}", ValueType::Json)));
    assert_eq!(command("SET true true"), Command::Set(set("true", "true", ValueType::Boolean)));
    let full = Set {
        expiry: Expiry::Set(Ttl::After(300_000)),
        condition: Some(Condition::Version(7)),
        description: Some("a note".into()),
        ..set("a b", "\"PT5M\"", ValueType::Duration)
    };
    assert_eq!(command(r#"set "a b" ttl=5m if=7 type=duration desc="a note" "PT5M""#), Command::Set(full));
    for (option, expiry) in [
        ("at=1970-01-01T00:00:01Z", Expiry::Set(Ttl::At(1_000))),
        ("ttl=1970-01-01T00:00:01Z", Expiry::Set(Ttl::At(1_000))),
        ("keepttl=1", Expiry::Keep),
        ("keepttl=0", Expiry::Clear),
    ] {
        let line = format!("SET a {option} null");
        assert_eq!(command(&line), Command::Set(Set { expiry, ..set("a", "null", ValueType::Json) }));
    }
    for (option, condition) in [("if=absent", Condition::Absent), ("if=present", Condition::Present)] {
        let line = format!("SET a {option} null");
        let condition = Some(condition);
        assert_eq!(command(&line), Command::Set(Set { condition, ..set("a", "null", ValueType::Json) }));
    }
    assert_eq!(command("DEL a"), Command::Del { key: "a".into(), version: None, get: false });
    assert_eq!(command("DEL a if=3 get=1"), Command::Del { key: "a".into(), version: Some(3), get: true });
    assert_eq!(command("TOUCH a ttl=60"), Command::Touch { key: "a".into(), ttl: Ttl::After(60_000) });
}

#[test]
fn increments_patches_and_prefixes() {
    let incr = |by, init, ttl| Command::Incr(Incr { key: "a".into(), by, init, ttl });
    assert_eq!(command("INCR a"), incr(1, 0, None));
    assert_eq!(command("incr a by=-5 init=007 ttl=5m"), incr(-5, 7, Some(Ttl::After(300_000))));
    assert_eq!(
        command("INCR a by=9223372036854775807 init=-9223372036854775808"),
        incr(i64::MAX, i64::MIN, None)
    );
    let patch =
        |json: &'static str, version| Command::Patch(Patch { key: "a".into(), json: json.into(), version });
    assert_eq!(command("PATCH a { \"x\" : null }"), patch("{\"x\":null}", None));
    assert_eq!(command("PATCH a if=7 1.0"), patch("1.0", Some(7)));
    let delprefix = |prefix: &'static str, dry| Command::Delprefix { prefix: prefix.into(), dry };
    assert_eq!(command("DELPREFIX user:"), delprefix("user:", false));
    assert_eq!(command("DELPREFIX \"\" dry=1"), delprefix("", true));
    assert_eq!(command("COMPACT"), Command::Compact);
}

#[test]
fn a_backup_has_a_name_that_is_one_directory() {
    for name in ["b", "2026-11-20_1.2", &"x".repeat(128)] {
        let backup = Command::Backup { name: name.into() };
        assert_eq!(command(&format!("BACKUP {name}")), backup);
        assert_eq!(command(&format!("BACKUP \"{name}\"")), backup);
    }
    for name in ["", ".", "..", ".hidden", "a/b", "/a", "a b", "é", "a\\u0000", &"x".repeat(129)] {
        assert_eq!(error(&format!("BACKUP \"{name}\"")).code, Code::BadArg, "{name}");
    }
    for line in ["BACKUP", "BACKUP a b", "BACKUP a/b"] {
        assert_eq!(error(line).code, Code::BadArg, "{line}");
    }
}

#[test]
fn listings() {
    let list = List { prefix: "".into(), limit: 100, after: None, reverse: false, values: false };
    assert_eq!(command("LIST"), Command::List(list));
    let list =
        List { prefix: "user:".into(), limit: 2, after: Some("user:2".into()), reverse: true, values: true };
    assert_eq!(command("LIST prefix=user: limit=2 cursor=dXNlcjoy reverse=1 values=1"), Command::List(list));
    let namespaces = |limit, after: Option<&str>| Command::Namespaces {
        prefix: "".into(),
        limit,
        after: after.map(str::to_owned),
    };
    assert_eq!(command("NAMESPACES"), namespaces(1_000, None));
    assert_eq!(command("NAMESPACES prefix=\"\" limit=10000 cursor=YQ"), namespaces(10_000, Some("a")));
}

#[test]
fn watches() {
    let watch = Watch { prefix: "".into(), all: false, from: None, values: false };
    assert_eq!(command("WATCH"), Command::Watch(watch.clone()));
    assert_eq!(command("WATCH prefix=\"\" all=0 values=0"), Command::Watch(watch));
    let watch = Watch { prefix: "user:".into(), all: true, from: Some(17), values: true };
    assert_eq!(command("watch prefix=user: all=1 from=17 values=1"), Command::Watch(watch));
    assert_eq!(request("WATCH all=0 ns=n").ns.as_deref(), Some("n"));
}

#[test]
fn a_namespace_goes_with_every_data_command_and_no_other() {
    for row in &COMMANDS {
        let line = match row.verb {
            Verb::Set => "SET k ns=\"n s\" 1".to_owned(),
            Verb::Touch => "TOUCH k ttl=1 ns=\"n s\"".to_owned(),
            Verb::Backup => "BACKUP b ns=\"n s\"".to_owned(),
            Verb::Patch => "PATCH k ns=\"n s\" {}".to_owned(),
            Verb::Delprefix => "DELPREFIX k ns=\"n s\"".to_owned(),
            Verb::Txn => "TXN ns=\"n s\" {}".to_owned(),
            Verb::Auth => "AUTH t ns=\"n s\"".to_owned(),
            Verb::Org | Verb::Key => format!("{} list ns=\"n s\"", row.name),
            verb if row.usage.contains("<key>") => format!("{} k ns=\"n s\"", verb.as_str()),
            verb => format!("{} ns=\"n s\"", verb.as_str()),
        };
        let parsed = parse(line.as_bytes(), &Limits::DEFAULT);
        if row.takes_namespace {
            let request = parsed.unwrap();
            assert_eq!(request.ns.as_deref(), Some("n s"));
            assert_eq!(request.command.verb(), row.verb);
        } else {
            assert_eq!(parsed.unwrap_err().code, Code::BadOpt, "{line}");
        }
    }
}

#[test]
fn the_operators_commands() {
    let create = "ORG create acme plan=team entries=700 value_bytes=- rate=50";
    let settings = Settings {
        plan: Some("team".into()),
        entries: Some(Limit::At(700)),
        value_bytes: Some(Limit::OfPlan),
        rate: Some(Limit::At(50)),
    };
    assert_eq!(command(create), Command::Org(Org::Create { name: "acme".into(), settings }));
    assert_eq!(command("ORG list"), Command::Org(Org::List));
    assert_eq!(command("org delete a"), Command::Org(Org::Delete { name: "a".into() }));
    let settings = Settings { plan: Some("free".into()), ..Settings::default() };
    assert_eq!(command("ORG set a plan=free"), Command::Org(Org::Set { name: "a".into(), settings }));

    assert_eq!(command("KEY list"), Command::Key(Key::List { organization: None }));
    assert_eq!(command("KEY list org=a"), Command::Key(Key::List { organization: Some("a".into()) }));
    assert_eq!(command("KEY revoke 0a"), Command::Key(Key::Revoke { id: "0a".into() }));
    assert_eq!(command("KEY create"), Command::Key(Key::Create(NewKey::default())));
    let new = NewKey {
        organization: Some("a".into()),
        scope: Some("read_only".into()),
        namespaces: Some("[\"x,y\"]".into()),
        expiry: Some(Ttl::After(60_000)),
        name: Some("till 1".into()),
    };
    let line = r#"KEY create org=a scope=read_only ns="[\"x,y\"]" ttl=1m name="till 1""#;
    assert_eq!(command(line), Command::Key(Key::Create(new)));

    let Command::Auth(Secret(token)) = command("AUTH lk_1_2") else { panic!("a token was due") };
    assert_eq!(token, "lk_1_2");
    assert_eq!(format!("{:?}", command("AUTH lk_1_2")), "Auth(Secret(…))");

    for (line, code) in [
        ("AUTH", Code::BadArg),
        ("AUTH a b", Code::BadArg),
        ("ORG", Code::BadArg),
        ("ORG rename a b", Code::BadArg),
        ("ORG create", Code::BadArg),
        ("ORG create a b", Code::BadArg),
        ("ORG create a rate=fast", Code::BadArg),
        ("ORG create a rate=-1", Code::BadArg),
        ("ORG create a rate=1 rate=2", Code::BadOpt),
        ("ORG create a size=1", Code::BadOpt),
        ("ORG delete a plan=free", Code::BadOpt),
        ("KEY", Code::BadArg),
        ("KEY make", Code::BadArg),
        ("KEY revoke", Code::BadArg),
        ("KEY create ttl=1 at=2030-01-01T00:00:00Z", Code::BadOpt),
        ("KEY create ttl=soon", Code::BadTtl),
        ("KEY list ns=a", Code::BadOpt),
    ] {
        assert_eq!(error(line).code, code, "{line}");
    }
}

#[test]
fn every_row_parses() {
    for row in &COMMANDS {
        let line = match row.verb {
            Verb::Set => "SET k 1",
            Verb::Touch => "TOUCH k ttl=1",
            Verb::Backup => "BACKUP b",
            Verb::Patch => "PATCH k {}",
            Verb::Delprefix => "DELPREFIX k",
            Verb::Txn => "TXN {}",
            Verb::Auth => "AUTH t",
            Verb::Org => "ORG list",
            Verb::Key => "KEY list",
            _ if row.usage.contains("<key>") => &format!("{} k", row.name),
            _ => row.name,
        };
        assert_eq!(command(line).verb(), row.verb);
    }
}

#[test]
fn what_is_wrong_has_its_code() {
    for (line, code) in [
        ("   ", Code::BadCmd),
        ("FOO", Code::BadCmd),
        ("GET1 a", Code::BadCmd),
        ("GET\ta", Code::BadCmd),
        ("HELP FOO", Code::BadArg),
        ("GET", Code::BadArg),
        ("GET a b", Code::BadArg),
        ("GET a path=x", Code::BadArg),
        ("PING x", Code::BadArg),
        ("MGET a ns=b c", Code::BadArg),
        ("SET a", Code::BadArg),
        ("SET a ttl=5", Code::BadArg),
        ("SET a if=1.5 1", Code::BadArg),
        ("SET a if=+1 1", Code::BadArg),
        ("SET a if=18446744073709551616 1", Code::BadArg),
        ("SET a type=TEXT 1", Code::BadArg),
        ("SET a keepttl=2 1", Code::BadArg),
        ("SET a desc= 1", Code::BadArg),
        ("DEL a if=absent", Code::BadArg),
        ("DEL a get=yes", Code::BadArg),
        ("TOUCH a", Code::BadArg),
        ("LIST limit=0", Code::BadArg),
        ("LIST limit=10001", Code::BadArg),
        ("LIST prefix=\"\\n\"", Code::BadArg),
        ("NAMESPACES limit=x", Code::BadArg),
        ("GET a foo=1", Code::BadOpt),
        ("GET a path=/a path=/b", Code::BadOpt),
        ("GET a ns=b ns=b", Code::BadOpt),
        ("SET a ttl=5 at=2030-01-01T00:00:00Z 1", Code::BadOpt),
        ("SET a keepttl=1 ttl=5 1", Code::BadOpt),
        ("SET a foo=\"x\" 1", Code::BadOpt),
        ("TOUCH a keepttl=1", Code::BadOpt),
        ("NAMESPACES ns=a", Code::BadOpt),
        ("WATCH all=1 ns=a", Code::BadOpt),
        ("WATCH from=1 from=1", Code::BadOpt),
        ("WATCH limit=1", Code::BadOpt),
        ("WATCH a", Code::BadArg),
        ("WATCH from=now", Code::BadArg),
        ("WATCH from=-1", Code::BadArg),
        ("WATCH values=yes", Code::BadArg),
        ("INCR", Code::BadArg),
        ("INCR a 5", Code::BadArg),
        ("INCR a by=+1", Code::BadArg),
        ("INCR a by=1.0", Code::BadArg),
        ("INCR a by=", Code::BadArg),
        ("INCR a init=9223372036854775808", Code::BadArg),
        ("INCR a by=1 by=1", Code::BadOpt),
        ("INCR a at=2030-01-01T00:00:00Z", Code::BadOpt),
        ("INCR a keepttl=1", Code::BadOpt),
        ("INCR a ttl=soon", Code::BadTtl),
        ("PATCH a", Code::BadArg),
        ("PATCH a if=present {}", Code::BadArg),
        ("PATCH a ttl=5 {}", Code::BadOpt),
        ("PATCH a {", Code::BadJson),
        ("DELPREFIX", Code::BadArg),
        ("DELPREFIX dry=1", Code::BadArg),
        ("DELPREFIX a b", Code::BadArg),
        ("DELPREFIX \"\\n\"", Code::BadArg),
        ("DELPREFIX a dry=yes", Code::BadArg),
        ("DELPREFIX a if=1", Code::BadOpt),
        ("COMPACT now", Code::BadArg),
        ("COMPACT ns=a", Code::BadOpt),
        ("TXN", Code::BadArg),
        ("TXN if=1 {}", Code::BadOpt),
        ("GET \"\"", Code::BadKey),
        ("GET a\"b", Code::BadKey),
        ("GET \"a", Code::BadKey),
        ("GET \"a\"b", Code::BadKey),
        ("GET \"\\ud800\"", Code::BadKey),
        ("GET \"\\n\"", Code::BadKey),
        ("GET \"\u{7f}\"", Code::BadKey),
        ("GET a\u{a0}b", Code::BadKey),
        ("GET a\u{85}", Code::BadKey),
        ("GET a\tb", Code::BadKey),
        ("GET a\\b", Code::BadKey),
        ("NS \"\"", Code::BadNs),
        ("GET a ns=\"\"", Code::BadNs),
        ("GET a ns=\"\\u0000\"", Code::BadNs),
        ("SET a foo", Code::BadJson),
        ("SET a 1 2", Code::BadJson),
        ("SET a {\"x\":1} ttl=5", Code::BadJson),
        ("SET a ttl=0x5 1", Code::BadTtl),
        ("SET a ttl=-5 1", Code::BadTtl),
        ("SET a at=5m 1", Code::BadTtl),
        ("TOUCH a ttl=P1Y", Code::BadTtl),
        ("LIST cursor=?", Code::BadCursor),
        ("NAMESPACES cursor=YR", Code::BadCursor),
        ("SET a type=STRING 1", Code::Type),
        ("SET a type=DATE \"2030-02-30\"", Code::Type),
        ("SET a type=DATETIME 1", Code::Type),
    ] {
        assert_eq!(error(line).code, code, "{line}: {}", error(line));
    }
    assert_eq!(parse(b"GET \xff", &Limits::DEFAULT).unwrap_err().code, Code::Encoding);
}

#[test]
fn messages_say_what_and_where_and_what_to_do() {
    for (line, text) in [
        ("FOO\u{1b} x", "no command FOO\\u{1b}; HELP lists the commands"),
        ("TTL", "TTL lacks its key; usage: TTL <key> [ns=<namespace>]"),
        ("TTL a b", "nothing more may follow at byte 7: b; usage: TTL <key> [ns=<namespace>]"),
        ("TTL a x=1", "TTL has no option x; usage: TTL <key> [ns=<namespace>]"),
        (
            "TTL a\\b",
            "key, at byte 6: holds a space, control character, \", = or \\; write it as a JSON string",
        ),
        ("SET a {\"x\":tru}", "value, at byte 12: not JSON: expected true"),
        ("SET a text", "value, at byte 7: not JSON: expected true; a text is written in double quotes"),
        ("SET a x", "value, at byte 7: not JSON: expected a value; a text is written in double quotes"),
        ("LIST limit=0", "option limit must be a number from 1 to 10000, not 0"),
        ("SET a ttl=1 ttl=2 1", "option ttl repeats or contradicts another; give one of ttl, at, keepttl"),
    ] {
        assert_eq!(error(line).text, text);
    }
    assert_eq!(parse(b"GET \xff", &Limits::DEFAULT).unwrap_err().text, "the line is not UTF-8 at byte 5");
}

#[test]
fn each_limit_is_named_when_it_is_crossed() {
    let limits = Limits {
        value_bytes: 4,
        depth: 2,
        key_bytes: 3,
        namespace_bytes: 2,
        description_chars: 2,
        ..Limits::DEFAULT
    };
    for line in ["SET abc ns=ab desc=éé [[]]", "SET a [ 1, 2 ]", "SET a  \"ab\" ", "COUNT prefix=abc"] {
        let result = parse(line.as_bytes(), &limits);
        let too_big = line.contains("1, 2");
        assert_eq!(result.is_err(), too_big, "{line}: {result:?}");
    }
    for (line, code, name) in [
        ("GET abcd", Code::BadKey, "key_bytes"),
        ("GET a ns=abc", Code::BadNs, "namespace_bytes"),
        ("SET a desc=ééé 1", Code::TooBig, "description_chars"),
        ("SET a 12345", Code::TooBig, "value_bytes"),
        ("SET a [[[]]]", Code::BadJson, "more than 2 levels"),
        ("COUNT prefix=abcd", Code::BadArg, "3 bytes"),
        ("LIST cursor=YWJjZA", Code::BadCursor, "cursor"),
    ] {
        let error = parse(line.as_bytes(), &limits).unwrap_err();
        assert_eq!(error.code, code, "{line}");
        assert!(error.text.contains(name), "{line}: {error}");
    }
    let keys = |count: usize| format!("MGET{}", " k".repeat(count));
    assert!(parse(keys(1_000).as_bytes(), &limits).is_ok());
    assert_eq!(parse(keys(1_001).as_bytes(), &limits).unwrap_err().code, Code::BadArg);
}

#[test]
fn the_common_case_borrows() {
    let request = request("SET \"user 42\" ns=app desc=note {\"a\":\"b c\"}");
    let Command::Set(set) = request.command else { panic!("a SET was due") };
    let texts = [Some(set.key), Some(set.json), set.description, request.ns];
    assert!(texts.iter().all(|text| matches!(text, Some(Cow::Borrowed(_)))));
}

#[test]
fn the_builder_refuses_what_would_not_be_one_request() {
    let mut out = b"PING\n".to_vec();
    let line = |out: &mut Vec<u8>, json: &str| RequestLine::new(out, Verb::Set).token("a").json(json).end();
    assert!(matches!(line(&mut out, "1\nDEL b"), Err(RequestError::Json(_))));
    assert!(matches!(line(&mut out, "ttl=1 5"), Err(RequestError::Json(_))));
    assert!(matches!(line(&mut out, ""), Err(RequestError::Json(_))));
    for name in ["", "a b", "A", "a=", "a\n"] {
        let result = RequestLine::new(&mut out, Verb::Get).token("a").option(name, "1").end();
        assert_eq!(result, Err(RequestError::OptionName));
    }
    let late = RequestLine::new(&mut out, Verb::Get).option("path", "/a").token("a").end();
    assert_eq!(late, Err(RequestError::Order));
    let twice = RequestLine::new(&mut out, Verb::Set).token("a").json("1").json("2").end();
    assert_eq!(twice, Err(RequestError::Order));
    assert_eq!(out, b"PING\n", "nothing is left of a refused request");
    assert_eq!(line(&mut out, "[1,\n 2]"), Ok(()));
    assert_eq!(out, b"PING\nSET a [1,2]\n");
}

proptest! {
    #![proptest_config(crate::same_cases())]

    #[test]
    fn a_token_goes_there_and_back(text in any::<String>()) {
        let mut token = Vec::new();
        write_token(&mut token, &text);
        prop_assert_eq!(token == text.as_bytes(), is_bare(&text));
        let line = [b"HELLO name=", &token[..]].concat();
        let parsed = parse(&line, &Limits::DEFAULT).unwrap().command;
        prop_assert_eq!(parsed, Command::Hello { token: None, name: Some(text.into()) });
    }

    #[test]
    fn what_is_built_is_what_is_parsed(
        key in "[^\\p{Cc}]{1,20}",
        namespace in "[^\\p{Cc}]{1,20}",
        description in any::<String>(),
        text in any::<String>(),
        version: u64,
        ttl_s in 0..1_000_000_u64,
    ) {
        let json = serde_json::Value::String(text).to_string();
        let mut out = Vec::new();
        RequestLine::new(&mut out, Verb::Set)
            .token(&key)
            .option("ns", &namespace)
            .option_number("if", version)
            .option_number("ttl", ttl_s)
            .option("desc", &description)
            .json(&json)
            .end()
            .unwrap();
        prop_assert_eq!(out.pop(), Some(b'\n'));
        prop_assert!(!out.contains(&b'\n'));
        let expected = Set {
            expiry: Expiry::Set(Ttl::After(ttl_s * 1_000)),
            condition: Some(Condition::Version(version)),
            description: Some(description.as_str().into()),
            ..set(&key, &json, ValueType::String)
        };
        let expected = Request { ns: Some(namespace.as_str().into()), command: Command::Set(expected) };
        prop_assert_eq!(parse(&out, &Limits::DEFAULT), Ok(expected));
    }

    #[test]
    fn no_line_makes_the_parser_panic(
        verb in prop::sample::select(COMMANDS.iter().map(|row| row.name).collect::<Vec<_>>()),
        words in prop::collection::vec("[a-c\"\\\\=é\u{a0}{}0-9 ]{0,6}|ttl=[0-9PTMDZ:.-]{0,12}|[a-z]{2,6}=[0-9a-c\"]{0,4}", 0..5),
        noise in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let line = format!("{verb} {}", words.join(" "));
        for line in [line.as_bytes(), &noise] {
            if let Err(error) = parse(line, &Limits::DEFAULT) {
                prop_assert!(!error.text.contains(char::is_control));
            }
        }
    }
}
