//! Stories about the HTTP API, told against the real router and the real store (SQLite in a
//! temporary directory). The seams to machines and gateway are played by `app::World`; the whole
//! system with real machines is tested in `e2e`.

#![expect(
    clippy::unwrap_used,
    reason = "what is not as expected here is a failure of the test"
)]

mod agents;
mod app;
mod bad_input;
mod catalog;
mod catalog_import;
mod document;
mod environment;
mod events;
mod idle;
mod instances;
mod legacy_import;
mod link_secrets;
mod mcp_registry;
mod oauth;
mod orphans;
mod remote;
mod secrets;
mod settings;
mod setup;
mod sign_in;
mod tenants;
mod tokens;
mod users;
mod verification;
mod versions;
