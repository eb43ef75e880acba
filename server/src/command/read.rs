//! Commands that change nothing, and those that need no store at all.

use std::borrow::Cow;

use larder_engine::{Address, Found, NamespacePage, NamespaceScan, Page, Scan, Stamp, Tenant, View, Writer};
use larder_protocol::{Code, Command, Limits, List, ParseError};

use super::answer::Answer;
use super::failure::{denial, refusal};
use crate::access::{Denial, Grant, Namespaces};

/// What the store can be asked under either lock: a turn that writes also reads.
pub(crate) trait Reader {
    fn now_ms(&self) -> u64;
    fn get(&mut self, at: Address<'_>) -> Option<Found>;
    fn stamp(&mut self, at: Address<'_>) -> Option<Stamp>;
    fn has_expired(&mut self, at: Address<'_>) -> bool;
    fn count(&mut self, tenant: Tenant, namespace: &str, prefix: &str) -> u64;
    fn entries(&mut self, tenant: Tenant) -> u64;
    fn scan(&mut self, tenant: Tenant, scan: &Scan<'_>) -> Page;
    fn namespaces(&mut self, tenant: Tenant, scan: &NamespaceScan<'_>) -> NamespacePage;
}

macro_rules! reader {
    ($type:ident) => {
        impl Reader for $type<'_> {
            fn now_ms(&self) -> u64 {
                $type::now_ms(self)
            }
            fn get(&mut self, at: Address<'_>) -> Option<Found> {
                $type::get(self, at)
            }
            fn stamp(&mut self, at: Address<'_>) -> Option<Stamp> {
                $type::stamp(self, at)
            }
            fn has_expired(&mut self, at: Address<'_>) -> bool {
                $type::has_expired(self, at)
            }
            fn count(&mut self, tenant: Tenant, namespace: &str, prefix: &str) -> u64 {
                $type::count(self, tenant, namespace, prefix)
            }
            fn entries(&mut self, tenant: Tenant) -> u64 {
                $type::entries(self, tenant)
            }
            fn scan(&mut self, tenant: Tenant, scan: &Scan<'_>) -> Page {
                $type::scan(self, tenant, scan)
            }
            fn namespaces(&mut self, tenant: Tenant, scan: &NamespaceScan<'_>) -> NamespacePage {
                $type::namespaces(self, tenant, scan)
            }
        }
    };
}

reader!(View);
reader!(Writer);

/// Where a command acts, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'t> {
    pub(crate) grant: &'t Grant,
    pub(crate) tenant: Tenant,
    pub(crate) namespace: &'t str,
    pub(crate) limits: &'t Limits,
}

impl<'t> Scope<'t> {
    /// The full name of an entry, or the answer to one that cannot exist.
    pub(super) fn address(&self, key: &'t str) -> Result<Address<'t>, Answer<'t>> {
        self.named(key).map_err(Answer::from)
    }

    /// As [`Scope::address`], with what is wrong as it is.
    pub(super) fn named(&self, key: &'t str) -> Result<Address<'t>, ParseError> {
        // Whatever a command's namespace comes from, nothing outside of the key's is named.
        if !self.grant.holds(self.namespace) {
            return Err(denial(Denial::Namespace));
        }
        Address::new(self.tenant, self.namespace, key).map_err(|error| refusal(&error.into()))
    }

    /// The same in another namespace, if one is named.
    pub(super) fn within(self, namespace: Option<&'t str>) -> Scope<'t> {
        Scope { namespace: namespace.unwrap_or(self.namespace), ..self }
    }
}

/// Carries out a command that changes nothing.
#[inline]
pub(crate) fn read<'t>(reader: &mut impl Reader, scope: Scope<'t>, command: &'t Command<'t>) -> Answer<'t> {
    try_read(reader, scope, command).unwrap_or_else(|refused| refused)
}

fn try_read<'t>(
    reader: &mut impl Reader,
    scope: Scope<'t>,
    command: &'t Command<'t>,
) -> Result<Answer<'t>, Answer<'t>> {
    Ok(match command {
        Command::Get { key, path } => Answer::Value(reader.get(scope.address(key)?), path.as_ref()),
        Command::Mget { keys } => mget(reader, scope, keys)?,
        Command::Entry { key } => entry(reader, scope, key)?,
        Command::Exists { keys } => exists(reader, scope, keys)?,
        Command::Ttl { key } => ttl(reader, scope.address(key)?),
        Command::List(list) => entries(reader, scope, list),
        Command::Count { prefix } | Command::Delprefix { prefix, dry: true } => {
            Answer::Number(reader.count(scope.tenant, scope.namespace, prefix))
        }
        Command::Namespaces { prefix, limit, after } => {
            let scan = NamespaceScan { prefix, after: after.as_deref(), limit: *limit };
            Answer::Namespaces(namespaces(reader, scope, &scan))
        }
        Command::Hello { .. } => Answer::Hello,
        Command::Ns(_) => Answer::Namespace(scope.namespace),
        Command::Help(verb) => Answer::Help(*verb),
        Command::Stats if scope.grant.is_operators() => Answer::Stats,
        Command::Stats => Answer::Object(scope.grant.organization().usage_json(reader.entries(scope.tenant))),
        Command::Ping | Command::Quit => Answer::Ok,
        Command::Set(_)
        | Command::Del { .. }
        | Command::Touch { .. }
        | Command::Persist { .. }
        | Command::Incr(_)
        | Command::Patch(_)
        | Command::Delprefix { dry: false, .. }
        | Command::Txn(_)
        | Command::Watch(_)
        | Command::Sync
        | Command::Compact
        | Command::Backup { .. }
        | Command::Auth(_)
        | Command::Org(_)
        | Command::Key(_) => misrouted().into(),
    })
}

/// An entry with all its fields.
pub(super) fn entry<'t>(
    reader: &mut impl Reader,
    scope: Scope<'t>,
    key: &'t str,
) -> Result<Answer<'t>, Answer<'t>> {
    let at = scope.address(key)?;
    let found = reader.get(at);
    let expired = found.is_none() && reader.has_expired(at);
    let organization = &*scope.grant.organization().name;
    Ok(Answer::Entry { found, expired, organization, namespace: scope.namespace, key })
}

fn mget<'t>(
    reader: &mut impl Reader,
    scope: Scope<'t>,
    keys: &'t [Cow<'t, str>],
) -> Result<Answer<'t>, Answer<'t>> {
    let founds = keys.iter().map(|key| Ok(reader.get(scope.address(key)?)));
    founds.collect::<Result<_, _>>().map(Answer::Values)
}

