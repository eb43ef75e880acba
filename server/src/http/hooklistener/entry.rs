//! One entry: read, written, deleted.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use larder_engine::Values;
use larder_protocol::{Code, Command, Expiry, Set, Ttl, TtlError, ValueType};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::shapes::{One, Upsert};
use super::{DESCRIPTION_CHARS_MAX, NAMESPACE_DEFAULT, VALUE_BYTES_MAX, check_key, check_namespace, render};
use crate::command::{Answer, Manner, misrouted, refusal};
use crate::http::envelope::{self, Object, broken};
use crate::http::openapi::{Missing, Problems, Unfit};
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Caller, body, description};

/// What is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'b> {
    #[serde(borrow)]
    entry: Object<Given<'b>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given<'b> {
    #[serde(borrow)]
    key: Cow<'b, str>,
    namespace: Option<Cow<'b, str>>,
    #[serde(borrow)]
    value: &'b RawValue,
    description: Option<Cow<'b, str>>,
    ttl_seconds: Option<u64>,
}

/// Reads an entry.
#[utoipa::path(
    get,
    path = "/api/v1/datastore/entries/{*key}",
    operation_id = "datastore_get",
    tag = "datastore",
    params(
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("namespace" = Option<String>, Query, description = "the namespace, else `default`"),
    ),
    responses((status = 200, description = "the entry", body = One), Missing, Problems),
)]
pub(super) async fn get(mut caller: Caller, path: Segments, query: Query) -> Result<Response, Problem> {
    caller.enter()?;
    let namespace = named(&path, query)?;
    let command = Command::Entry { key: path.key().into() };
    caller.execute(&namespace, &command, entry).await
}

/// Creates an entry, or replaces its value, description and expiry.
#[utoipa::path(
    put,
    path = "/api/v1/datastore/entries",
    operation_id = "datastore_upsert",
    tag = "datastore",
    request_body = Upsert,
    responses((status = 200, description = "the entry as it is now", body = One), Unfit, Problems),
)]
pub(super) async fn upsert(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.enter()?;
    query.end()?;
    let limits = &app.shared.limits;
    body::expect(&headers, "application/json")?;
    let body = body::read(body, &app.shared).await?;
    let Envelope { entry: Object(given) } = envelope::read(&body)?;
    let namespace = given.namespace.unwrap_or(NAMESPACE_DEFAULT.into());
    check_key(&given.key)?;
    check_namespace(&namespace)?;
    description::check(given.description.as_deref(), DESCRIPTION_CHARS_MAX)?;
    let document = envelope::value(given.value, limits.depth, VALUE_BYTES_MAX)?;
    let command = Command::Set(Set {
        key: given.key,
        value_type: ValueType::of(document.kind),
        json: document.text,
        expiry: given.ttl_seconds.map_or(Ok(Expiry::Clear), |seconds| expiry(seconds).map(Expiry::Set))?,
        condition: None,
        description: given.description,
    });
    let manner = Manner { shows: true, ..Manner::default() };
    caller.execute_in(manner, &namespace, &command, entry).await.map_err(envelope::of_a_rule)
}

/// Deletes an entry.
#[utoipa::path(
    delete,
    path = "/api/v1/datastore/entries/{*key}",
    operation_id = "datastore_delete",
    tag = "datastore",
    params(
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("namespace" = Option<String>, Query, description = "the namespace, else `default`"),
    ),
    responses((status = 200, description = "the entry that was deleted", body = One), Missing, Problems),
)]
pub(super) async fn delete(mut caller: Caller, path: Segments, query: Query) -> Result<Response, Problem> {
    caller.enter()?;
    let namespace = named(&path, query)?;
    let command = Command::Del { key: path.key().into(), version: None, get: true };
    caller
        .execute(&namespace, &command, |answer, values| {
            let Answer::Taken(Ok(deleted)) = answer else { return Err(misrouted().into()) };
            let deleted = deleted.ok_or_else(Problem::nil)?;
            let entry = values.entry(&deleted.found).map_err(|error| refusal(&error))?;
            Ok(render::one(&namespace, path.key(), &entry))
        })
        .await
}

fn entry(answer: Answer<'_>, values: &Values) -> Result<Response, Problem> {
    let Answer::Entry { found, namespace, key, .. } = answer else { return Err(misrouted().into()) };
    let entry = values.entry(&found.ok_or_else(Problem::nil)?).map_err(|error| refusal(&error))?;
    Ok(render::one(namespace, key, &entry))
}

/// The namespace of a request that names an entry by its path; both are checked.
fn named(path: &Segments, mut query: Query) -> Result<String, Problem> {
    let namespace = query.text("namespace").unwrap_or_else(|| NAMESPACE_DEFAULT.to_owned());
    query.end()?;
    check_key(path.key())?;
    check_namespace(&namespace)?;
    Ok(namespace)
}

fn expiry(seconds: u64) -> Result<Ttl, Problem> {
    match seconds.checked_mul(1_000) {
        Some(0) => Err(broken(Code::BadTtl, "ttl_seconds must be a whole number from 1, or null")),
        Some(ms) => Ok(Ttl::After(ms)),
        None => Err(broken(Code::BadTtl, TtlError::Overflow.to_string())),
    }
}
