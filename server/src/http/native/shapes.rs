//! The shapes of what is answered here, for the description of the interface. Nothing is made of them: answers are rendered
//! by hand, since values go into them as they are stored.
#![expect(dead_code, reason = "they are read by those who read the description")]

use serde_json::Value;
use utoipa::ToSchema;

/// A switch: `1` or `0`.
#[derive(ToSchema)]
pub(super) enum Flag {
    #[schema(rename = "0")]
    Off,
    #[schema(rename = "1")]
    On,
}

/// What of an entry is answered.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum As {
    Value,
    Entry,
}

/// The type of a value.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(super) enum TypeName {
    String,
    Number,
    Boolean,
    Json,
    DateTime,
    Date,
    Duration,
}

/// Where an entry is after a write.
#[derive(ToSchema)]
pub(super) struct Written {
    version: u64,
    /// RFC 3339; null if it does not expire.
    #[schema(required)]
    expires_at: Option<String>,
}

/// A version.
#[derive(ToSchema)]
pub(super) struct Version {
    version: u64,
}

/// How many there are.
#[derive(ToSchema)]
pub(super) struct Count {
    count: u64,
}

/// The time that an entry has left; null if it does not expire.
#[derive(ToSchema)]
pub(super) struct Left {
    #[schema(required)]
    ttl_ms: Option<u64>,
}

/// One of several entries. A value that is damaged has an error in its place.
#[derive(ToSchema)]
pub(super) struct Item {
    key: String,
    version: u64,
    #[schema(required)]
    expires_at: Option<String>,
    #[schema(required = false)]
    value: Value,
    #[schema(required = false, nullable = false)]
    error: Option<Damage>,
}

/// What is wrong with a value.
#[derive(ToSchema)]
pub(super) struct Damage {
    code: String,
    detail: String,
}

/// Entries by key, and where the next page begins; null after the last one.
#[derive(ToSchema)]
pub(super) struct EntriesPage {
    items: Vec<Item>,
    #[schema(required)]
    next: Option<String>,
}

/// For each key, in order, its entry or null.
#[derive(ToSchema)]
pub(super) struct Values {
    items: Vec<Option<Item>>,
}

/// A namespace, and how many entries it holds.
#[derive(ToSchema)]
pub(super) struct Namespace {
    namespace: String,
    entries: u64,
}

/// Namespaces by name, and where the next page begins; null after the last one.
#[derive(ToSchema)]
pub(super) struct NamespacesPage {
    items: Vec<Namespace>,
    #[schema(required)]
    next: Option<String>,
}

/// What must hold before, and what is then done, in order.
#[derive(ToSchema)]
pub(super) struct TransactionDocument {
    #[schema(required = false, nullable = false, max_items = 1000)]
    check: Option<Vec<Check>>,
    /// Each is `["set", key, value, {…}]` or `["del", key, {…}]`, the options left out where there are none.
    #[schema(required = false, nullable = false, max_items = 1000)]
    ops: Option<Vec<Vec<Value>>>,
}

/// What must hold of an entry.
#[derive(ToSchema)]
pub(super) struct Check {
    key: String,
    #[schema(required = false, nullable = false)]
    ns: Option<String>,
    /// The version that it has; null if it must not be there.
    #[schema(required)]
    version: Option<u64>,
}
