//! The page that shows the [description](super::openapi) and tries it: Swagger UI, out of the binary. Its browser is told to
//! load nothing from anywhere else, and to run nothing but its scripts.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui::Config;

use super::path::Segments;
use super::problem::Problem;

/// Styles of single elements are set by the scripts, and pictures stand in them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static CONFIG: LazyLock<Arc<Config<'_>>> = LazyLock::new(|| {
    // A validator would be asked elsewhere.
    Arc::new(Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true))
});

/// Leads to the page.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "docs",
    tag = "server",
    security(()),
    responses((status = 308, description = "it is at /docs/", headers(("Location" = String)))),
)]
pub(super) async fn lead() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "/docs/")]).into_response()
}

/// A page that shows all of this, and tries it.
#[utoipa::path(
    get,
    path = "/docs/",
    operation_id = "docs_page",
    tag = "server",
    security(()),
    responses((status = 200, description = "the page", content_type = "text/html", body = String)),
)]
pub(super) async fn show() -> Result<Response, Problem> {
    file("index.html")
}

/// What belongs to that page.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    operation_id = "docs_file",
    tag = "server",
    security(()),
    params(("file" = String, Path, description = "its name")),
    responses(
        (status = 200, description = "the file", content_type = "application/octet-stream", body = String),
        super::openapi::Missing,
    ),
)]
pub(super) async fn part(path: Segments) -> Result<Response, Problem> {
    file(path.get("file"))
}

fn file(name: &str) -> Result<Response, Problem> {
    let file = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)).ok().flatten();
    let Some(file) = file.filter(|_| !name.is_empty()) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "ROUTE", "there is nothing at this path"));
    };
    let mut response = Response::new(Body::from(file.bytes.into_owned()));
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::try_from(file.content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
