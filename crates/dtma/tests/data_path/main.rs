//! The MCP data path in front of real server processes.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests: loudly, at the line"
)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod bench;
mod http_tool;
mod limits;
mod own;
mod sessions;
mod sse_tool;
mod stateless;
mod trouble;
