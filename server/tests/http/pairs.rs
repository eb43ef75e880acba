//! What one interface has written, every other reads: each pair of them, with value, type, description, version and times; and so
//! for what one has written over another's entry, and for what it has deleted.

use larder_client::rfc3339;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Fixture;
use super::client::Client;
use crate::support;

/// A namespace and a key that all interfaces allow.
const NAMESPACE: &str = "app.team";
const KEY: &str = "key.1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interface {
    Lines,
    Native,
    Hooklistener,
    Rocketstack,
    Kestra,
}

use Interface::{Hooklistener, Kestra, Lines, Native, Rocketstack};

const INTERFACES: [Interface; 5] = [Lines, Native, Hooklistener, Rocketstack, Kestra];

/// A value as it is sent, and as it is kept.
struct Case {
    sent: &'static str,
    kept: &'static str,
    /// What the document is.
    kind: &'static str,
    /// A subtype that it is meant as, where that can be said.
    subtype: Option<&'static str>,
}

const CASES: [Case; 10] = [
    Case { sent: "\"Hello World\"", kept: "\"Hello World\"", kind: "STRING", subtype: None },
    Case { sent: "\"\\u00e9 \\\"é\\n\"", kept: "\"\\u00e9 \\\"é\\n\"", kind: "STRING", subtype: None },
    Case { sent: "1.0", kept: "1.0", kind: "NUMBER", subtype: None },
    Case {
        sent: "1234567890123456789012345678901234567890",
        kept: "1234567890123456789012345678901234567890",
        kind: "NUMBER",
        subtype: None,
    },
    Case { sent: "true", kept: "true", kind: "BOOLEAN", subtype: None },
    Case { sent: "null", kept: "null", kind: "JSON", subtype: None },
    Case {
        sent: "{ \"b\": [1e400, {}], \"a\": null, \"b\": \"\" }",
        kept: "{\"b\":[1e400,{}],\"a\":null,\"b\":\"\"}",
        kind: "JSON",
        subtype: None,
    },
    Case { sent: "\"2026-03-10\"", kept: "\"2026-03-10\"", kind: "STRING", subtype: Some("DATE") },
    Case {
        sent: "\"2026-03-10T15:00:00+01:00\"",
        kept: "\"2026-03-10T15:00:00+01:00\"",
        kind: "STRING",
        subtype: Some("DATETIME"),
    },
    Case { sent: "\"PT5M\"", kept: "\"PT5M\"", kind: "STRING", subtype: Some("DURATION") },
];

impl Case {
    /// The type that it is of, once that interface has written it.
    fn type_by(&self, writer: Interface) -> &'static str {
        match writer {
            Lines | Native | Kestra => self.subtype.unwrap_or(self.kind),
            Hooklistener | Rocketstack => self.kind,
        }
    }

    fn type_option(&self, before: &str) -> String {
        self.subtype.map(|subtype| format!("{before}type={subtype}")).unwrap_or_default()
    }

    /// Kestra tells a date by its being bare.
    fn body_for_kestra(&self) -> &str {
        if self.subtype.is_some() { self.sent.trim_matches('"') } else { self.sent }
    }
}

/// All that is known of an entry.
#[derive(Debug, Deserialize)]
struct Entry {
    value: Box<RawValue>,
    r#type: String,
    description: Option<String>,
    version: u64,
    created_at: u64,
    updated_at: u64,
    expires_at: Option<u64>,
    id: String,
}

fn or_null(text: Option<String>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
}

/// The entry as each interface shows it.
impl Entry {
    fn expires(&self) -> Option<String> {
        self.expires_at.map(rfc3339)
    }

    fn of_native(&self) -> String {
        format!(
            "{{\"organization\":\"default\",\"namespace\":\"{NAMESPACE}\",\"key\":\"{KEY}\",\"value\":{},\"type\":\"{}\",\
             \"description\":{},\"version\":{},\"created_at\":\"{}\",\"updated_at\":\"{}\",\"expires_at\":{},\"id\":\"{}\"}}",
            self.value,
            self.r#type,
            or_null(self.description.clone()),
            self.version,
            rfc3339(self.created_at),
            rfc3339(self.updated_at),
            or_null(self.expires()),
            self.id
        )
    }

    fn of_hooklistener(&self) -> String {
        format!(
            "{{\"id\":\"{}\",\"key\":\"{KEY}\",\"namespace\":\"{NAMESPACE}\",\"value\":{},\"description\":{},\
             \"expires_at\":{},\"created_at\":\"{}\",\"updated_at\":\"{}\"}}",
            self.id,
            self.value,
            or_null(self.description.clone()),
            or_null(self.expires()),
            rfc3339(self.created_at),
            rfc3339(self.updated_at)
        )
    }

