//! The shapes of what is sent and answered here, for the description of the interface; see `native/shapes.rs`.
#![expect(dead_code, reason = "they are read by those who read the description")]

use serde_json::Value;
use utoipa::ToSchema;

/// What a put sends. `ifNotExists` and `ifVersion` exclude each other.
#[derive(ToSchema)]
#[schema(as = KeyValueGiven, rename_all = "camelCase")]
pub(super) struct Given {
    /// Any JSON, of at most 1 MiB.
    value: Value,
    /// The item expires after so many seconds; without, or with null, it does not.
    #[schema(required = false, minimum = 1, maximum = 31536000)]
    ttl_seconds: Option<u64>,
    /// Only if there is no such item.
    #[schema(required = false)]
    if_not_exists: Option<bool>,
    /// Only if the item has this version.
    #[schema(required = false)]
    if_version: Option<String>,
}

/// An answer with one item.
#[derive(ToSchema)]
#[schema(as = KeyValueAnswer)]
pub(super) struct One {
    data: Item,
}

/// An item.
#[derive(ToSchema)]
#[schema(as = KeyValueItem, rename_all = "camelCase")]
pub(super) struct Item {
    key: String,
    value: Value,
    version: String,
    /// RFC 3339; null if it does not expire.
    #[schema(required)]
    expires_at: Option<String>,
}

/// The answer to a delete.
#[derive(ToSchema)]
#[schema(as = KeyValueDeletedAnswer)]
pub(super) struct DeletedOne {
    data: Deleted,
}

/// An item that is gone.
#[derive(ToSchema)]
#[schema(as = KeyValueDeleted)]
pub(super) struct Deleted {
    key: String,
    deleted: bool,
}
