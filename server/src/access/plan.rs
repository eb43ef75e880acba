//! Plans: what an organization may hold and ask for.

use std::fmt;

use larder_engine::Quota;
use serde::{Deserialize, Serialize};

use super::error::AccessError;

/// Entries of the plan Starter.
const STARTER_ENTRIES: u64 = 100;
/// Fewest and most entries of the plan Team.
const TEAM_ENTRIES_MIN: u64 = 500;
const TEAM_ENTRIES_MAX: u64 = 1_000;
/// Most entries that a limit can name, and most requests a second.
const ENTRIES_MAX: u64 = 1 << 40;
const RATE_MAX: u64 = 1_000_000;
/// Most bytes that a limit on values can name: more than any value may have in any case.
const VALUE_BYTES_MAX: u64 = 1 << 30;

/// What an organization pays for, so to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Plan {
    /// Nothing is allowed.
    Free,
    /// 100 entries.
    Starter,
    /// 500 entries, or more, up to 1,000.
    Team,
    /// As many entries as there is room for.
    #[default]
    Scale,
}

/// What is configured of an organization: its plan, and limits of its own where they differ from the plan's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) plan: Plan,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<u64>,
}

/// A change of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Back to what the plan says.
    ToPlan,
    To(u64),
}

/// A change of terms; what is not named stays.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TermsChange {
    pub(crate) plan: Option<Plan>,
    pub(crate) entries: Option<Change>,
    pub(crate) value_bytes: Option<Change>,
    pub(crate) rate: Option<Change>,
}

impl Plan {
    pub(crate) const ALL: [Plan; 4] = [Plan::Free, Plan::Starter, Plan::Team, Plan::Scale];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Plan::Free => "free",
            Plan::Starter => "starter",
            Plan::Team => "team",
            Plan::Scale => "scale",
        }
    }

    /// The plan of that name.
    pub(crate) fn from_name(name: &str) -> Result<Plan, AccessError> {
        let named = Plan::ALL.into_iter().find(|plan| plan.as_str() == name);
        named.ok_or_else(|| AccessError::Plan { name: name.to_owned() })
    }

    fn entries(self) -> Option<u64> {
        match self {
            Plan::Free => Some(0),
            Plan::Starter => Some(STARTER_ENTRIES),
            Plan::Team => Some(TEAM_ENTRIES_MIN),
            Plan::Scale => None,
        }
    }

    /// The limits on entries that can be agreed on in this plan.
    fn check_entries(self, entries: u64) -> Result<u64, AccessError> {
        let (min, max) = match self {
            Plan::Free | Plan::Starter => return Err(AccessError::FixedEntries { plan: self }),
            Plan::Team => (TEAM_ENTRIES_MIN, TEAM_ENTRIES_MAX),
            Plan::Scale => (1, ENTRIES_MAX),
        };
        within("entries", entries, min, max)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Terms {
    /// These terms with a change. With another plan the limit on entries is that of the plan, unless it is named too.
    pub(crate) fn with(self, change: TermsChange) -> Result<Terms, AccessError> {
        let plan = change.plan.unwrap_or(self.plan);
        let entries = if plan == self.plan { self.entries } else { None };
        let of = |change: Option<Change>, present: Option<u64>| match change {
            None => present,
            Some(Change::ToPlan) => None,
            Some(Change::To(limit)) => Some(limit),
        };
        let terms = Terms {
            plan,
            entries: of(change.entries, entries),
            value_bytes: of(change.value_bytes, self.value_bytes),
            rate: of(change.rate, self.rate),
        };
        terms.entries.map(|entries| plan.check_entries(entries)).transpose()?;
        terms.value_bytes.map(|bytes| within("value_bytes", bytes, 1, VALUE_BYTES_MAX)).transpose()?;
        terms.rate.map(|rate| within("rate", rate, 1, RATE_MAX)).transpose()?;
        Ok(terms)
    }

    /// Most live entries.
    pub(crate) fn entries(&self) -> Option<u64> {
        self.entries.or(self.plan.entries())
    }

    /// Most bytes of a value.
    pub(crate) fn value_bytes(&self) -> Option<u64> {
        self.value_bytes
    }

    /// Most requests a second.
    pub(crate) fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// What the engine holds writes to.
    pub(crate) fn quota(&self) -> Quota {
        let value_bytes = self.value_bytes().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Quota { entries: self.entries(), value_bytes }
    }
}

fn within(what: &'static str, value: u64, min: u64, max: u64) -> Result<u64, AccessError> {
    if (min..=max).contains(&value) { Ok(value) } else { Err(AccessError::Limit { what, value, min, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(plan: Plan, entries: Option<u64>) -> Result<Option<u64>, String> {
        let change = TermsChange { plan: Some(plan), entries: entries.map(Change::To), ..Default::default() };
        let terms = Terms::default().with(change).map_err(|error| error.to_string())?;
        Ok(terms.entries())
    }

    #[test]
    fn plans_say_how_many_entries() {
        assert_eq!(terms(Plan::Free, None), Ok(Some(0)));
        assert_eq!(terms(Plan::Starter, None), Ok(Some(100)));
        assert_eq!(terms(Plan::Team, None), Ok(Some(500)));
        assert_eq!(terms(Plan::Team, Some(1_000)), Ok(Some(1_000)));
        assert_eq!(terms(Plan::Scale, None), Ok(None));
        assert_eq!(terms(Plan::Scale, Some(7)), Ok(Some(7)));
        for (plan, entries) in [
            (Plan::Free, 1),
            (Plan::Starter, 101),
            (Plan::Team, 499),
            (Plan::Team, 1_001),
            (Plan::Scale, 0),
            (Plan::Scale, u64::MAX),
        ] {
            assert!(terms(plan, Some(entries)).is_err(), "{plan} {entries}");
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let change = |change| move |terms: Terms| terms.with(change).unwrap();
        let team = change(TermsChange {
            plan: Some(Plan::Team),
            entries: Some(Change::To(600)),
            value_bytes: Some(Change::To(10)),
            rate: Some(Change::To(5)),
        })(Terms::default());
        let slower = change(TermsChange { rate: Some(Change::To(1)), ..Default::default() })(team);
        assert_eq!((slower.entries(), slower.value_bytes(), slower.rate()), (Some(600), Some(10), Some(1)));
        let freed = change(TermsChange { rate: Some(Change::ToPlan), ..Default::default() })(slower);
        assert_eq!((freed.rate(), freed.value_bytes()), (None, Some(10)));
        let starter = change(TermsChange { plan: Some(Plan::Starter), ..Default::default() })(freed);
        assert_eq!((starter.entries(), starter.value_bytes()), (Some(100), Some(10)));
        for plan in Plan::ALL {
            assert_eq!(Plan::from_name(plan.as_str()).unwrap(), plan);
        }
        assert!(Plan::from_name("Gold").is_err());
    }
}
