//! Carrying out one command for an interface that takes one at a time; a connection of the line protocol takes many, see
//! `connection/round.rs`. What a command does, for whom, and when its answer may be told is the same.

use larder_engine::{Error, Pending, Values, Writer};
use larder_protocol::{Command, ParseError};
use tokio::task::yield_now;

use super::answer::Answer;
use super::change::{Ahead, ahead, is_change};
use super::failure::refusal;
use super::manner::Manner;
use super::need::{namespace_of, need_of};
use super::read::{Reader, Scope, read};
use crate::access::{Denial, Session};
use crate::shared::{Shared, Tally};

/// A listing of no more entries than this needs no place of its own.
const PAGE_USUAL: usize = 100;

/// Why a command has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client may not do this.
    Denied(Denial),
    /// It cannot be done.
    Refused(ParseError),
}

/// How it is looked whether a client may have a command carried out.
pub(crate) type Check = fn(Scope<'_>, &Command<'_>, u64) -> Result<(), Denial>;

/// What was left under the lock; `None` if what the client may has changed meanwhile.
type Left<'t> = Option<Result<Answer<'t>, Denial>>;

/// Carries out one command, and waits until its answer may be told. Gives also what the values in it are loaded with.
/// `None` if what the client may has changed since its session was refreshed.
pub(crate) async fn execute<'t>(
    shared: &Shared,
    session: &Session,
    scope: Scope<'t>,
    manner: Manner,
    command: &'t Command<'t>,
) -> Option<Result<(Answer<'t>, Values), Failure>> {
    let writes = command.writes();
    let begin = |check: Check| begin(shared, session, scope, manner, command, check);
    let mut settled = settled(begin(check).await).await;
    if let Err(error) = &settled {
        shared.log_failure(error);
        if !writes {
            // Asked again of what was acknowledged before the failure.
            settled = self::settled(begin(check_again).await).await;
        }
    }
    let outcome = match settled {
        Ok((None, _)) => return None,
        Ok((Some(Ok(Answer::Refused(error))), _)) => Err(Failure::Refused(*error)),
        Ok((Some(Ok(answer)), values)) => Ok((answer, values)),
        Ok((Some(Err(denial)), _)) => Err(Failure::Denied(denial)),
        Err(error) => Err(Failure::Refused(refusal(&error))),
    };
    shared.counters.add(Tally { commands: 1, errors: u64::from(outcome.is_err()), ..Tally::default() });
    Some(outcome)
}

async fn begin<'t>(
    shared: &Shared,
    session: &Session,
    scope: Scope<'t>,
    manner: Manner,
    command: &'t Command<'t>,
    check: Check,
) -> Pending<(Left<'t>, Values)> {
    let pending = if command.writes() {
        shared.store.admission().await;
        let mut ahead = match is_change(command) {
            // If it comes to nothing, it is made under the lock.
            true => ahead(&shared.store, false, std::iter::once((scope, command))).0,
            false => Ahead::default(),
        };
        shared.store.write(|writer| {
            writer.set_quota(scope.grant.tenant(), manner.quota(scope.grant.quota()));
            let write =
                |writer: &mut Writer<'_>, scope, command| manner.write(writer, scope, command, &mut ahead);
            admitted(writer, session, scope, command, check, write)
        })
    } else {
        shared.store.read(|view| admitted(view, session, scope, command, check, read))
    };
    pending.map(|left, values| (left, values.clone()))
}

/// Carries out a command under the lock, if the client may: what is answered after a change goes by it.
fn admitted<'t, A: Reader>(
    access: &mut A,
    session: &Session,
    scope: Scope<'t>,
    command: &'t Command<'t>,
    check: Check,
    carry_out: impl FnOnce(&mut A, Scope<'t>, &'t Command<'t>) -> Answer<'t>,
) -> Left<'t> {
    if session.is_stale() {
        return None;
    }
    let allowed = check(scope, command, access.now_ms());
    Some(allowed.map(|()| carry_out(access, scope, command)))
}

/// Whether a client may have a command carried out. If so, it is counted as a request.
#[inline]
pub(crate) fn check(scope: Scope<'_>, command: &Command<'_>, now_ms: u64) -> Result<(), Denial> {
    scope.grant.check(need_of(command.verb()), namespace_of(command, scope.namespace), now_ms)
}

/// As [`check`], of what was counted before.
pub(crate) fn check_again(scope: Scope<'_>, command: &Command<'_>, now_ms: u64) -> Result<(), Denial> {
    scope.grant.check_again(need_of(command.verb()), namespace_of(command, scope.namespace), now_ms)
}

/// Waits until what was carried out may be told.
pub(super) async fn settled<R: Unpin>(pending: Pending<R>) -> Result<R, Error> {
    if !pending.is_ready() {
        // Connections that are ready now can join the same group.
        yield_now().await;
    }
    pending.await
}

/// Whether the answer may name more than is usual, which takes memory before any of it is rendered.
pub(crate) fn lists(command: &Command<'_>) -> bool {
    let limit = match command {
        Command::List(list) => list.limit,
        Command::Namespaces { limit, .. } => *limit,
        _ => 0,
    };
    is_long(limit)
}

/// Whether a listing of so many entries is longer than is usual.
pub(crate) fn is_long(limit: usize) -> bool {
    limit > PAGE_USUAL
}
