//! Servers of the 2024-11-05 transport, HTTP+SSE: a `GET` opens a stream; its first event, `endpoint`,
//! names where to `POST` messages to; answers and everything else come as `message` events.
//!
//! One such stream is one session. [`open`] makes a [`crate::Pipe`] of it; [`Hub`] is the Streamable HTTP
//! endpoint in front of many. How requests get to the server is [`Server`]: the DTMA reaches into a
//! container, the control plane goes through the guard of remote addresses with credentials of the vault.
//!
//! The server is not trusted: an endpoint elsewhere is refused ([`Server::endpoint`] decides, as it would
//! be called with this server's credentials), events have a size, and it has [`StreamLimits::patience`] to
//! name its endpoint.

mod hub;
mod open;
mod post;
mod pump;
mod stream;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use url::Url;

pub use hub::{Hub, HubConfig, Opener};
pub use open::{OpenError, StreamLimits, open};

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A response's body as it streams in.
pub type ServerBody = UnsyncBoxBody<Bytes, BodyError>;

/// How requests get to one server.
#[async_trait]
pub trait Server: fmt::Debug + Send + Sync + 'static {
    /// What the server calls `reference`; `None` unless that is at the server itself: same scheme, host
    /// and port.
    fn endpoint(&self, reference: &str) -> Option<Url>;

    /// Sends a request to the endpoint, or to where the event stream is. Gives back every status; the
    /// body streams, and dropping it closes the connection. The request's own URI does not count.
    ///
    /// # Errors
    /// See [`ServerError`]; the difference decides whether a message may be repeated.
    async fn send(
        &self,
        endpoint: Option<&Url>,
        request: Request<Bytes>,
    ) -> Result<Response<ServerBody>, ServerError>;
}

/// Why there was no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// The request did not leave.
    #[error("the server can't be reached: {0}")]
    Unreachable(String),
    /// The server, or we on its behalf, refused; trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// The connection broke after the request may have been read.
    #[error("the connection to the server broke: {0}")]
    Broken(String),
}
