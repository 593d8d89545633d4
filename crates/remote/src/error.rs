//! What can go wrong, in words for people. The address that a name has is not told: names of an inner
//! network would otherwise be looked up through us; the log has it.

use http::StatusCode;

use crate::policy::Why;

/// An address that is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} {why}")]
pub struct Refusal {
    /// The host of the address that was entered.
    pub host: String,
    /// Why.
    pub why: Why,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RemoteError {
    /// The operator's policy forbids it. Nothing was sent, nobody was connected to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its name has no address, nobody listens, or its certificate is not trusted. Nothing was sent.
    #[error("{0}")]
    Unreachable(String),
    /// The connection broke after the request may have been read.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// A document was asked for, and the answer was another status than 200. Redirects are among
    /// them: they are not followed.
    #[error("the server answered {0}{redirect}", redirect = if .0.is_redirection() { ", and redirects are not followed" } else { "" })]
    Status(StatusCode),
    /// A document is longer than it may be.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
}

/// An error with everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}
