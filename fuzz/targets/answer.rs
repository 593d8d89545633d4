//! Run by `script/fuzz answer`; what must hold stands in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agentopia_fuzz::answer(data));
