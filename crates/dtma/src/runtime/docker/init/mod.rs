//! The host side of `tool-init`, the PID 1 of every tool container.
//!
//! * [`launch`]: what a server is started with: configuration and secrets, which reach the
//!   container this way and no other.
//! * [`link`]: the one control connection of a container: waits for `tool-init`, checks who
//!   connected, asks it to start and signal servers. One task (`actor`) owns the connection.
//! * [`session`]: a stdio server's process as the data path sees it.
//!
//! Protocol and pitfalls: `crates/tool-init`.

mod actor;
mod launch;
mod link;
mod session;
#[cfg(test)]
mod tests;

pub(super) use launch::Launch;
pub(super) use link::{HttpState, InitLink, LinkConfig};
pub(super) use session::Spawner;
