//! Random commands of one client, and what each must be answered: of one client every change draws the next version.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::support::{Client, Random};

/// One of so many.
fn pick(random: &mut Random, count: u64) -> usize {
    usize::try_from(random.below(count)).unwrap()
}

/// The namespaces, the second of them named by requests and operations.
const NAMESPACES: [&str; 2] = ["default", "other"];
const KEYS: u64 = 5;
const EXPIRES: &str = "4102444800000";
const AT: &str = "2100-01-01T00:00:00Z";

#[derive(Debug, Clone)]
struct Entry {
    version: u64,
    expires: bool,
    value: Value,
}

#[derive(Debug, Default, Clone)]
struct Model {
    entries: BTreeMap<(usize, u64), Entry>,
    version: u64,
}

/// A reply. Values are compared as what they mean.
#[derive(Debug, PartialEq)]
enum Reply {
    Line(String),
    Value { version: u64, expires: bool, value: Value },
    Error(&'static str),
}

/// Sends so many commands, some at a time, and checks the replies.
pub(super) fn run(client: &mut Client, random: &mut Random, commands: usize) {
    let mut model = Model::default();
    let mut done = 0;
    while done < commands {
        let count = 1 + pick(random, 20);
        let asked: Vec<_> = (0..count).map(|_| model.ask(random)).collect();
        client.send(asked.iter().map(|(line, _)| format!("{line}\n")).collect::<String>());
        for (line, expected) in asked {
            let reply = client.reply();
            assert_eq!(read(&reply, &expected), expected, "{line}");
        }
        done += count;
    }
}

/// The reply, as far as the expected one is about it.
fn read(line: &str, expected: &Reply) -> Reply {
    match expected {
        Reply::Value { .. } => {
            let mut words = line.splitn(4, ' ');
            let (Some("VAL"), Some(version), Some(expires), Some(json)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Reply::Line(line.to_owned());
            };
            assert!(expires == "-" || expires == EXPIRES, "{line}");
            let value = serde_json::from_str(json).unwrap();
            Reply::Value { version: version.parse().unwrap(), expires: expires != "-", value }
        }
        Reply::Error(code) if line.starts_with(&format!("ERR {code} ")) => Reply::Error(code),
        _ => Reply::Line(line.to_owned()),
    }
}

impl Model {
    /// A command, and the reply to it.
    fn ask(&mut self, random: &mut Random) -> (String, Reply) {
        let at = (pick(random, 2), random.below(KEYS));
        let ns = if at.0 == 0 { "" } else { " ns=other" };
        let key = format!("k{}", at.1);
        match random.below(10) {
            0..2 => {
                let value = value(random);
                let (option, expires) = if random.below(2) == 0 { ("", false) } else { (" at=", true) };
                let line = format!("SET {key}{option}{}{ns} {value}", if expires { AT } else { "" });
                let version = self.put(at, expires, value);
                (line, Reply::Line(format!("OK {version} {}", if expires { EXPIRES } else { "-" })))
            }
            2 => {
                let reply = match self.delete(at) {
                    Some(version) => format!("OK {version}"),
                    None => "NIL".to_owned(),
                };
                (format!("DEL {key}{ns}"), Reply::Line(reply))
            }
            3..5 => {
                let by = i64::try_from(random.below(2_000)).unwrap() - 1_000;
                (format!("INCR {key} by={by} init=7 ttl={AT}{ns}"), self.increment(at, by))
            }
            5..7 => {
                let patch = patch(random, 0);
                let condition = random.below(3) == 0;
                let present = self.entries.get(&at).map_or(0, |entry| entry.version);
                let wanted = if random.below(2) == 0 { present } else { 1 };
                let option = if condition { format!(" if={wanted}") } else { String::new() };
                let reply = self.patch(at, condition.then_some(wanted), &patch);
                (format!("PATCH {key}{option}{ns} {patch}"), reply)
            }
            _ => self.transaction(random),
        }
    }

    fn put(&mut self, at: (usize, u64), expires: bool, value: Value) -> u64 {
        self.version += 1;
        self.entries.insert(at, Entry { version: self.version, expires, value });
        self.version
    }

    fn delete(&mut self, at: (usize, u64)) -> Option<u64> {
        self.entries.remove(&at)?;
        self.version += 1;
        Some(self.version)
    }

