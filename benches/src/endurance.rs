//! Endurance: a store under load for as long as one likes, killed, reopened, compacted, and held to what it promises.
//!
//! Two parts. [`mixed`] kills a process that uses a store in every way, again and again, and looks whether anything
//! acknowledged is lost or anything that had gone is back. [`overwrites`] measures what compaction takes and gives: space,
//! writes, and the patience of those who use the store meanwhile.

pub mod change;
pub mod faults;
pub mod history;
pub mod journal;
pub mod latency;
pub mod load;
pub mod mixed;
pub mod overwrites;
pub mod space;

/// What ends a run: there is no telling then whether the store keeps its promises.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of what a run consists of.
pub type Result<T> = std::result::Result<T, Error>;
