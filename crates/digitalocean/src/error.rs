//! Why a call gave no result, sorted by what the caller can do about it.
//!
//! The one question that matters for a droplet is whether it may exist now. So the kinds are those
//! of [`Error`], and the details, for people and for logs, are in [`Failure`].

mod body;
mod classify;
mod reason;
mod scopes;

use std::fmt;

use chrono::{DateTime, Utc};
use http::StatusCode;

pub(crate) use classify::{Asked, not_understood, refused, unanswered};
pub use reason::Reason;

/// Why a call gave no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Too many requests. By DigitalOcean's word this one had no effect; try again at the given time.
    /// Before a droplet is asked for again it is looked for all the same.
    #[error("{0}")]
    RateLimited(RateLimited),
    /// It had no effect, or repeating it does no harm; it may work later.
    #[error("{0}")]
    Retryable(Box<Failure>),
    /// It may have had its effect: look whether it did before trying again.
    #[error("{0}. It may have happened all the same")]
    Ambiguous(Box<Failure>),
    /// It had no effect and won't work until somebody changes something.
    #[error("{0}")]
    Final(Box<Failure>),
}

impl Error {
    /// The details; none for a rate limit, which is never about the request itself.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::RateLimited(_) => None,
            Self::Retryable(failure) | Self::Ambiguous(failure) | Self::Final(failure) => {
                Some(failure)
            }
        }
    }

    pub(crate) fn failure_mut(&mut self) -> Option<&mut Failure> {
        match self {
            Self::RateLimited(_) => None,
            Self::Retryable(failure) | Self::Ambiguous(failure) | Self::Final(failure) => {
                Some(failure)
            }
        }
    }

    /// Which of the known cases it is.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        self.failure().map(|failure| &failure.reason)
    }

    /// Whether DigitalOcean itself said that there is no such thing. A 404 of anything that stands
    /// in between does not count: who takes that for "deleted" leaves a droplet running.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.reason() == Some(&Reason::NotFound)
    }
}

impl Failure {
    /// Takes a secret out of all that came from outside: a proxy that answers with what it was sent
    /// must not bring the token into a log.
    pub(crate) fn scrub(&mut self, secret: &str) {
        let foreign = [&mut self.code, &mut self.words, &mut self.request_id];
        let foreign = foreign.into_iter().flatten().chain(match &mut self.reason {
            Reason::Unreachable(text) | Reason::Unanswered(text) | Reason::NotUnderstood(text) => {
                Some(text)
            }
            _ => None,
        });
        for text in foreign {
            if text.contains(secret) {
                *text = text.replace(secret, "[token]");
            }
        }
    }
}

/// The limit of requests is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimited {
    /// From when on it is worth trying again, by our clock.
    pub retry_at: DateTime<Utc>,
    /// Who said so.
    pub by: LimitedBy,
}

/// Who found that the limit is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedBy {
    /// DigitalOcean, with a 429.
    DigitalOcean,
    /// Our own budget: nothing was sent.
    Budget,
}

impl fmt::Display for RateLimited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.retry_at.format("%Y-%m-%d %H:%M:%S UTC");
        match self.by {
            LimitedBy::DigitalOcean => {
                write!(formatter, "DigitalOcean takes no more requests until {at}")
            }
            LimitedBy::Budget => write!(
                formatter,
                "the limit of requests to DigitalOcean is used up until {at}"
            ),
        }
    }
}

/// The details of a failure. Holds no token and no HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was to be done, such as "create a droplet".
    pub operation: &'static str,
    /// Which of the known cases it is.
    pub reason: Reason,
    /// The answer's status, if there was an answer.
    pub status: Option<StatusCode>,
    /// DigitalOcean's code, such as `unprocessable_entity`.
    pub code: Option<String>,
    /// DigitalOcean's own words, shortened.
    pub words: Option<String>,
    /// The id under which DigitalOcean's support finds the request.
    pub request_id: Option<String>,
}

/// One sentence of what happened, and one of what to do where that is known.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "can't {}: ", self.operation)?;
        match &self.words {
            Some(words) => write!(formatter, "DigitalOcean says {words:?}")?,
            None => write!(formatter, "{}", self.reason)?,
        }
        let details: Vec<String> = [
            self.status
                .map(|status| format!("HTTP {}", status.as_u16())),
            self.code.clone(),
            self.request_id.as_ref().map(|id| format!("request {id}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !details.is_empty() {
            write!(formatter, " ({})", details.join(", "))?;
        }
        if let (Reason::MissingScope, Some(scopes)) = (&self.reason, scopes::of(self.operation)) {
            return write!(
                formatter,
                "; give the token {scopes} (in DigitalOcean's control panel: API, Tokens), or full \
                 access"
            );
        }
        match self.reason.advice() {
            Some(advice) => write!(formatter, "; {advice}"),
            None => Ok(()),
        }
    }
}
