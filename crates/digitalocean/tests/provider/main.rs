//! The provider against the simulator, in this process and under virtual time: one droplet for each
//! environment whatever happens to requests and answers, and nothing left behind.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on fails where it stands"
)]

mod create;
mod find;
mod inventory;
mod open_ports;
mod refusals;
mod remove;
mod resize;
mod rig;
mod verify;
