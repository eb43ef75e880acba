//! Completion: what the word at the cursor may become. What kind of word is wanted follows from the command table alone;
//! keys and namespaces are then asked from the server, so many at most, and within so much time.

use larder_protocol::json::decode_string;
use larder_protocol::reply::Reply;
use larder_protocol::{COMMANDS, RequestLine, Row, ValueType, Verb, lines};

use super::line::OWN_COMMANDS;

/// Keys or namespaces that are asked for.
const NAMES_MAX: u64 = 100;

/// What may stand where the cursor is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Where the word begins that is to be replaced, in bytes.
    pub(super) start: usize,
    pub(super) what: What,
}

/// Words of a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// These.
    Words(Vec<String>),
    /// Keys that begin so.
    Keys { prefix: String, namespace: Option<String> },
    /// Namespaces that begin so.
    Namespaces { prefix: String },
}

/// A word of a line.
#[derive(Clone, Copy, Debug)]
struct Word<'l> {
    start: usize,
    text: &'l str,
}

/// What may stand at the end of this beginning of a line; nothing where nothing is known.
pub(super) fn wanted(line: &str) -> Option<Wanted> {
    let words = words(line);
    let (current, before) = words.split_last()?;
    let Some((first, before)) = before.split_first() else { return Some(first_word(*current)) };
    if first.text == ".pretty" {
        let begin = before.first().unwrap_or(current).start;
        let within = wanted(&line[begin..])?;
        return Some(Wanted { start: begin + within.start, ..within });
    }
    let row = Verb::from_name(first.text.as_bytes())?.row();
    let arguments = before.iter().take_while(|word| option(word.text).is_none()).count();
    let options = &before[arguments..];
    let is_json = |word: &Word<'_>| option(word.text).is_none();
    let arguments_max = usize::from(row.usage.contains(" <key>"));
    if options.iter().any(is_json) || (row.usage.ends_with("<json>") && arguments > arguments_max) {
        return None;
    }
    if let Some((name, value)) = option(current.text) {
        let what = option_value(row, name, value, options)?;
        return Some(Wanted { start: current.start + name.len() + 1, what });
    }
    let start = current.start;
    let argument = argument(row, arguments, current.text, line).filter(|_| options.is_empty());
    match argument {
        Some(what) => Some(Wanted { start, what }),
        None => Some(Wanted { start, what: What::Words(option_names(row, current.text, options)) }),
    }
}

/// The words of the line, the last of which may be empty, or not at its end yet. A JSON string is one word.
fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut start, mut in_string, mut is_escaped) = (0, false, false);
    for (at, character) in line.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            ' ' if !in_string => {
                words.push(Word { start, text: &line[start..at] });
                start = at + 1;
            }
            _ => {}
        }
    }
    words.retain(|word| !word.text.is_empty());
    words.push(Word { start, text: &line[start..] });
    words
}

fn first_word(word: Word<'_>) -> Wanted {
    let own = OWN_COMMANDS.iter().map(|(usage, _)| usage.split(' ').next().unwrap_or_default());
    let names = COMMANDS.iter().map(|row| row.name).chain(own);
    Wanted { start: word.start, what: What::Words(beginning_with(word.text, names)) }
}

/// Those of the names that begin with what was typed, in the case in which it was.
fn beginning_with<'n>(typed: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let is_lower = typed.starts_with(|first: char| first.is_ascii_lowercase());
    let cased = |name: &str| if is_lower { name.to_ascii_lowercase() } else { name.to_owned() };
    let fits = |name: &&str| name.get(..typed.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(typed));
    names.filter(fits).map(cased).collect()
}

/// Name and value, if the word is an option as the protocol has it.
fn option(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    (!name.is_empty() && name.bytes().all(is_name)).then_some((name, value))
}

/// What a command's argument may be, `number` of which stand before it.
fn argument(row: &Row, number: usize, typed: &str, line: &str) -> Option<What> {
    let one = row.usage.contains(" <key>");
    let many = row.usage.contains(" <key>...");
    match row.verb {
        Verb::Help if number == 0 => {
            let names = COMMANDS.iter().map(|row| row.name);
            Some(What::Words(beginning_with(typed, names)))
        }
        Verb::Ns if number == 0 => Some(What::Namespaces { prefix: decoded(typed)? }),
        Verb::Delprefix if number == 0 => keys(typed, line),
        // After the first, an option is as likely, and comes first.
        _ if many && (number == 0 || option_names(row, typed, &[]).is_empty() || typed.is_empty()) => {
            keys(typed, line)
        }
        _ if one && number == 0 => keys(typed, line),
        _ => None,
    }
}

