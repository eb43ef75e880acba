//! Broken promises: how many of each kind, and what the first ones were.

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An acknowledged write is not there.
    Lost,
    /// An overwritten, deleted or expired value is there.
    Resurrected,
    /// A part of a transaction is there.
    Half,
    /// Anything else: damage, a version given out twice, a value that nobody wrote, an error.
    Other,
}

/// All that was broken.
#[derive(Debug, Default)]
pub struct Faults {
    counts: [u64; 4],
    /// What the first were.
    pub first: Vec<String>,
}

/// So many are told in full.
const TOLD_MAX: usize = 20;

impl Faults {
    /// Notes one.
    pub fn note(&mut self, fault: Fault, what: String) {
        self.counts[fault as usize] += 1;
        if self.first.len() < TOLD_MAX {
            self.first.push(format!("{fault:?}: {what}"));
        }
    }

    /// How many there were of a kind.
    #[must_use]
    pub fn count(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts == [0; 4]
    }
}
