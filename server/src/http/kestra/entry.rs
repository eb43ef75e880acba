//! One entry: read, written, deleted.

use std::borrow::Cow;
use std::str;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_client::rfc3339;
use larder_protocol::json::encode_string;
use larder_protocol::{Code, Command, Expiry, ParseError, Set, Ttl, TtlError};
use serde_json::Value as Json;

use super::member::Member;
use super::shapes::{Failure, Failures, TypedValue, Unfit};
use super::value;
use crate::command::{Answer, misrouted, refusal, type_of};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, answer, body, description};

const JSON: &str = "application/json";

/// Reads a value with its type.
#[utoipa::path(
    get,
    path = "/namespaces/{namespace}/kv/{*key}",
    operation_id = "kestra_get",
    tag = "kestra",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key: letters, digits, dots, underscores and hyphens, the first a letter or a digit"),
    ),
    responses(
        (status = 200, description = "the value", body = TypedValue),
        (status = 404, description = "there is no such entry", body = Failure),
        (status = 410, description = "it has expired", body = Failure),
        Failures,
    ),
)]
pub(super) async fn get(mut member: Member, query: Query) -> Result<Response, Problem> {
    query.end()?;
    let command = Command::Entry { key: Cow::from(member.key()?.to_owned()) };
    let (caller, namespace) = member.parts();
    caller
        .execute(namespace, &command, |answer, values| {
            let Answer::Entry { found, expired, key, .. } = answer else { return Err(misrouted().into()) };
            let Some(found) = found else {
                return Err(if expired {
                    Problem::new(StatusCode::GONE, "EXPIRED", "The requested value has expired")
                } else {
                    let text = format!("No value found for key '{key}' in namespace '{namespace}'");
                    Problem::new(StatusCode::NOT_FOUND, "NIL", text)
                });
            };
            let entry = values.entry(&found).map_err(|error| refusal(&error))?;
            let mut out = Vec::with_capacity(entry.value.len() + 128);
            out.extend_from_slice(b"{\"type\":");
            encode_string(&mut out, type_of(&entry).as_str());
            out.extend_from_slice(b",\"value\":");
            out.extend_from_slice(&entry.value);
            let (revision, updated) = (entry.version, rfc3339(entry.updated_at));
            out.extend_from_slice(format!(",\"revision\":{revision},\"updated\":\"{updated}\"}}").as_bytes());
            Ok(answer::json(out))
        })
        .await
}

/// Writes a value; the body is a JSON document, or text.
#[utoipa::path(
    put,
    path = "/namespaces/{namespace}/kv/{*key}",
    operation_id = "kestra_put",
    tag = "kestra",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key: letters, digits, dots, underscores and hyphens, the first a letter or a digit"),
        ("ttl" = Option<String>, Header, description = "time to live, as an ISO 8601 duration: PT5M, P30D"),
        ("description" = Option<String>, Header, description = "a description"),
    ),
    request_body(content((Json = "application/json"), (String = "text/plain")), description = "the value"),
    responses(
        (status = 200, description = "it is written"),
        Unfit,
        Failures,
    ),
)]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    mut member: Member,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    query.end()?;
    let key = member.key()?.to_owned();
    let expiry = header(&headers, "ttl")?.map_or(Ok(Expiry::Clear), |ttl| duration(ttl).map(Expiry::Set))?;
    let description = header(&headers, "description")?.filter(|text| !text.is_empty());
    description::check(description, app.shared.limits.description_chars)?;
    let given = body::expect_one_of(&headers, &[JSON, "text/plain"])?;
    let body = body::read(body, &app.shared).await?;
    let value = value::read(body::text(&body)?, given == Some(JSON), &app.shared.limits)?;
    let command = Command::Set(Set {
        key: key.into(),
        json: value.json,
        value_type: value.value_type,
        expiry,
        condition: None,
        description: description.map(Cow::from),
    });
    let (caller, namespace) = member.parts();
    caller
        .execute(namespace, &command, |answer, _| match answer {
            Answer::Written(Ok(_)) => Ok(Response::default()),
            _ => Err(misrouted().into()),
        })
        .await
}

/// Deletes an entry.
#[utoipa::path(
    delete,
    path = "/namespaces/{namespace}/kv/{*key}",
    operation_id = "kestra_delete",
    tag = "kestra",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key: letters, digits, dots, underscores and hyphens, the first a letter or a digit"),
    ),
    responses(
        (status = 200, description = "whether there was one", content_type = "application/json", body = bool),
        Failures,
    ),
)]
pub(super) async fn delete(mut member: Member, query: Query) -> Result<Response, Problem> {
    query.end()?;
    let command = Command::Del { key: Cow::from(member.key()?.to_owned()), version: None, get: false };
    let (caller, namespace) = member.parts();
    caller.execute(namespace, &command, |left, _| Ok(answer::json(was_there(left)?.to_string()))).await
}

/// Whether there was what a delete has deleted.
pub(super) fn was_there(answer: Answer<'_>) -> Result<bool, Problem> {
    match answer {
        Answer::Deleted(Ok(deleted)) => Ok(deleted.is_some()),
        _ => Err(misrouted().into()),
    }
}

/// A TTL as this dialect writes it, which is one of the spellings of the others.
fn duration(text: &str) -> Result<Ttl, Problem> {
    let ttl = Ttl::parse(text).and_then(|ttl| {
        let is_duration = text.starts_with(['P', 'p']);
        is_duration.then_some(ttl).ok_or(TtlError::Malformed)
    });
    ttl.map_err(|error| match error {
        TtlError::Malformed | TtlError::MalformedInstant => {
            let text = "write the header ttl as an ISO 8601 duration, as PT5M or P30D";
            Problem::of(Code::BadTtl, text)
        }
        error => ParseError::from(error).into(),
    })
}

/// A header that may be there once.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Problem::of(Code::BadArg, format!("the header {name} is given twice")));
    }
    value
        .map(|value| str::from_utf8(value.as_bytes()))
        .transpose()
        .map_err(|_| Problem::of(Code::Encoding, format!("the header {name} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_a_duration_in_iso_8601() {
        assert_eq!(duration("PT5M"), Ok(Ttl::After(300_000)));
        assert_eq!(duration("P30D"), Ok(Ttl::After(30 * 86_400_000)));
        assert_eq!(duration("PT0.5S"), Ok(Ttl::After(500)));
        for text in ["", "5m", "300", "-PT5M", "PT-5M", "P", "P1M", "soon", "2100-01-01T00:00:00Z"] {
            let refused = duration(text).map_err(|problem| (problem.status.as_u16(), problem.code));
            assert_eq!(refused, Err((422, "BADTTL")), "{text}");
        }
    }
}
