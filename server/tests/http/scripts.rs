//! Golden scripts of HTTP: what goes in and what comes out, in `tests/http/scripts/*.txt`.
//!
//! `> ` begins the lines of a request: method and path, headers, and after an empty one the body. `< ` begins those of the
//! answer: its status, headers, and after an empty one its body. Of the headers those named must be there as they are
//! (`!name` must not); the body must be as it is, and none where none is given. `:> ` and `:< ` are request and reply of the
//! line protocol, to the same server. `! ` is what happens to that: `damage` changes a byte of a text wherever it is stored, `no room`
//! keeps the log from growing. `$ ` is a flag of it; `#` begins a comment. Placeholders and names are those of the scripts of
//! the line protocol. After an answer that says that the connection closes there is a new one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::Fixture;
use super::client::{Answer, Client};
use crate::lifecycle::damage;
use crate::scripts::{expand, takes, with_names};
use crate::shortage::leave_no_room;
use crate::support;

#[test]
fn http_scripts() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/scripts");
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let failures: Vec<_> = paths.iter().filter_map(|path| run(path)).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// What names stand for.
type Names = BTreeMap<String, String>;

/// Lines of one kind that follow each other.
#[derive(Debug)]
enum Block {
    Request(Message),
    Answer(Message),
    Line(String),
    Reply(String),
    Trouble(String),
}

/// A message as it stands in a script.
#[derive(Debug)]
struct Message {
    start: String,
    headers: Vec<String>,
    body: Option<String>,
}

impl Message {
    fn new(lines: &[&str]) -> Message {
        let head = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
        Message {
            start: lines[0].to_owned(),
            headers: lines[1..head].iter().map(|line| (*line).to_owned()).collect(),
            body: lines.get(head + 1..).map(|body| body.join("\n")),
        }
    }
}

/// Runs a script. Returns the differences.
fn run(path: &Path) -> Option<String> {
    let script = fs::read_to_string(path).unwrap();
    let fixture = Fixture::start(script.lines().filter_map(|line| line.strip_prefix("$ ")));
    let (mut http, mut lines) = (fixture.connect(), fixture.server.connect());
    let mut differences = String::new();
    let mut names = Names::new();
    let mut is_head = false;
    for (number, block) in blocks(&script) {
        let difference = match block {
            Block::Request(request) => {
                is_head = request.start.starts_with("HEAD ");
                send(&mut http, &request, &names);
                None
            }
            Block::Answer(expected) => {
                let answer = http.answer(is_head);
                if answer.header("connection") == Some("close") {
                    http = fixture.connect();
                }
                compare(&answer, &expected, &mut names)
            }
            Block::Line(line) => {
                lines.send(with_names(&line, &names) + "\n");
                None
            }
            Block::Reply(expected) => difference("reply", &expected, &reply(&mut lines), &mut names),
            Block::Trouble(trouble) => {
                match trouble.split_once(' ') {
                    Some(("damage", text)) => {
                        assert_eq!(damage(&fixture.data(), text.as_bytes()), 1, "{text}");
                    }
                    Some(("no", "room")) => leave_no_room(&fixture.server, &mut lines),
                    _ => panic!("line {number}: what is {trouble:?}?"),
                }
                None
            }
        };
        if let Some(difference) = difference {
            _ = writeln!(differences, "{}:{number}\n{difference}", path.file_name().unwrap().display());
        }
    }
    (!differences.is_empty()).then_some(differences)
}

fn reply(lines: &mut support::Client) -> String {
    lines.line().unwrap_or_else(|| "(the connection was closed)".to_owned())
}

/// The blocks of a script, each with the number of its first line.
fn blocks(script: &str) -> Vec<(usize, Block)> {
    let mut lines = (1..).zip(script.lines()).peekable();
    let mut blocks = Vec::new();
    while let Some((number, line)) = lines.next() {
        let block = match line.chars().next() {
            None | Some('#' | '$') => continue,
            Some(kind @ ('>' | '<')) => {
                let mut message = vec![content(line)];
                while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with(kind)) {
                    message.push(content(line));
                }
                let message = Message::new(&message);
                if kind == '>' { Block::Request(message) } else { Block::Answer(message) }
            }
            Some('!') => Block::Trouble(content(line).to_owned()),
            Some(_) => match line.split_at_checked(3) {
                Some((":> ", line)) => Block::Line(line.to_owned()),
                Some((":< ", line)) => Block::Reply(line.to_owned()),
                _ => panic!("line {number}: what is {line:?}?"),
            },
        };
        blocks.push((number, block));
    }
    blocks
}

/// A line without its mark.
fn content(line: &str) -> &str {
    line[1..].strip_prefix(' ').unwrap_or(&line[1..])
}

fn send(http: &mut Client, request: &Message, names: &Names) {
    let expanded = |line: &String| String::from_utf8(expand(&with_names(line, names))).unwrap();
    let headers: Vec<_> = request.headers.iter().map(expanded).collect();
    let headers: Vec<_> = headers.iter().map(|line| line.split_once(": ").unwrap()).collect();
    let start = String::from_utf8(expand(&with_names(&request.start, names))).unwrap();
    http.request(&start, &headers, &expand(&with_names(request.body.as_deref().unwrap_or_default(), names)));
}

/// Returns what is different about an answer.
fn compare(answer: &Answer, expected: &Message, names: &mut Names) -> Option<String> {
    let mut differences: Vec<_> =
        difference("status", &expected.start, &answer.status.to_string(), names).into_iter().collect();
    for line in &expected.headers {
        differences.extend(match (line.strip_prefix('!'), line.split_once(": ")) {
            (Some(name), _) => {
                answer.header(name).and_then(|given| difference(name, "(absent)", given, names))
            }
            (None, Some((name, value))) => {
                difference(name, value, answer.header(name).unwrap_or("(absent)"), names)
            }
            (None, None) => panic!("{line:?} is no header"),
        });
    }
    differences.extend(difference(
        "body",
        expected.body.as_deref().unwrap_or_default(),
        &answer.text(),
        names,
    ));
    (!differences.is_empty()).then(|| differences.join("\n"))
}

fn difference(what: &str, expected: &str, found: &str, names: &mut Names) -> Option<String> {
    let pattern = String::from_utf8(expand(&with_names(expected, names))).unwrap();
    (!takes(&pattern, found, names))
        .then(|| format!("  {what}\n    expected: {expected}\n    found:    {found}"))
}
