//! Entry point of libFuzzer for [`larder_fuzz::request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| larder_fuzz::request(input));
