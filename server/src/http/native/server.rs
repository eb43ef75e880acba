//! The server itself: what it is, how it does, and what its operator has it do.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use larder_protocol::{Command, Verb, check_backup_name};

use super::render;
use crate::command::{Answer, misrouted, refusal, stats};
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Caller};

/// `GET /v1`
pub(super) async fn hello(State(app): State<Arc<App>>, _: Caller, query: Query) -> Result<Response, Problem> {
    query.end()?;
    Ok(render::json(app.shared.hello.clone()))
}

/// `GET /v1/stats`
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

/// `POST /v1/sync`
pub(super) async fn sync(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    query: Query,
) -> Result<Response, Problem> {
    query.end()?;
    caller.may(Verb::Sync, None)?;
    let version = app.shared.store.sync().await.map_err(|error| refusal(&error))?;
    Ok(render::json(format!("{{\"version\":{version}}}")))
}

/// `PUT /v1/backups/{name}`
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
    Ok(render::json(app.shared.backups.make(&app.shared.store, name).await?))
}
