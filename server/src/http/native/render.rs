//! Answers of the project's own interface: values as bodies of their own, everything else as a JSON object around them.

use axum::body::Bytes;
use axum::http::header::LAST_MODIFIED;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use larder_client::rfc3339;
use larder_engine::{Entry, Error, Stamp, Values};
use larder_protocol::json::Pointer;

use crate::command::{Answer, entry_id, misrouted, type_of};
use crate::http::answer::{self, damage, insert, member, optional, revalidated, time};
use crate::http::problem::Problem;

pub(super) use crate::http::answer::json;

/// When the entry expires, as RFC 3339; absent if it does not.
pub(super) const EXPIRES_AT: HeaderName = HeaderName::from_static("larder-expires-at");
/// The type of the value.
pub(super) const TYPE: HeaderName = HeaderName::from_static("larder-type");

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
    revalidated(&mut response);
    response.headers_mut().insert(TYPE, HeaderValue::from_static(value_type.as_str()));
    insert(&mut response, LAST_MODIFIED, &http_date(entry.updated_at));
    tag(&mut response, &stamp);
    Ok(response)
}

/// The answer to a change: what the value is now.
pub(super) fn changed(stamp: &Stamp, json: Vec<u8>) -> Response {
    let mut response = self::json(json);
    tag(&mut response, stamp);
    response
}

/// The answer to a write: where the entry is now.
pub(super) fn written(stamp: &Stamp) -> Response {
    let mut out = format!("{{\"version\":{}", stamp.version).into_bytes();
    time(&mut out, "expires_at", stamp.expires_at);
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
    optional(&mut out, "description", entry.description.as_deref());
    out.extend_from_slice(format!(",\"version\":{}", entry.version).as_bytes());
    time(&mut out, "created_at", Some(entry.created_at));
    time(&mut out, "updated_at", Some(entry.updated_at));
    time(&mut out, "expires_at", entry.expires_at);
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
    time(out, "expires_at", stamp.expires_at);
    let bytes = match value {
        None => 0,
        Some(Ok(value)) => {
            out.extend_from_slice(b",\"value\":");
            out.extend_from_slice(value);
            value.len()
        }
        Some(Err(error)) => {
            damage(out, &error);
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

/// The client has what there is.
pub(super) fn not_modified(stamp: &Stamp) -> Response {
    let mut response = answer::not_modified(stamp.version);
    tag(&mut response, stamp);
    response
}

fn tag(response: &mut Response, stamp: &Stamp) {
    answer::tag(response, stamp.version);
    if let Some(expires_at) = stamp.expires_at {
        insert(response, EXPIRES_AT, &rfc3339(expires_at));
    }
}

/// `Tue, 10 Mar 2026 15:00:00 GMT`
fn http_date(unix_ms: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms);
    httpdate::fmt_http_date(time)
}
