//! The control plane: the public HTTP API, its authentication, and the configuration that it all
//! runs on. Handlers write intent and return; what acts on intent is in the reconcilers.
//!
//! * [`config`]: one TOML file plus environment variables.
//! * [`state`]: what handlers are given, and the seams that `serve` fills in.
//! * [`http`]: the router; one file an operation under `http/v1/<noun>/<verb>.rs`.
//! * [`auth`]: who is calling and what they may do; [`auth::permission`] is the one table.
//! * [`machines`], [`reconcilers`], [`mcp_gateway`]: what acts on intent, and on calls.
//! * [`verification`], [`doctor`]: look whether the installation, or one instance, works.
//! * [`serve`]: puts it all together; [`installation`] has the secrets that all replicas share.
//! * [`problem`]: how every refusal looks; [`openapi`]: the document made from the code; [`log_out`]: where the log goes.

pub mod auth;
pub mod catalog_seed;
pub mod config;
pub mod doctor;
pub mod http;
pub mod installation;
pub mod log_out;
pub mod machines;
pub mod mcp_gateway;
pub mod oauth;
pub mod openapi;
pub mod packages;
pub mod problem;
pub mod reconcilers;
pub mod serve;
pub mod state;
#[cfg(test)]
mod testing;
pub mod upstream_login;
pub mod verification;
