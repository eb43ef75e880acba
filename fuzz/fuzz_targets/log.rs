//! Entry point of libFuzzer for [`larder_fuzz::log`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| larder_fuzz::log(input));
