//! The shapes of what is answered here, for the description of the interface. Nothing is made of them: answers are rendered
//! by hand, since values go into them as they are stored.
#![expect(dead_code, reason = "they are read by those who read the description")]

use std::collections::BTreeMap;

use serde_json::Value as Json;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

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

/// What any request can end with.
pub(super) struct Failures;

/// The body is not as it has to be.
pub(super) struct Unfit;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        described(&[
            (400, "The request cannot be read, or has options."),
            (401, "An access key is wanted, or another one."),
            (403, "The access key may not do this, or is for another tenant."),
            (421, "A server without access keys does not go by that name."),
            (422, "A key, a TTL or a value is not allowed, or the plan is exhausted."),
            (429, "Too many requests."),
            (500, "Something is wrong with the server, or with what is stored."),
            (503, "The server is short of something, or is stopping."),
        ])
        .collect()
    }
}

impl IntoResponses for Unfit {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        described(&[
            (408, "The body did not come in time."),
            (413, "The body is too large."),
            (415, "The body is of another kind than is wanted here."),
        ])
        .collect()
    }
}

fn described(failures: &'static [(u16, &'static str)]) -> impl Iterator<Item = (String, RefOr<Response>)> {
    failures.iter().map(|(status, text)| {
        let content = Content::new(Some(Ref::from_schema_name("KestraError")));
        let response = ResponseBuilder::new().description(*text).content("application/json", content);
        (status.to_string(), response.build().into())
    })
}
