//! Golden scripts: what goes in and what comes out, in `tests/scripts/*.txt`.
//!
//! `> ` begins a request, and `< ` one line of the reply to it; `#` begins a comment. In a reply `<ms>` stands for a
//! number, `<word>` for letters, digits and dots, `<text>` for anything. On either side `<ab*3>` is `ababab`; in a
//! request `<0xff>` is that byte, and `<end>` ends the input within the line. Each script has a server of its own.

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
const OUT_OF_REACH: [Code; 16] = [
    Code::NoAuth,
    Code::Denied,
    Code::Quota,
    Code::Rate,
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

/// Options that are for servers with tokens.
const OPTIONS_OUT_OF_REACH: [&str; 1] = ["token"];

/// The rows of the protocol's tables, each of which some script has to show. (But for
/// `EVT progress`, which takes long to come.)
#[test]
fn every_command_reply_and_code_is_in_a_script() {
    let scripts: String = paths().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let shown =
        |line: &str| scripts.lines().any(|shown| shown == line || shown.starts_with(&format!("{line} ")));
    for row in COMMANDS.iter().filter(|row| row.available) {
        assert!(shown(&format!("> {}", row.name)), "no script sends {}", row.name);
        let options = row.usage.split(['[', '|', ' ']).filter_map(|word| Some(word.split_once('=')?.0));
        for option in options.filter(|option| !OPTIONS_OUT_OF_REACH.contains(option)) {
            let (command, given) = (format!("> {} ", row.name), format!(" {option}="));
            let sent = scripts.lines().any(|line| line.starts_with(&command) && line.contains(&given));
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

/// Runs a script. Returns the differences.
fn run(path: &Path) -> Option<String> {
    let script = fs::read_to_string(path).unwrap();
    let directory = tempfile::tempdir().unwrap();
    // Within the directory, so that backups, which go beside the data, go away with it.
    let server = Server::start(&directory.path().join("data"));
    let mut client = server.connect();
    let mut differences = String::new();
    // What is first on a connection counts, and so nothing is sent before it.
    let mut first = true;
    for (number, line) in (1..).zip(script.lines()) {
        let place = || format!("{}:{number}", path.file_name().unwrap().display());
        if let Some(request) = line.strip_prefix("> ") {
            if !std::mem::take(&mut first) {
                expect_nothing(&mut client, &mut differences, &place());
            }
            client.send(expand(request.strip_suffix("<end>").unwrap_or(request)));
            if request.ends_with("<end>") {
                client.end();
            } else {
                client.send("\n");
            }
        } else if let Some(expected) = line.strip_prefix("< ") {
            let reply = client.line().unwrap_or_else(|| "(the connection was closed)".to_owned());
            if !matches(&String::from_utf8(expand(expected)).unwrap(), &reply) {
                _ = writeln!(differences, "{}\n  expected: {expected}\n  replied:  {reply}", place());
            }
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "{}: what is {line:?}?", place());
        }
    }
    let rest = client.finish();
    if !rest.is_empty() {
        _ = writeln!(differences, "{}: unexpected at the end: {rest}", path.display());
    }
    (!differences.is_empty()).then_some(differences)
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
fn expand(text: &str) -> Vec<u8> {
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
fn matches(pattern: &str, reply: &str) -> bool {
    let placeholders: [(&str, Allowed); 3] = [
        ("<ms>", |character| character.is_ascii_digit()),
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
}
