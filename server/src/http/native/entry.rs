//! One entry: read, written, deleted.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_engine::Refusal;
use larder_protocol::json::{Compact, Pointer, compact};
use larder_protocol::{Code, Command, Expiry, Limits, Set, ValueType};

use super::render;
use super::shapes::{As, Flag, TypeName, Written};
use crate::command::{Answer, misrouted, refusal};
use crate::http::openapi::{Missing, Problems, Unfit, Unmet};
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Caller, body, condition, description};

/// Reads the value of an entry, a place of it, or all of the entry.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{namespace}/entries/{*key}",
    operation_id = "entry_get",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("path" = Option<String>, Query, description = "a place of the value: a JSON pointer (RFC 6901)"),
        ("as" = inline(Option<As>), Query, description = "the value alone, or all fields of the entry"),
        ("If-None-Match" = Option<String>, Header, description = "versions that the client has"),
    ),
    responses(
        (status = 200, description = "the value, or the entry", body = serde_json::Value, headers(
            ("ETag" = String, description = "the version"),
            ("Larder-Type" = String, description = "the type of the value"),
            ("Larder-Expires-At" = Option<String>, description = "when it expires"),
        )),
        (status = 304, description = "the client has this version"),
        Missing,
        Problems,
    ),
)]
pub(super) async fn get(
    mut caller: Caller,
    path: Segments,
    mut query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let pointer = query.text("path").map(Pointer::new).transpose();
    let pointer = pointer.map_err(|error| Problem::of(Code::BadArg, format!("the option path: {error}")))?;
    let whole = match query.text("as").as_deref() {
        None | Some("value") => false,
        Some("entry") if pointer.is_none() => true,
        Some(_) => {
            return Err(Problem::of(Code::BadArg, "the option as must be value, or entry without a path"));
        }
    };
    query.end()?;
    let headers = request.headers();
    let command = Command::Entry { key: path.key().into() };
    caller
        .execute(path.namespace(), &command, |answer, values| {
            let Answer::Entry { found, organization, namespace, key, .. } = answer else {
                return Err(misrouted().into());
            };
            let found = found.ok_or_else(Problem::nil)?;
            if condition::is_known(headers, found.version())? {
                return Ok(render::not_modified(&found.stamp()));
            }
            let entry = values.entry(&found).map_err(|error| refusal(&error))?;
            if whole {
                Ok(render::entry(organization, namespace, key, &entry))
            } else {
                render::value(entry, pointer.as_ref())
            }
        })
        .await
}

/// Writes an entry; the body is its value.
#[utoipa::path(
    put,
    path = "/v1/namespaces/{namespace}/entries/{*key}",
    operation_id = "entry_put",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("ttl" = Option<String>, Query, description = "time to live: 3600, 90s, 7d, PT5M"),
        ("at" = Option<String>, Query, description = "when it expires, RFC 3339"),
        ("keepttl" = inline(Option<Flag>), Query, description = "the entry keeps its expiry"),
        ("type" = inline(Option<TypeName>), Query, description = "the type of the value"),
        ("desc" = Option<String>, Query, description = "a description"),
        ("If-Match" = Option<String>, Header, description = "only this version, or * for any"),
        ("If-None-Match" = Option<String>, Header, description = "* for an entry that is to be new"),
    ),
    request_body(content = serde_json::Value, content_type = "application/json", description = "the value"),
    responses(
        (status = 200, description = "where the entry is now", body = Written, headers(("ETag" = String, description = "the version"))),
        Unmet,
        Unfit,
        Problems,
    ),
)]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    path: Segments,
    mut query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = &app.shared.limits;
    let condition = condition::of_write(&headers)?;
    let expiry = expiry(&mut query)?;
    let value_type = query.text("type").map(|name| named_type(&name)).transpose()?;
    let description = query.text("desc").map(Cow::from);
    query.end()?;
    description::check(description.as_deref(), limits.description_chars)?;
    body::expect(&headers, "application/json")?;
    let body = body::read(body, &app.shared).await?;
    let document = document(body::text(&body)?, limits)?;
    let command = Command::Set(Set {
        key: path.key().into(),
        value_type: checked(value_type, &document)?,
        json: document.text,
        expiry,
        condition,
        description,
    });
    caller
        .execute(path.namespace(), &command, |answer, _| {
            let Answer::Written(decision) = answer else { return Err(misrouted().into()) };
            let unmet = |refusal| Problem::unmet(StatusCode::PRECONDITION_FAILED, refusal);
            decision.map(|stamp| render::written(&stamp)).map_err(unmet)
        })
        .await
}

