//! The project's own interface, under `/v1`: everything that the line protocol can, by the same names. `docs/http.md` is its
//! contract.

mod changes;
mod entry;
mod expiry;
mod list;
mod many;
mod render;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

use super::App;

/// Its routes. A key takes all of the path that is left, since it may hold slashes; so what is done with one comes before it.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1", get(server::hello))
        .route("/v1/namespaces", get(list::namespaces))
        .route("/v1/namespaces/{namespace}/entries", get(list::entries))
        .route(
            "/v1/namespaces/{namespace}/entries/{*key}",
            get(entry::get).put(entry::put).delete(entry::delete),
        )
        .route("/v1/namespaces/{namespace}/count", get(list::count))
        .route("/v1/namespaces/{namespace}/mget", post(many::values))
        .route("/v1/namespaces/{namespace}/exists", post(many::exists))
        .route("/v1/namespaces/{namespace}/ttl/{*key}", get(expiry::left))
        .route("/v1/namespaces/{namespace}/touch/{*key}", post(expiry::touch))
        .route("/v1/namespaces/{namespace}/persist/{*key}", post(expiry::persist))
        .route("/v1/namespaces/{namespace}/changes", get(changes::of_namespace))
        .route("/v1/changes", get(changes::of_all))
        .route("/v1/stats", get(server::stats))
        .route("/v1/sync", post(server::sync))
        .route("/v1/backups/{name}", put(server::backup))
}
