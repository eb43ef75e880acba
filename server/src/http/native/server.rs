//! The server itself: what it is, how it does, and what its operator has it do.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use larder_protocol::{Command, Verb, check_backup_name};

use super::render;
use super::shapes::Version;
use crate::command::{Answer, misrouted, refusal, stats};
use crate::compaction;
use crate::http::openapi::Problems;
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Caller};

/// Tells who the server is, and what it holds requests to.
#[utoipa::path(
    get,
    path = "/v1",
    operation_id = "hello",
    tag = "server",
    responses(
        (status = 200, description = "the server", body = serde_json::Value),
        Problems,
    ),
)]
pub(super) async fn hello(State(app): State<Arc<App>>, _: Caller, query: Query) -> Result<Response, Problem> {
    query.end()?;
    Ok(render::json(app.shared.hello.clone()))
}

/// Tells counters and sizes.
#[utoipa::path(
    get,
    path = "/v1/stats",
    operation_id = "stats",
    tag = "server",
    responses(
        (status = 200, description = "what the caller may see of them", body = serde_json::Value),
        Problems,
    ),
)]
pub(super) async fn stats(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    query: Query,
) -> Result<Response, Problem> {
    query.end()?;
    caller
        .execute("", &Command::Stats, |answer, _| match answer {
            Answer::Stats => Ok(render::json(stats::object(&app.shared))),
            Answer::Object(json) => Ok(render::json(json)),
            _ => Err(misrouted().into()),
        })
        .await
}

/// Waits until all before it is durable.
#[utoipa::path(
    post,
    path = "/v1/sync",
    operation_id = "sync",
    tag = "server",
    responses(
        (status = 200, description = "up to which version all is durable", body = Version),
        Problems,
    ),
)]
pub(super) async fn sync(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    query: Query,
) -> Result<Response, Problem> {
    query.end()?;
    caller.may(Verb::Sync, None)?;
    let started = Instant::now();
    let version = app.shared.store.sync().await.map_err(|error| refusal(&error))?;
    caller.carried_out(Verb::Sync, started);
    Ok(render::json(format!("{{\"version\":{version}}}")))
}

/// Makes a backup, for the operator.
#[utoipa::path(
    put,
    path = "/v1/backups/{name}",
    operation_id = "backup",
    tag = "server",
    params(
        ("name" = String, Path, description = "of the backup"),
    ),
    responses(
        (status = 200, description = "what was backed up", body = serde_json::Value),
        Problems,
    ),
)]
pub(super) async fn backup(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    path: Segments,
    query: Query,
) -> Result<Response, Problem> {
    query.end()?;
    caller.may(Verb::Backup, None)?;
    let name = path.get("name");
    check_backup_name(name)?;
    let started = Instant::now();
    let made = app.shared.backups.make(&app.shared.store, name).await?;
    caller.carried_out(Verb::Backup, started);
    Ok(render::json(made))
}

/// Gives what is dead in the store's files back to the disk now, for the operator.
#[utoipa::path(
    post,
    path = "/v1/compact",
    operation_id = "compact",
    tag = "server",
    responses(
        (status = 200, description = "what was compacted", body = serde_json::Value),
        Problems,
    ),
)]
pub(super) async fn compact(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    query: Query,
) -> Result<Response, Problem> {
    query.end()?;
    caller.may(Verb::Compact, None)?;
    let started = Instant::now();
    let compacted = compaction::compact(&app.shared.compaction, &app.shared.store).await?;
    caller.carried_out(Verb::Compact, started);
    Ok(render::json(compacted))
}
