//! Every test of the store, each on SQLite and on PostgreSQL (`common.rs` has the macro).

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed; clippy sees only functions marked as tests"
)]

mod common;
mod fixtures;

mod agents;
mod calls;
mod catalog;
mod credentials;
mod definitions;
mod direct_access;
mod egress;
mod environments;
mod events;
mod gateway;
mod grants;
mod identity;
mod instances;
mod leases;
mod legacy;
mod link_secrets;
mod metrics;
mod orphans;
mod quotas;
mod room;
mod secrets;
mod sleep;
mod start;
mod upstream_logins;
mod versions;
