//! From what came back, or did not, to the kind of error: pure.
//!
//! The rule: only DigitalOcean's own refusals (4xx with its error body) say that a request had no
//! effect. Everything else, also a gateway's 4xx, says nothing; then a request that can be repeated
//! is retryable, and one that must be sent once is ambiguous.

use http::{HeaderMap, Response, StatusCode};

use super::body::{self, Said};
use super::{Error, Failure, Reason};
use crate::retry::Effect;
use crate::transport::{Sent, TransportError};

/// What was asked for, as far as errors care.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) operation: &'static str,
    pub(crate) effect: Effect,
}

impl Asked {
    fn failure(self, reason: Reason) -> Failure {
        Failure {
            operation: self.operation,
            reason,
            status: None,
            code: None,
            words: None,
            request_id: None,
        }
    }

    /// An error of a request of which nobody knows whether it had its effect.
    fn unknown(self, failure: Failure) -> Error {
        match self.effect {
            Effect::Read | Effect::Idempotent => Error::Retryable(Box::new(failure)),
            Effect::Once => Error::Ambiguous(Box::new(failure)),
        }
    }

    /// An error of our own, before anything was sent.
    pub(crate) fn invalid(self, reason: impl Into<Reason>) -> Error {
        Error::Final(Box::new(self.failure(reason.into())))
    }
}

/// No answer.
pub(crate) fn unanswered(asked: Asked, error: &TransportError) -> Error {
    let reason = body::clean(&error.to_string(), 300);
    match error.sent() {
        Sent::Never => Error::Retryable(Box::new(asked.failure(Reason::Unreachable(reason)))),
        Sent::Perhaps => asked.unknown(asked.failure(Reason::Unanswered(reason))),
    }
}

/// An answer that is neither a success nor a 429.
pub(crate) fn refused(asked: Asked, answer: &Response<impl AsRef<[u8]>>) -> Error {
    let status = answer.status();
    let said = body::read(answer.body().as_ref());
    let Some(said) = said.filter(|_| status.is_client_error() || status.is_server_error()) else {
        return asked.unknown(Failure {
            status: Some(status),
            request_id: request_id(answer.headers()),
            ..asked.failure(Reason::Gateway)
        });
    };
    let reason = Reason::recognise(status, &said.code, &said.words);
    let failure = said_failure(asked, reason, status, said, answer.headers());
    match failure.reason {
        Reason::ServerError => asked.unknown(failure),
        Reason::PendingEvent => Error::Retryable(Box::new(failure)),
        // The server waited for the rest of the request, which then arrived or not.
        _ if status == StatusCode::REQUEST_TIMEOUT => asked.unknown(failure),
        _ => Error::Final(Box::new(failure)),
    }
}

/// A success whose content can't be read. Whatever was to be made may well have been made.
pub(crate) fn not_understood(
    asked: Asked,
    answer: &Response<impl AsRef<[u8]>>,
    error: &serde_json::Error,
) -> Error {
    let body = answer.body().as_ref();
    let json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    let reason = if json {
        // Quotes what it did not expect, so it is cleaned like everything that came from outside.
        Reason::NotUnderstood(body::clean(&error.to_string(), 300))
    } else {
        Reason::Gateway
    };
    let failure = Failure {
        status: Some(answer.status()),
        request_id: request_id(answer.headers()),
        ..asked.failure(reason)
    };
    match asked.effect {
        Effect::Once => Error::Ambiguous(Box::new(failure)),
        _ if json => Error::Final(Box::new(failure)),
        _ => Error::Retryable(Box::new(failure)),
    }
}

fn said_failure(
    asked: Asked,
    reason: Reason,
    status: StatusCode,
    said: Said,
    headers: &HeaderMap,
) -> Failure {
    Failure {
        operation: asked.operation,
        reason,
        status: Some(status),
        code: Some(said.code),
        words: Some(said.words),
        request_id: said.request_id.or_else(|| request_id(headers)),
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    Some(body::clean(id, 100))
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
