//! The expiry of an entry, without its value.

use axum::response::Response;
use larder_protocol::{Code, Command};

use super::render;
use super::shapes::{Left, Written};
use crate::command::{Answer, misrouted};
use crate::http::Caller;
use crate::http::openapi::{Missing, Problems};
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Gives an entry another expiry.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{namespace}/touch/{*key}",
    operation_id = "entry_touch",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("ttl" = Option<String>, Query, description = "time to live: 3600, 90s, 7d, PT5M"),
        ("at" = Option<String>, Query, description = "when it expires, RFC 3339"),
    ),
    responses(
        (status = 200, description = "where the entry is now", body = Written),
        Missing,
        Problems,
    ),
)]
pub(super) async fn touch(mut caller: Caller, path: Segments, mut query: Query) -> Result<Response, Problem> {
    let ttl = query.ttl()?.ok_or_else(|| Problem::of(Code::BadArg, "say until when, with ttl= or at="))?;
    query.end()?;
    change(&mut caller, &path, &Command::Touch { key: path.key().into(), ttl }).await
}

/// Takes the expiry from an entry.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{namespace}/persist/{*key}",
    operation_id = "entry_persist",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key; it may hold slashes"),
    ),
    responses(
        (status = 200, description = "where the entry is now", body = Written),
        Missing,
        Problems,
    ),
)]
pub(super) async fn persist(mut caller: Caller, path: Segments, query: Query) -> Result<Response, Problem> {
    query.end()?;
    change(&mut caller, &path, &Command::Persist { key: path.key().into() }).await
}

/// Tells how long an entry has left.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{namespace}/ttl/{*key}",
    operation_id = "entry_ttl",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key; it may hold slashes"),
    ),
    responses(
        (status = 200, description = "the time left", body = Left),
        Missing,
        Problems,
    ),
)]
pub(super) async fn left(mut caller: Caller, path: Segments, query: Query) -> Result<Response, Problem> {
    query.end()?;
    let command = Command::Ttl { key: path.key().into() };
    caller
        .execute(path.namespace(), &command, |answer, _| {
            let Answer::Left(left) = answer else { return Err(misrouted().into()) };
            let left = left.ok_or_else(Problem::nil)?;
            let left = left.map_or("null".to_owned(), |left| left.to_string());
            Ok(render::json(format!("{{\"ttl_ms\":{left}}}")))
        })
        .await
}

async fn change(caller: &mut Caller, path: &Segments, command: &Command<'_>) -> Result<Response, Problem> {
    caller
        .execute(path.namespace(), command, |answer, _| {
            let Answer::Touched(stamp) = answer else { return Err(misrouted().into()) };
            stamp.map(|stamp| render::written(&stamp)).ok_or_else(Problem::nil)
        })
        .await
}
