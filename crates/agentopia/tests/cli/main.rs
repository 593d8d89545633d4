//! The real program against the real API: router, SQLite store and vault are those of production;
//! only machines and tools are played ([`server`]), because they are not what is tested here.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has to say where"
)]

mod agents;
mod deploying;
mod environment;
mod exit_codes;
mod import_legacy;
mod lint;
mod orphans;
mod server;
mod signing_in;
mod tool_login;
mod values;
mod verify;
