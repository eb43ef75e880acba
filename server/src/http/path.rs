//! What a path names, percent-decoded exactly once.
//!
//! A route has one segment for a namespace, in which a slash is written `%2F`, and takes the rest of the path for the key,
//! in which it may stand as it is. A namespace is checked here, also for what finds nothing in one that cannot be; a key where
//! it is put together with the tenant: nothing that a path says can lead out of that.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use larder_engine::check_namespace;
use larder_protocol::Code;

use super::problem::Problem;
use crate::command::refusal;

/// The segments of a path that its route has names for.
#[derive(Debug)]
pub(crate) struct Segments(RawPathParams);

impl Segments {
    /// The segment of that name; empty if the route has none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(given, _)| *given == name).map_or("", |(_, value)| value)
    }

    /// `{namespace}`
    pub(crate) fn namespace(&self) -> &str {
        self.get("namespace")
    }

    /// `{*key}`
    pub(crate) fn key(&self) -> &str {
        self.get("key")
    }
}

impl<S: Send + Sync> FromRequestParts<Arc<S>> for Segments {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<S>) -> Result<Segments, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params
            .map_err(|_| Problem::of(Code::Encoding, "the path is not UTF-8 once it is percent-decoded"))?;
        if let Some((_, namespace)) = params.iter().find(|(name, _)| *name == "namespace") {
            check_namespace(namespace).map_err(|error| refusal(&error.into()))?;
        }
        Ok(Segments(params))
    }
}