fn keys(typed: &str, line: &str) -> Option<What> {
    Some(What::Keys { prefix: decoded(typed)?, namespace: namespace_of(line) })
}

/// The namespace that the line names.
fn namespace_of(line: &str) -> Option<String> {
    let words = words(line);
    let mut options = words.iter().filter_map(|word| option(word.text));
    options.find(|(name, _)| *name == "ns").and_then(|(_, value)| decoded(value))
}

/// The text that a token stands for, which may not be at its end yet.
fn decoded(token: &str) -> Option<String> {
    if !token.starts_with('"') {
        return Some(token.to_owned());
    }
    let whole = decode_string(token);
    let begun = || decode_string(&format!("{token}\"")).map(|text| text.into_owned());
    whole.map(|text| text.into_owned()).or_else(|_| begun()).ok()
}

/// The options of a command with the literal values that its usage names.
fn options_of(row: &Row) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let groups = row.usage.split([' ', '[', ']']).filter(|group| group.contains('='));
    groups.flat_map(|group| {
        let mut options: Vec<(&str, Vec<&str>)> = Vec::new();
        for alternative in group.split('|') {
            let value = match alternative.split_once('=') {
                Some((name, value)) => {
                    options.push((name, Vec::new()));
                    value
                }
                None => alternative,
            };
            if let Some((_, values)) = options.last_mut().filter(|_| !value.starts_with('<')) {
                values.push(value);
            }
        }
        options
    })
}

