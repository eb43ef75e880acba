//! What takes more than one look at the store: it is found out in portions, so that nobody waits long for the lock.
//!
//! It is one request all the same: allowed, counted and answered as one. Whatever fits into one portion is of one instant; in
//! a longer one, what was there throughout is seen once, and what came or went meanwhile may have been seen or not.

use larder_engine::{Error, Values, View};
use larder_protocol::Verb;
use tokio::task::yield_now;

use super::execute::{Failure, settled};
use super::failure::refusal;
use super::need::need_of;
use super::read::Scope;
use crate::access::{Denial, Need, Session};
use crate::shared::{Shared, Tally};

/// See the module. A clone of one that has not begun begins anew.
pub(crate) trait Survey: Clone {
    /// What it is counted and allowed as.
    fn verb(&self) -> Verb;

    /// About how many items the answer will have at most.
    fn items_max(&self) -> usize;

    /// Looks at a portion, and tells whether there is more to look at.
    fn look(&mut self, view: &mut View<'_>, scope: Scope<'_>) -> bool;

    /// What was looked at may be told from here on. Its values are loaded with these.
    fn settle(&mut self, values: &Values);

    /// About how many bytes the answer may hold in memory until it is rendered.
    fn bytes(&self) -> usize;
}

/// Carries out a survey, of one namespace if it is about one. `None` if what the client may has changed since its session was
/// refreshed.
pub(crate) async fn survey<S: Survey>(
    shared: &Shared,
    session: &Session,
    scope: Scope<'_>,
    namespace: Option<&str>,
    fresh: &S,
) -> Option<Result<S, Failure>> {
    let attempt = |need| attempt(shared, session, scope, namespace, need, fresh.clone());
    let mut outcome = attempt(need_of(fresh.verb())).await;
    if let Err(error) = &outcome {
        shared.log_failure(error);
        // Asked again of what was acknowledged before the failure. It is the same request.
        outcome = attempt(Need::Enter).await;
    }
    let outcome = match outcome {
        Ok(None) => return None,
        Ok(Some(outcome)) => outcome.map_err(Failure::Denied),
        Err(error) => Err(Failure::Refused(refusal(&error))),
    };
    shared.counters.add(Tally { commands: 1, errors: u64::from(outcome.is_err()), ..Tally::default() });
    Some(outcome)
}

async fn attempt<S: Survey>(
    shared: &Shared,
    session: &Session,
    scope: Scope<'_>,
    namespace: Option<&str>,
    mut need: Need,
    mut survey: S,
) -> Result<Option<Result<S, Denial>>, Error> {
    loop {
        let look = |view: &mut View<'_>| {
            if session.is_stale() {
                return None;
            }
            let allowed = scope.grant.check(need, namespace, view.now_ms());
            Some(allowed.map(|()| survey.look(view, scope)))
        };
        let pending = shared.store.read(look).map(|left, values| (left, values.clone()));
        let (left, values) = settled(pending).await?;
        let more = match left {
            None => return Ok(None),
            Some(Err(denial)) => return Ok(Some(Err(denial))),
            Some(Ok(more)) => more,
        };
        survey.settle(&values);
        if !more {
            return Ok(Some(Ok(survey)));
        }
        // It was counted as a request with its first look.
        need = Need::Enter;
        yield_now().await;
    }
}
