//! The description of the interface, held against the interface.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Fixture;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

fn description(fixture: &Fixture) -> Value {
    let answer = fixture.connect().ask("GET /openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&answer.body).unwrap()
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("an object, not {value}"))
}

/// A path of the description, with something for its parameters.
fn filled(path: &str) -> String {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        filled.push_str(before);
        filled.push_str(if name == "file" { "swagger-ui.css" } else { "some" });
        rest = after;
    }
    filled + rest
}

#[test]
fn what_is_described_is_there_and_answers_as_described() {
    let fixture = Fixture::start([]);
    let description = description(&fixture);
    assert_eq!(description["openapi"], "3.1.0");
    for (path, operations) in object(&description["paths"]) {
        for (method, operation) in object(operations) {
            let line = format!("{} {}", method.to_uppercase(), filled(path));
            let mut client = fixture.connect();
            let body = if operation.get("requestBody").is_some() { r#"{"keys":["some"]}"# } else { "" };
            client.request(&line, &[("Content-Type", "application/json")], body.as_bytes());
            // Of a feed, which does not end, the head alone.
            let answer = client.head().unwrap();
            assert_ne!(answer.status, 405, "{line}");
            assert!(answer.status < 500, "{line} is {}", answer.status);
            let responses = object(&operation["responses"]);
            assert!(responses.contains_key(&answer.status.to_string()), "{line} is {}", answer.status);
            if answer.status == 404 {
                let mut client = fixture.connect();
                assert!(!client.ask(&line).text().contains("\"ROUTE\""), "{line}");
            }
        }
        let described: BTreeSet<_> = object(operations).keys().map(String::as_str).collect();
        for method in METHODS.into_iter().filter(|method| !described.contains(method)) {
            let line = format!("{} {}", method.to_uppercase(), filled(path));
            let answer = fixture.connect().ask(&line);
            assert_eq!(answer.status, 405, "{line} is not described");
            let allowed = answer.header("allow").unwrap().to_lowercase();
            let allowed: BTreeSet<_> =
                allowed.split(',').map(str::trim).filter(|method| *method != "head").collect();
            assert_eq!(allowed, described, "{line}");
        }
    }
}

#[test]
fn the_description_is_complete_in_itself() {
    let fixture = Fixture::start([]);
    let description = description(&fixture);
    let mut ids = BTreeSet::new();
    let declared: Vec<_> = description["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (path, operations) in object(&description["paths"]) {
        for (method, operation) in object(operations) {
            let at = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{at}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{at}");
            assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{at}");
            assert!(declared.contains(&&operation["tags"][0]), "{at}: {} is no tag", operation["tags"][0]);
            let named = operation.get("parameters").and_then(Value::as_array);
            let named: BTreeSet<_> = named
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let segments = path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
            assert_eq!(named, segments.collect(), "{at}");
        }
    }
    check_references(&description, &description);
}

/// Whatever is referred to is there.
fn check_references(value: &Value, description: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(description.pointer(pointer).is_some(), "{reference}");
            }
            members.values().for_each(|value| check_references(value, description));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(value, description)),
        _ => {}
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let fixture = Fixture::start([]);
    let mut client = fixture.connect();
    let led = client.ask("GET /docs");
    assert_eq!((led.status, led.header("location")), (308, Some("/docs/")));
    let page = client.ask("GET /docs/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    let page = page.text();
    for attribute in ["src=\"", "href=\""] {
        for rest in page.split(attribute).skip(1) {
            let file = rest.split('"').next().unwrap();
            let answer = client.ask(&format!("GET /docs/{}", file.trim_start_matches("./")));
            assert_eq!(answer.status, 200, "{file}");
        }
    }
    assert!(!page.contains("<script>"), "a script that the policy does not let run");
    assert!(client.ask("GET /docs/swagger-initializer.js").text().contains("/openapi.json"));
    assert_eq!(client.ask("GET /docs/none.js").status, 404);
}
