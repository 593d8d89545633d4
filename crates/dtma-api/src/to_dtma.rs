//! What the control plane asks of a machine: HTTPS with both certificates and the control plane's
//! bearer token for this machine.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/info` | [`Info`] |
//! | `GET /v1/instances` | all [`ObservedInstance`]s |
//! | `GET /v1/instances/{id}` | one, or 404 |
//! | `PUT /v1/instances/{id}` with an [`InstanceSpec`] | 202 and what is observed now; 409 `stale_generation` when the DTMA has a newer one |
//! | `GET /v1/instances/{id}/watch?generation=&phase=` | long poll, ≤ 30 s: returns once the state differs from the one given |
//! | `GET /v1/instances/{id}/logs?tail=&follow=` | newline-delimited [`LogLine`]s |
//! | `POST/GET/DELETE /v1/instances/{id}/mcp` | Streamable HTTP, whatever the server speaks |
//! | the same at `/v1/instances/{id}/links/{link}/{revision}/mcp` | the same with the secrets of a link in place of the instance's own; a DTMA that can't do that knows no such path, or answers 403 |
//!
//! The MCP path takes [`SESSION_KEY_HEADER`]: requests without an `Mcp-Session-Id` that carry the
//! same key share a stdio process; requests with different keys never do. An answer of the DTMA with
//! [`NOT_DELIVERED_HEADER`] says that the tool did not get the request and may be back in a moment.

mod calls;
mod client;
mod data_path;
mod watched;

use agentopia_domain::LinkId;
use agentopia_domain::observed::ObservedInstance;
use serde::{Deserialize, Serialize};

pub use agentopia_domain::spec::InstanceSpec;
pub use client::{DtmaClient, DtmaEndpoint, DtmaError, McpBody, Sent, WatchQuery};

use crate::to_control_plane::MachineFacts;

/// Names the isolation domain of a stateless (modern-era) MCP request, see the module's header.
pub const SESSION_KEY_HEADER: &str = "agentopia-session-key";
/// On an answer of the MCP path: the tool did not get the request, because it is just being started
/// or adopted. It may be sent again in a moment. Never taken over from what a tool answers.
pub const NOT_DELIVERED_HEADER: &str = "agentopia-not-delivered";

/// Secrets that a link carries in place of its instance's own (AGT-6): whose, and which they are. The
/// values are fetched by the DTMA when a process is started with them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnCredentials {
    /// The link.
    pub link: LinkId,
    /// Differs whenever a secret is another or has another value
    /// ([`agentopia_domain::link::Link::credentials`]); letters and digits.
    pub revision: String,
}

/// Answer to `GET /v1/info`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Info {
    /// The newest contract version it speaks.
    pub protocol: u16,
    /// What the machine is.
    pub machine: MachineFacts,
    /// Every instance it knows of.
    pub instances: Vec<ObservedInstance>,
}

/// One line of an instance's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, by the machine's clock, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<chrono::DateTime<chrono::Utc>>,
    /// `stdout` or `stderr`.
    pub stream: LogStream,
    /// The line, without its end; not UTF-8 is replaced.
    pub line: String,
}

/// Where a log line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How much of a log is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// The last so many lines; 0 for none, at most 10,000.
    pub tail: u32,
    /// Whether to go on as lines come.
    pub follow: bool,
}
