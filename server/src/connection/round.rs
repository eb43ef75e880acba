//! Carrying out the commands of a turn: under one lock, with one wait for durability.
//!
//! A turn is usually one round. It takes more where its answers hold much memory, since what a value waits in before
//! it is sent must be bounded.

use std::io;

use larder_engine::{Address, Error, Pending, Tenant};
use larder_protocol::{Command, Request};
use tokio::task::yield_now;

use super::socket::Socket;
use super::turn::{Namespaces, Step};
use crate::command::{
    ATTEMPTS_MAX, Ahead, Answer, Rendering, Scope, Sources, ahead, is_change, read, refusal, refuse, write,
};
use crate::shared::{Shared, Tally};

/// Stored bytes that the answers of one round may point at.
const ROUND_BYTES_MAX: usize = 1024 * 1024;

/// What the steps of a turn are carried out with.
pub(super) struct Round<'r> {
    pub(super) shared: &'r Shared,
    pub(super) namespaces: &'r Namespaces,
    pub(super) socket: &'r mut Socket,
}

impl Round<'_> {
    /// Answers all steps, in order, into the socket's buffer.
    pub(super) async fn steps(&mut self, steps: &[Step<'_>]) -> io::Result<()> {
        let mut rest = steps;
        let mut attempts = 0;
        while !rest.is_empty() {
            let taken = self.round(rest, attempts < ATTEMPTS_MAX).await?;
            attempts = if taken == 0 { attempts + 1 } else { 0 };
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// Answers as many steps as one round may take. Returns how many: none if the first has to be prepared once more, for
    /// which a `patient` round leaves it.
    async fn round(&mut self, steps: &[Step<'_>], patient: bool) -> io::Result<usize> {
        let (shared, namespaces) = (self.shared, self.namespaces);
        let mut taken = 0;
        let pending = if steps.iter().any(Step::writes) {
            shared.store.admission().await;
            let (mut ahead, steps) = self.prepare(steps, patient);
            shared.store.write(|writer| {
                writer.preload(keys(steps, namespaces));
                let answers = carry_out(steps, |step| {
                    answer(step, shared, namespaces, |scope, command| {
                        write(writer, scope, command, &mut ahead)
                    })
                });
                taken = answers.len();
                answers
            })
        } else {
            shared.store.read(|view| {
                view.preload(keys(steps, namespaces));
                let answers = carry_out(steps, |step| {
                    answer(step, shared, namespaces, |scope, command| Some(read(view, scope, command)))
                });
                taken = answers.len();
                answers
            })
        };
        if let Err(error) = self.finish(pending).await? {
            // A store that is closed or has failed runs no command at all.
            taken = if taken == 0 { steps.len() } else { taken };
            self.after_failure(&steps[..taken], &error).await?;
        }
        Ok(taken)
    }

    /// Makes ahead what the steps change, and leaves those for which there is no room to another round.
    fn prepare<'c>(&self, steps: &'c [Step<'c>], patient: bool) -> (Ahead, &'c [Step<'c>]) {
        let (shared, namespaces) = (self.shared, self.namespaces);
        let changes = steps.iter().enumerate().filter_map(|(index, step)| {
            let request = step.request.as_ref().ok().filter(|request| is_change(&request.command))?;
            Some((index, scope(step, request, shared, namespaces), &request.command))
        });
        if changes.clone().next().is_none() {
            return (Ahead::default(), steps);
        }
        let commands = changes.clone().map(|(_, scope, command)| (scope, command));
        let (ahead, count) = ahead(&shared.store, patient, commands);
        let end = changes.clone().nth(count).map_or(steps.len(), |(index, _, _)| index);
        (ahead, &steps[..end])
    }

    /// Renders the answers, waits until they may be told, and writes out what does not fit into one buffer. The inner
    /// error is the store's: then nothing of the answers has been told.
    async fn finish(&mut self, pending: Pending<Vec<Answer<'_>>>) -> io::Result<Result<(), Error>> {
        let shared = self.shared;
        let start = self.socket.output.len();
        let output = &mut self.socket.output;
        let pending = pending.map(|answers, values| {
            if answers.len() > 1 {
                values.preload(answers.iter().filter_map(Answer::found));
            }
            let mut rendering = Rendering::new(answers);
            let all = rendering.fill(Sources { shared, values }, output);
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
            let sources = Sources { shared, values: &values };
            loop {
                self.socket.flush().await?;
                if rendering.fill(sources, &mut self.socket.output) {
                    break;
                }
            }
        }
        shared.counters.add(rendering.tally());
        Ok(Ok(()))
    }

    /// Answers steps that the store could not acknowledge: what writes gets the error, and what only reads is asked
    /// again, alone, of what was acknowledged.
    #[cold]
    async fn after_failure(&mut self, steps: &[Step<'_>], error: &Error) -> io::Result<()> {
        let (shared, namespaces) = (self.shared, self.namespaces);
        shared.log_failure(error);
        let refusal = refusal(error);
        for step in steps {
            let mut outcome = Err(error.clone());
            if !step.writes() {
                let pending = shared.store.read(|view| {
                    let reread = |scope, command| Some(read(view, scope, command));
                    answer(step, shared, namespaces, reread).into_iter().collect()
                });
                outcome = self.finish(pending).await?;
            }
            if outcome.is_err() {
                let mut tally = Tally { commands: 1, errors: 0 };
                refuse(&mut self.socket.output, &mut tally, refusal.code, &refusal.text);
                shared.counters.add(tally);
            }
        }
        Ok(())
    }
}

/// The entries that steps are about, for the store to look up side by side; none if there is but one step.
fn keys<'t>(steps: &'t [Step<'t>], namespaces: &'t Namespaces) -> impl Iterator<Item = Address<'t>> {
    let steps = if steps.len() > 1 { steps } else { &[] };
    steps.iter().filter_map(|step| {
        let request = step.request.as_ref().ok()?;
        let namespace = step.namespace(request, namespaces);
        Address::new(Tenant::DEFAULT, namespace, request.command.key()?).ok()
    })
}

/// Collects the answers of steps, until they hold too much, or one has to wait for another round.
fn carry_out<'t>(
    steps: &'t [Step<'t>],
    mut answer: impl FnMut(&'t Step<'t>) -> Option<Answer<'t>>,
) -> Vec<Answer<'t>> {
    let mut answers = Vec::with_capacity(steps.len());
    let mut bytes = 0;
    for step in steps {
        let Some(answer) = answer(step) else { break };
        bytes += answer.bytes();
        answers.push(answer);
        if bytes >= ROUND_BYTES_MAX {
            break;
        }
    }
    answers
}

/// The answer to one step, by way of `carry_out`, which is the dispatcher of either lock.
#[inline]
fn answer<'t>(
    step: &'t Step<'t>,
    shared: &'t Shared,
    namespaces: &'t Namespaces,
    carry_out: impl FnOnce(Scope<'t>, &'t Command<'t>) -> Option<Answer<'t>>,
) -> Option<Answer<'t>> {
    match &step.request {
        Ok(request) => carry_out(scope(step, request, shared, namespaces), &request.command),
        Err(error) => Some(error.clone().into()),
    }
}

/// Where a step acts.
#[inline]
fn scope<'t>(
    step: &'t Step<'t>,
    request: &'t Request<'t>,
    shared: &'t Shared,
    namespaces: &'t Namespaces,
) -> Scope<'t> {
    Scope { tenant: Tenant::DEFAULT, namespace: step.namespace(request, namespaces), limits: &shared.limits }
}
