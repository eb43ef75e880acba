//! Answers of the project's own interface: values as bodies of their own, everything else as a JSON object around them.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use larder_client::rfc3339;
use larder_engine::{Entry, Error, Stamp, Values};
use larder_protocol::json::{Pointer, encode_string};

use crate::command::{Answer, entry_id, misrouted, refusal, type_of};
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
    let mut out = format!("{{\"version\":{}", stamp.version).into_bytes();
    expires_at(&mut out, stamp.expires_at);
    out.push(b'}');
    let mut response = json(out);
    tag(&mut response, stamp);
    response
}

/// All fields of an entry; times as RFC 3339. It is written by hand since the value goes in as it is stored, to the byte.
pub(super) fn entry(organization: &str, namespace: &str, key: &str, entry: &Entry) -> Response {
    let mut out = Vec::with_capacity(entry.value.len() + 512);
    member(&mut out, b'{', "organization", organization);
    member(&mut out, b',', "namespace", namespace);
    member(&mut out, b',', "key", key);
    out.extend_from_slice(b",\"value\":");
    out.extend_from_slice(&entry.value);
    member(&mut out, b',', "type", type_of(entry).as_str());
    match &entry.description {
        Some(description) => member(&mut out, b',', "description", description),
        None => out.extend_from_slice(b",\"description\":null"),
    }
    out.extend_from_slice(format!(",\"version\":{}", entry.version).as_bytes());
    member(&mut out, b',', "created_at", &rfc3339(entry.created_at));
    member(&mut out, b',', "updated_at", &rfc3339(entry.updated_at));
    expires_at(&mut out, entry.expires_at);
    member(&mut out, b',', "id", &entry_id(entry.creation));
    out.push(b'}');
    let mut response = json(out);
    tag(&mut response, &Stamp { version: entry.version, expires_at: entry.expires_at });
    response
}

/// One of several entries, perhaps with its value; or what is wrong with that, for there is no other place to say it. Gives
/// the bytes of the value.
pub(super) fn item(
    out: &mut Vec<u8>,
    key: &str,
    stamp: &Stamp,
    value: Option<Result<&[u8], Error>>,
) -> usize {
    member(out, b'{', "key", key);
    out.extend_from_slice(format!(",\"version\":{}", stamp.version).as_bytes());
    expires_at(out, stamp.expires_at);
    let bytes = match value {
        None => 0,
        Some(Ok(value)) => {
            out.extend_from_slice(b",\"value\":");
            out.extend_from_slice(value);
            value.len()
        }
        Some(Err(error)) => {
            let refusal = refusal(&error);
            out.extend_from_slice(b",\"error\":");
            member(out, b'{', "code", refusal.code.as_str());
            member(out, b',', "detail", &refusal.text);
            out.push(b'}');
            0
        }
    };
    out.push(b'}');
    bytes
}

/// How many there are.
pub(super) fn count(answer: Answer<'_>, _: &Values) -> Result<Response, Problem> {
    let Answer::Number(count) = answer else { return Err(misrouted().into()) };
    Ok(json(format!("{{\"count\":{count}}}")))
}

/// Appends a member with a text, after what comes before it.
fn member(out: &mut Vec<u8>, before: u8, name: &str, text: &str) {
    out.push(before);
    encode_string(out, name);
    out.push(b':');
    encode_string(out, text);
}

fn expires_at(out: &mut Vec<u8>, unix_ms: Option<u64>) {
    match unix_ms {
        Some(unix_ms) => member(out, b',', "expires_at", &rfc3339(unix_ms)),
        None => out.extend_from_slice(b",\"expires_at\":null"),
    }
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
