//! Carrying out the commands of a turn: under one lock, with one wait for durability.
//!
//! A turn is usually one round. It takes more where its answers hold much memory, since what a value waits in before
//! it is sent must be bounded.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use larder_engine::{Address, Error, Pending};
use larder_protocol::{Command, Request};
use tokio::task::yield_now;

use super::socket::Socket;
use super::turn::{Namespaces, Step};
use crate::access::{Denial, Grant, Session};
use crate::command::{
    ATTEMPTS_MAX, Ahead, Answer, Check, Reader, Rendering, Scope, Sources, ahead, check, check_again, denial,
    is_change, light, need_of, read, refusal, refuse, write,
};
use crate::metrics::Interface;
use crate::rooms::SMALL_BYTES;
use crate::shared::{Shared, Tally};

/// Stored bytes that the answers of one round may point at, and that it may write.
const ROUND_BYTES_MAX: usize = 1024 * 1024;
/// What a reply line has besides what is stored.
const LINE_BYTES: usize = 48;

/// What the steps of a turn are carried out with.
pub(super) struct Round<'r> {
    pub(super) shared: &'r Shared,
    pub(super) session: &'r mut Session,
    pub(super) namespaces: &'r Namespaces,
    pub(super) socket: &'r mut Socket,
}

impl Round<'_> {
    /// Answers all steps, in order, into the socket's buffer.
    pub(super) async fn steps(&mut self, steps: &[Step<'_>]) -> io::Result<()> {
        let mut rest = steps;
        let mut attempts = 0;
        while !rest.is_empty() {
            self.session.refresh();
            let taken = self.round(rest, attempts < ATTEMPTS_MAX).await?;
            attempts = if taken == 0 { attempts + 1 } else { 0 };
            rest = &rest[taken..];
            if !rest.is_empty() {
                self.socket.vacate().await?;
            }
        }
        Ok(())
    }

    /// Answers as many steps as one round may take. Returns how many: none if what the client may has changed meanwhile, or
    /// if the first has to be prepared once more, for which a `patient` round leaves it.
    async fn round(&mut self, steps: &[Step<'_>], patient: bool) -> io::Result<usize> {
        let started = Instant::now();
        let (shared, namespaces) = (self.shared, self.namespaces);
        let grant = &*Arc::clone(self.session.grant());
        let session = &*self.session;
        let steps = apart(steps);
        // Who may list nothing keeps nobody's place.
        if !grant.is_nobodys() && steps.iter().any(Step::lists) {
            settle(steps, shared, namespaces, grant).await;
            self.socket.room_for_listing().await?;
        }
        let (mut taken, mut bytes) = (0, 0);
        let pending = if steps.iter().any(Step::writes) {
            shared.store.admission().await;
            let (mut ahead, steps) = prepare(steps, shared, namespaces, grant, patient);
            shared.store.write(|writer| {
                // Under the lock: what is answered after a change goes by it.
                if session.is_stale() {
                    return Vec::new();
                }
                writer.set_quota(grant.tenant(), grant.quota());
                writer.preload(keys(steps, namespaces, grant));
                let answers;
                (answers, bytes) = carry_out(steps, |step| {
                    let answer =
                        answer(writer, step, shared, namespaces, grant, check, |writer, scope, command| {
                            let answer = write(writer, scope, command, &mut ahead);
                            if answer.is_none() {
                                // It will be counted when it comes again.
                                grant.uncount(need_of(command.verb()));
                            }
                            Some(light(writer, scope, command, answer?))
                        })?;
                    Some((answer, writer.logged_bytes()))
                });
                taken = answers.len();
                answers
            })
        } else {
            shared.store.read(|view| {
                if session.is_stale() {
                    return Vec::new();
                }
                view.preload(keys(steps, namespaces, grant));
                let answers;
                (answers, bytes) = carry_out(steps, |step| {
                    Some((answer(view, step, shared, namespaces, grant, check, read_one)?, 0))
                });
                taken = answers.len();
                answers
            })
        };
        if let Err(error) = self.finish(pending, bytes).await? {
            // A store that is closed or has failed runs no command at all.
            let check: Check = if taken == 0 { check } else { check_again };
            taken = if taken == 0 { steps.len() } else { taken };
            self.after_failure(&steps[..taken], check, &error).await?;
        }
        let verbs = steps[..taken].iter().filter_map(Step::verb);
        shared.metrics.carried_out(Interface::Lines, verbs, started.elapsed());
        Ok(taken)
    }

    /// Renders the answers, which take about so many bytes, and waits until they may be told; where they are long, in
    /// the other order, since their place must not be waited in. Writes out what does not fit into one buffer. The inner
    /// error is the store's: then nothing of the answers has been told.
    async fn finish(
        &mut self,
        pending: Pending<Vec<Answer<'_>>>,
        bytes: usize,
    ) -> io::Result<Result<(), Error>> {
        let shared = self.shared;
        let start = self.socket.output.len();
        let output = &mut self.socket.output;
        let pending = pending.map(|answers, values| {
            if answers.len() > 1 {
                values.preload(answers.iter().filter_map(Answer::found));
            }
            let mut rendering = Rendering::new(answers);
            let all = bytes <= SMALL_BYTES && rendering.fill(Sources { shared, values }, output);
            (rendering, (!all).then(|| values.clone()))
        });
        if !pending.is_ready() {
            // Connections that are ready now can join the same group.
            yield_now().await;
        }
        let (mut rendering, values) = match pending.await {
            Ok(rendered) => rendered,
            Err(error) => {
                self.socket.output.truncate(start);
                return Ok(Err(error));
            }
        };
        if let Some(values) = values {
            // What waits for a place must hold next to nothing.
            rendering.release();
            self.socket.room_for_replies().await?;
            let sources = Sources { shared, values: &values };
            while !rendering.fill(sources, &mut self.socket.output) {
                self.socket.flush().await?;
            }
        }
        shared.tally(rendering.tally());
        Ok(Ok(()))
    }

    /// Answers steps that the store could not acknowledge: what writes gets the error, and what only reads is asked
    /// again, alone, of what was acknowledged.
    #[cold]
    async fn after_failure(&mut self, steps: &[Step<'_>], check: Check, error: &Error) -> io::Result<()> {
        let (shared, namespaces) = (self.shared, self.namespaces);
        self.session.refresh();
        let grant = &*Arc::clone(self.session.grant());
        shared.log_failure(error);
        let refusal = refusal(error);
        for step in steps {
            let mut outcome = Err(error.clone());
            if !step.writes() {
                let (alone, mut bytes) = (std::slice::from_ref(step), 0);
                let pending = shared.store.read(|view| {
                    let answers;
                    (answers, bytes) = carry_out(alone, |step| {
                        Some((answer(view, step, shared, namespaces, grant, check, read_one)?, 0))
                    });
                    answers
                });
                outcome = self.finish(pending, bytes).await?;
            }
            if outcome.is_err() {
                let mut tally = Tally { commands: 1, ..Tally::default() };
                refuse(&mut self.socket.output, &mut tally, refusal.code, &refusal.text);
                shared.tally(tally);
            }
        }
        Ok(())
    }
}

/// The entries that steps are about, for the store to look up side by side; none if there is but one step.
fn keys<'t>(
    steps: &'t [Step<'t>],
    namespaces: &'t Namespaces,
    grant: &'t Grant,
) -> impl Iterator<Item = Address<'t>> {
    let steps = if steps.len() > 1 { steps } else { &[] };
    steps.iter().filter_map(|step| {
        let request = step.request.as_ref().ok()?;
        let namespace = step.namespace(request, namespaces);
        Address::new(grant.tenant(), namespace, request.command.key()?).ok()
    })
}

