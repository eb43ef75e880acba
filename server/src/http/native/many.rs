//! Many entries at once.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use larder_protocol::{Code, Command, KEYS_MAX};
use serde::Deserialize;
use utoipa::ToSchema;

use super::render;
use super::shapes::{Count, Values};
use crate::command::{Answer, misrouted};
use crate::http::body::Received;
use crate::http::envelope::broken;
use crate::http::openapi::{Problems, Unfit};
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Caller, body, envelope, keys, pieces};

/// The keys that a request is about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys<'b> {
    /// Up to 1,000.
    #[serde(borrow)]
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 1000)]
    keys: keys::Keys<'b>,
}

/// Reads many entries at once.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{namespace}/mget",
    operation_id = "entries_mget",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
    ),
    request_body(content = Keys<'_>),
    responses(
        (status = 200, description = "for each key, in order, its entry or null", body = Values),
        Unfit,
        Problems,
    ),
)]
pub(super) async fn values(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    path: Segments,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    query.end()?;
    let body = read(&app, &headers, body).await?;
    let command = Command::Mget { keys: keys(&body)? };
    caller
        .execute(path.namespace(), &command, |answer, sources| {
            let (Answer::Values(founds), Command::Mget { keys }) = (answer, &command) else {
                return Err(misrouted().into());
            };
            let keys: Vec<String> = keys.iter().map(|key| key.clone().into_owned()).collect();
            let (sources, mut scratch) = (sources.clone(), Vec::new());
            let body = pieces::items("{\"items\":[", move |index, out| {
                match founds.get(index).zip(keys.get(index)) {
                    None => {
                        out.extend_from_slice(b"]}");
                        return false;
                    }
                    Some((None, _)) => out.extend_from_slice(b"null"),
                    Some((Some(found), key)) => {
                        render::item(out, key, &found.stamp(), Some(sources.value(found, &mut scratch)));
                    }
                }
                true
            });
            Ok(render::json(body))
        })
        .await
}

/// Counts how many of these keys there are.
#[utoipa::path(
    post,
    path = "/v1/namespaces/{namespace}/exists",
    operation_id = "entries_exist",
    tag = "entries",
    params(
        ("namespace" = String, Path, description = "the namespace; a slash in it is written %2F"),
    ),
    request_body(content = Keys<'_>),
    responses(
        (status = 200, description = "how many there are", body = Count),
        Unfit,
        Problems,
    ),
)]
pub(super) async fn exists(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    path: Segments,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    query.end()?;
    let body = read(&app, &headers, body).await?;
    let command = Command::Exists { keys: keys(&body)? };
    caller.execute(path.namespace(), &command, render::count).await
}

async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Received, Problem> {
    body::expect(headers, "application/json")?;
    body::read(body, &app.shared).await
}

fn keys(body: &[u8]) -> Result<Vec<Cow<'_, str>>, Problem> {
    let Keys { keys: keys::Keys(keys) } = envelope::read(body)?;
    if keys.is_empty() {
        return Err(broken(Code::BadArg, format!("name 1 to {KEYS_MAX} keys, not 0")));
    }
    Ok(keys)
}
