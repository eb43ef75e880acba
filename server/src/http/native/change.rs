//! A new value made of the old one: numbers that are added to, and merge patches (RFC 7396).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use larder_engine::Refusal;
use larder_protocol::{Command, Incr, Patch};

use super::entry::document;
use super::render;
use crate::command::{Answer, misrouted};
use crate::http::openapi::{Missing, Problems, Unfit, Unmet};
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Caller, body, condition};

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Adds to a number, and answers with the sum. An entry that is not there counts as `init`.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{namespace}/increment/{*key}",
    operation_id = "entry_increment",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("by" = Option<i64>, Query, description = "what is added; 1 if nothing is said"),
        ("init" = Option<i64>, Query, description = "what an absent entry counts as; 0 if nothing is said"),
        ("ttl" = Option<String>, Query, description = "time to live of an entry that is created by this: 3600, 90s, 7d, PT5M"),
    ),
    responses(
        (status = 200, description = "the sum", content_type = "application/json", body = i64, headers(
            ("ETag" = String, description = "the version"),
            ("Larder-Expires-At" = Option<String>, description = "when it expires"),
        )),
        Problems,
    ),
)]
pub(super) async fn increment(
    mut caller: Caller,
    path: Segments,
    mut query: Query,
) -> Result<Response, Problem> {
    let command = Command::Incr(Incr {
        key: path.key().into(),
        by: query.integer("by")?.unwrap_or(1),
        init: query.integer("init")?.unwrap_or(0),
        ttl: query.time_to_live()?,
    });
    query.end()?;
    caller
        .execute(path.namespace(), &command, |answer, _| match answer {
            Answer::Changed(stamp, json) => Ok(render::changed(&stamp, json)),
            _ => Err(misrouted().into()),
        })
        .await
}

/// Merges a patch into a value, and answers with what it is then.
#[utoipa::path(
    patch,
    path = "/v1/namespaces/{namespace}/entries/{*key}",
    operation_id = "entry_patch",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
        ("key" = String, Path, description = "the key; it may hold slashes"),
        ("If-Match" = Option<String>, Header, description = "only this version, or * for any"),
    ),
    request_body(content = serde_json::Value, content_type = "application/merge-patch+json", description = "the patch (RFC 7396)"),
    responses(
        (status = 200, description = "the value", body = serde_json::Value, headers(
            ("ETag" = String, description = "the version"),
            ("Larder-Expires-At" = Option<String>, description = "when it expires"),
        )),
        Missing,
        Unmet,
        Unfit,
        Problems,
    ),
)]
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    path: Segments,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = &app.shared.limits;
    let (version, present) = condition::of_delete(&headers)?;
    query.end()?;
    body::expect(&headers, MERGE_PATCH)
        .map_err(|problem| problem.with_header(ACCEPT_PATCH, HeaderValue::from_static(MERGE_PATCH)))?;
    let body = body::read(body, &app.shared).await?;
    let document = document(body::text(&body)?, limits)?;
    let command = Command::Patch(Patch { key: path.key().into(), json: document.text, version });
    caller
        .execute(path.namespace(), &command, |answer, _| {
            let unmet = |refusal| Problem::unmet(StatusCode::PRECONDITION_FAILED, refusal);
            match answer {
                Answer::Changed(stamp, json) => Ok(render::changed(&stamp, json)),
                Answer::Written(Err(refusal)) => Err(unmet(refusal)),
                Answer::Value(None, _) if present => Err(unmet(Refusal::Absent)),
                Answer::Value(None, _) => Err(Problem::nil()),
                _ => Err(misrouted().into()),
            }
        })
        .await
}
