//! What answers of all interfaces are made of. They are written by hand, since values go in as they are stored, to the byte.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use larder_client::rfc3339;
use larder_engine::Error;
use larder_protocol::json::encode_string;

use crate::command::refusal;

/// Headers of an answer, of which an entry has most.
const HEADERS_USUAL: usize = 8;

/// A JSON document.
pub(crate) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().reserve(HEADERS_USUAL);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Appends the name of a member, after what comes before it.
pub(crate) fn name(out: &mut Vec<u8>, before: u8, name: &str) {
    out.push(before);
    encode_string(out, name);
    out.push(b':');
}

/// Appends a member with a text, after what comes before it.
pub(crate) fn member(out: &mut Vec<u8>, before: u8, name: &str, text: &str) {
    self::name(out, before, name);
    encode_string(out, text);
}

/// Appends a further member with a text, or null.
pub(crate) fn optional(out: &mut Vec<u8>, name: &str, text: Option<&str>) {
    match text {
        Some(text) => member(out, b',', name, text),
        None => {
            self::name(out, b',', name);
            out.extend_from_slice(b"null");
        }
    }
}

/// Appends a further member with a time as RFC 3339, or null.
pub(crate) fn time(out: &mut Vec<u8>, name: &str, unix_ms: Option<u64>) {
    optional(out, name, unix_ms.map(rfc3339).as_deref());
}

/// Appends a further member that says what is wrong with an entry: within a listing there is no other place for it.
pub(crate) fn damage(out: &mut Vec<u8>, error: &Error) {
    let refusal = refusal(error);
    name(out, b',', "error");
    member(out, b'{', "code", refusal.code.as_str());
    member(out, b',', "detail", &refusal.text);
    out.push(b'}');
}

/// The client has what there is.
pub(crate) fn not_modified(version: u64) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    revalidated(&mut response);
    tag(&mut response, version);
    response
}

/// What is stored may change at any time: a cache has to ask.
pub(crate) fn revalidated(response: &mut Response) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

/// The version of an entry as its entity tag.
pub(crate) fn tag(response: &mut Response, version: u64) {
    insert(response, ETAG, &format!("\"{version}\""));
}

pub(crate) fn insert(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}
