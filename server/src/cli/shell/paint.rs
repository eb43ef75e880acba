//! Replies on a terminal: colours by what kind of line it is, JSON indented where that was asked for, and nothing that
//! would steer the terminal.

use std::io::IsTerminal;

use larder_protocol::reply::Reply;

use crate::cli::pretty;

const RESET: &str = "\x1b[0m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";

/// How lines are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Painter {
    /// Whether they are shown to a person; else they stay as they came.
    terminal: bool,
    colours: bool,
}

impl Painter {
    /// For standard output as it is, and what the environment says of colours (<https://no-color.org>).
    pub(super) fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { terminal, colours: terminal && !is_set("NO_COLOR") && !is_dumb }
    }

    /// A line of a reply, without its LF.
    pub(super) fn reply(self, line: &str, indented: bool) -> String {
        let json = indented.then(|| json_in(line)).flatten();
        let head = &line[..line.len() - json.map_or(0, str::len)];
        let text = if self.terminal { pretty::printable(head) } else { head.to_owned() };
        let kind = text.split(' ').next().unwrap_or_default();
        let colour = match kind {
            "OK" | "VAL" | "ITEM" | "EVT" => GREEN,
            "NIL" | "NO" => YELLOW,
            "ERR" => RED,
            _ => DIM,
        };
        let rest = &text[kind.len()..];
        let painted = format!("{}{rest}", self.painted(colour, kind));
        match json {
            Some(json) => format!("{}\n{}", painted.trim_end(), pretty::indented(json)),
            None => painted,
        }
    }

    /// The prompt, plain and coloured.
    pub(super) fn prompt(self, namespace: Option<&str>) -> (String, String) {
        const NAMESPACE_CHARACTERS_MAX: usize = 32;
        let mut token = Vec::new();
        larder_protocol::write_token(&mut token, namespace.unwrap_or("larder"));
        let name = pretty::cut(&String::from_utf8_lossy(&token), NAMESPACE_CHARACTERS_MAX);
        (format!("{name}> "), format!("{}> ", self.painted(BOLD, &name)))
    }

    fn painted(self, colour: &str, text: &str) -> String {
        if self.colours { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }
}

/// The JSON that a line of a reply ends with.
fn json_in(line: &str) -> Option<&str> {
    match Reply::parse(line.as_bytes()).ok()? {
        Reply::Val { json, .. } => Some(json),
        Reply::Item(fields) => fields.entry().ok()?.json,
        Reply::Ok(fields) => Some(fields.text()).filter(|text| text.starts_with('{')),
        Reply::Evt(larder_protocol::reply::Event::Change { json, .. }) => json,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Painter = Painter { terminal: false, colours: false };
    const TERMINAL: Painter = Painter { terminal: true, colours: false };
    const COLOURS: Painter = Painter { terminal: true, colours: true };

    #[test]
    fn lines_stay_as_they_came_unless_somebody_looks() {
        assert_eq!(PLAIN.reply("VAL 1 - \"\u{9b}2J\"", false), "VAL 1 - \"\u{9b}2J\"");
        assert_eq!(TERMINAL.reply("VAL 1 - \"\u{9b}2J\"", false), "VAL 1 - \"\\u009b2J\"");
        assert_eq!(COLOURS.reply("VAL 1 - 2", false), "\x1b[32mVAL\x1b[0m 1 - 2");
        assert_eq!(COLOURS.reply("ERR BADCMD x", false), "\x1b[31mERR\x1b[0m BADCMD x");
    }

    #[test]
    fn json_is_indented_wherever_it_stands() {
        let object = "{\n  \"a\": 1\n}";
        for head in ["VAL 17 -", "ITEM k 17 -", "OK", "EVT set 17 n \"a b\" -"] {
            let line = format!("{head} {{\"a\":1}}");
            assert_eq!(TERMINAL.reply(&line, true), format!("{head}\n{object}"));
            assert_eq!(TERMINAL.reply(&line, false), line);
        }
        for line in ["ITEM default 3", "ITEM GET <key> [path=<JSON pointer>]", "NIL", "OK 3 -", "END 1"] {
            assert_eq!(TERMINAL.reply(line, true), line);
        }
    }

    #[test]
    fn the_prompt_is_the_namespace() {
        assert_eq!(TERMINAL.prompt(None).0, "larder> ");
        assert_eq!(TERMINAL.prompt(Some("a b")).0, "\"a b\"> ");
        let (plain, coloured) = COLOURS.prompt(Some(&"n".repeat(99)));
        assert_eq!(plain, format!("{}…> ", "n".repeat(32)));
        assert_eq!(coloured, format!("\x1b[1m{}…\x1b[0m> ", "n".repeat(32)));
    }
}
