//! The Droplet Tool Management Agent: the program on an environment's machine.
//!
//! It enrols with the control plane ([`identity`]), takes the whole desired state of each instance
//! over its HTTPS API ([`server`]), keeps it on disk without secrets ([`ledger`]), converges the
//! machine to it ([`reconciler`], through a [`runtime`]), carries the MCP traffic ([`mcp`]) and
//! reports what it sees ([`heartbeat`], [`metrics`]). A newer version of itself it fetches and tries
//! by itself ([`update`]).
//!
//! Where to look next: [`agent`] wires all of it together; `main.rs` only reads the command line.

pub mod agent;
pub mod config;
pub mod disk;
pub mod facts;
pub mod files;
pub mod health;
pub mod heartbeat;
pub mod identity;
pub mod ledger;
pub mod mcp;
pub mod metrics;
pub mod reconciler;
pub mod runtime;
pub mod server;
pub mod update;

#[cfg(test)]
mod testing;
