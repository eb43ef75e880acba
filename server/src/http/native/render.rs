//! Answers of the project's own interface: values as bodies of their own, everything else as a JSON object around them.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use larder_client::rfc3339;
use larder_engine::{Entry, Stamp};
use larder_protocol::json::Pointer;

use crate::command::type_of;
use crate::http::problem::Problem;

/// When the entry expires, as RFC 3339; absent if it does not.
pub(super) const EXPIRES_AT: HeaderName = HeaderName::from_static("larder-expires-at");
/// The type of the value.
pub(super) const TYPE: HeaderName = HeaderName::from_static("larder-type");

/// A JSON document.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A value, or a place of it, with what else is known of its entry in the headers.
pub(super) fn value(entry: Entry, path: Option<&Pointer<'_>>) -> Result<Response, Problem> {
    let stamp = Stamp { version: entry.version, expires_at: entry.expires_at };
    let value_type = type_of(&entry);
    let whole = Bytes::from(entry.value);
    let body = match path.map(|path| path.find(&whole)) {
        None => whole,
        Some(Some(part)) => whole.slice_ref(part),
        Some(None) => {
            return Err(Problem::new(StatusCode::NOT_FOUND, "PATH", "the value has nothing at that path"));
        }
    };
    let mut response = json(body);
    let headers = response.headers_mut();
    // What is stored may change at any time: a cache has to ask.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(TYPE, HeaderValue::from_static(value_type.as_str()));
    insert(&mut response, LAST_MODIFIED, &http_date(entry.updated_at));
    tag(&mut response, &stamp);
    Ok(response)
}

/// The answer to a write: where the entry is now.
pub(super) fn written(stamp: &Stamp) -> Response {
    let expires_at = stamp.expires_at.map_or("null".to_owned(), |at| format!("\"{}\"", rfc3339(at)));
    let mut response = json(format!("{{\"version\":{},\"expires_at\":{expires_at}}}", stamp.version));
    tag(&mut response, stamp);
    response
}

/// The client has what there is.
pub(super) fn not_modified(stamp: &Stamp) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    tag(&mut response, stamp);
    response
}

fn tag(response: &mut Response, stamp: &Stamp) {
    insert(response, ETAG, &format!("\"{}\"", stamp.version));
    if let Some(expires_at) = stamp.expires_at {
        insert(response, EXPIRES_AT, &rfc3339(expires_at));
    }
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

/// `Tue, 10 Mar 2026 15:00:00 GMT`
fn http_date(unix_ms: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms);
    httpdate::fmt_http_date(time)
}
