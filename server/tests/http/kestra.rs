//! Kestra's dialect: what is written through it reads back as documented through every other interface.

use std::cell::RefCell;

use data_encoding::BASE64;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::Fixture;

/// A body of a `PUT`, and what it comes to.
#[derive(Debug, Clone)]
struct Case {
    body: String,
    value_type: &'static str,
    /// What is stored.
    json: String,
}

fn case(body: String, value_type: &'static str, json: String) -> Case {
    Case { body, value_type, json }
}

/// A text that needs no escapes.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn any_case() -> impl Strategy<Value = Case> {
    let date = (1970..2100, 1..13, 1..29).prop_map(|(y, m, d)| format!("{y}-{m:02}-{d:02}"));
    let instant = (date.clone(), 0..24, 0..60, prop_oneof!["Z", "\\.[0-9]{1,9}Z", "\\+0[0-9]:30"])
        .prop_map(|(date, h, m, tail)| format!("{date}T{h:02}:{m:02}:07{tail}"));
    let duration = prop_oneof!["P[1-9]{1,3}D", "PT[1-9]H[1-9]M", "PT[1-9]\\.[0-9]S", "P[1-9]W"];
    let number = prop_oneof![
        "-?[1-9][0-9]{0,40}",
        "0\\.[0-9]{1,20}",
        "[1-9]\\.[0-9]{0,3}0",
        "-?[1-9]e\\+?[1-9][0-9]{0,3}"
    ];
    // Escapes stay as they were written.
    let string = prop_oneof!["[a-zA-Z0-9 äß-]{0,40}", r"([a-z]|\\n|\\u00e9|\\\\){0,20}"];
    let pair = ("[a-z]{1,3}", number.clone()).prop_map(|(name, number)| format!("\"{name}\":{number}"));
    let object = prop::collection::vec(pair, 0..4).prop_map(|pairs| format!("{{{}}}", pairs.join(",")));
    let bare = prop_oneof!["[g-mu-z][a-zA-Z0-9 äß!,.-]{0,40}", "[1-9][a-df-z][0-9a-z]{0,20}", "0[0-9]{1,9}"];
    prop_oneof![
        number.prop_map(|text| case(text.clone(), "NUMBER", text)),
        prop::bool::ANY.prop_map(|text| case(text.to_string(), "BOOLEAN", text.to_string())),
        string.prop_map(|text| case(quoted(&text), "STRING", quoted(&text))),
        object.prop_map(|text| case(text.replace(':', " : ").replace(',', " ,\n"), "JSON", text)),
        date.clone().prop_map(|text| case(text.clone(), "DATE", quoted(&text))),
        date.prop_map(|text| case(quoted(&text), "STRING", quoted(&text))),
        instant.prop_map(|text| case(text.clone(), "DATETIME", quoted(&text))),
        (duration, prop::bool::ANY).prop_map(|(text, bare)| {
            case(if bare { text.clone() } else { quoted(&text) }, "DURATION", quoted(&text))
        }),
        bare.prop_map(|text| case(text.clone(), "STRING", quoted(&text))),
    ]
}

