//! How this server says no: RFC 9457 problem documents.

use agentopia_domain::InstanceId;
use agentopia_dtma_api::problem::Problem;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// A problem document as an answer.
#[derive(Debug)]
pub(super) struct Refusal(Problem);

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Problem {
            status: status.as_u16(),
            code: code.to_owned(),
            title: status.canonical_reason().unwrap_or("Refused").to_owned(),
            detail: detail.into(),
        })
    }

    pub(super) fn unknown_instance(id: InstanceId) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "instance_unknown",
            format!("this machine has no instance {id}; send its spec first"),
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST);
        // Four strings and a number: there is always a JSON form.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        (status, [(header::CONTENT_TYPE, kind)], body).into_response()
    }
}

pub(super) async fn no_such_route() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing at this path; the control plane and this agent may be of different versions",
    )
}
