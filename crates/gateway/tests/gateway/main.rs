//! The gateway over real HTTP on loopback: real rmcp servers and clients, hand-written ones where
//! bytes count or where servers misbehave. One program, so that it links once.
//!
//! Tests named `rule_NN_…` prove the numbered rules of the project's notes on MCP.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can not go on fails where it stands"
)]

mod access;
mod breaking_off;
mod bridging;
mod changes;
mod eras;
mod faults;
mod front;
mod http_sse;
mod isolation;
mod logins;
mod naming;
mod own_secrets;
mod quotas;
mod real;
mod resuming;
mod rig;
mod round_trips;
mod routing;
mod scripted;
mod search;
mod sleeping;
mod transparency;
mod wire;
