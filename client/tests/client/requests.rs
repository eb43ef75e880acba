//! Request lines, as the protocol crate understands them.

use std::time::Duration;

use larder_client::request::{
    Backup, Compact, Count, Del, DelPrefix, Exists, Get, Incr, List, Mget, Namespaces, Patch, Request, Set,
    Touch, Transaction, TransactionText,
};
use larder_client::{Expiry, RequestError, Ttl, ValueType};
use larder_protocol::{Check, Command, Condition, Limits, Operation, Write, parse};
use proptest::prelude::*;

fn line(request: &impl Request, namespace: Option<&str>) -> String {
    let mut out = Vec::new();
    request.write(namespace, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn options_are_written_only_where_they_say_something() {
    for (written, expected) in [
        (line(&Set::new("k", " [1, 2] "), None), "SET k [1,2]\n"),
        (
            line(&Set::new("k", "1").ttl(Duration::from_micros(1_500)).if_absent(), None),
            "SET k ttl=2ms if=absent 1\n",
        ),
        (line(&Set::new("k", "1").expiry(Expiry::Keep).if_present(), None), "SET k keepttl=1 if=present 1\n"),
        (
            line(
                &Set::new("k", "\"2030-01-31\"").value_type(ValueType::Date).description("a = b"),
                Some("n"),
            ),
            "SET k type=DATE desc=\"a = b\" ns=n \"2030-01-31\"\n",
        ),
        (line(&Touch::new("k", Ttl::At(1_773_154_800_000)), None), "TOUCH k at=2026-03-10T15:00:00.000Z\n"),
        (line(&Touch::after("k", Duration::from_secs(5)), None), "TOUCH k ttl=5000ms\n"),
        (line(&Get::new("a b").in_namespace("own"), Some("client's")), "GET \"a b\" ns=own\n"),
        (line(&Del::new("k").if_version(3).taking(), Some("n")), "DEL k if=3 ns=n get=1\n"),
        (line(&Mget::new(&["a", "b"]), Some("n")), "MGET a b ns=n\n"),
        (line(&Exists::new(&["a"]), None), "EXISTS a\n"),
        (line(&Count::all(), Some("n")), "COUNT ns=n\n"),
        (line(&Backup::new("2026-11-20"), Some("n")), "BACKUP 2026-11-20\n"),
        (line(&Incr::new("k"), None), "INCR k\n"),
        (
            line(&Incr::new("k").by(-5).init(7).ttl(Duration::from_secs(5)), Some("n")),
            "INCR k by=-5 init=7 ttl=5000ms ns=n\n",
        ),
        (
            line(&Incr::new("k").expiring(Ttl::At(1_773_154_800_000)), None),
            "INCR k ttl=2026-03-10T15:00:00.000Z\n",
        ),
        (line(&Patch::new("k", "{\"a\": 1}").if_version(3), Some("n")), "PATCH k if=3 ns=n {\"a\":1}\n"),
        (line(&DelPrefix::new("").dry(), None), "DELPREFIX \"\" dry=1\n"),
        (line(&DelPrefix::new("a b").in_namespace("n"), None), "DELPREFIX \"a b\" ns=n\n"),
        (line(&Compact, Some("n")), "COMPACT\n"),
        (line(&Transaction::new(), Some("n")), "TXN ns=n {}\n"),
        (line(&TransactionText::new("{ \"ops\": [] }").in_namespace("n"), None), "TXN ns=n {\"ops\":[]}\n"),
        (line(&List::all(), None), "LIST\n"),
        (
            line(&List::prefix("u").limit(5).cursor("YQ").reverse().values(), None),
            "LIST prefix=u limit=5 cursor=YQ reverse=1 values=1\n",
        ),
        (
            line(&Namespaces::prefix("a").limit(5).cursor("YQ"), Some("n")),
            "NAMESPACES prefix=a limit=5 cursor=YQ\n",
        ),
    ] {
        assert_eq!(written, expected);
        parse(written.trim_end().as_bytes(), &Limits::DEFAULT).unwrap();
    }
}

fn expiries() -> impl Strategy<Value = Expiry> {
    prop_oneof![
        Just(Expiry::Clear),
        Just(Expiry::Keep),
        (1..u64::MAX).prop_map(|ms| Expiry::Set(Ttl::After(ms))),
        (0..253_402_207_200_000_u64).prop_map(|ms| Expiry::Set(Ttl::At(ms))),
    ]
}

fn conditions() -> impl Strategy<Value = Option<Condition>> {
    prop_oneof![
        Just(None),
        Just(Some(Condition::Absent)),
        Just(Some(Condition::Present)),
        any::<u64>().prop_map(|version| Some(Condition::Version(version))),
    ]
}

#[test]
fn an_operation_has_no_condition_and_a_value_that_is_json() {
    let mut out = b"PING\n".to_vec();
    for transaction in [
        Transaction::new().set(Set::new("k", "1").if_absent()),
        Transaction::new().del(Del::new("k").if_version(1)),
    ] {
        assert_eq!(transaction.write(None, &mut out), Err(RequestError::Condition));
    }
    let wrong = Transaction::new().set(Set::new("k", "1]],\"ops\":[[\"del\",\"k\"")).del(Del::new("k"));
    assert!(matches!(wrong.write(None, &mut out), Err(RequestError::Json(_))));
    assert_eq!(out, b"PING\n");
}

proptest! {
    /// Whatever is put into a transaction is what a server takes out of it.
    #[test]
    fn a_transaction_arrives_as_it_was_meant(
        keys in proptest::collection::vec("\\PC{1,10}", 0..6),
        namespace in proptest::option::of("\\PC{1,10}"),
        description in proptest::option::of("\\PC{0,10}"),
        expiry in expiries(),
        version in proptest::option::of(any::<u64>()),
        depth in 0..=128_usize,
    ) {
        let json = format!("{}{}", "[".repeat(depth.max(1)), "]".repeat(depth.max(1)));
        let mut transaction = Transaction::new();
        for key in &keys {
            let mut set = Set::new(key, &json).expiry(expiry);
            if let Some(description) = &description {
                set = set.description(description);
            }
            let mut del = Del::new(key);
            if let Some(namespace) = &namespace {
                (set, del) = (set.in_namespace(namespace), del.in_namespace(namespace));
            }
            transaction = match (version, &namespace) {
                (Some(version), None) => transaction.check(key, version),
                (None, None) => transaction.check_absent(key),
                (version, Some(namespace)) => transaction.check_in(namespace, key, version),
            };
            transaction = transaction.set(set).del(del);
        }
        let line = line(&transaction, Some("client's"));
        prop_assert_eq!(line.matches('\n').count(), 1);
        let request = parse(line.trim_end_matches('\n').as_bytes(), &Limits::DEFAULT).unwrap();
        prop_assert_eq!(request.ns.as_deref(), Some("client's"));
        let Command::Txn(read) = request.command else { panic!("{line}") };
        let ns = namespace.as_deref().map(Into::into);
        prop_assert_eq!(read.operations.len(), 2 * keys.len());
        for (index, key) in keys.iter().enumerate() {
            let key = key.as_str().into();
            prop_assert_eq!(&read.checks[index], &Check { ns: ns.clone(), key, version });
            let Operation { ns: set_ns, write: Write::Set(set) } = &read.operations[2 * index] else {
                panic!("{line}")
            };
            prop_assert_eq!((set_ns, &set.key), (&ns, &read.checks[index].key));
            prop_assert_eq!((set.json.as_ref(), set.expiry), (json.as_str(), expiry));
            prop_assert_eq!(set.description.as_deref(), description.as_deref());
            let del = Operation { ns: ns.clone(), write: Write::Del { key: set.key.clone() } };
            prop_assert_eq!(&read.operations[2 * index + 1], &del);
        }
    }

    /// Whatever is put into a SET is what a server takes out of it.
    #[test]
    fn a_set_arrives_as_it_was_meant(
        key in "\\PC{1,40}",
        namespace in proptest::option::of("\\PC{1,40}"),
        description in proptest::option::of("\\PC{0,40}"),
        expiry in expiries(),
        condition in conditions(),
        number in any::<i64>(),
    ) {
        let json = number.to_string();
        let mut set = Set::new(&key, &json).expiry(expiry);
        if let Some(condition) = condition {
            set = set.condition(condition);
        }
        if let Some(description) = &description {
            set = set.description(description);
        }
        let line = line(&set, namespace.as_deref());
        prop_assert_eq!(line.matches('\n').count(), 1);
        let request = parse(line.trim_end_matches('\n').as_bytes(), &Limits::DEFAULT).unwrap();
        prop_assert_eq!(request.ns.as_deref(), namespace.as_deref());
        let Command::Set(read) = request.command else { panic!("{line}") };
        prop_assert_eq!(read.key.as_ref(), &key);
        prop_assert_eq!(read.json.as_ref(), &json);
        prop_assert_eq!(read.expiry, expiry);
        prop_assert_eq!(read.condition, condition);
        prop_assert_eq!(read.description.as_deref(), description.as_deref());
    }

    #[test]
    fn a_listing_asks_for_what_it_was_meant_to(prefix in "\\PC{1,40}", limit in 1..10_000_u64) {
        let line = line(&List::prefix(&prefix).limit(limit), None);
        let request = parse(line.trim_end_matches('\n').as_bytes(), &Limits::DEFAULT).unwrap();
        let Command::List(read) = request.command else { panic!("{line}") };
        prop_assert_eq!(read.prefix.as_ref(), &prefix);
        prop_assert_eq!(read.limit as u64, limit);
    }
}
