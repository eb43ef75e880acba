//! Organizations: who shares a server without seeing of each other.

use larder_engine::Tenant;
use serde::{Deserialize, Serialize};

use super::error::AccessError;
use super::plan::Terms;
use super::rate::RateLimit;

/// Longest name of an organization.
pub(crate) const NAME_CHARS_MAX: usize = 64;
/// Reads a second that are told to be the limit where none is set.
const READS_PER_SECOND_SOFT: u64 = 1_000;
/// The organization of those who configure none. It is always there.
pub(crate) const DEFAULT_NAME: &str = "default";

/// What is kept of an organization, under its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The number of its entries' tenant, which no other organization has or had.
    pub(crate) tenant: u32,
    #[serde(flatten)]
    pub(crate) terms: Terms,
    pub(crate) created_at: u64,
}

/// An organization at work: shared by the connections that act in it, and replaced as a whole when it changes.
#[derive(Debug)]
pub(crate) struct Organization {
    pub(crate) name: Box<str>,
    pub(crate) tenant: Tenant,
    pub(crate) terms: Terms,
    pub(crate) created_at: u64,
    /// What its requests are held to, if they are.
    pub(crate) rate: Option<RateLimit>,
    /// What its reads are measured by where nothing holds them up.
    pub(crate) reads: RateLimit,
}

/// An organization as it is shown.
#[derive(Serialize)]
struct Shown<'o> {
    organization: &'o str,
    plan: &'static str,
    entries_max: Option<u64>,
    value_bytes_max: Option<u64>,
    rate_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
}

/// Checks a name.
pub(crate) fn check_name(name: &str) -> Result<(), AccessError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed);
    if fits { Ok(()) } else { Err(AccessError::Name) }
}

impl Organization {
    pub(crate) fn new(name: &str, record: &Record) -> Organization {
        Organization {
            name: name.into(),
            tenant: Tenant(record.tenant),
            terms: record.terms,
            created_at: record.created_at,
            rate: record.terms.rate().map(RateLimit::new),
            reads: RateLimit::new(READS_PER_SECOND_SOFT),
        }
    }

    /// What stands for nobody's organization: nothing is allowed in it, and its tenant has nothing.
    pub(crate) fn nobodys(tenant: Tenant) -> Organization {
        let record = Record { tenant: tenant.0, terms: Terms::default(), created_at: 0 };
        Organization::new("", &record)
    }

    /// The organization `default`, unless somebody has said something of it.
    pub(crate) fn default() -> Organization {
        let record = Record { tenant: Tenant::DEFAULT.0, terms: Terms::default(), created_at: 0 };
        Organization::new(DEFAULT_NAME, &record)
    }

    pub(crate) fn record(&self) -> Record {
        Record { tenant: self.tenant.0, terms: self.terms, created_at: self.created_at }
    }

    /// As JSON, as the operator sees it: limits that are not there are null. `entries` are how many live ones there are.
    pub(crate) fn to_json(&self, entries: Option<u64>) -> String {
        let created_at = Some(self.created_at);
        json(&Shown { created_at, entries, ..self.shown() })
    }

    /// As JSON, as its members see it.
    pub(crate) fn usage_json(&self, entries: u64) -> String {
        json(&Shown { entries: Some(entries), ..self.shown() })
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            organization: &self.name,
            plan: self.terms.plan.as_str(),
            entries_max: self.terms.entries(),
            value_bytes_max: self.terms.value_bytes(),
            rate_max: self.terms.rate(),
            created_at: None,
            entries: None,
        }
    }
}

/// Numbers and texts: there is nothing in it that could fail to be written.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a", "acme-2", "0", "-", &"x".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "a b", "a_b", "a.b", "../a", "é", "a\n", "a\0", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record { tenant: 7, terms: Terms::default(), created_at: 5 };
        let text = json(&record);
        assert_eq!(text, r#"{"tenant":7,"plan":"scale","created_at":5}"#);
        let read: Record = serde_json::from_str(&text).unwrap();
        assert_eq!((read.tenant, read.terms, read.created_at), (7, record.terms, 5));
        let shown = Organization::new("acme", &read).to_json(None);
        let expected = r#"{"organization":"acme","plan":"scale","entries_max":null,"value_bytes_max":null,"rate_max":null,"created_at":5}"#;
        assert_eq!(shown, expected);
    }
}
