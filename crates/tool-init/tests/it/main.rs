//! The real binary, and the host library, against each other and against bad peers.
//!
//! [`common`] runs the binary; [`sessions`] servers and their ends; [`secrets`] where they are not;
//! [`lifecycle`] connections and shutdown; [`host`] strangers at the socket; [`frames`] the codec.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic like the tests themselves"
)]

mod common;
mod frames;
mod host;
mod lifecycle;
mod secrets;
mod sessions;
