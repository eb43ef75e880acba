//! Who a request comes from, and so where it acts and what it may do.
//!
//! An access key comes as `Authorization: Bearer TOKEN`, or as the password of `Basic`, whatever the user. Where keys are
//! wanted, a request without one gets no further than here.

use std::sync::Arc;
use std::time::Instant;
use std::{io, iter};

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use data_encoding::BASE64;
use larder_engine::Values;
use larder_protocol::{Code, Command, Verb};

use super::App;
use super::activity::Counted;
use super::connection::Connection;
use super::problem::Problem;
use crate::access::{Denial, Grant, Session};
use crate::command::{
    Answer, Failure, Manner, SHUTDOWN, Scope, Survey, Unswept, execute, is_long, lists, need_of, refusal,
    survey, sweep,
};
use crate::metrics::Interface;
use crate::rooms::{Room, SMALL_BYTES};
use crate::shared::{Shared, Tally};

/// See the module.
#[derive(Debug)]
pub(crate) struct Caller {
    app: Arc<App>,
    session: Session,
    connection: Connection,
    interface: Interface,
}

/// What was taken from an answer, with the places that it takes.
#[derive(Debug)]
pub(crate) struct Held<R> {
    pub(crate) answer: R,
    rooms: Vec<Room>,
    _counted: Option<Counted>,
}

