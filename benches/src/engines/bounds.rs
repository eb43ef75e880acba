//! What Larder has to reach beside the others, as far as it is about the engine.

use super::work::{CALLERS, Measure};

/// What a figure of Larder's is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Against {
    /// The best of all other engines.
    Best,
    /// The engine of that name.
    Peer(&'static str),
    /// Larder's own figure for something else.
    Itself(Measure),
    /// So many times the loop of write and fdatasync.
    Loop(f64),
    /// Nothing: it is a number by itself.
    Nothing,
}

/// A bound on one measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// What Larder's figure is divided by.
    pub against: Against,
    /// The least that must come out, or the most where less is better.
    pub limit: f64,
}

/// The bound on a measure, if there is one.
#[must_use]
pub fn bound(measure: Measure) -> Option<Bound> {
    let (against, limit) = match measure {
        Measure::Load | Measure::Overwrite => (Against::Best, 2.0),
        Measure::Get => (Against::Best, 1.5),
        Measure::GetByTwo => (Against::Itself(Measure::Get), 1.8),
        Measure::Scan => (Against::Peer("lmdb"), 0.5),
        Measure::ScanCompacted => (Against::Peer("lmdb"), 1.0),
        Measure::Durable => (Against::Loop(1.0), 0.9),
        Measure::DurableBySixteen => (Against::Peer("rocksdb"), 1.2),
        Measure::DurableByMany => (Against::Loop(CALLERS as f64), 0.5),
        Measure::Memory => (Against::Nothing, 100.0),
        Measure::MemoryTimed => (Against::Nothing, 150.0),
        Measure::Loop => return None,
    };
    Some(Bound { against, limit })
}

/// Whether less of it is better.
#[must_use]
pub fn is_cost(measure: Measure) -> bool {
    matches!(measure, Measure::Memory | Measure::MemoryTimed)
}
