//! The dialect of Rocketstack's key/value API, under `/kv/items`: JSON values by key, with conditions in the body or in HTTP's own
//! headers. `docs/http.md` says what it adds to the product's own documentation.

mod item;
mod rate;
mod render;
mod shapes;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(item::get, item::put, item::delete))
}
