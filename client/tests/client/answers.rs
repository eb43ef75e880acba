//! Every kind of reply, however its bytes arrive.

use larder_client::ValueType;
use larder_client::reply::{
    AtPath, Commit, Deletion, Item, NamespaceItem, Number, Outcome, Page, Patched, Refusal, Stamp, TimeLeft,
    Value,
};
use larder_client::request::*;

use super::peer::Step::{Hear, Say, Stammer};
use super::shell::{Shell, both};

fn value(version: u64, json: &str) -> Value {
    Value { version, expires_ms: None, json: json.into() }
}

/// The reply is the same whether it comes whole or byte by byte, with LF or with CR LF.
fn answers<R: Request>(request: &R, sent: &'static str, said: &'static str, expected: &R::Reply)
where
    R::Reply: PartialEq + std::fmt::Debug,
{
    let with_cr: &'static str = Box::leak(said.replace('\n', "\r\n").into_boxed_str());
    for say in [Say(said), Stammer(said), Say(with_cr)] {
        both(&[Hear(sent), say, Hear("PING\n"), Say("OK\n")], |shell: &mut Shell| {
            assert_eq!(&shell.call(request).unwrap(), expected);
            shell.call(&Ping).unwrap();
        });
    }
}

#[test]
fn reads() {
    answers(&Get::new("k"), "GET k\n", "VAL 7 - {\"n\":1.0}\n", &Some(value(7, "{\"n\":1.0}")));
    answers(&Get::new("k"), "GET k\n", "NIL\n", &None);
    let at = Get::new("k").path("/a b");
    answers(&at, "GET k path=\"/a b\"\n", "VAL 7 - 1\n", &AtPath::Value(value(7, "1")));
    answers(&at, "GET k path=\"/a b\"\n", "NO PATH\n", &AtPath::Nothing);
    answers(&at, "GET k path=\"/a b\"\n", "NIL\n", &AtPath::Absent);
    let all = vec![Some(value(1, "1")), None, Some(value(3, "\"END 1\""))];
    answers(&Mget::new(&["a", "b", "c"]), "MGET a b c\n", "VAL 1 - 1\nNIL\nVAL 3 - \"END 1\"\n", &all);
    answers(&Exists::new(&["a", "b"]), "EXISTS a b\n", "OK 1\n", &1);
    answers(&TimeToLive::new("k"), "TTL k\n", "OK 5000\n", &Some(TimeLeft::Ms(5_000)));
    answers(&TimeToLive::new("k"), "TTL k\n", "OK -\n", &Some(TimeLeft::Unlimited));
    answers(&TimeToLive::new("k"), "TTL k\n", "NIL\n", &None);
    answers(&Count::prefix("u:"), "COUNT prefix=u:\n", "OK 12\n", &12);
}

#[test]
fn writes() {
    let stamp = Stamp { version: 8, expires_ms: Some(9_000) };
    let set = Set::new("k", "1").if_version(4);
    answers(&set, "SET k if=4 1\n", "OK 8 9000\n", &Outcome::Done(stamp));
    answers(&set, "SET k if=4 1\n", "NO VERSION 5\n", &Outcome::Refused(Refusal::Version { version: 5 }));
    answers(&set, "SET k if=4 1\n", "NO EXISTS 5\n", &Outcome::Refused(Refusal::Exists { version: 5 }));
    answers(&set, "SET k if=4 1\n", "NO ABSENT\n", &Outcome::Refused(Refusal::Absent));
    answers(&Del::new("k"), "DEL k\n", "OK 8\n", &Deletion::Deleted(8));
    answers(&Del::new("k"), "DEL k\n", "NIL\n", &Deletion::Absent);
    answers(
        &Del::new("k").if_version(2),
        "DEL k if=2\n",
        "NO VERSION 5\n",
        &Deletion::Refused { version: 5 },
    );
    let take = Del::new("k").taking();
    answers(&take, "DEL k get=1\n", "VAL 8 - []\n", &Deletion::Deleted(value(8, "[]")));
    answers(&Persist::new("k"), "PERSIST k\n", "OK 8 9000\n", &Some(stamp));
    answers(&Persist::new("k"), "PERSIST k\n", "NIL\n", &None);
}

