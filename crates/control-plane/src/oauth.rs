//! The authorization server for MCP clients (AGT-7): a person signs in with the browser, sees which
//! program wants to use which endpoint, and agrees; the program gets tokens for that endpoint alone.
//!
//! Here are the rules, most of them pure: what a redirect address may look like ([`redirect`]), which
//! endpoint a resource is ([`resource`]), proofs of possession ([`pkce`]), scopes ([`scope`]), who a
//! client is ([`client`], [`document`], [`guarded`]), whether a request may be shown to a person ([`request`]), and
//! tokens ([`exchange`]). `http/oauth` has the addresses and pages, `agentopia_store::Grants` what is
//! kept. Why it is our own: `docs/decisions/0009-own-authorization-server.md`.

pub mod client;
pub mod document;
pub mod exchange;
pub mod guarded;
pub mod owned;
pub mod pkce;
pub mod redirect;
pub mod request;
pub mod resource;
pub mod scope;

use chrono::TimeDelta;

/// How long a code may be redeemed.
pub const CODE_LIFE: TimeDelta = TimeDelta::seconds(60);
/// How long an access token opens its endpoint.
pub const ACCESS_LIFE: TimeDelta = TimeDelta::hours(1);
/// How long a client may stay away without a new login.
pub const REFRESH_LIFE: TimeDelta = TimeDelta::days(30);
/// How long a registration waits for its first use.
pub const UNUSED_CLIENT_LIFE: TimeDelta = TimeDelta::days(1);
/// How long a registration is kept after a use.
pub const USED_CLIENT_LIFE: TimeDelta = TimeDelta::days(90);
/// How many registrations there may be at once.
pub const MOST_CLIENTS: u64 = 10_000;
