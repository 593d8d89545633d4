//! The gateway as a client of MCP servers.
//!
//! `connector` is the seam to the network, `peer` one client's connection with one server,
//! `handshake` how it begins in either era, `greeting` what the server said then, `era` what is remembered of a server's era, `breaker` which
//! servers are left alone for a while, `live` an open connection, `exchange` one HTTP request, `reader` its answer as messages, `resume` the same where it breaks off, `inbound` what
//! is done with each message, `call` a request with its id and cancellation, `listen` the standing
//! stream.

pub(crate) mod breaker;
pub(crate) mod call;
pub(crate) mod connector;
pub(crate) mod era;
pub(crate) mod error;
pub(crate) mod exchange;
pub(crate) mod greeting;
mod handshake;
pub(crate) mod inbound;
mod listen;
pub(crate) mod live;
pub(crate) mod peer;
pub(crate) mod reader;
pub(crate) mod resume;
pub(crate) mod shelf;

use agentopia_mcp::{ListKind, method};

pub(crate) use error::UpstreamError;
pub(crate) use handshake::bridged_capabilities;
pub(crate) use live::Live;
pub(crate) use peer::Upstream;

/// The notification that says that a list changed.
pub(crate) const fn changed_method(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Tools => method::TOOLS_CHANGED,
        ListKind::Prompts => method::PROMPTS_CHANGED,
        ListKind::Resources | ListKind::ResourceTemplates => method::RESOURCES_CHANGED,
    }
}
