//! What a client may: an organization, a scope, namespaces, and until when.
//!
//! It is made when the client authenticates, and again when anything has changed; to decide by it takes a few comparisons,
//! no lock and no memory.

use std::sync::Arc;
use std::time::Duration;

use larder_engine::{Quota, Tenant};

use super::key::Key;
use super::organization::Organization;
use super::plan::Plan;
use super::rate::RateLimit;
use super::scope::{Namespaces, Scope};

/// The tenant of whoever has not authenticated: nothing is ever written there.
const NOBODY: Tenant = Tenant(u32::MAX - 1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Grant {
    organization: Arc<Organization>,
    /// `None` allows nothing.
    scope: Option<Scope>,
    namespaces: Option<Namespaces>,
    /// The grant ends then, in Unix milliseconds; `u64::MAX` for never.
    expires_at_ms: u64,
}

/// What something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: anybody may.
    Nothing,
    /// To be somebody whose organization has a plan; it is not counted as a request.
    Enter,
    /// To read data.
    Read,
    /// To write data.
    Write,
    /// To be the operator.
    Manage,
}

/// Why something is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Nobody has authenticated.
    NoAuth,
    /// The key has expired.
    Expired,
    /// The key only reads.
    ReadOnly,
    /// The key is not the operator's.
    NotOperator,
    /// The key is not for this namespace.
    Namespace,
    /// The plan allows nothing.
    Plan,
    /// Too many requests: when the next may come.
    Rate { per_second: u64, retry: Duration },
}

impl Grant {
    /// Of whoever has not authenticated.
    pub(crate) fn nobody() -> Grant {
        let organization = Arc::new(Organization::nobodys(NOBODY));
        Grant { organization, scope: None, namespaces: None, expires_at_ms: u64::MAX }
    }

    /// Of everybody, where there are no keys.
    pub(crate) fn without_key(organization: Arc<Organization>, scope: Scope) -> Grant {
        Grant { organization, scope: Some(scope), namespaces: None, expires_at_ms: u64::MAX }
    }

    pub(crate) fn of(key: &Key, organization: Arc<Organization>) -> Grant {
        Grant {
            organization,
            scope: Some(key.scope),
            namespaces: key.namespaces.clone(),
            expires_at_ms: key.expires_at.unwrap_or(u64::MAX),
        }
    }

    /// Whether it is that of nobody.
    pub(crate) fn is_nobodys(&self) -> bool {
        self.scope.is_none()
    }

    pub(crate) fn is_operators(&self) -> bool {
        self.scope == Some(Scope::Admin)
    }

    pub(crate) fn organization(&self) -> &Organization {
        &self.organization
    }

    pub(crate) fn tenant(&self) -> Tenant {
        self.organization.tenant
    }

    pub(crate) fn quota(&self) -> Quota {
        self.organization.terms.quota()
    }

    /// The namespaces that it is for; `None` for all.
    pub(crate) fn namespaces(&self) -> Option<&Namespaces> {
        self.namespaces.as_ref()
    }

    pub(crate) fn expires_at_ms(&self) -> Option<u64> {
        (self.expires_at_ms != u64::MAX).then_some(self.expires_at_ms)
    }

    /// Whether a namespace is among those that it is for.
    #[inline]
    pub(crate) fn holds(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.hold(namespace))
    }

    /// Whether a connection may go to a namespace.
    pub(crate) fn may_enter(&self, namespace: &str) -> bool {
        !self.is_nobodys() && self.organization.terms.plan != Plan::Free && self.holds(namespace)
    }

    /// Whether something is allowed, in a namespace where it is about one. If so, it is counted as a request.
    #[inline]
    pub(crate) fn check(&self, need: Need, namespace: Option<&str>, now_ms: u64) -> Result<(), Denial> {
        self.check_again(need, namespace, now_ms)?;
        match self.counted(need) {
            Some(rate) => rate.take().map_err(|retry| Denial::Rate { per_second: rate.per_second(), retry }),
            None => Ok(()),
        }
    }

    /// As [`check`](Grant::check), of what was counted before.
    #[inline]
    pub(crate) fn check_again(&self, need: Need, namespace: Option<&str>, now_ms: u64) -> Result<(), Denial> {
        let least = match need {
            Need::Nothing => return Ok(()),
            Need::Enter | Need::Read => Scope::ReadOnly,
            Need::Write => Scope::FullAccess,
            Need::Manage => Scope::Admin,
        };
        if self.scope < Some(least) || now_ms >= self.expires_at_ms {
            return Err(self.denial(need, now_ms));
        }
        if need == Need::Manage {
            return Ok(());
        }
        if self.organization.terms.plan == Plan::Free {
            return Err(Denial::Plan);
        }
        if namespace.is_some_and(|namespace| !self.holds(namespace)) {
            return Err(Denial::Namespace);
        }
        Ok(())
    }

    /// Takes back that something which was allowed is counted: it will be asked for once more.
    #[cold]
    pub(crate) fn uncount(&self, need: Need) {
        if let Some(rate) = self.counted(need) {
            rate.give_back();
        }
    }

    /// What counts it, if anything does.
    #[inline]
    fn counted(&self, need: Need) -> Option<&RateLimit> {
        match need {
            Need::Read | Need::Write => self.organization.rate.as_ref(),
            Need::Nothing | Need::Enter | Need::Manage => None,
        }
    }

    #[cold]
    fn denial(&self, need: Need, now_ms: u64) -> Denial {
        match self.scope {
            None => Denial::NoAuth,
            Some(_) if now_ms >= self.expires_at_ms => Denial::Expired,
            Some(_) if need == Need::Manage => Denial::NotOperator,
            Some(_) => Denial::ReadOnly,
        }
    }

    /// Whether the key itself still counts, whatever its organization may.
    pub(crate) fn check_key(&self, now_ms: u64) -> bool {
        self.scope.is_some() && now_ms < self.expires_at_ms
    }

    /// Whether what goes on by itself, as watching does, may still go on.
    pub(crate) fn check_on(&self, now_ms: u64) -> Result<(), Denial> {
        self.check(Need::Enter, None, now_ms)
    }
}
