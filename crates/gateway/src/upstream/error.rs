//! What can go wrong with an upstream, and what the client is told.
//!
//! Clients learn which server failed and how, not its address or our connector's words: those are
//! for the log.

use std::time::Duration;

use agentopia_mcp::RpcError;

use super::connector::ConnectError;

#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Known not to run; the text is the control plane's, for people.
    #[error("the server is not running: {0}")]
    Unavailable(String),
    /// It could not be reached several times in a row and is left alone for so long.
    #[error("the server can't be reached; it is tried again in {} s", .0.as_secs() + 1)]
    Resting(Duration),
    /// It does not let us in; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// It slept, was woken, and does not run yet after so long.
    #[error(
        "the server was asleep and is being started; it was not ready after {} s, try again in a \
         moment", .0.as_secs()
    )]
    Waking(Duration),
    /// It is no longer the client's to call.
    #[error("the server was unlinked or removed")]
    Unlinked,
    /// The request did not get there.
    #[error("the server can't be reached")]
    Unreachable,
    /// The connection or the answer broke off: whether the call was executed is unknown.
    #[error("the connection to the server broke before it answered")]
    Broken,
    /// No sign of life for too long.
    #[error("the server did not answer in time")]
    Timeout,
    /// The server does not know our session (any more), and so did not execute the request.
    #[error("the server lost its session")]
    SessionLost,
    /// An HTTP status that means nothing in MCP.
    #[error("the server answered with HTTP status {0}")]
    Status(u16),
    /// Not the protocol.
    #[error("the server's answer is not MCP: {0}")]
    NotMcp(&'static str),
    /// More than we take.
    #[error("the server's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The server refused in its own words.
    #[error("{0}")]
    Rpc(RpcError),
    /// The client is gone or does not want it any more.
    #[error("the call was cancelled")]
    Cancelled,
}

impl UpstreamError {
    /// Whether this answer to a handshake says that the server does not speak its era.
    pub(crate) const fn refutes_era(&self) -> bool {
        matches!(
            self,
            Self::Rpc(_) | Self::Status(400 | 404 | 405 | 406 | 415 | 422)
        )
    }

    /// Whether the server could be talked to at all, so that trying the other era makes sense.
    pub(crate) const fn is_answer(&self) -> bool {
        self.refutes_era() || matches!(self, Self::NotMcp(_))
    }

    /// What a client is told; `server` is the instance's name.
    pub(crate) fn to_rpc(&self, server: &str) -> RpcError {
        match self {
            Self::Rpc(error) => error.clone(),
            other => RpcError::internal(format!("{server}: {other}")),
        }
    }
}

impl From<ConnectError> for UpstreamError {
    fn from(error: ConnectError) -> Self {
        tracing::debug!(%error, "upstream");
        match error {
            ConnectError::Unreachable(_) => Self::Unreachable,
            ConnectError::Refused(reason) => Self::Refused(reason),
            ConnectError::Broken(_) => Self::Broken,
        }
    }
}
