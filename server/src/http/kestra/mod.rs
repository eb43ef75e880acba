//! The dialect of Kestra's KV store: typed values below a namespace, bare words and all. `docs/http.md` is its contract.
//!
//! It keeps its own rule for keys, its own status codes and its own shape of errors; the entries are those of every other
//! interface.

mod entry;
mod error;
mod list;
mod member;
mod shapes;
mod value;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Object, OpenApi, Required, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
pub(super) use error::in_own_shape;

/// Its routes, below both roots. A key takes all of the path that is left, so that one with a slash is told what is wrong
/// with it.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    let mut of_tenants = routes();
    name_tenant(of_tenants.get_openapi_mut());
    let both = OpenApiRouter::new().nest("/api/v1", routes()).nest("/api/v1/{tenant}", of_tenants);
    let (router, description) = both.split_for_parts();
    let router = router.method_not_allowed_fallback(super::no_method);
    let mut both =
        OpenApiRouter::from(Router::layer(router, map_response(async |response| in_own_shape(response))));
    *both.get_openapi_mut() = description;
    both
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list::entries, list::delete)).routes(routes!(
        entry::get,
        entry::put,
        entry::delete
    ))
}

/// Tells the operations below the root that names a tenant from those below the other.
fn name_tenant(description: &mut OpenApi) {
    let tenant = ParameterBuilder::new()
        .name("tenant")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("the organization of the access key by its name, or main"))
        .schema(Some(Object::with_type(Type::String)))
        .build();
    for item in description.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.delete];
        for Operation { operation_id, parameters, .. } in operations.into_iter().flatten() {
            parameters.get_or_insert_default().push(tenant.clone().into());
            *operation_id = operation_id.take().map(|id| format!("{id}_of_tenant"));
        }
    }
}
