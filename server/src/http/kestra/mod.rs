//! The dialect of Kestra's KV store: typed values below a namespace, bare words and all. `docs/http.md` is its contract.
//!
//! It keeps its own rule for keys, its own status codes and its own shape of errors; the entries are those of every other
//! interface.

mod entry;
mod error;
mod list;
mod member;
mod value;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::get;

use super::App;

/// Its routes, below both roots. A key takes all of the path that is left, so that one with a slash is told what is wrong
/// with it.
pub(super) fn router() -> Router<Arc<App>> {
    ["/api/v1/namespaces/{namespace}/kv", "/api/v1/{tenant}/namespaces/{namespace}/kv"]
        .into_iter()
        .fold(Router::new(), |router, root| {
            router
                .route(root, get(list::entries).delete(list::delete))
                .route(&format!("{root}/{{*key}}"), get(entry::get).put(entry::put).delete(entry::delete))
        })
        .method_not_allowed_fallback(super::no_method)
        .layer(map_response(error::in_own_shape))
}
