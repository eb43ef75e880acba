//! Metrics and health: what is told, to whom, and what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Fixture;
use super::client::{Answer, Client};

/// Samples by name and labels, as the text format has them. Fails where it is not followed.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut families = BTreeSet::new();
    let mut current = ("", "");
    let mut samples = BTreeMap::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.split_once(' ').is_some_and(|(_, help)| help.ends_with('.')), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            current = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&current.1), "{line}");
            assert!(families.insert(current.0), "{line} comes twice");
            assert_eq!(current.0.ends_with("_total"), current.1 == "counter", "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let suffix = name.strip_prefix(current.0).unwrap_or_else(|| panic!("{line} is of no family"));
            let suffixes: &[&str] =
                if current.1 == "histogram" { &["_bucket", "_count", "_sum"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                let labels = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix('}')).unwrap();
                for label in labels.split(',') {
                    let (label, value) = label.split_once('=').unwrap();
                    assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
                    assert!(value.len() >= 2 && value.starts_with('"') && value.ends_with('"'), "{line}");
                }
            }
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{line}");
        }
    }
    samples
}

fn metrics(client: &mut Client) -> BTreeMap<String, f64> {
    let answer = client.ask("GET /metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    samples(&answer.text())
}

#[test]
fn requests_are_counted_by_interface_and_command() {
    let fixture = Fixture::start([]);
    let mut lines = fixture.server.connect();
    lines.send("SET a 1\nGET a\nGET b\nGET \nnonsense\nPING\nSYNC\n");
    let replies: Vec<_> = (0..7).map(|_| lines.reply()).collect();
    assert_eq!(replies.iter().filter(|reply| reply.starts_with("ERR ")).count(), 2, "{replies:?}");
    let mut client = fixture.connect();
    assert_eq!(client.ask("GET /v1/namespaces/default/entries/a").status, 200);
    assert_eq!(client.ask("GET /v1/namespaces/default/entries/none").status, 404);
    assert_eq!(client.ask("GET /v1/namespaces/default/entries?limit=x").status, 400);
    assert_eq!(client.ask("GET /nothing").status, 404);
    assert_eq!(client.ask("GET /v1/nothing").status, 404);
    let failed = client.ask_with("POST /v1/transactions", r#"{"check":[{"key":"a","version":null}]}"#);
    assert_eq!(failed.status, 409);
    // What is no request, and what is too long a one, no handler sees.
    for (head, status) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(40_000)), 431),
    ] {
        let mut client = fixture.connect();
        client.send(head);
        client.end();
        assert_eq!(client.answer(false).status, status);
        assert!(client.head().is_none());
    }
    // They are counted once their connections are gone.
    let rejected =
        |reason| format!("larder_requests_rejected_total{{interface=\"http\",reason=\"{reason}\"}}");
    let gone = ["MALFORMED", "TOOLONG"].map(rejected);
    let all_gone = |samples: &BTreeMap<_, _>| gone.iter().all(|series| samples.contains_key(series));
    let samples = (0..10_000).map(|_| metrics(&mut client)).find(all_gone).expect("they are counted");
    let count = |series: &str| samples.get(series).copied().unwrap_or_default();
    let commands = |interface, command| {
        count(&format!(
            "larder_request_duration_seconds_count{{interface=\"{interface}\",command=\"{command}\"}}"
        ))
    };
    assert_eq!(commands("lines", "SET"), 1.0);
    assert_eq!(commands("lines", "GET"), 2.0);
    assert_eq!(commands("lines", "PING"), 1.0);
    assert_eq!(commands("lines", "SYNC"), 1.0);
    assert_eq!(commands("v1", "ENTRY"), 2.0);
    let rejected = |interface, reason| {
        count(&format!("larder_requests_rejected_total{{interface=\"{interface}\",reason=\"{reason}\"}}"))
    };
    assert_eq!(rejected("lines", "BADARG") + rejected("lines", "BADKEY"), 1.0);
    assert_eq!(rejected("lines", "BADCMD"), 1.0);
    assert_eq!(rejected("v1", "BADARG"), 1.0);
    assert_eq!(rejected("http", "ROUTE"), 1.0);
    assert_eq!(rejected("v1", "ROUTE"), 1.0);
    assert_eq!(rejected("http", "MALFORMED"), 1.0);
    assert_eq!(rejected("http", "TOOLONG"), 1.0);
    // That a check does not hold is an answer.
    assert_eq!((commands("v1", "TXN"), rejected("v1", "INTERNAL")), (1.0, 0.0));
    assert_eq!(count("larder_entries"), 1.0);
    assert_eq!(count("larder_organization_entries{organization=\"default\"}"), 1.0);
    assert!(count("larder_sync_duration_seconds_count") >= 1.0);
    // Each histogram goes up, to its count.
    let bounds = |series: &str| series.split_once("le=\"").map(|(before, _)| before.to_owned());
    for (series, total) in samples.iter().filter(|(series, _)| series.contains("le=\"+Inf\"")) {
        let before = bounds(series).unwrap();
        let most = samples
            .iter()
            .filter(|(other, _)| bounds(other).as_ref() == Some(&before))
            .map(|(_, count)| *count);
        assert_eq!(most.fold(0.0, f64::max), *total, "{series}");
        let count = format!(
            "{}{}",
            before.replacen("_bucket", "_count", 1).trim_end_matches(['{', ',']),
            if before.ends_with('{') { "" } else { "}" }
        );
        assert_eq!(samples.get(&count), Some(total), "{count}");
    }
}

