//! What scripts cannot say of the dialects: limits on requests, expiry, and listings that take many looks.

use super::Fixture;
use super::client::{Answer, Client};
use crate::support;

/// Has an organization that is limited to a request a second. Gives a key of it.
fn limited(fixture: &Fixture) -> String {
    let mut operator = fixture.server.connect();
    let token =
        |reply: String| reply.split("\"token\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let admin = token(operator.ask("KEY create scope=admin"));
    assert_eq!(operator.ask(&format!("AUTH {admin}")), "OK");
    operator.ask("ORG create acme plan=scale rate=1");
    token(operator.ask("KEY create org=acme"))
}

/// Asks until the limit is met, which takes two requests within a second.
fn until_held_up(client: &mut Client, line: &str, token: &str) -> Answer {
    let header = format!("Bearer {token}");
    for _ in 0..1_000 {
        client.request(line, &[("Authorization", &header)], b"");
        let answer = client.answer(false);
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("a thousand requests took a thousand seconds");
}

#[test]
fn the_limit_of_an_organization_holds_in_the_dialects() {
    let fixture = Fixture::start([]);
    let token = limited(&fixture);
    let mut client = fixture.connect();
    for line in [
        "GET /api/v1/datastore",
        "GET /api/v1/datastore/namespaces",
        "GET /api/v1/datastore/entries/a",
        "DELETE /api/v1/datastore/entries/a",
        "GET /kv/items/a",
        "DELETE /kv/items/a",
        "GET /api/v1/namespaces/n/kv",
        "GET /api/v1/main/namespaces/n/kv/a",
        "DELETE /api/v1/namespaces/n/kv/a",
        "GET /v1/namespaces/n/entries/a",
    ] {
        let answer = until_held_up(&mut client, line, &token);
        let (content_type, begins) = if line.contains("/kv") && !line.contains("/items/") {
            ("application/json", "{\"message\":\"")
        } else {
            ("application/problem+json", "{\"title\":\"Too Many Requests\",\"status\":429,\"code\":\"RATE\",")
        };
        assert_eq!(answer.header("content-type"), Some(content_type), "{line}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{line}");
        let text = answer.text();
        assert!(text.starts_with(begins) && text.contains("\"code\":\"RATE\""), "{line}: {text}");
        let told = |name: &str| answer.header(&format!("ratelimit-{name}")).map(str::to_owned);
        let fields = ["limit", "policy"].map(told);
        let expected =
            if line.contains("/kv/items/") { [Some("1".into()), Some("1;w=1".into())] } else { [None, None] };
        assert_eq!(fields, expected, "{line}");
        assert_eq!(told("remaining").is_some(), line.contains("/kv/items/"), "{line}");
        assert_eq!(told("reset").is_some(), line.contains("/kv/items/"), "{line}");
    }
}

#[test]
fn what_has_expired_is_absent_and_not_counted() {
    let fixture = Fixture::start([]);
    let mut client = fixture.connect();
    let put = |client: &mut Client, key: &str, ttl: &str| {
        let body = format!("{{\"entry\":{{\"key\":\"{key}\",\"namespace\":\"{key}\",\"value\":1{ttl}}}}}");
        assert_eq!(client.ask_with("PUT /api/v1/datastore/entries", &body).status, 200);
    };
    put(&mut client, "lasting", "");
    put(&mut client, "passing", ",\"ttl_seconds\":1");
    let path = "GET /api/v1/datastore/entries/passing?namespace=passing";
    let until_gone = (0..1_000_000).map(|_| client.ask(path).status).find(|status| *status != 200);
    assert_eq!(until_gone, Some(404));
    assert_eq!(client.ask("GET /kv/items/passing?namespace=passing").status, 404);
    let listed = client.ask("GET /api/v1/datastore").text();
    assert!(listed.ends_with("\"page\":1,\"page_size\":50,\"total_count\":1,\"total_pages\":1}"), "{listed}");
    assert!(!listed.contains("passing"), "{listed}");
    assert_eq!(client.ask("GET /api/v1/datastore/namespaces").text(), r#"{"data":["lasting"]}"#);
    let delete = client.ask("DELETE /api/v1/datastore/entries/passing?namespace=passing");
    assert_eq!(delete.status, 404, "{}", delete.text());
    // Set if not exists takes the place.
    let set = client.ask_with("PUT /kv/items/passing?namespace=passing", r#"{"value":2,"ifNotExists":true}"#);
    assert_eq!(set.status, 200, "{}", set.text());
}

/// Entries in so many namespaces; each namespace has so many keys under each of two prefixes.
fn fill(server: &support::Server, namespaces: usize, keys: usize) -> Vec<(String, String)> {
    let mut client = server.connect();
    let mut names = Vec::new();
    for namespace in 0..namespaces {
        let mut lines = String::new();
        for key in 0..keys {
            for prefix in ["a", "b"] {
                let (namespace, key) = (format!("n{namespace:04}"), format!("{prefix}{key:05}"));
                lines.push_str(&format!("SET {key} ns={namespace} 1\n"));
                names.push((namespace, key));
            }
        }
        client.send(lines);
        for _ in 0..keys * 2 {
            assert!(client.line().unwrap().starts_with("OK "));
        }
    }
    names.sort();
    names
}

/// Walks over all pages of a listing. Gives namespaces and keys, and what each page says of the whole.
fn walk(client: &mut Client, query: &str, page_size: usize, pages: usize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for page in 1..=pages + 1 {
        let answer = client.ask(&format!("GET /api/v1/datastore?page_size={page_size}&page={page}{query}"));
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let items = json["data"].as_array().unwrap();
        assert!(page == pages || items.len() == if page < pages { page_size } else { 0 });
        let text = |item: &serde_json::Value, name: &str| item[name].as_str().unwrap().to_owned();
        found.extend(items.iter().map(|item| (text(item, "namespace"), text(item, "key"))));
        assert_eq!(json["total_pages"], pages);
        assert!((pages - 1) * page_size < usize::try_from(json["total_count"].as_u64().unwrap()).unwrap());
    }
    found
}

#[test]
fn pages_are_exact_however_many_looks_they_take() {
    // Few namespaces with more keys than one look takes, and more namespaces than one look takes.
    for (namespaces, keys) in [(3, 2_500), (1_500, 1)] {
        let fixture = Fixture::start(["--durability=buffered"]);
        let mut client = fixture.connect();
        let names = fill(&fixture.server, namespaces, keys);
        let all = names.len();
        for (query, prefix, namespace) in [
            ("", "", ""),
            ("&prefix=b", "b", ""),
            ("&prefix=a0000", "a0000", ""),
            ("&namespace=n0001", "", "n0001"),
            ("&namespace=n0001&prefix=b", "b", "n0001"),
        ] {
            let held =
                |(name, key): &&(String, String)| name.starts_with(namespace) && key.starts_with(prefix);
            let expected: Vec<_> = names.iter().filter(held).cloned().collect();
            let page_size = expected.len().div_ceil(7).clamp(1, 1_000);
            let pages = expected.len().div_ceil(page_size);
            let found = walk(&mut client, query, page_size, pages);
            assert_eq!(found, expected, "{query} of {all}");
        }
        let listed: serde_json::Value =
            serde_json::from_slice(&client.ask("GET /api/v1/datastore/namespaces").body).unwrap();
        let mut expected: Vec<_> = names.iter().map(|(namespace, _)| namespace.as_str()).collect();
        expected.dedup();
        assert_eq!(listed["data"], serde_json::json!(expected));
    }
}

#[test]
fn a_listing_is_counted_once_however_many_looks_it_takes() {
    let fixture = Fixture::start(["--durability=buffered"]);
    fill(&fixture.server, 1, 2_500);
    let mut client = fixture.connect();
    assert_eq!(client.ask("GET /api/v1/datastore?prefix=b").status, 200);
    assert_eq!(client.ask("GET /api/v1/datastore/namespaces").status, 200);
    let metrics = client.ask("GET /metrics").text();
    for command in ["LIST", "NAMESPACES"] {
        let line = format!(
            "larder_request_duration_seconds_count{{interface=\"hooklistener\",command=\"{command}\"}} 1\n"
        );
        assert!(metrics.contains(&line), "{command}: {metrics}");
    }
}

#[test]
fn of_those_who_hold_a_version_one_wins() {
    let fixture = Fixture::start([]);
    let put = |client: &mut Client, body: &str| client.ask_with("PUT /kv/items/a", body);
    assert_eq!(put(&mut fixture.connect(), r#"{"value":0}"#).status, 200);
    for round in 0..20 {
        let current = fixture.connect().ask("GET /kv/items/a");
        let tag = current.header("etag").unwrap().to_owned();
        let body = format!("{{\"value\":{round},\"ifVersion\":{tag}}}");
        let won = std::thread::scope(|scope| {
            let race = |_| {
                scope.spawn(|| {
                    let answer = put(&mut fixture.connect(), &body);
                    assert!([200, 409].contains(&answer.status), "{}", answer.text());
                    answer.status == 200
                })
            };
            let racers: Vec<_> = (0..4).map(race).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
    }
}
