//! Why the server gave no answer that could be used.

use agentopia_api::{Problem, REQUEST_ID_HEADER};
use reqwest::{Response, StatusCode};
use url::Url;

/// The most that is read of an answer that is no success.
const MAX_PROBLEM_BYTES: usize = 64 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The server refused and said why.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// Nobody answers there.
    #[error("{url} can't be reached: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why, down to the last cause.
        reason: String,
    },
    /// It took too long.
    #[error("{url} gave no answer in time")]
    TimedOut {
        /// Where.
        url: String,
    },
    /// Something answers there that is not an Agentopia server, or a proxy in between.
    #[error("{url} answered {status} without saying why; is it an Agentopia server?")]
    Unexpected {
        /// Where.
        url: String,
        /// What.
        status: StatusCode,
        /// The id of the request in the server's log.
        request_id: Option<String>,
    },
    /// A success that this version of the program can't read.
    #[error(
        "the answer of {url} was not understood ({source}); is this program as new as the server?"
    )]
    NotUnderstood {
        /// Where.
        url: String,
        /// The id of the request in the server's log.
        request_id: Option<String>,
        /// Where reading stopped.
        source: serde_json::Error,
    },
    /// The token has characters that no token has.
    #[error("the token has characters that no token has; copy it again")]
    BadToken,
    /// Certificates or the like of this machine.
    #[error("no connection can be made from this machine: {}", chain(.0))]
    Setup(reqwest::Error),
}

impl ClientError {
    /// From the transport.
    pub(super) fn from_transport(base: &Url, error: reqwest::Error) -> Self {
        let url = base.origin().ascii_serialization();
        if error.is_timeout() && !error.is_connect() {
            return Self::TimedOut { url };
        }
        Self::Unreachable {
            url,
            reason: chain(&error.without_url()),
        }
    }

    /// From an answer that is no success.
    pub(super) async fn from_response(base: &Url, mut response: Response) -> Self {
        let status = response.status();
        let request_id = request_id(&response);
        let mut body = Vec::new();
        // What can't be read is treated like what is not there: the status says enough.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_PROBLEM_BYTES {
                break;
            }
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(mut problem) => {
                problem.request_id = problem.request_id.or(request_id);
                Self::Problem(Box::new(problem))
            }
            Err(_) => Self::Unexpected {
                url: base.origin().ascii_serialization(),
                status,
                request_id,
            },
        }
    }

    /// The id of the request in the server's log.
    pub(crate) fn request_id(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => problem.request_id.as_deref(),
            Self::Unexpected { request_id, .. } | Self::NotUnderstood { request_id, .. } => {
                request_id.as_deref()
            }
            _ => None,
        }
    }

    /// Whether the same question may well be answered in a moment: the server restarts, or a part
    /// of it is away.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 503),
            Self::Unexpected { status, .. } => matches!(status.as_u16(), 502..=504),
            _ => false,
        }
    }

    /// Whether the thing asked for does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.code == "not_found")
    }
}

/// The id of the request in the server's log.
pub(super) fn request_id(response: &Response) -> Option<String> {
    let value = response.headers().get(REQUEST_ID_HEADER)?;
    value.to_str().ok().map(str::to_owned)
}

/// An error with everything that caused it, without saying the same twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}
