//! What a typed line is, as far as the shell has to know: the rest is the server's business, which gets it as it stands.

use larder_client::request::Shape;
use larder_protocol::{Command, Limits, Verb, parse};

/// A line that is for the shell itself begins so; no command of the protocol does.
const OWN: char = '.';

/// What is to be done with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'l> {
    /// Nothing.
    Empty,
    /// `.help`
    Help,
    /// `.quit`
    Quit,
    /// `.pretty`: values are indented from now on, or no more.
    Pretty,
    /// A line for the server; with `indented`, its reply is shown so.
    Request { text: &'l str, indented: bool },
    /// A command of the shell's that there is not.
    Unknown(&'l str),
}

impl<'l> Line<'l> {
    pub(super) fn read(text: &'l str) -> Self {
        let text = text.trim_matches([' ', '\r']);
        if !text.starts_with(OWN) {
            return if text.is_empty() { Self::Empty } else { Self::Request { text, indented: false } };
        }
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match (word, rest.trim_start()) {
            (".help", "") => Self::Help,
            (".quit", "") => Self::Quit,
            (".pretty", "") => Self::Pretty,
            (".pretty", text) => Self::Request { text, indented: true },
            _ => Self::Unknown(word),
        }
    }
}

/// The shell's own commands, and what they do.
pub(super) const OWN_COMMANDS: [(&str, &str); 3] = [
    (".help", "shows this, and the commands of the server"),
    (".pretty [<request>]", "indents the JSON of this reply, or of all from now on, or of none any more"),
    (".quit", "ends the shell, as QUIT and Ctrl-D do"),
];

/// The verb of a request, if it has one that this version knows.
pub(super) fn verb(request: &str) -> Option<Verb> {
    let word = request.trim_start_matches(' ').split(' ').next().unwrap_or_default();
    Verb::from_name(word.as_bytes())
}

/// Of how many lines the reply will be.
pub(super) fn shape(request: &str) -> Shape {
    match verb(request) {
        Some(Verb::List | Verb::Namespaces | Verb::Help) => Shape::Listing,
        Some(Verb::Org | Verb::Key) if second_word(request).eq_ignore_ascii_case("list") => Shape::Listing,
        Some(Verb::Mget) => {
            match parse(request.as_bytes(), &Limits::DEFAULT).map(|request| request.command) {
                Ok(Command::Mget { keys }) => Shape::Lines(keys.len()),
                // Then the server will refuse it, in one line.
                _ => Shape::Line,
            }
        }
        _ => Shape::Line,
    }
}

fn second_word(request: &str) -> &str {
    request.split_ascii_whitespace().nth(1).unwrap_or_default()
}

/// Whether a line may hold a secret, and so must not be kept.
pub(super) fn is_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let request = lower.trim_start_matches(".pretty").trim_start_matches([' ', '\t']);
    // Whatever begins like it too, and what looks like a token by itself: it may be mistyped.
    request.starts_with("auth") || lower.contains("token=") || lower.contains("lk_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_dot_is_the_shells_own() {
        assert_eq!(Line::read("  "), Line::Empty);
        assert_eq!(Line::read(" GET a \r"), Line::Request { text: "GET a", indented: false });
        assert_eq!(Line::read(".pretty  GET a"), Line::Request { text: "GET a", indented: true });
        assert_eq!(Line::read(".pretty"), Line::Pretty);
        assert_eq!(Line::read(".help"), Line::Help);
        assert_eq!(Line::read(".quit now"), Line::Unknown(".quit"));
        for (own, _) in OWN_COMMANDS {
            assert!(!matches!(Line::read(own.split(' ').next().unwrap()), Line::Unknown(_)), "{own}");
        }
    }

    #[test]
    fn replies_are_of_as_many_lines_as_they_have() {
        assert_eq!(shape("list prefix=a"), Shape::Listing);
        assert_eq!(shape("ORG list"), Shape::Listing);
        assert_eq!(shape("ORG create a"), Shape::Line);
        assert_eq!(shape("MGET a \"b c\" ns=n"), Shape::Lines(2));
        assert_eq!(shape("MGET"), Shape::Line);
        assert_eq!(shape("GET a"), Shape::Line);
        assert_eq!(shape("nonsense"), Shape::Line);
    }

    #[test]
    fn secrets_are_known_as_such() {
        for secret in [
            "AUTH abc",
            "auth abc",
            "  AUTH\tabc",
            ".pretty AUTH abc",
            "HELLO token=abc",
            "HELLO name=x TOKEN=abc",
            "AUTHabc",
            "AUTH=abc",
            "AHTU lk_1_2",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for plain in ["GET a", "SET tokens 1", "HELLO name=x", "GET author:1"] {
            assert!(!is_secret(plain), "{plain}");
        }
    }
}
