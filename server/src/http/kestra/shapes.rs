//! The shapes of what is answered here, for the description of the interface. Nothing is made of them: answers are rendered
//! by hand, since values go into them as they are stored.
#![expect(dead_code, reason = "they are read by those who read the description")]

use serde_json::Value as Json;
use utoipa::ToSchema;

/// The type of a value.
#[derive(ToSchema)]
#[schema(as = KestraType, rename_all = "UPPERCASE")]
pub(super) enum TypeName {
    String,
    Number,
    Boolean,
    Json,
    DateTime,
    Date,
    Duration,
}

/// A value with its type.
#[derive(ToSchema)]
#[schema(as = KestraValue)]
pub(super) struct TypedValue {
    r#type: TypeName,
    value: Json,
    /// The version of the entry.
    revision: u64,
    /// RFC 3339.
    updated: String,
}

/// An entry in a listing; what is not known of it is left out.
#[derive(ToSchema)]
#[schema(as = KestraKey, rename_all = "camelCase")]
pub(super) struct Item {
    key: String,
    #[schema(nullable = false)]
    creation_date: Option<String>,
    #[schema(nullable = false)]
    update_date: Option<String>,
    #[schema(nullable = false)]
    expiration_date: Option<String>,
    #[schema(nullable = false)]
    description: Option<String>,
    /// What is wrong with the entry, if that is why nothing else is known of it.
    #[schema(nullable = false)]
    message: Option<String>,
}

/// Several keys.
#[derive(ToSchema)]
#[schema(as = KestraKeys)]
pub(super) struct Keys {
    #[schema(max_items = 1000)]
    keys: Vec<String>,
}

/// What is wrong: for people as `message`, for programs as `code`.
#[derive(ToSchema)]
#[schema(as = KestraError)]
pub(super) struct Failure {
    message: String,
    code: String,
}
