//! The seam to the network: how a request gets to an instance.
//!
//! The control plane implements it with mutual TLS to the machine's DTMA, tests with plain HTTP.
//! From here every upstream is Streamable HTTP of some revision (`agentopia-bridge`, in the DTMA and for remote
//! servers in the control plane, makes it of stdio and HTTP+SSE).

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

use crate::routes::InstanceRoute;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A response body as it streams in.
pub type UpstreamBody = UnsyncBoxBody<Bytes, BodyError>;

/// Sends HTTP requests to instances.
#[async_trait]
pub trait UpstreamConnector: Send + Sync + 'static {
    /// Sends `request` to the MCP endpoint of `instance` and returns once the response's head is
    /// there; the body streams. Every HTTP status is an `Ok`. Dropping the future or the body ends
    /// the exchange, so that the upstream sees the disconnect.
    ///
    /// The request's URI is `/`: the connector puts the real one. Its headers are those of MCP,
    /// `accept`, `content-type`, [`SESSION_KEY_HEADER`] and [`LINK_HEADER`]; the connector adds its own credentials
    /// and no header of the caller's ever gets here.
    ///
    /// # Errors
    /// See [`ConnectError`]; the difference decides whether a call may be repeated.
    async fn send(
        &self,
        instance: &InstanceRoute,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<UpstreamBody>, ConnectError>;
}

/// Requests with the same key may share a stdio process, requests with different keys never do
/// (the DTMA's contract). Same text as `agentopia_dtma_api::to_dtma::SESSION_KEY_HEADER`.
pub const SESSION_KEY_HEADER: &str = "agentopia-session-key";

/// The link whose secrets the server is to see in place of the instance's own (AGT-6), and which they
/// are: `<link id> <revision>`. It is for the connector, which must not send the request without them,
/// and goes no further.
pub const LINK_HEADER: &str = "agentopia-link";

/// Why no response came.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The request did not leave: no address, connection refused, TLS failed.
    #[error("the server can't be reached: {0}")]
    Unreachable(String),
    /// The server, or we on its behalf, refused before anything was carried out; the text is for
    /// people and agents. Trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// The connection broke after the request may have been read.
    #[error("the connection to the server broke: {0}")]
    Broken(String),
}
