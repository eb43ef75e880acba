//! The shapes of what is sent and answered here, for the description of the interface; see `native/shapes.rs`.
#![expect(dead_code, reason = "they are read by those who read the description")]

use serde_json::Value;
use utoipa::ToSchema;

/// What an upsert sends.
#[derive(ToSchema)]
#[schema(as = DatastoreUpsert)]
pub(super) struct Upsert {
    entry: Given,
}

/// An entry to be created or replaced.
#[derive(ToSchema)]
#[schema(as = DatastoreGiven)]
pub(super) struct Given {
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9_.:/-]+$")]
    key: String,
    /// `default` if it is not there.
    #[schema(required = false, min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9_.:/-]+$")]
    namespace: Option<String>,
    /// Any JSON, of at most 64 KiB.
    value: Value,
    #[schema(required = false, max_length = 1000)]
    description: Option<String>,
    /// The entry expires after so many seconds; without, or with null, it does not.
    #[schema(required = false, minimum = 1)]
    ttl_seconds: Option<u64>,
}

/// An answer with one entry.
#[derive(ToSchema)]
#[schema(as = DatastoreEntryAnswer)]
pub(super) struct One {
    data: Entry,
}

/// An entry.
#[derive(ToSchema)]
#[schema(as = DatastoreEntry)]
pub(super) struct Entry {
    /// Stable for the life of the entry.
    id: String,
    key: String,
    namespace: String,
    value: Value,
    #[schema(required)]
    description: Option<String>,
    /// RFC 3339; null if it does not expire.
    #[schema(required)]
    expires_at: Option<String>,
    created_at: String,
    updated_at: String,
}

/// An entry of a page, or what is wrong with it.
#[derive(ToSchema)]
#[schema(as = DatastoreItem)]
pub(super) struct Item {
    key: String,
    namespace: String,
    #[schema(required = false, nullable = false)]
    id: Option<String>,
    #[schema(required = false)]
    value: Value,
    #[schema(required = false)]
    description: Option<String>,
    #[schema(required = false)]
    expires_at: Option<String>,
    #[schema(required = false, nullable = false)]
    created_at: Option<String>,
    #[schema(required = false, nullable = false)]
    updated_at: Option<String>,
    #[schema(required = false, nullable = false)]
    error: Option<Damage>,
}

/// What is wrong with an entry that is damaged.
#[derive(ToSchema)]
#[schema(as = DatastoreDamage)]
pub(super) struct Damage {
    code: String,
    detail: String,
}

/// A page of entries, by namespace and key.
#[derive(ToSchema)]
#[schema(as = DatastorePage)]
pub(super) struct Page {
    data: Vec<Item>,
    page: u64,
    page_size: u64,
    /// Live entries on all pages.
    total_count: u64,
    total_pages: u64,
}

/// All namespaces that hold a live entry, in order.
#[derive(ToSchema)]
#[schema(as = DatastoreNamespaces)]
pub(super) struct Namespaces {
    data: Vec<String>,
}
