//! The crate as its users see it, in one test binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod codec;
mod json;
mod merge;
mod replies;
mod requests;
mod transactions;

use proptest::test_runner::{Config, RngSeed};

/// Property tests that try the same cases on every run, 512 of them or as many more as `PROPTEST_CASES` says: looking
/// for new ones is the fuzzer's work.
fn same_cases() -> Config {
    let default = Config::default();
    let cases = default.cases.max(512);
    Config { rng_seed: RngSeed::Fixed(0x1a4de4), failure_persistence: None, cases, ..default }
}
