//! The program `dtma` as a real process, with the `process` runtime and real tools.
//!
//! Only the control plane is a stand-in ([`control_plane`]): a small HTTPS server that speaks the
//! real contract with the real certificates. The whole system is tested with the real one elsewhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod containers;
mod control_plane;
mod crashes;
mod enrolment;
mod lifecycle;
mod machine;
mod outage;
mod tools;
mod update_crashes;
mod updates;
mod versions;