/// The options that may still be given, each up to its value.
fn option_names(row: &Row, typed: &str, given: &[Word<'_>]) -> Vec<String> {
    let is_given =
        |name: &str| given.iter().any(|word| option(word.text).is_some_and(|(given, _)| given == name));
    let options = options_of(row).filter(|(name, _)| name.starts_with(typed) && !is_given(name));
    let text = |(name, values): (&str, Vec<&str>)| match values[..] {
        ["1"] => format!("{name}=1"),
        _ => format!("{name}="),
    };
    options.map(text).collect()
}

fn option_value(row: &Row, name: &str, typed: &str, options: &[Word<'_>]) -> Option<What> {
    let (_, literals) = options_of(row).find(|(option, _)| *option == name)?;
    let before = || options.iter().find_map(|word| option(word.text).filter(|(name, _)| *name == "ns"));
    match name {
        "ns" => Some(What::Namespaces { prefix: decoded(typed)? }),
        "prefix" if row.verb == Verb::Namespaces => Some(What::Namespaces { prefix: decoded(typed)? }),
        "prefix" => {
            let namespace = before().and_then(|(_, value)| decoded(value));
            Some(What::Keys { prefix: decoded(typed)?, namespace })
        }
        "type" => {
            let names = ValueType::ALL.into_iter().map(ValueType::as_str);
            Some(What::Words(beginning_with(typed, names)))
        }
        _ => Some(What::Words(beginning_with(typed, literals.into_iter()))),
    }
}

impl What {
    /// The requests whose replies hold the candidates: a page of names, and the last name of all. With that among the
    /// candidates, what all have in common is common to those as well that are not on the page.
    pub(super) fn requests(&self) -> Vec<String> {
        let request = |verb, limit, is_last: bool| {
            let mut out = Vec::new();
            let (prefix, namespace) = match self {
                What::Words(_) => return None,
                What::Keys { prefix, namespace } => (prefix, namespace.as_deref()),
                What::Namespaces { prefix } => (prefix, None),
            };
            let line = RequestLine::new(&mut out, verb).option_number("limit", limit);
            let line = if prefix.is_empty() { line } else { line.option("prefix", prefix) };
            let line = if is_last { line.option("reverse", "1") } else { line };
            let line = match namespace {
                Some(namespace) => line.option("ns", namespace),
                None => line,
            };
            line.end().ok()?;
            String::from_utf8(out).ok().map(|line| line.trim_end_matches('\n').to_owned())
        };
        let requests = match self {
            What::Words(_) => [None, None],
            What::Keys { .. } => [request(Verb::List, NAMES_MAX, false), request(Verb::List, 1, true)],
            What::Namespaces { .. } => [request(Verb::Namespaces, NAMES_MAX, false), None],
        };
        requests.into_iter().flatten().collect()
    }
}

/// The names in the reply to a listing, as tokens.
pub(super) fn names_in(reply: &str) -> Vec<String> {
    let item = |line| match Reply::parse(line) {
        Ok(Reply::Item(fields)) => {
            let entry = fields.entry().map(|entry| entry.key);
            let name = entry.or_else(|_| fields.namespace().map(|(name, _)| name)).ok()?;
            let mut token = Vec::new();
            larder_protocol::write_token(&mut token, &name);
            String::from_utf8(token).ok()
        }
        _ => None,
    };
    lines(reply.as_bytes()).filter_map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_at(line: &str) -> (usize, Vec<String>) {
        match wanted(line) {
            Some(Wanted { start, what: What::Words(words) }) => (start, words),
            other => panic!("{line:?}: {other:?}"),
        }
    }

    fn keys(prefix: &str, namespace: Option<&str>) -> What {
        What::Keys { prefix: prefix.to_owned(), namespace: namespace.map(str::to_owned) }
    }

    #[test]
    fn commands() {
        assert_eq!(words_at("TO"), (0, vec!["TOUCH".to_owned()]));
        assert_eq!(words_at("  pi"), (2, vec!["ping".to_owned()]));
        assert_eq!(words_at("HELP pi"), (5, vec!["ping".to_owned()]));
        assert_eq!(words_at(".p"), (0, vec![".pretty".to_owned()]));
        assert_eq!(words_at(".pretty  TOU"), (9, vec!["TOUCH".to_owned()]));
        assert!(words_at("").1.len() > 20);
        assert_eq!(words_at("XY"), (0, vec![]));
        assert_eq!(wanted("XY a"), None);
    }

    #[test]
    fn keys_and_namespaces() {
        for (line, start, what) in [
            ("GET ", 4, keys("", None)),
            ("get us", 4, keys("us", None)),
            ("GET \"a b", 4, keys("a b", None)),
            ("MGET a us", 7, keys("us", None)),
            ("MGET a ", 7, keys("", None)),
            ("DELPREFIX us", 10, keys("us", None)),
            ("LIST ns=n prefix=us", 17, keys("us", Some("n"))),
            ("LIST prefix=", 12, keys("", None)),
            ("GET us ns=de", 10, What::Namespaces { prefix: "de".into() }),
            ("NS de", 3, What::Namespaces { prefix: "de".into() }),
            ("NAMESPACES prefix=de", 18, What::Namespaces { prefix: "de".into() }),
        ] {
            assert_eq!(wanted(line), Some(Wanted { start, what }), "{line}");
        }
        // An escape that has only begun stands for nothing yet.
        assert_eq!(words_at("GET \"a b\\"), (4, vec![]));
    }

    #[test]
    fn options_and_their_values() {
        let set = ["ttl=", "at=", "keepttl=1", "if=", "type=", "desc=", "ns="].map(str::to_owned).to_vec();
        assert_eq!(words_at("SET k "), (6, set));
        assert_eq!(words_at("SET k ttl=5 i"), (12, vec!["if=".to_owned()]));
        assert_eq!(words_at("SET k if=a"), (9, vec!["absent".to_owned()]));
        assert_eq!(words_at("SET k type=d"), (11, vec!["datetime".into(), "date".into(), "duration".into()]));
        assert_eq!(words_at("LIST limit=5 r"), (13, vec!["reverse=1".to_owned()]));
        assert_eq!(words_at("LIST limit=5 limi"), (13, vec![]));
        assert_eq!(words_at("DEL k get="), (10, vec!["1".to_owned()]));
        // In JSON nothing is known.
        for line in ["SET k if=absent {\"a\": ", "SET k [1, ", "TXN {\"ops\": "] {
            assert_eq!(wanted(line), None, "{line}");
        }
        assert_eq!(wanted("SET k nope=1 x=y"), None);
    }

    #[test]
    fn names_are_asked_for_and_read() {
        assert_eq!(
            keys("u", Some("a b")).requests(),
            ["LIST limit=100 prefix=u ns=\"a b\"", "LIST limit=1 prefix=u reverse=1 ns=\"a b\"",]
        );
        assert_eq!(What::Namespaces { prefix: String::new() }.requests(), ["NAMESPACES limit=100"]);
        assert_eq!(names_in("ITEM a 1 -\nITEM \"b c\" 2 -\nEND 2 next=YQ\n"), ["a", "\"b c\""]);
        assert_eq!(names_in("ITEM default 3\nEND 1\n"), ["default"]);
        assert_eq!(names_in("ERR NOAUTH x\n"), Vec::<String>::new());
    }
}
