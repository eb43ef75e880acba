//! Fuzz targets: one function for each, from bytes to nothing, which panics if a property does not hold.
//!
//! What runs them is of no concern here. `fuzz_targets/` hands them to libFuzzer, the binary `larder-fuzz` feeds them
//! seeds and mutations of seeds. Each target spends the first bytes of its input on choices (where to split a stream,
//! what to damage), so that one input says everything, and the same input always does the same.
//!
//! Checksums keep a fuzzer from ever getting behind them by chance. So the targets that read the log can mend all
//! checksums after the damage is done ([`layout`]): then the checks behind them are met with everything that a
//! decoder could be given.

#![forbid(unsafe_code)]

mod fixture;
mod input;
pub mod layout;
mod log;
pub mod mutate;
mod repair;
mod request;
mod rewrite;
mod store;

pub use log::{log, seeds as log_seeds};
pub use repair::{salvage, verify};
pub use request::{request, seeds as request_seeds};
pub use store::{seeds as store_seeds, store};
