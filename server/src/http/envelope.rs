//! JSON objects of a known shape around values, which stay text (`serde_json::value::RawValue`): what they say is borrowed from
//! the body, and a value is checked and compacted by the same pass as everywhere.

use std::fmt;
use std::marker::PhantomData;

use axum::http::StatusCode;
use larder_protocol::Code;
use larder_protocol::json::{Compact, JsonFault, compact};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::body;
use super::problem::Problem;

/// Reads a body that is such an object. What is no JSON is 400, an object of another shape 422.
pub(crate) fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Problem> {
    let read: Result<Object<T>, _> = serde_json::from_str(body::text(body)?);
    read.map(|Object(envelope)| envelope).map_err(|error| {
        let text = format!("the body: {error}");
        if error.is_data() { broken(Code::BadArg, text) } else { Problem::of(Code::BadJson, text) }
    })
}

/// The value in an envelope, compacted, if it has at most so many bytes then.
pub(crate) fn value(raw: &RawValue, depth_max: usize, bytes_max: usize) -> Result<Compact<'_>, Problem> {
    let document = compact(raw.get(), depth_max).map_err(|error| {
        let text = format!("value, at byte {} of it: {error}", error.position + 1);
        match error.fault {
            JsonFault::Depth(_) => broken(Code::BadJson, text),
            _ => Problem::of(Code::BadJson, text),
        }
    })?;
    let length = document.text.len();
    if length > bytes_max {
        let text = format!("value has {length} bytes; at most {bytes_max} are allowed here");
        return Err(broken(Code::TooBig, text));
    }
    Ok(document)
}

/// What is sent breaks a rule.
#[cold]
pub(crate) fn broken(code: Code, text: impl Into<String>) -> Problem {
    Problem::of(code, text).with_status(StatusCode::UNPROCESSABLE_ENTITY)
}

/// A problem of the store with what is sent: a value that is longer than the organization may have breaks a rule, too.
pub(crate) fn of_a_rule(problem: Problem) -> Problem {
    if problem.status == StatusCode::PAYLOAD_TOO_LARGE {
        problem.with_status(StatusCode::UNPROCESSABLE_ENTITY)
    } else {
        problem
    }
}

/// An object, and nothing else in its place: what serde derives would take an array of the members too.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'b, T: Deserialize<'b>> Deserialize<'b> for Object<T> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'b, T: Deserialize<'b>> Visitor<'b> for Members<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'b>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Envelope<'b> {
        #[serde(borrow)]
        inner: Object<Inner<'b>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner<'b> {
        #[serde(borrow)]
        value: &'b RawValue,
        number: Option<u64>,
    }

    #[test]
    fn values_stay_as_they_are() {
        for value in ["null", "1.0", "[1e400]", r#"{"a":1,"a":2}"#, r#""\ud800""#] {
            let body = format!(r#" {{"inner": {{"number": null, "value": {value} }} }} "#);
            let Object(inner) = read::<Envelope<'_>>(body.as_bytes()).unwrap().inner;
            assert_eq!((inner.value.get(), inner.number), (value, None));
            assert_eq!(self::value(inner.value, 9, 99).unwrap().text, value);
        }
    }

    #[test]
    fn other_shapes_are_no_other_json() {
        let status = |body: &str| read::<Envelope<'_>>(body.as_bytes()).unwrap_err().status.as_u16();
        for body in [
            "[]",
            "1",
            "null",
            "{}",
            r#"{"inner":null}"#,
            r#"{"inner":[1]}"#,
            r#"[{"value":1}]"#,
            r#"{"inner":{}}"#,
            r#"{"inner":{"value":1,"value":2}}"#,
            r#"{"inner":{"value":1,"other":2}}"#,
            r#"{"inner":{"value":1,"number":1.5}}"#,
            r#"{"inner":{"value":1,"number":-1}}"#,
            r#"{"inner":{"value":1,"number":"1"}}"#,
            r#"{"inner":{"value":1},"other":1}"#,
        ] {
            assert_eq!(status(body), 422, "{body}");
        }
        for body in ["", "{", r#"{"inner":{"value":01}}"#, r#"{"inner":{"value":1}}x"#] {
            assert_eq!(status(body), 400, "{body}");
        }
        let raw: &RawValue = serde_json::from_str("[[ 1 ]]").unwrap();
        let refused = |depth, bytes| value(raw, depth, bytes).unwrap_err().status.as_u16();
        assert_eq!((refused(1, 99), refused(9, 4)), (422, 422));
        assert!(value(raw, 2, 5).is_ok());
    }
}
