//! Request lines, as the protocol crate understands them.

use std::time::Duration;

use larder_client::request::{Backup, Count, Del, Exists, Get, List, Mget, Namespaces, Request, Set, Touch};
use larder_client::{Expiry, Ttl, ValueType};
use larder_protocol::{Command, Condition, Limits, parse};
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

proptest! {
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
