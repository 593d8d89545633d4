//! How machines are refused: problem documents with a stable code.

use agentopia_dtma_api::problem::Problem;
use agentopia_store::StoreError;
use agentopia_vault::VaultError;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::machines::credentials::Refused;

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal(Problem);

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        code: &str,
        title: &str,
        detail: impl Into<String>,
    ) -> Self {
        Self(Problem {
            status: status.as_u16(),
            code: code.to_owned(),
            title: title.to_owned(),
            detail: detail.into(),
        })
    }

    pub(super) fn unauthenticated(detail: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Not authenticated",
            detail,
        )
    }

    pub(super) fn locked(reason: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "credentials_locked",
            "Credentials locked",
            reason,
        )
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "Not found",
            "this machine has no such instance",
        )
    }

    fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a machine's request failed");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not available",
            "the control plane can't answer right now; try again",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::not_found(),
            other => Self::internal(&other),
        }
    }
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        Self::internal(&error)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Token => Self::new(
                StatusCode::FORBIDDEN,
                "enrolment_refused",
                "Enrolment refused",
                detail,
            ),
            Refused::Request(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_certificate_request",
                "Bad certificate request",
                detail,
            ),
            Refused::Unknown => Self::new(
                StatusCode::FORBIDDEN,
                "credentials_revoked",
                "Credentials revoked",
                detail,
            ),
            Refused::Locked(reason) => Self::locked(&reason),
            Refused::Internal(error) => Self::internal(&format!("{error:#}")),
        }
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        // The text of the rejection may quote the body, and with it a token.
        Self::new(
            rejection.status(),
            "bad_request",
            "Bad request",
            "the body is not what the contract says",
        )
    }
}

pub(super) async fn unknown() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "unknown_address",
        "Unknown address",
        "the contract has no such address; is the DTMA newer than the control plane?",
    )
}
