//! The `docker` runtime against a real engine. There is no fake of one: without an engine these
//! tests fail and say how to start one.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests: loudly, at the line"
)]

#[path = "../support/mod.rs"]
mod support;

mod adoption;
mod direct_access;
mod egress;
mod engine_away;
mod faults;
mod hardening;
mod http_server;
mod leftovers;
mod machine;
mod packages;
mod registry;
mod stdio_server;
mod volumes;
