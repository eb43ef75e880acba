//! What the body of a `PUT` means: a JSON document, or else text.
//!
//! A client need not say which of them it sends. So a body is taken for JSON if it is JSON, for a date, an instant or a duration
//! if it is written like one, and for a text as a whole if it is none of them. But a client that says that it sends JSON, and
//! begins an object, an array or a string, has made a mistake if that is not JSON.

use std::borrow::Cow;

use larder_protocol::json::{Compact, JsonFault, Kind, compact, encode_string};
use larder_protocol::{Code, Limits, ValueType};

use crate::http::problem::Problem;

/// A value as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value<'b> {
    pub(super) json: Cow<'b, str>,
    pub(super) value_type: ValueType,
}

/// Reads a body. `is_json` if its client says so.
pub(super) fn read<'b>(body: &'b str, is_json: bool, limits: &Limits) -> Result<Value<'b>, Problem> {
    match compact(body, limits.depth) {
        Ok(Compact { text: json, kind }) => {
            let value_type = of_document(&json, kind);
            Ok(Value { json, value_type })
        }
        // Nobody means text by what only goes too deep.
        Err(error) if matches!(error.fault, JsonFault::Depth(_)) || (is_json && looks_like_json(body)) => {
            let text = format!("the body, at byte {}: {error}", error.position + 1);
            Err(Problem::of(Code::BadJson, text))
        }
        // It only gets longer by being written as JSON.
        Err(_) if body.len() > limits.value_bytes => {
            let (length, limit) = (body.len(), limits.value_bytes);
            Err(Problem::of(Code::TooBig, format!("the value has {length} bytes; the limit is {limit}")))
        }
        Err(_) => Ok(of_text(body)),
    }
}

/// A string that is a duration is one; dates and instants have to be bare.
fn of_document(json: &str, kind: Kind) -> ValueType {
    if ValueType::Duration.check(json, kind).is_ok() { ValueType::Duration } else { ValueType::of(kind) }
}

fn of_text<'b>(body: &str) -> Value<'b> {
    // As around a document, white space around it does not count.
    let word = string(body.trim_matches([' ', '\t', '\n', '\r']));
    for value_type in [ValueType::Date, ValueType::DateTime, ValueType::Duration] {
        if value_type.check(&word, Kind::String).is_ok() {
            return Value { json: word.into(), value_type };
        }
    }
    Value { json: string(body).into(), value_type: ValueType::String }
}

/// What begins like nothing but JSON, or is empty, which JSON cannot be.
fn looks_like_json(body: &str) -> bool {
    let mut bytes = body.trim_start_matches([' ', '\t', '\n', '\r']).bytes();
    matches!(bytes.next(), None | Some(b'{' | b'[' | b'"'))
}

fn string(text: &str) -> String {
    let mut json = Vec::new();
    encode_string(&mut json, text);
    String::from_utf8(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ValueType::{Boolean, Date, DateTime, Duration, Json, Number, String};

    fn of(body: &str, is_json: bool) -> Result<(std::string::String, ValueType), &'static str> {
        let value = read(body, is_json, &Limits::DEFAULT);
        value.map(|value| (value.json.into_owned(), value.value_type)).map_err(|problem| problem.code)
    }

    #[test]
    fn types_are_told_by_the_text() {
        for (body, json, value_type) in [
            ("1.0", "1.0", Number),
            (" -1e400\n", "-1e400", Number),
            ("true", "true", Boolean),
            ("{ \"a\" : [1.0] }", "{\"a\":[1.0]}", Json),
            ("[]", "[]", Json),
            ("null", "null", Json),
            ("\"Hello World\"", "\"Hello World\"", String),
            ("\"2021-09-01\"", "\"2021-09-01\"", String),
            ("\"2021-09-01T01:02:03Z\"", "\"2021-09-01T01:02:03Z\"", String),
            ("\"PT5M\"", "\"PT5M\"", Duration),
            ("2021-09-01", "\"2021-09-01\"", Date),
            ("2021-09-01\n", "\"2021-09-01\"", Date),
            ("2021-02-30", "\"2021-02-30\"", String),
            ("2021-09-01T01:02:03Z", "\"2021-09-01T01:02:03Z\"", DateTime),
            ("2021-09-01T01:02:03.5+02:00", "\"2021-09-01T01:02:03.5+02:00\"", DateTime),
            ("2021-09-01T01:02:03", "\"2021-09-01T01:02:03\"", String),
            ("PT5M", "\"PT5M\"", Duration),
            ("p1dt2h", "\"p1dt2h\"", Duration),
            ("P", "\"P\"", String),
            ("Hello World", "\"Hello World\"", String),
            (" two\nlines \"quoted\" ", "\" two\\nlines \\\"quoted\\\" \"", String),
            ("grüße", "\"grüße\"", String),
            ("01", "\"01\"", String),
            ("True", "\"True\"", String),
            ("1 2", "\"1 2\"", String),
            ("NaN", "\"NaN\"", String),
        ] {
            for is_json in [false, true] {
                assert_eq!(of(body, is_json), Ok((json.to_owned(), value_type)), "{body}, {is_json}");
            }
        }
    }

    #[test]
    fn what_is_said_to_be_json_has_to_be() {
        for body in ["{oops", "[1,", "\"open", " {\"a\":1} x", "", " \n"] {
            let json = string(body);
            assert_eq!(of(body, false), Ok((json, String)), "{body}");
            assert_eq!(of(body, true), Err("BADJSON"), "{body}");
        }
        let deep = "[".repeat(129) + &"]".repeat(129);
        assert_eq!(of(&deep, false), Err("BADJSON"));
        assert_eq!(of(&"x".repeat(Limits::DEFAULT.value_bytes + 1), false), Err("TOOBIG"));
    }
}
