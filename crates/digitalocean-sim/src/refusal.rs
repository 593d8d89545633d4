//! Why the simulated API says no: the state decides it in these words, `http` renders them.

/// A refusal, in the shape of DigitalOcean's error bodies: `{id, message, request_id}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct Refusal {
    /// Decides the status and the `id`.
    pub kind: RefusalKind,
    /// The sentence for people; clients match some of them.
    pub message: String,
}

/// The kinds of refusal that the API knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// 400 `bad_request`: the body is no JSON.
    BadRequest,
    /// 401 `unauthorized`.
    Unauthorised,
    /// 403 `forbidden`: the token lacks a scope.
    Forbidden,
    /// 404 `not_found`.
    NotFound,
    /// 405 `method_not_allowed`.
    MethodNotAllowed,
    /// 409 `conflict`.
    Conflict,
    /// 412 `precondition_failed`.
    PreconditionFailed,
    /// 413 `payload_too_large`.
    TooLarge,
    /// 422 `unprocessable_entity`: most of them.
    Unprocessable,
    /// 429 `too_many_requests`.
    TooManyRequests,
}

impl RefusalKind {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorised => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::TooLarge => 413,
            Self::Unprocessable => 422,
            Self::TooManyRequests => 429,
        }
    }

    /// The body's `id`.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorised => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition_failed",
            Self::TooLarge => "payload_too_large",
            Self::Unprocessable => "unprocessable_entity",
            Self::TooManyRequests => "too_many_requests",
        }
    }
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::Unprocessable, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::Conflict, message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            RefusalKind::NotFound,
            "The resource you requested could not be found.",
        )
    }

    pub(crate) fn unauthorised() -> Self {
        Self::new(RefusalKind::Unauthorised, "Unable to authenticate you")
    }

    /// The sentence that scoped tokens get, as reported by users of doctl.
    pub(crate) fn forbidden() -> Self {
        Self::new(
            RefusalKind::Forbidden,
            "you do not have access for the attempted action",
        )
    }
}
