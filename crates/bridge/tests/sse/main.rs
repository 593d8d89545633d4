//! Streamable HTTP in front of HTTP+SSE servers, over real sockets: a server that follows the rules, and
//! all kinds that do not.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests: loudly, at the line"
)]

mod bench;
mod far;
mod hostile;
mod opening;
mod sessions;
mod talk;
