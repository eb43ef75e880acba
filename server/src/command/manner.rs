//! How an interface has its writes carried out, where that differs from the line protocol.

use larder_engine::{Quota, Writer};
use larder_protocol::Command;

use super::answer::Answer;
use super::change::Ahead;
use super::read::{Scope, entry, misrouted};
use super::write::write;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// A set that happens is answered with the entry as it then is.
    pub(crate) shows: bool,
    /// Most entries of an organization, where its own limit is not lower.
    pub(crate) entries_max: Option<u64>,
}

impl Manner {
    /// What writes are held to.
    pub(super) fn quota(self, own: Quota) -> Quota {
        let entries = own.entries.into_iter().chain(self.entries_max).min();
        Quota { entries, ..own }
    }

    /// Carries out a command, whether it writes or not.
    pub(super) fn write<'t>(
        self,
        writer: &mut Writer<'_>,
        scope: Scope<'t>,
        command: &'t Command<'t>,
        ahead: &mut Ahead<'t>,
    ) -> Answer<'t> {
        let Some(answer) = write(writer, scope, command, ahead) else { return misrouted().into() };
        match (&answer, command) {
            (Answer::Written(Ok(_)), Command::Set(set)) if self.shows => {
                entry(writer, scope, &set.key).unwrap_or_else(|refused| refused)
            }
            _ => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_limit_counts() {
        let quota = |own, entries_max| {
            let own = Quota { entries: own, value_bytes: Some(7) };
            let quota = Manner { shows: false, entries_max }.quota(own);
            assert_eq!(quota.value_bytes, Some(7));
            quota.entries
        };
        assert_eq!(quota(None, None), None);
        assert_eq!(quota(Some(5), None), Some(5));
        assert_eq!(quota(None, Some(6)), Some(6));
        assert_eq!(quota(Some(5), Some(6)), Some(5));
        assert_eq!(quota(Some(7), Some(6)), Some(6));
    }
}
