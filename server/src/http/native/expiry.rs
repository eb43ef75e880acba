//! The expiry of an entry, without its value.

use axum::response::Response;
use larder_protocol::{Code, Command};

use super::render;
use crate::command::{Answer, misrouted};
use crate::http::Caller;
use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// `POST /v1/namespaces/{namespace}/touch/{key}`
pub(super) async fn touch(mut caller: Caller, path: Segments, mut query: Query) -> Result<Response, Problem> {
    let ttl = query.ttl()?.ok_or_else(|| Problem::of(Code::BadArg, "say until when, with ttl= or at="))?;
    query.end()?;
    change(&mut caller, &path, &Command::Touch { key: path.key().into(), ttl }).await
}

/// `POST /v1/namespaces/{namespace}/persist/{key}`
pub(super) async fn persist(mut caller: Caller, path: Segments, query: Query) -> Result<Response, Problem> {
    query.end()?;
    change(&mut caller, &path, &Command::Persist { key: path.key().into() }).await
}

/// `GET /v1/namespaces/{namespace}/ttl/{key}`
pub(super) async fn left(mut caller: Caller, path: Segments, query: Query) -> Result<Response, Problem> {
    query.end()?;
    let command = Command::Ttl { key: path.key().into() };
    caller
        .execute(path.namespace(), &command, |answer, _| {
            let Answer::Left(left) = answer else { return Err(misrouted().into()) };
            let left = left.ok_or_else(Problem::nil)?;
            let left = left.map_or("null".to_owned(), |left| left.to_string());
            Ok(render::json(format!("{{\"ttl_ms\":{left}}}")))
        })
        .await
}

async fn change(caller: &mut Caller, path: &Segments, command: &Command<'_>) -> Result<Response, Problem> {
    caller
        .execute(path.namespace(), command, |answer, _| {
            let Answer::Touched(stamp) = answer else { return Err(misrouted().into()) };
            stamp.map(|stamp| render::written(&stamp)).ok_or_else(Problem::nil)
        })
        .await
}
