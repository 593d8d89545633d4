//! Gives up on requests that take too long. The limit is on the time to the head of the answer, so
//! that streams may go on; reading a slow body counts.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::{Refusal, kind};
use crate::state::AppState;

/// Calls of tools have a limit of their own, see the handler; so have each check of a verification and
/// whatever an import asks for.
const OWN_LIMIT: [&str; 4] = [
    "/api/v1/catalog-import",
    "/api/v1/instances/{id}/call",
    "/api/v1/instances/{id}/tools",
    "/api/v1/verification",
];

/// The middleware.
pub async fn deadline(
    State(state): State<AppState>,
    matched: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let seconds = if OWN_LIMIT.contains(&matched.as_str()) {
        state.config.call_timeout_seconds.saturating_add(5)
    } else {
        state.config.request_timeout_seconds
    };
    match tokio::time::timeout(Duration::from_secs(seconds), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(
            kind::TIMED_OUT,
            format!(
                "there was no answer within {seconds} s; look whether it was done, then try again"
            ),
        )
        .into_response(),
    }
}
