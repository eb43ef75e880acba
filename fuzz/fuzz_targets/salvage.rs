//! Entry point of libFuzzer for [`larder_fuzz::salvage`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| larder_fuzz::salvage(input));