fn exists<'t>(
    reader: &mut impl Reader,
    scope: Scope<'t>,
    keys: &'t [Cow<'t, str>],
) -> Result<Answer<'t>, Answer<'t>> {
    let mut live = 0;
    for key in keys {
        live += u64::from(reader.stamp(scope.address(key)?).is_some());
    }
    Ok(Answer::Number(live))
}

fn ttl<'t>(reader: &mut impl Reader, at: Address<'_>) -> Answer<'t> {
    let now_ms = reader.now_ms();
    let stamp = reader.stamp(at);
    Answer::Left(stamp.map(|stamp| stamp.expires_at.map(|expires_at| expires_at.saturating_sub(now_ms))))
}

fn entries<'t>(reader: &mut impl Reader, scope: Scope<'t>, list: &List<'_>) -> Answer<'t> {
    let scan = Scan {
        namespace: scope.namespace,
        prefix: &list.prefix,
        after: list.after.as_deref(),
        reverse: list.reverse,
        limit: list.limit,
    };
    Answer::Entries { page: reader.scan(scope.tenant, &scan), values: list.values }
}

/// A page of the namespaces that the client's key is for.
pub(crate) fn namespaces(
    reader: &mut impl Reader,
    scope: Scope<'_>,
    scan: &NamespaceScan<'_>,
) -> NamespacePage {
    match scope.grant.namespaces() {
        None => reader.namespaces(scope.tenant, scan),
        Some(allowed) => namespaces_among(reader, scope.tenant, allowed, scan),
    }
}

/// A page of those namespaces that a key is for. Nothing beside them is looked at, and they come in order.
fn namespaces_among(
    reader: &mut impl Reader,
    tenant: Tenant,
    allowed: &Namespaces,
    scan: &NamespaceScan<'_>,
) -> NamespacePage {
    let mut items = Vec::new();
    for (prefix, all) in allowed.within(scan.prefix) {
        // One more than there is room for tells whether more follow.
        let limit = scan.limit + 1 - items.len();
        if limit == 0 {
            break;
        }
        let limit = if all { limit } else { 1 };
        let found = reader.namespaces(tenant, &NamespaceScan { prefix, limit, ..*scan }).items;
        items.extend(found.into_iter().filter(|(name, _)| all || name == prefix));
    }
    let more = items.len() > scan.limit;
    items.truncate(scan.limit);
    NamespacePage { items, more }
}

/// The table of commands and the dispatcher disagree: a fault of the server's own, and no reason to fall over.
#[cold]
pub(crate) fn misrouted() -> ParseError {
    debug_assert!(false, "a command is carried out where its row in the table says");
    let text = "this command went astray within the server; please report it".to_owned();
    ParseError { code: Code::Internal, text }
}
