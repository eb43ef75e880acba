//! However a path is written, it does not lead out of the organization of the access key.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::Fixture;

/// What paths are made of: what names something, and what might lead elsewhere once it is decoded, or decoded twice.
const PIECES: [&str; 32] = [
    "/",
    "/",
    "/",
    "%2F",
    "%2f",
    "%252F",
    "//",
    "..",
    ".",
    "%2e%2e",
    "%2E",
    "%252e",
    "..%2f",
    "%5c",
    "%00",
    ";",
    ":",
    "~",
    "default",
    "main",
    "acme",
    "v1",
    "api",
    "kv",
    "items",
    "namespaces",
    "entries",
    "datastore",
    "app",
    "a",
    "1",
    "%ff",
];
const ROOTS: [&str; 9] = [
    "/",
    "/v1/namespaces/",
    "/v1/namespaces/app/entries/",
    "/kv/items/",
    "/api/v1/",
    "/api/v1/datastore/entries/",
    "/api/v1/namespaces/",
    "/api/v1/default/namespaces/app/kv/",
    "/api/v1/main/namespaces/app/kv/",
];
const QUERIES: [&str; 5] = ["", "?namespace=app", "?namespace=..%2Fdefault%2Fapp", "?as=entry", "?prefix="];

#[test]
fn no_path_leads_out_of_an_organization() {
    let fixture = Fixture::start(["--durability=buffered"]);
    let mut lines = fixture.server.connect();
    let token =
        |reply: String| reply.split("\"token\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let admin = token(lines.ask("KEY create scope=admin"));
    assert_eq!(lines.ask(&format!("AUTH {admin}")), "OK");
    assert!(lines.ask("ORG create acme plan=scale").starts_with("OK "));
    let bearer = format!("Bearer {}", token(lines.ask("KEY create org=acme scope=full_access")));
    // Wherever somebody might look for them.
    let secrets =
        [("app", "a"), ("default", "a"), ("a", "a"), ("..", "app"), ("default/app", "a"), ("acme", "app/a")];
    for (namespace, key) in secrets {
        assert!(lines.ask(&format!("SET {key} ns={namespace} \"secret\"")).starts_with("OK "));
    }
    let mut secret = |namespace: &str, key: &str| lines.ask(&format!("ENTRY {key} ns={namespace}"));
    let before = secrets.map(|(namespace, key)| secret(namespace, key));

    let client = RefCell::new(fixture.connect());
    let path = (prop::sample::select(&ROOTS), prop::collection::vec(prop::sample::select(&PIECES), 1..10));
    let requests =
        (prop::sample::select(&["GET", "PUT", "DELETE", "POST"]), path, prop::sample::select(&QUERIES));
    let config = Config {
        rng_seed: RngSeed::Fixed(0x0b5e),
        failure_persistence: None,
        cases: 2_000,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(&requests, |(method, (root, pieces), query)| {
        let line = format!("{method} {root}{}{query}", pieces.concat());
        let body: &[u8] = if method == "PUT" { b"{\"value\":1}" } else { b"" };
        let mut client = client.borrow_mut();
        client.request(&line, &[("Authorization", &bearer)], body);
        let answer = client.answer(false);
        if answer.header("connection") == Some("close") {
            *client = fixture.connect();
        }
        prop_assert!(answer.status < 500 && !answer.text().contains("secret"), "{}: {:?}", line, answer);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(secrets.map(|(namespace, key)| secret(namespace, key)), before);
}