/// Deletes an entry.
#[utoipa::path(
    delete,
    path = "/v1/namespaces/{namespace}/entries/{*key}",
    operation_id = "entry_delete",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("get" = inline(Option<Flag>), Query, description = "answer with the value that was deleted"),
        ("If-Match" = Option<String>, Header, description = "only this version, or * for any"),
    ),
    responses(
        (status = 200, description = "the version of the delete, or the value", body = serde_json::Value),
        Missing,
        Unmet,
        Problems,
    ),
)]
pub(super) async fn delete(
    mut caller: Caller,
    path: Segments,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let get = query.flag("get")?;
    query.end()?;
    let (version, present) = condition::of_delete(&headers)?;
    let command = Command::Del { key: path.key().into(), version, get };
    caller
        .execute(path.namespace(), &command, |answer, values| {
            let (Answer::Deleted(decision) | Answer::Taken(decision)) = answer else {
                return Err(misrouted().into());
            };
            let unmet = |refusal| Problem::unmet(StatusCode::PRECONDITION_FAILED, refusal);
            let deleted = match decision.map_err(unmet)? {
                Some(deleted) => deleted,
                None if present => return Err(unmet(Refusal::Absent)),
                None => return Err(Problem::nil()),
            };
            if !get {
                return Ok(render::json(format!("{{\"version\":{}}}", deleted.version)));
            }
            let entry = values.entry(&deleted.found).map_err(|error| refusal(&error))?;
            render::value(entry, None)
        })
        .await
}

/// `ttl=`, `at=` or `keepttl=`.
fn expiry(query: &mut Query) -> Result<Expiry, Problem> {
    match (query.ttl()?, query.flag("keepttl")?) {
        (None, false) => Ok(Expiry::Clear),
        (None, true) => Ok(Expiry::Keep),
        (Some(ttl), false) => Ok(Expiry::Set(ttl)),
        (Some(_), true) => {
            Err(Problem::of(Code::BadOpt, "ttl, at and keepttl exclude each other; give one of them"))
        }
    }
}

fn named_type(name: &str) -> Result<ValueType, Problem> {
    ValueType::from_name(name).ok_or_else(|| {
        let text = "the option type must be STRING, NUMBER, BOOLEAN, JSON, DATETIME, DATE or DURATION";
        Problem::of(Code::BadArg, text)
    })
}

/// The type of a document: the one that was named, if it fits.
fn checked(named: Option<ValueType>, document: &Compact<'_>) -> Result<ValueType, Problem> {
    let Some(named) = named else { return Ok(ValueType::of(document.kind)) };
    named.check(&document.text, document.kind).map_err(|error| Problem::of(Code::Type, error.to_string()))?;
    Ok(named)
}

/// A body as the document that it has to be.
pub(super) fn document<'b>(text: &'b str, limits: &Limits) -> Result<Compact<'b>, Problem> {
    let document = compact(text, limits.depth).map_err(|error| {
        Problem::of(Code::BadJson, format!("the body, at byte {}: {error}", error.position + 1))
    })?;
    let (length, limit) = (document.text.len(), limits.value_bytes);
    if length > limit {
        let text = format!("the value has {length} bytes; the limit value_bytes is {limit}");
        return Err(Problem::of(Code::TooBig, text));
    }
    Ok(document)
}
