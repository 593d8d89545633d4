//! How every refusal looks to a caller, and how errors from below become one.
//!
//! A [`Refusal`] is made from a [`Kind`] (status, stable code, title: all of them stand in
//! [`kind`]) and a sentence that says what to do. It becomes an `application/problem+json` answer;
//! the outermost layer ([`crate::http::layers::problems`]) adds the request's id and logs the
//! source, so that internals are in the log and never in the answer.

pub mod kind;

use std::sync::Arc;

use agentopia_api::problem::{FieldProblem, MEDIA_TYPE, Problem};
use agentopia_store::StoreError;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

pub use kind::Kind;

/// A request that is not done, and why.
#[derive(Debug, Clone)]
pub struct Refusal {
    kind: Kind,
    detail: String,
    errors: Vec<FieldProblem>,
    retry_after_seconds: Option<u64>,
    source: Option<Arc<anyhow::Error>>,
}

/// What handlers return.
pub type Answer<T> = Result<T, Refusal>;

impl Refusal {
    /// A refusal of `kind`; `detail` says what is wrong here and what to do about it.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
            source: None,
        }
    }

    /// There is no such `what`: the same answer whether it never was or is another account's.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            kind::NOT_FOUND,
            format!("there is no such {what}; check the id or the name"),
        )
    }

    /// One field of the request is wrong.
    pub fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        let (field, problem) = (field.into(), problem.into());
        Self::new(kind::INVALID_INPUT, format!("{field}: {problem}"))
            .with_errors(vec![FieldProblem { field, problem }])
    }

    /// Our fault; the log has `source`.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self {
            source: Some(Arc::new(source.into())),
            ..Self::new(
                kind::INTERNAL,
                "something went wrong on our side and nothing was changed; try again, and give the \
                 request's id to the operator if it stays",
            )
        }
    }

    /// The same, with the fields that are wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldProblem>) -> Self {
        self.errors = errors;
        self
    }

    /// The same, with the seconds after which trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The same, with what the log should have of it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(Arc::new(source.into()));
        self
    }

    /// What kind of refusal it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What only the log may have.
    #[must_use]
    pub fn source(&self) -> Option<&anyhow::Error> {
        self.source.as_deref()
    }

    /// The document, with the id of the request.
    #[must_use]
    pub fn to_problem(&self, request_id: Option<String>) -> Problem {
        Problem {
            kind: "about:blank".to_owned(),
            title: self.kind.title.to_owned(),
            status: self.kind.status.as_u16(),
            code: self.kind.code.to_owned(),
            detail: self.detail.clone(),
            request_id,
            errors: self.errors.clone(),
            retry_after_seconds: self.retry_after_seconds,
        }
    }

    /// What is wrong here, and what to do about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer, with the id of the request.
    #[must_use]
    pub fn render(&self, request_id: Option<String>) -> Response {
        let body = serde_json::to_vec(&self.to_problem(request_id)).unwrap_or_default();
        let mut response = (self.kind.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind.status == http::StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"agentopia\""),
            );
        }
        response
    }
}

impl IntoResponse for Refusal {
    /// Complete by itself; the outermost layer renders it again with the request's id.
    fn into_response(self) -> Response {
        let mut response = self.render(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<agentopia_vault::VaultError> for Refusal {
    fn from(error: agentopia_vault::VaultError) -> Self {
        Self::internal(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let said = error.to_string();
        match error {
            StoreError::NotFound { what } => Self::not_found(what),
            StoreError::Duplicate { .. } => Self::new(kind::DUPLICATE, said),
            StoreError::SecretInUse { .. } => Self::new(kind::SECRET_IN_USE, said),
            StoreError::Stale { .. } => Self::new(kind::CHANGED_MEANWHILE, said),
            StoreError::AlreadySetUp => Self::new(kind::ALREADY_SET_UP, said),
            StoreError::EnvironmentTransition(_) | StoreError::InstanceTransition(_) => Self::new(
                kind::WRONG_STATE,
                format!("{said}; look at its status and try again when it has changed"),
            ),
            StoreError::DoesNotFit(_) => Self::new(kind::DOES_NOT_FIT, said),
            StoreError::TooManyRules(_) => Self::new(kind::TOO_MANY_RULES, said),
            StoreError::Busy(_) => Self::new(
                kind::UNAVAILABLE,
                "the database is busy and nothing was changed; try again in a moment",
            )
            .retry_after(1)
            .with_source(error),
            StoreError::Full(_) => Self::new(
                kind::STORAGE_FULL,
                "the disk of the control plane's database is full and nothing was changed; its \
                 operator has to make room on it",
            )
            .retry_after(60)
            .with_source(error),
            StoreError::Unavailable(_) => Self::new(
                kind::UNAVAILABLE,
                "the database does not answer; try again in a moment",
            )
            .retry_after(5)
            .with_source(error),
            StoreError::LeaseLost { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Config(_)
            | StoreError::Database(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internals_stay_out_of_the_answer() {
        let refusal = Refusal::internal(anyhow::anyhow!("password of the database is hunter2"));
        let text = serde_json::to_string(&refusal.to_problem(Some("r-1".into()))).unwrap();
        assert!(!text.contains("hunter2"));
        assert!(text.contains("r-1") && text.contains("\"internal\""));
        assert!(refusal.source().unwrap().to_string().contains("hunter2"));
    }

    #[test]
    fn waiting_is_told_in_header_and_body() {
        let refusal = Refusal::new(kind::TOO_MANY_ATTEMPTS, "wait").retry_after(7);
        let response = refusal.clone().into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(refusal.to_problem(None).retry_after_seconds, Some(7));
    }
}