    fn of_rocketstack(&self) -> String {
        format!(
            "{{\"data\":{{\"key\":\"{KEY}\",\"value\":{},\"version\":\"{}\",\"expiresAt\":{}}}}}",
            self.value,
            self.version,
            or_null(self.expires())
        )
    }

    fn of_kestra(&self) -> String {
        format!(
            "{{\"type\":\"{}\",\"value\":{},\"revision\":{},\"updated\":\"{}\"}}",
            self.r#type,
            self.value,
            self.version,
            rfc3339(self.updated_at)
        )
    }

    fn listed_by_kestra(&self) -> String {
        let member = |name: &str, text: Option<String>| {
            text.map(|text| format!(",\"{name}\":\"{text}\"")).unwrap_or_default()
        };
        format!(
            "[{{\"key\":\"{KEY}\",\"creationDate\":\"{}\",\"updateDate\":\"{}\"{}{}}}]",
            rfc3339(self.created_at),
            rfc3339(self.updated_at),
            member("expirationDate", self.expires()),
            member("description", self.description.clone())
        )
    }
}

/// One connection to each port.
struct Clients {
    http: Client,
    lines: support::Client,
}

impl Clients {
    fn ask(&mut self, line: &str) -> (u16, String) {
        let answer = self.http.ask(line);
        (answer.status, answer.text())
    }

