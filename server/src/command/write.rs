//! Commands that change the store; all others are passed on to the readers, so that a turn keeps its order.

use larder_engine::{Condition, Expiry, Put, Writer};
use larder_protocol::{self as protocol, Command, ParseError, Set, Ttl, deadline};

use super::answer::Answer;
use super::change::{Ahead, change};
use super::failure::refusal;
use super::read::{Scope, read};
use super::transaction::transact;

/// Carries out a command, whether it writes or not. `None` if it has to be prepared once more.
#[inline]
pub(crate) fn write<'t>(
    writer: &mut Writer<'_>,
    scope: Scope<'t>,
    command: &'t Command<'t>,
    ahead: &mut Ahead<'t>,
) -> Option<Answer<'t>> {
    let answer = match command {
        Command::Set(arguments) => set(writer, scope, arguments),
        Command::Del { key, version, get } => delete(writer, scope, key, *version, *get),
        Command::Touch { key, ttl } => {
            expiry(scope, writer.now_ms(), *ttl).and_then(|expiry| touch(writer, scope, key, expiry))
        }
        Command::Persist { key } => touch(writer, scope, key, Expiry::Never),
        Command::Incr(_) | Command::Patch(_) => return change(writer, scope, command, ahead),
        Command::Txn(transaction) => Ok(transact(writer, scope, transaction)),
        _ => Ok(read(writer, scope, command)),
    };
    Some(answer.unwrap_or_else(|refused| refused))
}

fn set<'t>(
    writer: &mut Writer<'_>,
    scope: Scope<'t>,
    arguments: &'t Set<'t>,
) -> Result<Answer<'t>, Answer<'t>> {
    let at = scope.address(&arguments.key)?;
    let put = put_of(scope, writer.now_ms(), arguments)?;
    writer.put(at, &put).map(Answer::Written).map_err(|error| refusal(&error).into())
}

/// What the engine is to put for a set that is taken at `now_ms`.
#[inline]
pub(super) fn put_of<'t>(
    scope: Scope<'_>,
    now_ms: u64,
    arguments: &'t Set<'t>,
) -> Result<Put<'t>, ParseError> {
    Ok(Put {
        value: arguments.json.as_bytes(),
        tag: arguments.value_type.tag(),
        description: arguments.description.as_deref(),
        expiry: match arguments.expiry {
            protocol::Expiry::Clear => Expiry::Never,
            protocol::Expiry::Keep => Expiry::Keep,
            protocol::Expiry::Set(ttl) => deadline_of(scope, now_ms, ttl)?,
        },
        condition: match arguments.condition {
            None => Condition::Always,
            Some(protocol::Condition::Absent) => Condition::Absent,
            Some(protocol::Condition::Present) => Condition::Present,
            Some(protocol::Condition::Version(version)) => Condition::Version(version),
        },
    })
}

fn delete<'t>(
    writer: &mut Writer<'_>,
    scope: Scope<'t>,
    key: &'t str,
    version: Option<u64>,
    get: bool,
) -> Result<Answer<'t>, Answer<'t>> {
    let condition = version.map_or(Condition::Always, Condition::Version);
    let decision = writer.delete(scope.address(key)?, condition).map_err(|error| refusal(&error))?;
    Ok(if get { Answer::Taken(decision) } else { Answer::Deleted(decision) })
}

fn touch<'t>(
    writer: &mut Writer<'_>,
    scope: Scope<'t>,
    key: &'t str,
    expiry: Expiry,
) -> Result<Answer<'t>, Answer<'t>> {
    let at = scope.address(key)?;
    writer.touch(at, expiry).map(Answer::Touched).map_err(|error| refusal(&error).into())
}

/// The deadline that a TTL comes to, by the one reading of the clock of this turn.
pub(super) fn expiry<'t>(scope: Scope<'_>, now_ms: u64, ttl: Ttl) -> Result<Expiry, Answer<'t>> {
    deadline_of(scope, now_ms, ttl).map_err(Answer::from)
}

fn deadline_of(scope: Scope<'_>, now_ms: u64, ttl: Ttl) -> Result<Expiry, ParseError> {
    Ok(Expiry::At(deadline(ttl, now_ms, scope.limits.max_ttl_ms)?))
}
