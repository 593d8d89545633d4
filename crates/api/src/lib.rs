//! The wire types of the public API (`/api/v1`), shared by the control plane and the CLI so that
//! neither can drift from the other without failing to compile. One file a noun.
//!
//! Conventions: snake case; times in RFC 3339, UTC; requests refuse unknown fields, so that a
//! typing error is an error; answers may gain fields, so readers ignore what they don't know.
//! Secrets are [`secrecy::SecretString`]: they are written to the wire by [`expose`] and nowhere
//! else, and `Debug` hides them.
//!
//! Where to look next: [`problem`] for how every refusal looks, [`page`] for lists, and
//! `docs/openapi.json` for the document made from all of this.

pub mod agent;
pub mod auth;
pub mod call;
pub mod catalog;
pub mod catalog_import;
pub mod client_config;
pub mod definition;
pub mod discovery;
pub mod environment;
pub mod event;
pub mod expose;
pub mod grant;
pub mod health;
pub mod instance;
pub mod legacy;
pub mod link;
pub mod mcp_registry;
pub mod orphan;
pub mod page;
pub mod problem;
pub mod registry_login;
pub mod secret;
pub mod settings;
pub mod token;
pub mod upstream_login;
pub mod user;
pub mod verification;
pub mod version;

pub use page::Page;
pub use problem::Problem;

/// Header of a change made with a session cookie: the token from the answer to signing in.
pub const CSRF_HEADER: &str = "x-csrf-token";
/// Header of the service-to-service calls under `/internal`.
pub const INTERNAL_SECRET_HEADER: &str = "x-internal-api-secret";
/// Header of every answer: the id to look for in the log.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
/// The cookie of a browser session.
pub const SESSION_COOKIE: &str = "agentopia_session";
