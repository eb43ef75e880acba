//! The reply to `HELLO`: who the server is, and what it holds requests to.

use larder_engine::Durability;
use larder_protocol::{CHECKS_MAX, KEYS_MAX, Limits, OPERATIONS_MAX, PAGE_MAX};
use serde::Serialize;

use crate::shared::durability_name;

/// The version of the line protocol.
const PROTOCOL: u32 = 1;

#[derive(Serialize)]
struct Hello {
    server: &'static str,
    version: &'static str,
    protocol: u32,
    durability: &'static str,
    limits: HelloLimits,
}

/// Limits, with their units last in the names.
#[derive(Serialize)]
struct HelloLimits {
    line_bytes: usize,
    transaction_bytes: usize,
    value_bytes: usize,
    value_depth: usize,
    key_bytes: usize,
    namespace_bytes: usize,
    description_chars: usize,
    max_ttl_ms: u64,
    keys: usize,
    checks: usize,
    operations: usize,
    page: usize,
}

/// The JSON after `OK`; it does not change while the server runs.
pub(crate) fn fields(limits: &Limits, durability: Durability) -> Vec<u8> {
    let hello = Hello {
        server: "larder",
        version: env!("CARGO_PKG_VERSION"),
        protocol: PROTOCOL,
        durability: durability_name(durability),
        limits: HelloLimits {
            line_bytes: limits.lines().line_bytes,
            transaction_bytes: limits.transaction_bytes,
            value_bytes: limits.value_bytes,
            value_depth: limits.depth,
            key_bytes: limits.key_bytes,
            namespace_bytes: limits.namespace_bytes,
            description_chars: limits.description_chars,
            max_ttl_ms: limits.max_ttl_ms,
            keys: KEYS_MAX,
            checks: CHECKS_MAX,
            operations: OPERATIONS_MAX,
            page: PAGE_MAX,
        },
    };
    // Numbers and fixed texts: there is nothing in it that could fail to be written.
    serde_json::to_vec(&hello).unwrap_or_default()
}
