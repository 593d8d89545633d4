//! Logins at MCP servers that run elsewhere and want OAuth 2.1 (AGT-7): we are the client here. The
//! owner of an instance begins a login, agrees in the browser at the server's own authorization server,
//! and comes back to us with a code, which we exchange for tokens that the vault keeps.
//!
//! The way of a login: [`discovery`] finds out from the server's answers who lets people in
//! ([`challenge`] and [`metadata`] judge them, pure), [`identity`] who we are there, [`begin`] makes the
//! address for the browser, [`complete`] takes the code, [`exchange`] speaks with the token endpoint,
//! [`tokens`] hands tokens out and renews them, [`logout`] forgets them. [`sealed`] is what the vault
//! keeps of it. Everything is fetched by `agentopia-remote`, so that a server can't make us call our own
//! network. Why it is built like this: `docs/decisions/0013-logins-at-remote-servers.md`.

pub mod begin;
pub mod challenge;
pub mod complete;
pub mod discovery;
pub mod exchange;
pub mod identity;
pub mod logout;
pub mod metadata;
pub mod sealed;
pub mod tokens;

use std::time::Duration;

use chrono::TimeDelta;

/// How long the browser may take to come back.
pub const ATTEMPT_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How long any answer of an authorization server may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest answer of one.
const MAX_ANSWER: usize = 256 * 1024;

/// Where browsers come back to, below our public address.
pub const CALLBACK_PATH: &str = "/oauth/callback";
/// Where our own metadata document is, whose address is our client id (CIMD).
pub const DOCUMENT_PATH: &str = "/oauth/client.json";

/// What a server said, fit to be shown: one line of printable characters, not too long.
#[must_use]
pub fn shown(text: &str) -> String {
    let printable = text.chars().filter(|c| (' '..='~').contains(c));
    printable.take(200).collect()
}

/// What the owner of an instance does next.
#[must_use]
pub fn how_to_log_in(name: &str) -> String {
    format!("its owner has to log in: `agentopia tools login {name}`")
}
