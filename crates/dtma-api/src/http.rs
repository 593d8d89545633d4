//! What both clients share: how an answer becomes a value or a refusal.

use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Why a request to the other side brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was not reached, or the connection broke. Trying again is right whichever it was, since
    /// every request of this contract can be repeated; what an MCP request does can't.
    #[error("{0} can't be reached: {1}")]
    Unreachable(&'static str, String, Sent),
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// It answered with something that is not of the contract.
    #[error("{0} answered with something unexpected: {1}")]
    Protocol(&'static str, String),
}

/// Whether a request that brought no answer may have been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// There was no connection to send it on, or nothing was written on it since.
    No,
    /// The connection broke at some point after.
    Perhaps,
}

impl CallError {
    /// Whether the same request may work later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(..) => true,
            Self::Refused(problem) => problem.status == 429 || problem.status >= 500,
            Self::Protocol(..) => false,
        }
    }

    /// The stable code of the refusal, if it is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(&problem.code),
            Self::Unreachable(..) | Self::Protocol(..) => None,
        }
    }
}

/// An error with its causes: an HTTP client's own message says only that something failed.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

pub(crate) fn unreachable(who: &'static str, error: &reqwest::Error) -> CallError {
    let sent = if error.is_connect() {
        Sent::No
    } else {
        Sent::Perhaps
    };
    CallError::Unreachable(who, chain(error), sent)
}

/// Turns a refusal into an error, leaving the body of a success unread.
pub(crate) async fn accepted(
    who: &'static str,
    response: Result<reqwest::Response, reqwest::Error>,
) -> Result<reqwest::Response, CallError> {
    let response = response.map_err(|error| unreachable(who, &error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response
        .bytes()
        .await
        .map_err(|error| unreachable(who, &error))?;
    Err(match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => CallError::Refused(problem),
        Err(_) => CallError::Protocol(who, format!("status {status} without a problem document")),
    })
}

/// Reads the body of a success.
pub(crate) async fn json<T: DeserializeOwned>(
    who: &'static str,
    response: Result<reqwest::Response, reqwest::Error>,
) -> Result<T, CallError> {
    let body = accepted(who, response).await?.bytes().await;
    let body = body.map_err(|error| unreachable(who, &error))?;
    // The error of serde_json would quote the body, which may hold secrets.
    serde_json::from_slice(&body).map_err(|error| {
        CallError::Protocol(
            who,
            format!("at line {} column {}", error.line(), error.column()),
        )
    })
}
