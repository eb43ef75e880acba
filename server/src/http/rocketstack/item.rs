//! One item: read, written, deleted.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use larder_engine::Refusal;
use larder_protocol::{Code, Command, Condition, Expiry, Set, Ttl, ValueType};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::shapes::{DeletedOne, Given, One};
use super::{rate, render};
use crate::command::{Answer, Manner, misrouted, refusal};
use crate::http::envelope::{self, broken};
use crate::http::openapi::{Conflict, Missing, Problems, Unfit, Unmet};
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Caller, answer, body, condition};

/// The namespace of those who name none.
const NAMESPACE_DEFAULT: &str = "default";
/// Bytes of a value, once it is compact.
const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Seconds that an item may live: 365 days.
const TTL_S_MAX: u64 = 31_536_000;
/// Keys of an account.
const KEYS_MAX: u64 = 1_000_000;

/// What is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope<'b> {
    #[serde(borrow)]
    value: &'b RawValue,
    ttl_seconds: Option<u64>,
    if_not_exists: Option<bool>,
    if_version: Option<Cow<'b, str>>,
}

/// Reads an item.
#[utoipa::path(
    get,
    path = "/kv/items/{*key}",
    operation_id = "item_get",
    tag = "kv",
    params(
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("namespace" = Option<String>, Query, description = "the namespace, else `default`"),
        ("If-None-Match" = Option<String>, Header, description = "versions that the client has"),
    ),
    responses(
        (status = 200, description = "the item", body = One, headers(("ETag" = String, description = "the version"))),
        (status = 304, description = "the client has this version"),
        Missing,
        Problems,
    ),
)]
pub(super) async fn get(mut caller: Caller, path: Segments, query: Query, headers: HeaderMap) -> Response {
    let answer = read(&mut caller, &path, query, &headers).await;
    rate::tell_reader(&caller, answer.into_response())
}

async fn read(
    caller: &mut Caller,
    path: &Segments,
    query: Query,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    caller.enter()?;
    let namespace = namespace(query)?;
    let command = Command::Entry { key: path.key().into() };
    caller
        .execute(&namespace, &command, |answer, values| {
            let Answer::Entry { found, key, .. } = answer else { return Err(misrouted().into()) };
            let found = found.ok_or_else(Problem::nil)?;
            if condition::is_known(headers, found.version())? {
                return Ok(answer::not_modified(found.version()));
            }
            let entry = values.entry(&found).map_err(|error| refusal(&error))?;
            Ok(render::item(key, &entry))
        })
        .await
}

/// Creates an item or replaces it.
#[utoipa::path(
    put,
    path = "/kv/items/{*key}",
    operation_id = "item_put",
    tag = "kv",
    params(
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("namespace" = Option<String>, Query, description = "the namespace, else `default`"),
        ("If-Match" = Option<String>, Header, description = "the version to replace, or *"),
        ("If-None-Match" = Option<String>, Header, description = "*, for an item that is to be new"),
    ),
    request_body = Given,
    responses(
        (status = 200, description = "the item as it is now", body = One, headers(("ETag" = String, description = "the version"))),
        Conflict,
        Unmet,
        Unfit,
        Problems,
    ),
)]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    path: Segments,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answer = write(&app, &mut caller, &path, query, &headers, body).await;
    rate::tell_writer(&caller, answer.into_response())
}

