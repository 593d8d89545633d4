//! The program `dtma` as a real process, with the `process` runtime and real tools. With containers:
//! `tests/docker_machine`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/machine/mod.rs"]
mod machine;

mod api;
mod crashes;
mod enrolment;
mod lifecycle;
mod outage;
mod update_crashes;
mod updates;
mod versions;
