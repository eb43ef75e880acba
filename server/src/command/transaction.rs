//! `TXN`: checks against the state before, then operations, all of them or none.

use larder_engine::{self as engine, Address, Condition, Transaction, Writer};
use larder_protocol::{self as protocol, Check, Code, Operation, ParseError, Write};

use super::answer::Answer;
use super::failure::refusal;
use super::read::Scope;
use super::write::put_of;

/// What keeps a transaction from being carried out.
enum Fault {
    /// Something is wrong with one of the operations.
    Refused(ParseError),
    /// Something is wrong with the whole, or with the log.
    Engine(engine::Error),
}

impl From<engine::Error> for Fault {
    fn from(error: engine::Error) -> Self {
        Self::Engine(error)
    }
}

/// Carries a transaction out.
pub(super) fn transact<'t>(
    writer: &mut Writer<'_>,
    scope: Scope<'t>,
    transaction: &'t protocol::Transaction<'t>,
) -> Answer<'t> {
    match failed_check(writer, scope, &transaction.checks) {
        Ok(None) => {}
        Ok(Some(index)) => return Answer::FailedCheck(index as u64),
        Err(error) => return error.into(),
    }
    let outcome = writer.transaction(|batch| {
        // No change has version 0: it says that there was none.
        let mut last = 0;
        for (index, operation) in transaction.operations.iter().enumerate() {
            let done = operate(batch, scope, operation).map_err(|fault| match fault {
                Fault::Refused(error) => Fault::Refused(within("ops", index, &error)),
                whole => whole,
            })?;
            last = done.unwrap_or(last);
        }
        Ok::<_, Fault>(last)
    });
    match outcome {
        Ok(version) => Answer::Number(version),
        Err(Fault::Refused(error)) => error.into(),
        Err(Fault::Engine(error)) => refusal(&error).into(),
    }
}

/// The first check that does not hold.
fn failed_check<'t>(
    writer: &mut Writer<'_>,
    scope: Scope<'t>,
    checks: &'t [Check<'t>],
) -> Result<Option<usize>, ParseError> {
    for (index, check) in checks.iter().enumerate() {
        let at = scope.within(check.ns.as_deref()).named(&check.key);
        let at = at.map_err(|error| within("check", index, &error))?;
        if writer.stamp(at).map(|stamp| stamp.version) != check.version {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Carries out one operation. Returns its version, if it has changed anything.
fn operate<'t>(
    batch: &mut Transaction<'_, '_>,
    scope: Scope<'t>,
    operation: &'t Operation<'t>,
) -> Result<Option<u64>, Fault> {
    let scope = scope.within(operation.ns.as_deref());
    let at = |key: &'t str| -> Result<Address<'t>, Fault> { scope.named(key).map_err(Fault::Refused) };
    match &operation.write {
        Write::Set(set) => {
            let at = at(&set.key)?;
            let put = put_of(scope, batch.now_ms(), set).map_err(Fault::Refused)?;
            let decision = batch.put(at, &put).map_err(|error| match error {
                engine::Error::DeadlinePassed { .. }
                | engine::Error::ValueTooLarge { .. }
                | engine::Error::QuotaReached { .. } => Fault::Refused(refusal(&error)),
                whole => Fault::Engine(whole),
            })?;
            Ok(decision.ok().map(|stamp| stamp.version))
        }
        Write::Del { key } => {
            let decision = batch.delete(at(key)?, Condition::Always)?;
            Ok(decision.ok().flatten().map(|deleted| deleted.version))
        }
    }
}

/// An error with the place in the document that it is about.
#[cold]
fn within(list: &str, index: usize, error: &ParseError) -> ParseError {
    let code: Code = error.code;
    ParseError { code, text: format!("{list}[{index}]: {}", error.text) }
}
