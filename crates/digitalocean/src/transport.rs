//! The seam below the client: one request in, one answer out.
//!
//! The real transport is [`HttpsTransport`]; a simulation plugs an in-process router in here and
//! runs under virtual time. What the client has to know of a failure is one thing only: whether the
//! request can have had an effect.

mod https;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

pub use https::{HttpsTransport, SetupError};

/// Sends requests. Addresses are absolute.
///
/// An implementation sends each request once at most, follows no redirect, limits how much of an
/// answer it reads, and shows nobody what it sends: headers hold the token, bodies hold user-data.
/// It need not limit the time: the client does.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends it and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// When there is no whole answer; see [`TransportError`].
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError>;
}

/// Whether a request without an answer was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Certainly not: no connection came about. It had no effect.
    Never,
    /// It was, or may have been. It may have had its effect.
    Perhaps,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct TransportError {
    sent: Sent,
    reason: String,
}

impl TransportError {
    /// The request certainly never left: `reason` says why, and holds no secret.
    pub fn never_sent(reason: impl Into<String>) -> Self {
        Self {
            sent: Sent::Never,
            reason: reason.into(),
        }
    }

    /// The request may have arrived: `reason` says what happened instead of an answer, and holds
    /// no secret.
    pub fn unanswered(reason: impl Into<String>) -> Self {
        Self {
            sent: Sent::Perhaps,
            reason: reason.into(),
        }
    }

    /// Whether it was sent.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.sent
    }
}
