//! Run by `script/fuzz http1`; what must hold stands in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agentopia_fuzz::http1(data));
