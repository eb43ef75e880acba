//! The crate as its users see it, in one test binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod codec;
mod json;
mod replies;
mod requests;

use proptest::test_runner::{Config, RngSeed};

/// Property tests that try the same cases on every run: looking for new ones is the fuzzer's work.
fn same_cases() -> Config {
    Config { rng_seed: RngSeed::Fixed(0x1a4de4), failure_persistence: None, cases: 512, ..Config::default() }
}
