//! Carrying out commands: all of them under one lock, in order, and nothing told before it may be.
//!
//! This is what every interface does with a command, whatever it looked like when it came and will look like when it goes. A
//! job is a command with where it acts, or why it cannot be carried out.

use larder_engine::{Address, Error, Pending, Values};
use larder_protocol::{Command, ParseError};
use tokio::task::yield_now;

use super::answer::Answer;
use super::failure::refusal;
use super::read::{Scope, read};
use super::write::write;
use crate::shared::{Shared, Tally};

/// Stored bytes that the answers of one run of commands may point at: what a value waits in before it is sent must be bounded.
const RUN_BYTES_MAX: usize = 1024 * 1024;

/// A listing of no more entries than this needs no place of its own.
const PAGE_USUAL: usize = 100;

/// See the module.
pub(crate) type Job<'t> = Result<(Scope<'t>, &'t Command<'t>), ParseError>;

/// Carries out jobs under one lock, the exclusive one if any of them `writes`. There are fewer answers than jobs if they hold
/// too much for one run, and none if the store is closed or has failed.
pub(crate) async fn begin<'t>(
    shared: &Shared,
    writes: bool,
    jobs: impl Iterator<Item = Job<'t>> + Clone,
) -> Pending<Vec<Answer<'t>>> {
    if writes {
        shared.store.admission().await;
        shared.store.write(|writer| {
            writer.preload(addresses(jobs.clone()));
            carry_out(jobs, |scope, command| write(writer, scope, command))
        })
    } else {
        shared.store.read(|view| {
            view.preload(addresses(jobs.clone()));
            carry_out(jobs, |scope, command| read(view, scope, command))
        })
    }
}

/// Waits until what was carried out may be told.
pub(crate) async fn settled<R: Unpin>(pending: Pending<R>) -> Result<R, Error> {
    if !pending.is_ready() {
        // Connections that are ready now can join the same group.
        yield_now().await;
    }
    pending.await
}

/// Carries out one command, and waits until its answer may be told. Gives also what the values in it are loaded with.
pub(crate) async fn execute<'t>(
    shared: &Shared,
    scope: Scope<'t>,
    command: &'t Command<'t>,
) -> Result<(Answer<'t>, Values), ParseError> {
    let writes = command.verb().row().writes;
    let jobs = std::iter::once(Ok((scope, command)));
    let carry_out = async || {
        let pending = begin(shared, writes, jobs.clone()).await;
        settled(pending.map(|answers, values| (answers, values.clone()))).await
    };
    let mut settled = carry_out().await;
    if let Err(error) = &settled {
        shared.log_failure(error);
        if !writes {
            // Asked again of what was acknowledged before the failure.
            settled = carry_out().await;
        }
    }
    let answer = match settled {
        Ok((answers, values)) => {
            answers.into_iter().next().map(|answer| (answer, values)).ok_or(Error::Closed)
        }
        Err(error) => Err(error),
    };
    let answer = match answer {
        Ok((Answer::Refused(error), _)) => Err(*error),
        Ok(answer) => Ok(answer),
        Err(error) => Err(refusal(&error)),
    };
    shared.counters.add(Tally { commands: 1, errors: u64::from(answer.is_err()) });
    answer
}

/// Whether the answer may name more than is usual, which takes memory before any of it is rendered.
pub(crate) fn lists(command: &Command<'_>) -> bool {
    let limit = match command {
        Command::List(list) => list.limit,
        Command::Namespaces { limit, .. } => *limit,
        _ => 0,
    };
    limit > PAGE_USUAL
}

/// The entries that jobs are about, for the store to look up side by side; none if there is but one job.
fn addresses<'t>(jobs: impl Iterator<Item = Job<'t>> + Clone) -> impl Iterator<Item = Address<'t>> {
    let several = jobs.clone().nth(1).is_some();
    jobs.filter(move |_| several).filter_map(|job| {
        let (scope, command) = job.ok()?;
        Address::new(scope.tenant, scope.namespace, command.key()?).ok()
    })
}

/// Collects the answers of jobs, until they hold too much.
fn carry_out<'t>(
    jobs: impl Iterator<Item = Job<'t>>,
    mut carry_out: impl FnMut(Scope<'t>, &'t Command<'t>) -> Answer<'t>,
) -> Vec<Answer<'t>> {
    let mut answers = Vec::with_capacity(jobs.size_hint().0);
    let mut bytes = 0;
    for job in jobs {
        let answer = match job {
            Ok((scope, command)) => carry_out(scope, command),
            Err(error) => error.into(),
        };
        bytes += answer.bytes();
        answers.push(answer);
        if bytes >= RUN_BYTES_MAX {
            break;
        }
    }
    answers
}
