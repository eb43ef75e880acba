//! The reply to `ENTRY`: all fields of an entry as one JSON object.

use larder_engine::Entry;
use larder_protocol::ValueType;
use larder_protocol::json::encode_string;

/// Appends the object. It is written by hand since the value goes in as it is stored, to the byte.
pub(super) fn object(out: &mut Vec<u8>, organization: &str, namespace: &str, key: &str, entry: &Entry) {
    out.reserve(entry.value.len() + 256);
    out.extend_from_slice(b"{\"organization\":");
    encode_string(out, organization);
    out.extend_from_slice(b",\"namespace\":");
    encode_string(out, namespace);
    out.extend_from_slice(b",\"key\":");
    encode_string(out, key);
    out.extend_from_slice(b",\"value\":");
    out.extend_from_slice(&entry.value);
    out.extend_from_slice(b",\"type\":");
    encode_string(out, type_of(entry).as_str());
    out.extend_from_slice(b",\"description\":");
    match &entry.description {
        Some(description) => encode_string(out, description),
        None => out.extend_from_slice(b"null"),
    }
    number(out, "version", Some(entry.version));
    number(out, "created_at", Some(entry.created_at));
    number(out, "updated_at", Some(entry.updated_at));
    number(out, "expires_at", entry.expires_at);
    out.extend_from_slice(b",\"id\":");
    encode_string(out, &entry_id(entry.creation));
    out.push(b'}');
}

fn number(out: &mut Vec<u8>, name: &str, number: Option<u64>) {
    out.push(b',');
    encode_string(out, name);
    out.push(b':');
    match number {
        Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
}

/// The type as it was tagged; an untagged value, which an embedding program may have stored, has that of its form.
pub(crate) fn type_of(entry: &Entry) -> ValueType {
    ValueType::from_tag(entry.tag).unwrap_or(match entry.value.first() {
        Some(b'"') => ValueType::String,
        Some(b'-' | b'0'..=b'9') => ValueType::Number,
        Some(b't' | b'f') => ValueType::Boolean,
        _ => ValueType::Json,
    })
}

/// The public id of an entry: `ds_` and 13 characters of base 32, from the sequence that its creation drew.
///
/// No sequence is drawn twice, and the mixing is a bijection on 64 bits, so no two entries share an id. It is mixed
/// so that nobody reads an order or a count from it; it is no secret.
pub(crate) fn entry_id(creation: u64) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mixed = mix(creation);
    let digit = |shift: u32| char::from(ALPHABET[((mixed >> shift) & 31) as usize]);
    "ds_".chars().chain((0..13).rev().map(|place| digit(place * 5))).collect()
}

/// The finalizer of splitmix64: shifts and odd factors, each of which can be undone.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_differ() {
        assert_eq!(entry_id(1), entry_id(1));
        let ids: std::collections::HashSet<_> = (0..10_000).map(entry_id).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 16));
    }
}
