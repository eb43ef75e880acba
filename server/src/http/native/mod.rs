//! The project's own interface, under `/v1`: everything that the line protocol can, by the same names. `docs/http.md` is its
//! contract.

mod change;
mod changes;
mod entry;
mod expiry;
mod list;
mod many;
mod render;
mod server;
mod shapes;
mod transaction;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;

/// Its routes. A key takes all of the path that is left, since it may hold slashes; so what is done with one comes before it.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(server::hello))
        .routes(routes!(list::namespaces))
        .routes(routes!(list::entries, list::clear))
        .routes(routes!(entry::get, entry::put, entry::delete, change::patch))
        .routes(routes!(list::count))
        .routes(routes!(many::values))
        .routes(routes!(many::exists))
        .routes(routes!(expiry::left))
        .routes(routes!(expiry::touch))
        .routes(routes!(expiry::persist))
        .routes(routes!(change::increment))
        .routes(routes!(transaction::transact))
        .routes(routes!(changes::of_namespace))
        .routes(routes!(changes::of_all))
        .routes(routes!(server::stats))
        .routes(routes!(server::sync))
        .routes(routes!(server::backup))
        .routes(routes!(server::compact))
}