async fn write(
    app: &App,
    caller: &mut Caller,
    path: &Segments,
    query: Query,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.enter()?;
    let namespace = namespace(query)?;
    let limits = &app.shared.limits;
    let by_header = condition::of_write(headers)?;
    body::expect(headers, "application/json")?;
    let body = body::read(body, &app.shared).await?;
    let given: Envelope<'_> = envelope::read(&body)?;
    let (condition, status) = match (by_header, by_body(&given)?) {
        (by_header, None) => (by_header, StatusCode::PRECONDITION_FAILED),
        (None, by_body) => (by_body, StatusCode::CONFLICT),
        (Some(_), Some(_)) => {
            return Err(broken(Code::BadArg, "give a condition in the headers or in the body, not in both"));
        }
    };
    let document = envelope::value(given.value, limits.depth, VALUE_BYTES_MAX)?;
    let command = Command::Set(Set {
        key: path.key().into(),
        value_type: ValueType::of(document.kind),
        json: document.text,
        expiry: expiry(given.ttl_seconds)?,
        condition,
        description: None,
    });
    let manner = Manner { shows: true, entries_max: Some(KEYS_MAX) };
    caller
        .execute_in(manner, &namespace, &command, |answer, values| match answer {
            Answer::Entry { found: Some(found), key, .. } => {
                let entry = values.entry(&found).map_err(|error| refusal(&error))?;
                Ok(render::item(key, &entry))
            }
            Answer::Written(Err(refusal)) => Err(render::unmet(status, refusal)),
            _ => Err(misrouted().into()),
        })
        .await
        .map_err(envelope::of_a_rule)
}

/// Deletes an item.
#[utoipa::path(
    delete,
    path = "/kv/items/{*key}",
    operation_id = "item_delete",
    tag = "kv",
    params(
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("namespace" = Option<String>, Query, description = "the namespace, else `default`"),
        ("If-Match" = Option<String>, Header, description = "the version to delete, or *"),
    ),
    responses(
        (status = 200, description = "the item is gone", body = DeletedOne),
        Missing,
        Unmet,
        Problems,
    ),
)]
pub(super) async fn delete(mut caller: Caller, path: Segments, query: Query, headers: HeaderMap) -> Response {
    let answer = remove(&mut caller, &path, query, &headers).await;
    rate::tell_writer(&caller, answer.into_response())
}

async fn remove(
    caller: &mut Caller,
    path: &Segments,
    query: Query,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    caller.enter()?;
    let namespace = namespace(query)?;
    let (version, present) = condition::of_delete(headers)?;
    let command = Command::Del { key: path.key().into(), version, get: false };
    caller
        .execute(&namespace, &command, |answer, _| {
            let Answer::Deleted(decision) = answer else { return Err(misrouted().into()) };
            let unmet = |refusal| render::unmet(StatusCode::PRECONDITION_FAILED, refusal);
            match decision.map_err(unmet)? {
                Some(_) => Ok(render::deleted(path.key())),
                None if present => Err(unmet(Refusal::Absent)),
                None => Err(Problem::nil()),
            }
        })
        .await
}

fn namespace(mut query: Query) -> Result<String, Problem> {
    let namespace = query.text("namespace").unwrap_or_else(|| NAMESPACE_DEFAULT.to_owned());
    query.end()?;
    Ok(namespace)
}

/// `ifNotExists` or `ifVersion`. A text that is no version is that of no item; so is version 0, which is never drawn.
fn by_body(given: &Envelope<'_>) -> Result<Option<Condition>, Problem> {
    match (given.if_not_exists.unwrap_or(false), &given.if_version) {
        (false, None) => Ok(None),
        (true, None) => Ok(Some(Condition::Absent)),
        (false, Some(version)) => Ok(Some(Condition::Version(condition::exact(version).unwrap_or(0)))),
        (true, Some(_)) => {
            Err(broken(Code::BadArg, "ifNotExists and ifVersion exclude each other; give one of them"))
        }
    }
}

fn expiry(seconds: Option<u64>) -> Result<Expiry, Problem> {
    match seconds {
        None => Ok(Expiry::Clear),
        Some(seconds @ 1..=TTL_S_MAX) => Ok(Expiry::Set(Ttl::After(seconds * 1_000))),
        Some(_) => {
            Err(broken(Code::BadTtl, format!("ttlSeconds must be a whole number from 1 to {TTL_S_MAX}")))
        }
    }
}
