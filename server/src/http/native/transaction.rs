//! Several checks and operations at once, all of them or none.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_protocol::{Code, Command, Transaction};

use super::render;
use super::shapes::{TransactionDocument, Version};
use crate::command::{Answer, misrouted};
use crate::http::openapi::{Conflict, Problems, Unfit};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{App, Caller, body};

/// The namespace of what names none.
const DEFAULT: &str = "default";

/// Checks versions, and then sets and deletes, all or nothing.
#[utoipa::path(
    post,
    path = "/v1/transactions",
    operation_id = "transact",
    tag = "entries",
    params(
        ("ns" = Option<String>, Query, description = "the namespace of what names none; `default` if nothing is said"),
    ),
    request_body(content = TransactionDocument, content_type = "application/json"),
    responses(
        (status = 200, description = "the version of the last operation that changed anything, or 0", body = Version),
        Conflict,
        Unfit,
        Problems,
    ),
)]
pub(super) async fn transact(
    State(app): State<Arc<App>>,
    mut caller: Caller,
    mut query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = &app.shared.limits;
    let namespace = query.text("ns").unwrap_or_else(|| DEFAULT.to_owned());
    query.end()?;
    body::expect(&headers, "application/json")?;
    let body = body::read_up_to(body, &app.shared, limits.transaction_bytes).await?;
    let transaction = Transaction::parse(body::text(&body)?, limits).map_err(|error| {
        let is_form = matches!(error.code, Code::BadArg | Code::BadOpt);
        let problem = Problem::from(error);
        // JSON, but not as a transaction has to be.
        if is_form { problem.with_status(StatusCode::UNPROCESSABLE_ENTITY) } else { problem }
    })?;
    let command = Command::Txn(transaction);
    caller
        .execute(&namespace, &command, |answer, _| match answer {
            Answer::Number(version) => Ok(render::json(format!("{{\"version\":{version}}}"))),
            Answer::FailedCheck(index) => Err(failed_check(index)),
            _ => Err(misrouted().into()),
        })
        .await
}

#[cold]
fn failed_check(index: u64) -> Problem {
    let text = format!("check {index} does not hold, counted from 0; nothing was changed");
    Problem::new(StatusCode::CONFLICT, "CHECK", text).with_number("check", index)
}
