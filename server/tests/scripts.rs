//! Golden scripts: what goes in and what comes out, in `tests/scripts/*.txt`.
//!
//! `> ` begins a request, and `< ` one line of the reply to it; `#` begins a comment. In a reply `<ms>` stands for a
//! number, `<word>` for letters, digits and dots, `<time>` for an instant, `<text>` for anything. On either side `<ab*3>` is
//! `ababab`; in a request `<0xff>` is that byte, and `<end>` ends the input within the line. Each script has a server of its own.
//!
//! A number in front, as in `2> `, means another connection. `<=name>` in a reply takes what stands there, where the name is
//! new, and from then on stands for it on either side.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use larder_protocol::{COMMANDS, Code};

use crate::support::{Client, Server};

fn paths() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

#[test]
fn scripts() {
    let paths = paths();
    let failures: Vec<_> = paths.iter().filter_map(|path| run(path)).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Codes that need more than a client on a sound server: told by whole servers elsewhere, or reserved.
const OUT_OF_REACH: [Code; 12] = [
    Code::ReadOnly,
    Code::NoSpace,
    Code::Compacted,
    Code::Damaged,
    Code::InDoubt,
    Code::Failed,
    Code::Internal,
    Code::AuthTimeout,
    Code::TooManyConn,
    Code::Slow,
    Code::Idle,
    Code::Shutdown,
];

/// The rows of the protocol's tables, each of which some script has to show. (But for
/// `EVT progress`, which takes long to come.)
#[test]
fn every_command_reply_and_code_is_in_a_script() {
    let scripts: String = paths().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let lines = || scripts.lines().map(|line| line.trim_start_matches(|first: char| first.is_ascii_digit()));
    let shown = |line: &str| lines().any(|shown| shown == line || shown.starts_with(&format!("{line} ")));
    for row in &COMMANDS {
        assert!(shown(&format!("> {}", row.name)), "no script sends {}", row.name);
        let options = row.usage.split(['[', '|', ' ']).filter_map(|word| Some(word.split_once('=')?.0));
        for option in options {
            let (command, given) = (format!("> {} ", row.name), format!(" {option}="));
            let sent = lines().any(|line| line.starts_with(&command) && line.contains(&given));
            assert!(sent, "no script sends {} with {option}=", row.name);
        }
    }
    for reply in [
        "OK",
        "VAL",
        "NIL",
        "NO EXISTS",
        "NO VERSION",
        "NO ABSENT",
        "NO CHECK",
        "NO PATH",
        "ITEM",
        "END",
        "EVT set",
        "EVT del",
        "EVT expire",
    ] {
        assert!(shown(&format!("< {reply}")), "no script has the reply {reply}");
    }
    assert!(scripts.contains(" next="), "no script has a page with more behind it");
    for code in Code::ALL.iter().filter(|code| !OUT_OF_REACH.contains(code)) {
        assert!(shown(&format!("< ERR {code}")), "no script has the error {code}");
    }
}

/// A connection of a script. What is first on it counts, and so nothing is sent before it.
struct Connection {
    client: Client,
    is_fresh: bool,
}

/// Runs a script. Returns the differences.
fn run(path: &Path) -> Option<String> {
    let script = fs::read_to_string(path).unwrap();
    let directory = tempfile::tempdir().unwrap();
    // Within the directory, so that backups, which go beside the data, go away with it.
    let server = Server::start(&directory.path().join("data"));
    let mut connections: BTreeMap<String, Connection> = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut differences = String::new();
    for (number, line) in (1..).zip(script.lines()) {
        let place = || format!("{}:{number}", path.file_name().unwrap().display());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let digits = line.len() - line.trim_start_matches(|character: char| character.is_ascii_digit()).len();
        let connection = connections
            .entry(line[..digits].to_owned())
            .or_insert_with(|| Connection { client: server.connect(), is_fresh: true });
        let client = &mut connection.client;
        if let Some(request) = line[digits..].strip_prefix("> ") {
            if !std::mem::take(&mut connection.is_fresh) {
                expect_nothing(client, &mut differences, &place());
            }
            let request = with_names(request, &names);
            client.send(expand(request.strip_suffix("<end>").unwrap_or(&request)));
            if request.ends_with("<end>") {
                client.end();
            } else {
                client.send("\n");
            }
        } else if let Some(expected) = line[digits..].strip_prefix("< ") {
            let reply = client.line().unwrap_or_else(|| "(the connection was closed)".to_owned());
            let pattern = with_names(expected, &names);
            if !takes(&String::from_utf8(expand(&pattern)).unwrap(), &reply, &mut names) {
                _ = writeln!(differences, "{}\n  expected: {expected}\n  replied:  {reply}", place());
            }
        } else {
            panic!("{}: what is {line:?}?", place());
        }
    }
    for connection in connections.into_values() {
        let rest = connection.client.finish();
        if !rest.is_empty() {
            _ = writeln!(differences, "{}: unexpected at the end: {rest}", path.display());
        }
    }
    (!differences.is_empty()).then_some(differences)
}

/// Puts in what names stand for; one that is not known yet stays.
pub(crate) fn with_names(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<={name}>"), value))
}

/// As [`matches`], and takes what stands where a name is that is not known yet: letters, digits, `_` and `-`.
pub(crate) fn takes(pattern: &str, reply: &str, names: &mut BTreeMap<String, String>) -> bool {
    let named = pattern.split_once("<=").and_then(|(before, rest)| Some((before, rest.split_once('>')?)));
    let Some((before, (name, after))) = named else { return matches(pattern, reply) };
    let starts = reply.char_indices().map(|(at, _)| at).filter(|at| matches(before, &reply[..*at]));
    for rest in starts.map(|at| &reply[at..]) {
        let is_over = |character: char| !character.is_ascii_alphanumeric() && !"_-".contains(character);
        let end = rest.find(is_over).unwrap_or(rest.len());
        let mut known = names.clone();
        known.insert(name.to_owned(), rest[..end].to_owned());
        if end > 0 && takes(&with_names(after, &known), &rest[end..], &mut known) {
            *names = known;
            return true;
        }
    }
    false
}

/// Checks that the request before has no reply lines beyond those expected.
fn expect_nothing(client: &mut Client, differences: &mut String, place: &str) {
    const MARK: &str = "ERR BADCMD no command MARK;";
    client.send("MARK\n");
    loop {
        match client.line() {
            Some(line) if line.starts_with(MARK) => return,
            Some(line) => _ = writeln!(differences, "{place}: not expected before this: {line}"),
            None => return,
        }
    }
}

/// Puts in what repetitions and bytes by number stand for; anything else in `<…>` stays.
pub(crate) fn expand(text: &str) -> Vec<u8> {
    let Some((before, after)) = text.split_once('<') else { return text.into() };
    let placed = after.split_once('>').and_then(|(inner, rest)| {
        let byte = inner.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let repeated =
            || inner.split_once('*').and_then(|(text, count)| Some(text.repeat(count.parse().ok()?)));
        Some((byte.map(|byte| vec![byte]).or_else(|| repeated().map(String::into_bytes))?, rest))
    });
    let (placed, rest) = placed.unwrap_or_else(|| (b"<".to_vec(), after));
    [before.into(), placed, expand(rest)].concat()
}

/// Which characters a placeholder stands for.
type Allowed = fn(char) -> bool;

/// Whether a reply is as the pattern says.
pub(crate) fn matches(pattern: &str, reply: &str) -> bool {
    let placeholders: [(&str, Allowed); 4] = [
        ("<ms>", |character| character.is_ascii_digit()),
        ("<time>", |character| character.is_ascii_digit() || "-:.TZ".contains(character)),
        ("<word>", |character| character.is_ascii_alphanumeric() || character == '.'),
        ("<text>", |_| true),
    ];
    let first = placeholders
        .iter()
        .filter_map(|(name, allowed)| {
            pattern.split_once(name).map(|(before, after)| (before, after, allowed))
        })
        .min_by_key(|(before, _, _)| before.len());
    let Some((before, after, allowed)) = first else { return pattern == reply };
    let Some(rest) = reply.strip_prefix(before) else { return false };
    let end = rest.find(|character| !allowed(character)).unwrap_or(rest.len());
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.filter(|at| (1..=end).contains(at)).any(|at| matches(after, &rest[at..]))
}

#[test]
fn patterns() {
    assert_eq!(
        expand("GET <key> <ab*3><0xff><é*2>!"),
        [&b"GET <key> ababab\xff"[..], "éé!".as_bytes()].concat()
    );
    assert!(matches("OK 1 -", "OK 1 -"));
    assert!(matches("OK 1 <ms>", "OK 1 1773572400000"));
    assert!(!matches("OK 1 <ms>", "OK 1 -"));
    assert!(matches("{\"a\":<ms>,\"id\":\"ds_<word>\"}", "{\"a\":12,\"id\":\"ds_a0\"}"));
    assert!(matches("ERR BADARG <text>", "ERR BADARG é!"));
    assert!(!matches("ERR BADARG <text>", "ERR BADARG"));
    assert!(!matches("ERR BADARG <text>", "ERR BADOPT no"));
    let mut names = BTreeMap::new();
    assert!(takes(
        "OK {\"id\":\"<=id>\",\"token\":\"<=t>\"<text>}",
        "OK {\"id\":\"0a\",\"token\":\"lk_0-a\",5}",
        &mut names
    ));
    assert_eq!(with_names("AUTH <=t> <=id> <=other>", &names), "AUTH lk_0-a 0a <=other>");
    assert!(!takes("NO <=x>", "OK 1", &mut names));
    assert!(takes("OK <ms> {\"<word>\":<=first>,<=first>,<=second>}", "OK 12 {\"a\":b-1,b-1,c}", &mut names));
    assert_eq!((names["first"].as_str(), names["second"].as_str()), ("b-1", "c"));
    assert!(!takes("<=third> <=third>", "a b", &mut names) && !names.contains_key("third"));
}
