//! Entries as this dialect shows them.

use axum::response::Response;
use larder_engine::{Entry, Error};

use crate::command::entry_id;
use crate::http::answer::{damage, json, member, name, optional, time};

/// The answer that is one entry.
pub(super) fn one(namespace: &str, key: &str, entry: &Entry) -> Response {
    let mut out = b"{\"data\":".to_vec();
    item(&mut out, namespace, key, entry);
    out.push(b'}');
    json(out)
}

/// Appends an entry.
pub(super) fn item(out: &mut Vec<u8>, namespace: &str, key: &str, entry: &Entry) {
    out.reserve(entry.value.len() + 512);
    member(out, b'{', "id", &entry_id(entry.creation));
    member(out, b',', "key", key);
    member(out, b',', "namespace", namespace);
    name(out, b',', "value");
    out.extend_from_slice(&entry.value);
    optional(out, "description", entry.description.as_deref());
    time(out, "expires_at", entry.expires_at);
    time(out, "created_at", Some(entry.created_at));
    time(out, "updated_at", Some(entry.updated_at));
    out.push(b'}');
}

/// Appends what stands for an entry whose record cannot be read.
pub(super) fn damaged(out: &mut Vec<u8>, namespace: &str, key: &str, error: &Error) {
    member(out, b'{', "key", key);
    member(out, b',', "namespace", namespace);
    damage(out, error);
    out.push(b'}');
}