/// Those of the steps that may be of one round: one with a long listing writes nothing, so that its place is not kept from
/// others while the disk is waited for.
fn apart<'s, 'c>(steps: &'s [Step<'c>]) -> &'s [Step<'c>] {
    let (lists, writes) = (steps.iter().position(Step::lists), steps.iter().position(Step::writes));
    match (lists, writes) {
        (Some(lists), Some(writes)) => &steps[..lists.max(writes)],
        _ => steps,
    }
}

/// Waits, without a place, until what listings show so far may be told.
async fn settle(steps: &[Step<'_>], shared: &Shared, namespaces: &Namespaces, grant: &Grant) {
    let tenant = grant.tenant();
    let pending = shared.store.read(|view| {
        for step in steps.iter().filter(|step| step.lists()) {
            match &step.request {
                Ok(request) if matches!(request.command, Command::List(_)) => {
                    view.count(tenant, step.namespace(request, namespaces), "");
                }
                _ => _ = view.entries(tenant),
            }
        }
    });
    // Should the log have failed, the listing itself is told so.
    _ = pending.await;
}

/// Makes ahead what the steps change, and leaves those for which there is no room to another round.
fn prepare<'c>(
    steps: &'c [Step<'c>],
    shared: &'c Shared,
    namespaces: &'c Namespaces,
    grant: &'c Grant,
    patient: bool,
) -> (Ahead<'c>, &'c [Step<'c>]) {
    let changes = steps.iter().enumerate().filter_map(|(index, step)| {
        let request = step.request.as_ref().ok().filter(|request| is_change(&request.command))?;
        Some((index, scope(step, request, shared, namespaces, grant), &request.command))
    });
    if changes.clone().next().is_none() {
        return (Ahead::default(), steps);
    }
    let commands = changes.clone().map(|(_, scope, command)| (scope, command));
    let (ahead, count) = ahead(&shared.store, patient, commands);
    let end = changes.clone().nth(count).map_or(steps.len(), |(index, _, _)| index);
    (ahead, &steps[..end])
}

/// Collects the answers of steps, each with how much was written by then, until they hold too much, or that is too much, or
/// one has to wait for another round. Returns about how many bytes they take until they are sent, too.
fn carry_out<'t>(
    steps: &'t [Step<'t>],
    mut answer: impl FnMut(&'t Step<'t>) -> Option<(Answer<'t>, u64)>,
) -> (Vec<Answer<'t>>, usize) {
    let mut answers = Vec::with_capacity(steps.len());
    let mut bytes = 0;
    for step in steps {
        let Some((answer, logged_bytes)) = answer(step) else { break };
        bytes += LINE_BYTES + answer.bytes();
        answers.push(answer);
        // A short line can write much: a new expiry goes into the log with its value.
        if bytes >= ROUND_BYTES_MAX || logged_bytes >= ROUND_BYTES_MAX as u64 {
            break;
        }
    }
    (answers, bytes)
}

