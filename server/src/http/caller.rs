//! Who a request comes from, and so where it acts and what it may do.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use larder_engine::{Tenant, Values};
use larder_protocol::{Code, Command};

use super::App;
use super::problem::Problem;
use crate::command::{Answer, Scope, execute};

/// The other end of a connection, in the extensions of each request that comes over it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    app: Arc<App>,
    tenant: Tenant,
    is_local: bool,
}

impl Caller {
    /// Carries out a command of this caller in a namespace, and renders its answer once that may be told. Every access of a
    /// handler to the store goes this way.
    pub(crate) async fn execute<'t, R: Unpin>(
        &'t self,
        namespace: &'t str,
        command: &'t Command<'t>,
        render: impl Fn(Answer<'t>, &Values) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        let max_ttl_ms = self.app.shared.limits.max_ttl_ms;
        let scope = Scope { tenant: self.tenant, namespace, max_ttl_ms };
        execute(&self.app.shared, scope, command, render).await
    }

    /// Only the operator passes.
    pub(crate) fn operator(&self) -> Result<(), Problem> {
        if self.is_local {
            return Ok(());
        }
        Err(Problem::of(Code::Denied, "only clients on the server's own machine may do this"))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Caller, Problem> {
        let is_local =
            parts.extensions.get::<Peer>().is_some_and(|Peer(peer)| peer.ip().to_canonical().is_loopback());
        Ok(Caller { app: Arc::clone(app), tenant: Tenant::DEFAULT, is_local })
    }
}