#[test]
fn changes() {
    let number = Number { version: 8, expires_ms: Some(9_000), number: -5 };
    answers(&Incr::new("k"), "INCR k\n", "VAL 8 9000 -5\n", &number);
    let patch = Patch::new("k", "{\"a\": null}");
    answers(&patch, "PATCH k {\"a\":null}\n", "VAL 8 - {}\n", &Patched::Done(value(8, "{}")));
    answers(&patch, "PATCH k {\"a\":null}\n", "NIL\n", &Patched::Absent);
    let patch = patch.if_version(2);
    answers(&patch, "PATCH k if=2 {\"a\":null}\n", "NO VERSION 5\n", &Patched::Refused { version: 5 });
    answers(&DelPrefix::new("u:"), "DELPREFIX u:\n", "OK 12\n", &12);
    let transaction = Transaction::new().check_absent("a").del(Del::new("b"));
    let sent = "TXN {\"check\":[{\"key\":\"a\",\"version\":null}],\"ops\":[[\"del\",\"b\"]]}\n";
    answers(&transaction, sent, "OK 8\n", &Commit::Done { version: Some(8) });
    answers(&transaction, sent, "OK 0\n", &Commit::Done { version: None });
    answers(&transaction, sent, "NO CHECK 0\n", &Commit::Refused { check: 0 });
    let text = TransactionText::new("{ \"ops\": [] }");
    answers(&text, "TXN {\"ops\":[]}\n", "NO CHECK 3\n", &Commit::Refused { check: 3 });
}

#[test]
fn listings() {
    let item = |key: &str, json: Option<&str>| Item {
        key: key.into(),
        version: 4,
        expires_ms: None,
        json: json.map(str::to_owned),
    };
    let page = Page { items: vec![item("a", None), item("b c", None)], next: Some("Yg".into()) };
    let said = "ITEM a 4 -\nITEM \"b c\" 4 -\nEND 2 next=Yg\n";
    answers(&List::all().limit(2), "LIST limit=2\n", said, &page);
    let page = Page { items: vec![item("a", Some("{\"x\":[1, 2]}"))], next: None };
    answers(&List::all().values(), "LIST values=1\n", "ITEM a 4 - {\"x\":[1, 2]}\nEND 1\n", &page);
    answers(&List::all(), "LIST\n", "END 0\n", &Page { items: vec![], next: None });
    let page = Page { items: vec![NamespaceItem { name: "n".into(), entries: 3 }], next: None };
    answers(&Namespaces::all(), "NAMESPACES\n", "ITEM n 3\nEND 1\n", &page);
}

#[test]
fn the_server_about_itself() {
    let hello = "OK {\"server\":\"larder\",\"version\":\"0.1.0\",\"protocol\":1,\"durability\":\"always\",\"limits\":{}}\n";
    both(&[Hear("HELLO name=\"a test\"\n"), Say(hello), Hear("STATS\n"), Say("OK {\"a\":1}\n")], |shell| {
        let hello = shell.call(&Hello::new().name("a test")).unwrap();
        assert_eq!(
            (hello.version.as_str(), hello.protocol, hello.durability.as_str()),
            ("0.1.0", 1, "always")
        );
        assert_eq!(shell.call(&Stats).unwrap(), "{\"a\":1}");
    });
    assert!(!format!("{:?}", Hello::new().token("secret")).contains("secret"));
}

#[test]
fn a_backup_and_where_it_is() {
    let json =
        r#"{"name":"b","directory":"/x/\"b","version":7,"segments":3,"linked":2,"bytes":90,"more":null}"#;
    let answer: &'static str = format!("OK {json}\nOK {{\"version\":7}}\n").leak();
    both(&[Hear("BACKUP b\nBACKUP c\n"), Say(answer)], |shell| {
        let (first, second) =
            (shell.send(&Backup::new("b")).unwrap(), shell.send(&Backup::new("c")).unwrap());
        shell.flush();
        let backup = shell.receive(first).unwrap();
        assert_eq!((backup.version, backup.directory.as_str(), backup.bytes), (7, "/x/\"b", 90));
        assert_eq!((backup.segments, backup.linked, backup.json.as_str()), (3, 2, json));
        shell.receive(second).unwrap_err();
    });
}

#[test]
fn an_entry_has_all_its_fields() {
    let entry = "OK {\"id\":\"ds_1\",\"organization\":\"default\",\"namespace\":\"n\",\"key\":\"k\",\"value\":null,\
                 \"type\":\"JSON\",\"description\":null,\"version\":3,\"created_at\":1,\"updated_at\":2,\
                 \"expires_at\":9}\n";
    both(&[Hear("ENTRY k ns=n\n"), Say(entry), Hear("ENTRY l\n"), Say("NIL\n")], |shell| {
        let entry = shell.call(&Entry::new("k").in_namespace("n")).unwrap().unwrap();
        assert_eq!(
            (entry.json.as_str(), entry.value_type, entry.expires_ms),
            ("null", ValueType::Json, Some(9))
        );
        assert!(shell.call(&Entry::new("l")).unwrap().is_none());
    });
}
