//! Entry point of libFuzzer for [`larder_fuzz::verify`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| larder_fuzz::verify(input));
