//! Who a request comes from, and so where it acts and what it may do.

use std::io;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use larder_engine::{Tenant, Values};
use larder_protocol::{Code, Command};

use super::App;
use super::connection::Connection;
use super::problem::Problem;
use crate::command::{Answer, Scope, execute, lists};
use crate::rooms::SMALL_BYTES;
use crate::shared::Shared;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    app: Arc<App>,
    tenant: Tenant,
    connection: Connection,
}

impl Caller {
    /// Carries out a command of this caller in a namespace, and renders its answer once that may be told. Every access of a
    /// handler to the store goes this way. An answer that takes much memory waits for a place first, and keeps it until it
    /// is sent.
    pub(crate) async fn execute<'t>(
        &'t self,
        namespace: &'t str,
        command: &'t Command<'t>,
        render: impl FnOnce(Answer<'t>, &Values) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        let Shared { limits, terms, .. } = &*self.app.shared;
        let mut rooms = Vec::new();
        if lists(command) {
            rooms.push(terms.listings.take().await.map_err(no_room)?);
        }
        let scope = Scope { tenant: self.tenant, namespace, max_ttl_ms: limits.max_ttl_ms };
        let (answer, values) = execute(&self.app.shared, scope, command).await?;
        if answer.bytes() > SMALL_BYTES {
            rooms.push(terms.replies.take().await.map_err(no_room)?);
        }
        Ok(self.connection.hold(render(answer, &values)?, rooms))
    }

    /// Only the operator passes.
    pub(crate) fn operator(&self) -> Result<(), Problem> {
        if self.connection.is_local() {
            return Ok(());
        }
        Err(Problem::of(Code::Denied, "only clients on the server's own machine may do this"))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Caller, Problem> {
        let Some(connection) = parts.extensions.get::<Connection>().cloned() else {
            return Err(Problem::of(Code::Internal, "the request came over no connection"));
        };
        Ok(Caller { app: Arc::clone(app), tenant: Tenant::DEFAULT, connection })
    }
}

#[cold]
fn no_room(error: io::Error) -> Problem {
    Problem::of(Code::Internal, format!("there is no place for the answer: {error}"))
}
