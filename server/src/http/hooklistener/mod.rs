//! The dialect of Hooklistener's datastore, under `/api/v1/datastore`: entries in envelopes, pages by number. `docs/http.md` says
//! what it adds to the product's own documentation.
//!
//! It is stricter than the store about names and values. What others have written and it could not have is listed all the same.

mod entry;
mod list;
mod page;
mod render;
mod shapes;

use std::sync::Arc;

use larder_protocol::Code;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::envelope::broken;
use super::problem::Problem;

/// The namespace of those who name none.
const NAMESPACE_DEFAULT: &str = "default";
/// Characters of a key, and of a namespace.
const NAME_CHARS_MAX: usize = 255;
/// Bytes of a value, once it is compact.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 1_000;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list::entries))
        .routes(routes!(list::namespaces))
        .routes(routes!(entry::upsert))
        .routes(routes!(entry::get, entry::delete))
}

fn check_key(key: &str) -> Result<(), Problem> {
    check_name(Code::BadKey, "key", key)
}

fn check_namespace(namespace: &str) -> Result<(), Problem> {
    check_name(Code::BadNs, "namespace", namespace)
}

fn check_name(code: Code, what: &str, name: &str) -> Result<(), Problem> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:/".contains(&byte);
    if (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let text = format!("{what} must be 1 to {NAME_CHARS_MAX} of the characters A-Z a-z 0-9 _ . - : /");
    Err(broken(code, text))
}
