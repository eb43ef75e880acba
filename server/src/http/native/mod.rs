//! The project's own interface, under `/v1`: everything that the line protocol can, by the same names. `docs/http.md` is its
//! contract.

mod entry;
mod render;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::App;

/// Its routes.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route(
        "/v1/namespaces/{namespace}/entries/{*key}",
        get(entry::get).put(entry::put).delete(entry::delete),
    )
}