#[test]
fn what_is_written_reads_the_same_through_all_interfaces() {
    let fixture = Fixture::start(["--durability=buffered"]);
    let (http, lines) = (RefCell::new(fixture.connect()), RefCell::new(fixture.server.connect()));
    let media_types = [None, Some("application/json"), Some("text/plain; charset=utf-8")];
    let config = Config {
        rng_seed: RngSeed::Fixed(0x6e57a),
        failure_persistence: None,
        cases: 300,
        ..Config::default()
    };
    let cases = (any_case(), prop::sample::select(media_types.to_vec()), prop::bool::ANY);
    let tried = TestRunner::new(config).run(&cases, |(case, media_type, expires)| {
        let (mut http, mut lines) = (http.borrow_mut(), lines.borrow_mut());
        let Case { body, value_type, json } = case;
        let mut headers = vec![("description", "a note")];
        headers.extend(media_type.map(|media_type| ("content-type", media_type)));
        headers.extend(expires.then_some(("ttl", "P30D")));
        http.request("PUT /api/v1/namespaces/a.b/kv/key", &headers, body.as_bytes());
        let written = http.answer(false);
        prop_assert_eq!((written.status, written.text()), (200, String::new()));

        let own = http.ask("GET /api/v1/main/namespaces/a.b/kv/key");
        let begins = format!("{{\"type\":\"{value_type}\",\"value\":{json},\"revision\":");
        prop_assert!(own.text().starts_with(&begins), "{} in {}", begins, own.text());

        let native = http.ask("GET /v1/namespaces/a.b/entries/key");
        prop_assert_eq!((native.text(), native.header("larder-type")), (json.clone(), Some(value_type)));
        prop_assert_eq!(native.header("larder-expires-at").is_some(), expires);
        let version = native.header("etag").unwrap().trim_matches('"').to_owned();
        let revision = format!("\"revision\":{version},");
        prop_assert!(own.text().contains(&revision), "{} in {}", revision, own.text());

        let entry = lines.ask("ENTRY key ns=a.b");
        let fields = format!(
            "\"value\":{json},\"type\":\"{value_type}\",\"description\":\"a note\",\"version\":{version},"
        );
        prop_assert!(entry.contains(&fields), "{} in {}", fields, entry);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
}

/// More entries than are looked up at a time: each is told once, in order.
#[test]
fn a_listing_has_no_pages() {
    const ENTRIES: usize = 2_001;
    let fixture = Fixture::start(["--durability=buffered"]);
    let (mut http, mut lines) = (fixture.connect(), fixture.server.connect());
    let sets: String = (0..ENTRIES).map(|n| format!("SET k{n:04} ns=n {n}\n")).collect();
    lines.send(sets);
    (0..ENTRIES).for_each(|_| assert!(lines.reply().starts_with("OK ")));
    let listed = http.ask("GET /api/v1/namespaces/n/kv");
    let text = listed.text();
    assert_eq!((listed.status, listed.header("content-type")), (200, Some("application/json")));
    let keys: Vec<&str> = text.split("{\"key\":\"").skip(1).map(|item| &item[..5]).collect();
    let expected: Vec<String> = (0..ENTRIES).map(|n| format!("k{n:04}")).collect();
    assert_eq!(keys, expected);
    assert_eq!(text.matches("},{").count(), ENTRIES - 1);
    assert!(text.starts_with("[{") && text.ends_with("}]"));
}

/// What the client of Terraform's `kestra_kv` does: Basic, no content type, bare words. It takes 200, 201 and 204, and has to
/// find 404 after a delete.
#[test]
fn the_client_of_terraform_creates_reads_changes_and_destroys() {
    let fixture = Fixture::start([]);
    let (mut http, mut lines) = (fixture.connect(), fixture.server.connect());
    let key = lines.ask("KEY create scope=admin");
    let token = key.split_once("\"token\":\"").unwrap().1.split_once('"').unwrap().0;
    let basic = format!("Basic {}", BASE64.encode(format!("terraform:{token}").as_bytes()));
    for root in ["/api/v1", "/api/v1/main"] {
        let path = format!("{root}/namespaces/company.team/kv/my_key");
        let mut ask = |method: &str, body: &str| {
            http.request(&format!("{method} {path}"), &[("authorization", &basic)], body.as_bytes());
            http.answer(false)
        };
        for (value, value_type) in [("Hello Woprld", "STRING"), ("PT1H", "DURATION")] {
            assert_eq!(ask("PUT", value).status, 200);
            let read = ask("GET", "");
            let begins = format!("{{\"type\":\"{value_type}\",\"value\":\"{value}\",");
            assert!(read.status == 200 && read.text().starts_with(&begins), "{read:?}");
        }
        assert_eq!(ask("DELETE", "").status, 200);
        assert_eq!(ask("GET", "").status, 404);
    }
    assert_eq!(http.ask("GET /api/v1/namespaces/company.team/kv/my_key").status, 401);
}
