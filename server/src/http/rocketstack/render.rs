//! Items as this dialect shows them. A version is a text to its clients.

use axum::http::StatusCode;
use axum::response::Response;
use larder_engine::{Entry, Refusal};

use crate::http::answer::{json, member, name, revalidated, tag, time};
use crate::http::problem::Problem;

pub(super) fn item(key: &str, entry: &Entry) -> Response {
    let mut out = Vec::with_capacity(entry.value.len() + key.len() + 128);
    out.extend_from_slice(b"{\"data\":");
    member(&mut out, b'{', "key", key);
    name(&mut out, b',', "value");
    out.extend_from_slice(&entry.value);
    member(&mut out, b',', "version", &entry.version.to_string());
    time(&mut out, "expiresAt", entry.expires_at);
    out.extend_from_slice(b"}}");
    let mut response = json(out);
    revalidated(&mut response);
    tag(&mut response, entry.version);
    response
}

pub(super) fn deleted(key: &str) -> Response {
    let mut out = b"{\"data\":".to_vec();
    member(&mut out, b'{', "key", key);
    out.extend_from_slice(b",\"deleted\":true}}");
    json(out)
}

pub(super) fn unmet(status: StatusCode, refusal: Refusal) -> Problem {
    let problem = Problem::unmet(status, refusal);
    match refusal {
        Refusal::Exists { version } | Refusal::Version { version } => problem.with_word("version", version),
        Refusal::Absent => problem,
    }
}
