//! The API over HTTP, called in this process without a socket (but for `sockets`), under a clock that
//! the test moves. One program, so that it links once.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can not go on fails where it stands"
)]

mod access;
mod actions;
mod admin;
mod determinism;
mod droplets;
mod faults;
mod firewalls;
mod images;
mod limits;
mod machines;
mod pages;
mod projects;
mod rig;
mod sockets;
mod tags;