    /// Writes, in all interfaces but Rocketstack's with a description where it is to pass. Gives the entry as it then is.
    fn write(&mut self, writer: Interface, case: &Case, passing: bool) -> Entry {
        let sent = case.sent;
        let answer = match writer {
            Lines => {
                let passing = if passing { " ttl=1h desc=note" } else { "" };
                self.lines.ask(&format!("SET {KEY}{passing}{} ns={NAMESPACE} {sent}", case.type_option(" ")))
            }
            Native => {
                let passing = if passing { "&ttl=PT1H&desc=note" } else { "" };
                let of_type = case.type_option("");
                self.send(
                    &format!("PUT /v1/namespaces/{NAMESPACE}/entries/{KEY}?{of_type}{passing}"),
                    &[],
                    sent,
                )
            }
            Hooklistener => {
                let passing = if passing { ",\"ttl_seconds\":3600,\"description\":\"note\"" } else { "" };
                let body = format!(
                    "{{\"entry\":{{\"key\":\"{KEY}\",\"namespace\":\"{NAMESPACE}\",\"value\":{sent}{passing}}}}}"
                );
                self.send("PUT /api/v1/datastore/entries", &[], &body)
            }
            Rocketstack => {
                let passing = if passing { ",\"ttlSeconds\":3600" } else { "" };
                let body = format!("{{\"value\":{sent}{passing}}}");
                self.send(&format!("PUT /kv/items/{KEY}?namespace={NAMESPACE}"), &[], &body)
            }
            Kestra => {
                let passing: &[_] = if passing { &[("ttl", "PT1H"), ("description", "note")] } else { &[] };
                let line = format!("PUT /api/v1/namespaces/{NAMESPACE}/kv/{KEY}");
                self.send(&line, passing, case.body_for_kestra())
            }
        };
        let entry = self.entry();
        assert_eq!((entry.value.get(), &*entry.r#type), (case.kept, case.type_by(writer)), "{writer:?}");
        let described = passing && writer != Rocketstack;
        assert_eq!(entry.description.as_deref(), described.then_some("note"), "{writer:?}");
        assert_eq!(entry.expires_at, passing.then_some(entry.updated_at + 3_600_000), "{writer:?}");
        let expected = match writer {
            Lines => {
                let expires = entry.expires_at.map_or("-".to_owned(), |at| at.to_string());
                format!("OK {} {expires}", entry.version)
            }
            Native => {
                format!("{{\"version\":{},\"expires_at\":{}}}", entry.version, or_null(entry.expires()))
            }
            Hooklistener => format!("{{\"data\":{}}}", entry.of_hooklistener()),
            Rocketstack => entry.of_rocketstack(),
            Kestra => String::new(),
        };
        assert_eq!(answer, expected, "{writer:?}");
        entry
    }

    fn send(&mut self, line: &str, headers: &[(&str, &str)], body: &str) -> String {
        self.http.request(line, headers, body.as_bytes());
        let answer = self.http.answer(false);
        assert_eq!(answer.status, 200, "{line}: {}", answer.text());
        answer.text()
    }

    fn entry(&mut self) -> Entry {
        let reply = self.lines.ask(&format!("ENTRY {KEY} ns={NAMESPACE}"));
        serde_json::from_str(reply.strip_prefix("OK ").unwrap_or_else(|| panic!("{reply}"))).unwrap()
    }

    /// Reads the entry, and finds it in a listing.
    fn check(&mut self, reader: Interface, entry: &Entry) {
        let Entry { value, version, r#type, .. } = entry;
        match reader {
            Lines => {
                let expires = entry.expires_at.map_or("-".to_owned(), |at| at.to_string());
                let get = self.lines.ask(&format!("GET {KEY} ns={NAMESPACE}"));
                assert_eq!(get, format!("VAL {version} {expires} {value}"));
                let list = self.lines.ask(&format!("LIST values=1 ns={NAMESPACE}"));
                assert_eq!(list, format!("ITEM {KEY} {version} {expires} {value}"));
                assert_eq!(self.lines.reply(), "END 1");
            }
            Native => {
                let path = format!("GET /v1/namespaces/{NAMESPACE}/entries");
                let get = self.http.ask(&format!("{path}/{KEY}"));
                let shown = ["etag", "larder-type", "larder-expires-at"].map(|name| get.header(name));
                let (tag, expires) = (format!("\"{version}\""), entry.expires());
                assert_eq!(shown, [Some(&*tag), Some(&**r#type), expires.as_deref()]);
                assert_eq!(get.text(), value.get());
                assert_eq!(self.ask(&format!("{path}/{KEY}?as=entry")), (200, entry.of_native()));
                let expires = or_null(entry.expires());
                let list = format!(
                    "{{\"items\":[{{\"key\":\"{KEY}\",\"version\":{version},\"expires_at\":{expires},\"value\":{value}}}],\"next\":null}}"
                );
                assert_eq!(self.ask(&format!("{path}?values=1")), (200, list));
            }
            Hooklistener => {
                let entry = entry.of_hooklistener();
                let get = self.ask(&format!("GET /api/v1/datastore/entries/{KEY}?namespace={NAMESPACE}"));
                assert_eq!(get, (200, format!("{{\"data\":{entry}}}")));
                let list = format!(
                    "{{\"data\":[{entry}],\"page\":1,\"page_size\":50,\"total_count\":1,\"total_pages\":1}}"
                );
                assert_eq!(self.ask("GET /api/v1/datastore"), (200, list));
                let namespaces = (200, format!("{{\"data\":[\"{NAMESPACE}\"]}}"));
                assert_eq!(self.ask("GET /api/v1/datastore/namespaces"), namespaces);
            }
            Rocketstack => {
                let get = self.http.ask(&format!("GET /kv/items/{KEY}?namespace={NAMESPACE}"));
                assert_eq!(get.header("etag"), Some(&*format!("\"{version}\"")));
                assert_eq!(get.text(), entry.of_rocketstack());
            }
            Kestra => {
                let path = format!("GET /api/v1/main/namespaces/{NAMESPACE}/kv");
                assert_eq!(self.ask(&format!("{path}/{KEY}")), (200, entry.of_kestra()));
                assert_eq!(self.ask(&path), (200, entry.listed_by_kestra()));
            }
        }
    }

    fn delete(&mut self, by: Interface) {
        if by == Lines {
            assert!(self.lines.ask(&format!("DEL {KEY} ns={NAMESPACE}")).starts_with("OK "));
            return;
        }
        let line = format!("DELETE {}", path_of(by));
        let deleted = self.ask(&line);
        assert!(deleted.0 == 200 && deleted.1 != "false", "{line}: {deleted:?}");
    }

    fn check_absent(&mut self, reader: Interface) {
        if reader == Lines {
            assert_eq!(self.lines.ask(&format!("GET {KEY} ns={NAMESPACE}")), "NIL");
            return;
        }
        let line = format!("GET {}", path_of(reader));
        assert_eq!(self.ask(&line).0, 404, "{line}");
    }
}

/// Where the entry is over HTTP.
fn path_of(interface: Interface) -> String {
    match interface {
        Lines | Native => format!("/v1/namespaces/{NAMESPACE}/entries/{KEY}"),
        Hooklistener => format!("/api/v1/datastore/entries/{KEY}?namespace={NAMESPACE}"),
        Rocketstack => format!("/kv/items/{KEY}?namespace={NAMESPACE}"),
        Kestra => format!("/api/v1/namespaces/{NAMESPACE}/kv/{KEY}"),
    }
}

#[test]
fn what_one_interface_writes_all_others_read() {
    let fixture = Fixture::start(["--durability=buffered"]);
    let mut clients = Clients { http: fixture.connect(), lines: fixture.server.connect() };
    for first in INTERFACES {
        for second in INTERFACES {
            for case in &CASES {
                let made = clients.write(first, case, true);
                INTERFACES.iter().for_each(|reader| clients.check(*reader, &made));
                let replaced = clients.write(second, case, false);
                assert_eq!((&replaced.id, replaced.created_at), (&made.id, made.created_at));
                assert!(replaced.version > made.version);
                INTERFACES.iter().for_each(|reader| clients.check(*reader, &replaced));
                clients.delete(second);
                INTERFACES.iter().for_each(|reader| clients.check_absent(*reader));
            }
        }
    }
}
