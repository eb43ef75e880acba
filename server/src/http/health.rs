//! How the server does: for whoever starts it, sends it traffic, or draws its curves.
//!
//! Whether it lives and is ready is nobody's secret, and is told without a key. Metrics tell of all organizations together,
//! so they are for the operator, unless he has them told to everybody; what each organization has is for him alone.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use larder_protocol::Verb;
use tokio::time::timeout;

use super::openapi::Problems;
use super::problem::Problem;
use super::query::Query;
use super::{App, Caller};
use crate::metrics;

/// How long metrics wait for the entries of each organization, which are those that are acknowledged: a disk that stands
/// still must not keep the rest back.
const ENTRIES_TIME: Duration = Duration::from_secs(1);

/// Tells that the server lives.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "server",
    security(()),
    responses((status = 200, description = "it does", body = serde_json::Value)),
)]
pub(super) async fn lives() -> Response {
    told(StatusCode::OK, "{\"alive\":true}".to_owned())
}

/// Tells whether the server can do what it is for.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "server",
    security(()),
    responses(
        (status = 200, description = "it can", body = serde_json::Value),
        (status = 503, description = "it cannot, for what is true of the rest", body = serde_json::Value),
    ),
)]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let stats = app.shared.store.stats();
    let (failed, short_of_space) = (stats.failed, stats.short_of_space);
    let stopping = app.shutdown.is_cancelled();
    let ready = !(failed || short_of_space || stopping);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    told(
        status,
        format!(
            "{{\"ready\":{ready},\"failed\":{failed},\"short_of_space\":{short_of_space},\"stopping\":{stopping}}}"
        ),
    )
}

fn told(status: StatusCode, json: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], json).into_response()
}

/// Tells counters, times and sizes in the text format of Prometheus; for the operator, unless they are public.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "server",
    responses(
        (status = 200, description = "the metrics", content_type = "text/plain", body = String),
        Problems,
    ),
)]
pub(super) async fn tell(
    State(app): State<Arc<App>>,
    caller: Result<Caller, Problem>,
    query: Query,
) -> Result<Response, Problem> {
    query.end()?;
    let shared = &app.shared;
    let organizations = match caller.and_then(|mut caller| caller.may(Verb::Org, None)) {
        Ok(()) => timeout(ENTRIES_TIME, shared.registry.usage()).await.ok().and_then(Result::ok),
        Err(_) if shared.metrics_public => None,
        Err(problem) => return Err(problem),
    };
    let text = metrics::render(shared, organizations.as_deref());
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    Ok((headers, text).into_response())
}
