//! The real binary, over stdio and HTTP, in both eras; and its faults.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic like the tests themselves"
)]

mod faults;
mod http;
mod process;
mod stdio;