/// The answer to one step, by way of `carry_out`, which is the dispatcher of either lock.
#[inline]
fn answer<'t, A: Reader>(
    access: &mut A,
    step: &'t Step<'t>,
    shared: &'t Shared,
    namespaces: &'t Namespaces,
    grant: &'t Grant,
    check: impl FnOnce(Scope<'_>, &Command<'_>, u64) -> Result<(), Denial>,
    carry_out: impl FnOnce(&mut A, Scope<'t>, &'t Command<'t>) -> Option<Answer<'t>>,
) -> Option<Answer<'t>> {
    match &step.request {
        Ok(request) => {
            let (scope, command) = (scope(step, request, shared, namespaces, grant), &request.command);
            match check(scope, command, access.now_ms()) {
                Ok(()) => carry_out(access, scope, command),
                Err(denied) => Some(denial(denied).into()),
            }
        }
        Err(error) => Some(error.clone().into()),
    }
}

/// The dispatcher under the shared lock, where nothing has to be prepared.
#[inline]
fn read_one<'t>(view: &mut impl Reader, scope: Scope<'t>, command: &'t Command<'t>) -> Option<Answer<'t>> {
    Some(read(view, scope, command))
}

/// Where a step acts, and for whom.
#[inline]
fn scope<'t>(
    step: &'t Step<'t>,
    request: &'t Request<'t>,
    shared: &'t Shared,
    namespaces: &'t Namespaces,
    grant: &'t Grant,
) -> Scope<'t> {
    let namespace = step.namespace(request, namespaces);
    Scope { grant, tenant: grant.tenant(), namespace, limits: &shared.limits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Organization;
    use crate::connection::turn::Turn;
    use larder_engine::Stamp;
    use larder_protocol::{Limits, lines};

    #[test]
    fn a_round_with_a_long_listing_writes_nothing() {
        let grant = Grant::without_key(Arc::new(Organization::default()), crate::access::Scope::Admin);
        let count = |text: &[u8]| {
            let (mut lines, mut namespaces) = (lines(text), Namespaces::new());
            let turn = Turn::take(&mut lines, &Limits::DEFAULT, &mut namespaces, &grant, 4).unwrap();
            (apart(&turn.steps).len(), turn.steps.len())
        };
        assert_eq!(count(b"SET a 1\nLIST\nSET b 2\n"), (3, 3));
        assert_eq!(count(b"PING\nSET a 1\nPING\nLIST limit=101\n"), (3, 4));
        assert_eq!(count(b"LIST limit=101\nPING\nNAMESPACES\nSET a 1\nSET b 2\n"), (3, 3));
        assert_eq!(count(b"LIST limit=101\nPING\nSET a 1\nSET b 2\n"), (2, 4));
    }

    #[test]
    fn a_round_ends_when_its_answers_hold_much_or_much_was_written() {
        let mut lines = lines(b"PING\nPING\nPING\nPING\n");
        let grant = Grant::without_key(Arc::new(Organization::default()), crate::access::Scope::Admin);
        let mut namespaces = Namespaces::new();
        let turn = Turn::take(&mut lines, &Limits::DEFAULT, &mut namespaces, &grant, 4).unwrap();
        let answered = |of: &dyn Fn(u64) -> (Answer<'static>, u64)| {
            let mut number = 0;
            let (answers, _) = carry_out(&turn.steps, |_| {
                number += 1;
                Some(of(number))
            });
            answers.len()
        };
        let stamp = Stamp { version: 1, expires_at: None };
        assert_eq!(answered(&|_| (Answer::Ok, 0)), 4);
        assert_eq!(answered(&|number| (Answer::Ok, number * ROUND_BYTES_MAX as u64 / 2)), 2);
        let long = vec![b'1'; ROUND_BYTES_MAX];
        assert_eq!(answered(&|_| (Answer::Changed(stamp, long.clone()), 0)), 1);
    }
}
