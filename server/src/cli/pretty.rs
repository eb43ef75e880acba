//! JSON for people: the text of the store with line breaks and spaces between its tokens, and nothing else changed.
//!
//! One thing is: a control character, which JSON allows from U+007F on, becomes its escape, since in a terminal it
//! could be the beginning of a command.

use std::fmt::Write;

/// Indents a compact document.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            push(&mut out, character);
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            '{' | '[' => {
                out.push(character);
                match characters.next_if(|&next| matches!(next, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        break_line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_string = character == '"';
                push(&mut out, character);
            }
        }
    }
    out
}

/// A document on one line, cut after so many characters.
pub(super) fn cut(json: &str, characters_max: usize) -> String {
    let mut out = String::new();
    for (count, character) in json.chars().enumerate() {
        if count == characters_max {
            out.push('…');
            break;
        }
        push(&mut out, character);
    }
    out
}

/// A line of any text. Within JSON it stays the same document.
pub(super) fn printable(text: &str) -> String {
    cut(text, usize::MAX)
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

fn push(out: &mut String, character: char) {
    if character.is_control() {
        // Writing to a string cannot fail.
        _ = write!(out, "\\u{:04x}", u32::from(character));
    } else {
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_is_added() {
        let json = r#"{"a":[1.0,{"b":"x,]{\"\\"},[]],"c":{},"d":100000000000000000000}"#;
        let text = indented(json);
        let expected = [
            "{",
            "  \"a\": [",
            "    1.0,",
            "    {",
            "      \"b\": \"x,]{\\\"\\\\\"",
            "    },",
            "    []",
            "  ],",
            "  \"c\": {},",
            "  \"d\": 100000000000000000000",
            "}",
        ];
        assert_eq!(text, expected.join("\n"));
        assert_eq!(larder_protocol::json::compact(&text, 128).unwrap().text, json);
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(indented("\"a\u{9b}2J\u{7f}\""), "\"a\\u009b2J\\u007f\"");
        assert_eq!(cut("\"a\u{9b}bcd\"", 4), "\"a\\u009bb…");
    }
}