fn ask_as(client: &mut Client, line: &str, token: &str) -> Answer {
    client.request(line, &[("Authorization", &format!("Bearer {token}"))], b"");
    client.answer(false)
}

/// Makes a key, and gives its token.
fn key(fixture: &Fixture, token: Option<&str>, options: &str) -> String {
    let mut lines = fixture.server.connect();
    if let Some(token) = token {
        assert_eq!(lines.ask(&format!("AUTH {token}")), "OK");
    }
    let made = lines.ask(&format!("KEY create {options}"));
    made.split_once("\"token\":\"").unwrap().1.split('"').next().unwrap().to_owned()
}

#[test]
fn metrics_are_for_the_operator_unless_they_are_public() {
    for public in [false, true] {
        let flags: &[&str] = if public { &["--metrics-public"] } else { &[] };
        let fixture = Fixture::start(flags.iter().copied());
        let admin = key(&fixture, None, "scope=admin");
        let other = key(&fixture, Some(&admin), "scope=full_access");
        let mut client = fixture.connect();
        let told = ask_as(&mut client, "GET /metrics", &admin);
        assert_eq!(told.status, 200);
        assert!(told.text().contains("larder_organization_entries{"));
        let (without, of_other) = (client.ask("GET /metrics"), ask_as(&mut client, "GET /metrics", &other));
        if public {
            assert_eq!((without.status, of_other.status), (200, 200));
            for told in [without, of_other] {
                assert!(told.text().contains("larder_entries "));
                assert!(!told.text().contains("larder_organization"));
            }
        } else {
            assert_eq!((without.status, of_other.status), (401, 403));
        }
        for path in ["GET /healthz", "GET /readyz"] {
            assert_eq!(client.ask(path).status, 200, "{path}");
        }
    }
}

#[test]
fn health_is_told() {
    let fixture = Fixture::start([]);
    let mut client = fixture.connect();
    assert_eq!(client.ask("GET /healthz").text(), r#"{"alive":true}"#);
    let ready = r#"{"ready":true,"failed":false,"short_of_space":false,"stopping":false}"#;
    assert_eq!(client.ask("GET /readyz").text(), ready);
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let fixture = Fixture::start([]);
    let mut client = fixture.connect();
    assert_eq!(client.ask_with("PUT /v1/namespaces/default/entries/a", "1").status, 200);
    assert_eq!(client.ask("GET /nothing").status, 404);
    let samples = metrics(&mut client);
    let names: BTreeSet<_> = samples.keys().map(|series| series.split('{').next().unwrap()).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/grafana/larder.json");
    let text = fs::read_to_string(path).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 5));
    let mut shown = 0;
    for expression in text.split("\"expr\": \"").skip(1).map(|rest| rest.split("\",").next().unwrap()) {
        let words = expression.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        for name in words.filter(|word| word.starts_with("larder_")) {
            assert!(names.contains(name), "{name} is no metric");
            shown += 1;
        }
    }
    assert!(shown > 10);
}