impl Caller {
    /// Carries out a command of this caller in a namespace, and renders its answer once that may be told. Every access of a
    /// handler to the store goes this way, or by [`ask`](Caller::ask). An answer that takes much memory waits for a place
    /// first, and keeps it until it is sent.
    pub(crate) async fn execute(
        &mut self,
        namespace: &str,
        command: &Command<'_>,
        render: impl FnOnce(Answer<'_>, &Values) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        self.execute_in(Manner::default(), namespace, command, render).await
    }

    /// As [`execute`](Caller::execute), in a manner of the interface's own.
    pub(crate) async fn execute_in(
        &mut self,
        manner: Manner,
        namespace: &str,
        command: &Command<'_>,
        render: impl FnOnce(Answer<'_>, &Values) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        let Held { answer, rooms, .. } = self.ask_in(manner, namespace, command, render).await?;
        Ok(self.connection.hold(answer, rooms))
    }

    /// Carries out one of several commands of a request, and takes from its answer what that needs. Whoever holds on to the
    /// answer holds on to its places.
    pub(crate) async fn ask<R>(
        &mut self,
        namespace: &str,
        command: &Command<'_>,
        take: impl FnOnce(Answer<'_>, &Values) -> Result<R, Problem>,
    ) -> Result<Held<R>, Problem> {
        self.ask_in(Manner::default(), namespace, command, take).await
    }

    async fn ask_in<R>(
        &mut self,
        manner: Manner,
        namespace: &str,
        command: &Command<'_>,
        take: impl FnOnce(Answer<'_>, &Values) -> Result<R, Problem>,
    ) -> Result<Held<R>, Problem> {
        let started = Instant::now();
        let Shared { limits, terms, .. } = &*self.app.shared;
        let mut rooms = Vec::new();
        if lists(command) {
            rooms.push(terms.listings.take().await.map_err(no_room)?);
        }
        loop {
            self.session.refresh();
            let grant = &*Arc::clone(self.session.grant());
            let scope = Scope { grant, tenant: grant.tenant(), namespace, limits };
            let Some(outcome) = execute(&self.app.shared, &self.session, scope, manner, command).await else {
                continue;
            };
            self.carried_out(command.verb(), started);
            let (answer, values) = outcome?;
            if answer.bytes() > SMALL_BYTES {
                rooms.push(terms.replies.take().await.map_err(no_room)?);
            }
            let counted = (!rooms.is_empty()).then(|| self.connection.holding());
            return Ok(Held { answer: take(answer, &values)?, rooms, _counted: counted });
        }
    }

    /// Carries out a [`Survey`], of one namespace if it is about one, and renders what it has found. Places are taken as by
    /// [`execute`](Caller::execute).
    pub(crate) async fn survey<S: Survey>(
        &mut self,
        namespace: Option<&str>,
        fresh: S,
        render: impl FnOnce(S) -> Response,
    ) -> Result<Response, Problem> {
        let started = Instant::now();
        let Shared { limits, terms, .. } = &*self.app.shared;
        let mut rooms = Vec::new();
        if is_long(fresh.items_max()) {
            rooms.push(terms.listings.take().await.map_err(no_room)?);
        }
        loop {
            self.session.refresh();
            let grant = &*Arc::clone(self.session.grant());
            let (tenant, within) = (grant.tenant(), namespace.unwrap_or_default());
            let scope = Scope { grant, tenant, namespace: within, limits };
            let outcome = survey(&self.app.shared, &self.session, scope, namespace, &fresh).await;
            let Some(outcome) = outcome else { continue };
            self.carried_out(fresh.verb(), started);
            let found = outcome?;
            if found.bytes() > SMALL_BYTES {
                rooms.push(terms.replies.take().await.map_err(no_room)?);
            }
            return Ok(self.connection.hold(render(found), rooms));
        }
    }

    /// Deletes the entries of a namespace whose keys begin so. Returns how many they were.
    pub(crate) async fn sweep(&mut self, namespace: &str, prefix: &str) -> Result<u64, Problem> {
        self.may(Verb::Delprefix, Some(namespace))?;
        let started = Instant::now();
        let App { shared, shutdown, .. } = &*self.app;
        let swept = sweep(shared, &mut self.session, shutdown, namespace, prefix).await;
        shared.tally(Tally { commands: 1, errors: u64::from(swept.is_err()), ..Tally::default() });
        self.carried_out(Verb::Delprefix, started);
        swept.map_err(|unswept| match unswept {
            Unswept::Refused(error) => refusal(&error).into(),
            Unswept::Denied(denied) => Problem::denied(denied),
            Unswept::Stopping => Problem::of(Code::Shutdown, SHUTDOWN),
        })
    }

    /// Passes if the caller may do anything with data at all. For what is to be refused before anything else is looked at.
    pub(crate) fn enter(&mut self) -> Result<(), Problem> {
        self.session.refresh();
        self.grant().check_on(self.session.now_ms()).map_err(Problem::denied)
    }

    /// Passes if the caller may do what this command does, in a namespace if it is about one. For what is not done under the
    /// store's lock.
    pub(crate) fn may(&mut self, verb: Verb, namespace: Option<&str>) -> Result<(), Problem> {
        self.session.refresh();
        let allowed = self.grant().check(need_of(verb), namespace, self.session.now_ms());
        allowed.map_err(Problem::denied)
    }

    /// Counts a command that was begun then; [`Caller::execute`] does so itself.
    pub(super) fn carried_out(&self, verb: Verb, started: Instant) {
        self.app.shared.metrics.carried_out(self.interface, iter::once(verb), started.elapsed());
    }

    /// For what goes on after the request.
    pub(super) fn into_parts(self) -> (Session, Connection) {
        (self.session, self.connection)
    }

    /// What the caller may, as of the last look.
    pub(crate) fn grant(&self) -> &Arc<Grant> {
        self.session.grant()
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Caller, Problem> {
        let Some(connection) = parts.extensions.get::<Connection>().cloned() else {
            return Err(Problem::of(Code::Internal, "the request came over no connection"));
        };
        let mut session = app.shared.session(connection.is_local());
        if let Some(token) = token(&parts.headers)?
            && !session.authenticate(&token)
        {
            return Err(if session.registry().has_keys() {
                Problem::unauthorized(
                    "there is no such access key; it may have been revoked, or have expired",
                )
            } else {
                Problem::unauthorized("there are no access keys on this server; send no token")
            });
        }
        // Before a body is asked for, or looked at: who shows no key does not get to use what others wait for.
        if session.grant().is_nobodys() {
            return Err(Problem::denied(Denial::NoAuth));
        }
        let route = parts.extensions.get::<MatchedPath>();
        let interface = route.map_or(Interface::Http, |route| Interface::of_route(route.as_str()));
        Ok(Caller { app: Arc::clone(app), session, connection, interface })
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        match failure {
            Failure::Denied(denial) => Problem::denied(denial),
            Failure::Refused(error) => error.into(),
        }
    }
}

/// The access key that a request shows.
fn token(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => token_in(value).map(Some).ok_or_else(malformed),
        (Some(_), Some(_)) => Err(malformed()),
    }
}

fn token_in(value: &HeaderValue) -> Option<String> {
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!credentials.is_empty()).then(|| credentials.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(credentials.as_bytes()).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

#[cold]
fn malformed() -> Problem {
    Problem::unauthorized("send one access key, as `Authorization: Bearer TOKEN` or as the password of Basic")
}

#[cold]
fn no_room(error: io::Error) -> Problem {
    Problem::of(Code::Internal, format!("there is no place for the answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found() {
        let found = |text: &'static str| token_in(&HeaderValue::from_static(text));
        assert_eq!(found("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(found("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(found("Basic YTpiOmM=").as_deref(), Some("b:c"));
        assert_eq!(found("Basic OmI=").as_deref(), Some("b"));
        for none in ["", "Bearer", "Bearer ", "abc", "Digest abc", "Basic ???", "Basic YQ==", "Basic /w=="] {
            assert_eq!(found(none), None, "{none}");
        }
    }
}
