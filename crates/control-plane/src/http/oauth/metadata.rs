//! What clients read first: which authorization server an endpoint has (RFC 9728), and what that can
//! do (RFC 8414).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::oauth::{resource, scope};
use crate::problem::Refusal;
use crate::state::AppState;

/// `GET /.well-known/oauth-authorization-server`.
pub(super) async fn server(State(state): State<AppState>) -> Json<Value> {
    let base = state.config.base_url();
    Json(json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/oauth/authorize"),
        "token_endpoint": format!("{base}/oauth/token"),
        "registration_endpoint": format!("{base}/oauth/register"),
        "revocation_endpoint": format!("{base}/oauth/revoke"),
        "scopes_supported": [scope::MCP],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
    }))
}

/// `GET /.well-known/oauth-protected-resource/{noun}/{id}/{door}`. The same for every id: it tells
/// nobody which agents there are.
pub(super) async fn resource(
    State(state): State<AppState>,
    Path((noun, id, door)): Path<(String, String, String)>,
) -> Response {
    let base = state.config.base_url();
    let Some(resource) = resource::from_path(&base, &format!("/{noun}/{id}/{door}")) else {
        return Refusal::not_found("endpoint").into_response();
    };
    Json(json!({
        "resource": resource.url,
        "authorization_servers": [base],
        "scopes_supported": [scope::MCP],
        "bearer_methods_supported": ["header"],
        "resource_name": "Agentopia",
    }))
    .into_response()
}
