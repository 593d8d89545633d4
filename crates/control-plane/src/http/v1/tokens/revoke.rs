//! `DELETE /api/v1/tokens/{id}`: takes a personal token back.

use agentopia_api::Problem;
use agentopia_domain::ApiTokenId;
use agentopia_domain::event::ObjectKind;
use agentopia_domain::token::TokenSubject;
use http::StatusCode;

use crate::http::extract::{Call, PathId};
use crate::problem::{Answer, Refusal};

/// Takes a personal token back; it opens nothing from then on.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    operation_id = "revoke_token",
    tag = "tokens",
    security(("session" = []), ("token" = [])),
    params(("id" = ApiTokenId, Path, description = "The token")),
    responses(
        (status = 204, description = "Taken back, now or before"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathId(id): PathId<ApiTokenId>) -> Answer<StatusCode> {
    let tokens = call.store().api_tokens();
    let token = tokens.get(call.account(), id).await?;
    if !matches!(token.subject, TokenSubject::Personal { .. }) {
        return Err(Refusal::not_found("token"));
    }
    let event = call.event(
        "api_token.revoked",
        (ObjectKind::ApiToken, id),
        format!("took the personal token {} back", token.name),
    );
    tokens.revoke(call.account(), id, &[event]).await?;
    Ok(StatusCode::NO_CONTENT)
}
