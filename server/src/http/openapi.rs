//! The description of the interface (OpenAPI 3.1), made of what stands beside each handler.
//!
//! A handler is described by `#[utoipa::path]` and added by `routes!`, so there is no route without a description. What many
//! answers have in common is said here once: the access keys, and the problems. A handler names the groups of problems that
//! it can end with ([`Problems`], which any can, and those below); a dialect whose errors have a shape of their own describes
//! them beside its handlers, in the same way.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::Components;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, Object, OpenApi as Document, Ref, RefOr, Response as Described, ResponseBuilder, Type,
};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::App;

/// What is said of the interface as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Larder",
        description = "A small, durable key-value store for JSON entries with expiry. Send an access key as a bearer token, \
            or as the password of Basic; a server without keys takes requests of its own machine without one.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        contact(),
    ),
    security((), ("bearer" = []), ("basic" = [])),
    tags(
        (name = "entries", description = "The project's own interface: entries"),
        (name = "namespaces", description = "Where they are"),
        (name = "changes", description = "What happens to them"),
        (name = "datastore", description = "The dialect of Hooklistener: entries in envelopes, and pages"),
        (name = "kv", description = "The dialect of Rocketstack: items by key"),
        (name = "kestra", description = "The dialect of Kestra: typed values below a namespace"),
        (name = "server", description = "The server itself"),
    ),
    components(schemas(ProblemShape)),
    modifiers(&Common),
)]
struct Base;

/// Routes begin from this one.
pub(super) fn base() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Base::openapi())
}

/// The text of the description.
pub(super) fn text(mut document: Document) -> Bytes {
    // The rest of a path is one parameter like others.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    // Names and texts: there is nothing in it that could fail to be written.
    serde_json::to_vec(&document).unwrap_or_default().into()
}

/// The description of all of this (OpenAPI 3.1).
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "server",
    security(()),
    responses((status = 200, description = "this document", body = serde_json::Value)),
)]
pub(super) async fn serve(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], app.description.clone())
}

/// An error (RFC 9457). Programs go by its code, people by its detail.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it says the shape of what `Problem::body` writes")]
struct ProblemShape {
    title: String,
    status: u16,
    code: String,
    detail: String,
    /// The version that there is, where a condition did not hold.
    #[schema(required = false)]
    version: serde_json::Value,
}

/// Each status that a problem can have, what it says, and a header that comes with it.
const STATUSES: [(u16, &str, Option<&str>); 15] = [
    (400, "The request cannot be read, or an option is unknown or wrong.", None),
    (401, "An access key is wanted, or another one.", Some("WWW-Authenticate")),
    (403, "The access key, or a page of this origin, may not do this.", None),
    (404, "There is no such entry, or nothing at that place of it.", None),
    (408, "The body did not come in time.", None),
    (409, "A condition in the body did not hold.", None),
    (410, "The log does not reach back so far.", None),
    (412, "A condition in a header did not hold.", None),
    (413, "The body is too large.", None),
    (415, "The body is of another kind than is wanted here.", None),
    (421, "A server without access keys does not go by that name.", None),
    (422, "A name, a value or a limit of it is not allowed, or the plan is exhausted.", None),
    (429, "Too many requests.", Some("Retry-After")),
    (500, "Something is wrong with the server, or with what is stored.", None),
    (503, "The server is short of something, or is stopping.", Some("Retry-After")),
];

/// The name of what is said of such a problem.
fn name(status: u16) -> String {
    format!("Problem{status}")
}

/// What many operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Components::new);
        let scheme = |scheme, text| {
            SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(text)).build())
        };
        let bearer = scheme(HttpAuthScheme::Bearer, "an access key");
        let basic = scheme(HttpAuthScheme::Basic, "any user, and an access key as the password");
        components.add_security_scheme("bearer", bearer);
        components.add_security_scheme("basic", basic);
        for (status, text, header) in STATUSES {
            let content = Content::new(Some(Ref::from_schema_name("Problem")));
            let mut response =
                ResponseBuilder::new().description(text).content("application/problem+json", content);
            if let Some(header) = header {
                let value = HeaderBuilder::new().schema(Some(Object::with_type(Type::String))).build();
                response = response.header(header, value);
            }
            components.responses.insert(name(status), response.into());
        }
    }
}

/// Declares groups of problems.
macro_rules! problems {
    ($($(#[$doc:meta])* $group:ident: $($status:literal)+;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $group;

        impl IntoResponses for $group {
            fn responses() -> BTreeMap<String, RefOr<Described>> {
                let response = |status: u16| (status.to_string(), Ref::from_response_name(name(status)).into());
                [$($status),+].map(response).into()
            }
        }
    )+};
}

problems! {
    /// What any request can end with.
    Problems: 400 401 403 421 422 429 500 503;
    /// There is no such entry.
    Missing: 404;
    /// A condition in a header did not hold.
    Unmet: 412;
    /// A condition in the body did not hold.
    Conflict: 409;
    /// The body is not as it has to be.
    Unfit: 408 413 415;
    /// The log does not reach back so far.
    Compacted: 410;
}