    fn increment(&mut self, at: (usize, u64), by: i64) -> Reply {
        let (number, expires) = match self.entries.get(&at) {
            None => (7, true),
            Some(entry) => match entry.value.as_i64() {
                Some(number) => (number, entry.expires),
                None if entry.value.is_u64() => return Reply::Error("RANGE"),
                None => return Reply::Error("TYPE"),
            },
        };
        let Some(sum) = number.checked_add(by) else { return Reply::Error("RANGE") };
        let version = self.put(at, expires, json!(sum));
        Reply::Value { version, expires, value: json!(sum) }
    }

    fn patch(&mut self, at: (usize, u64), condition: Option<u64>, patch: &Value) -> Reply {
        let Some(entry) = self.entries.get(&at).cloned() else { return Reply::Line("NIL".to_owned()) };
        if condition.is_some_and(|wanted| wanted != entry.version) {
            return Reply::Line(format!("NO VERSION {}", entry.version));
        }
        let value = merged(entry.value, patch);
        let version = self.put(at, entry.expires, value.clone());
        Reply::Value { version, expires: entry.expires, value }
    }

    fn transaction(&mut self, random: &mut Random) -> (String, Reply) {
        let request_ns = pick(random, 2);
        let mut checks = Vec::new();
        let mut failed = None;
        for index in 0..random.below(3) {
            let (ns, key) = (pick(random, 2), random.below(KEYS));
            let present = self.entries.get(&(ns, key)).map(|entry| entry.version);
            let wanted = if random.below(4) == 0 { Some(random.below(50)) } else { present };
            checks.push(json!({"key": format!("k{key}"), "ns": NAMESPACES[ns], "version": wanted}));
            if wanted != present && failed.is_none() {
                failed = Some(index);
            }
        }
        let mut after = self.clone();
        let (mut last, mut operations, mut is_wrong) = (0, Vec::new(), false);
        for _ in 0..random.below(6) {
            let at = (pick(random, 2), random.below(KEYS));
            let mut options = Map::new();
            if at.0 != request_ns {
                options.insert("ns".to_owned(), json!(NAMESPACES[at.0]));
            }
            let key = format!("k{}", at.1);
            if random.below(3) == 0 {
                last = after.delete(at).unwrap_or(last);
                operations.push(json!(["del", key, options]));
                continue;
            }
            let expires = match random.below(4) {
                0 => {
                    options.insert("at".to_owned(), json!(AT));
                    true
                }
                1 => {
                    options.insert("keepttl".to_owned(), json!(true));
                    after.entries.get(&at).is_some_and(|entry| entry.expires)
                }
                2 if random.below(4) == 0 => {
                    options.insert("ttl".to_owned(), json!(0));
                    is_wrong = true;
                    false
                }
                _ => false,
            };
            let value = value(random);
            last = after.put(at, expires, value.clone());
            operations.push(json!(["set", key, value, options]));
        }
        let ns = if request_ns == 0 { "" } else { "ns=other " };
        let line = format!("TXN {ns}{}", json!({"check": checks, "ops": operations}));
        let reply = match failed {
            Some(index) => Reply::Line(format!("NO CHECK {index}")),
            None if is_wrong => Reply::Error("BADTTL"),
            None => {
                *self = after;
                Reply::Line(format!("OK {last}"))
            }
        };
        (line, reply)
    }
}

/// Numbers, some of which an increment takes beyond its range, and things that are none.
fn value(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!(i64::MAX - 300),
        1 => json!(u64::MAX),
        2 => json!("text"),
        3 => json!(1.5),
        4 => json!({"a": 1, "b": {"c": [1, 2]}}),
        _ => json!(random.below(1_000)),
    }
}

fn patch(random: &mut Random, depth: usize) -> Value {
    match random.below(8) {
        0..5 if depth < 3 => {
            let members = (0..random.below(4)).map(|_| {
                let name = ["a", "b", "c", "d"][pick(random, 4)];
                (name.to_owned(), patch(random, depth + 1))
            });
            Value::Object(members.collect())
        }
        5 => Value::Null,
        6 => json!([null, {"a": null}]),
        _ => json!(random.below(100)),
    }
}

/// The pseudo code of RFC 7396.
fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut members = match target {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (name, value) in patch {
        let old = members.remove(name).unwrap_or(Value::Null);
        if !value.is_null() {
            members.insert(name.clone(), merged(old, value));
        }
    }
    Value::Object(members)
}
