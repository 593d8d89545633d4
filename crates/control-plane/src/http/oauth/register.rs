//! `POST /oauth/register`: a client makes itself known (RFC 7591). It proves nothing by that, and the
//! consent page says so.

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use agentopia_store::NewOauthClient;

use super::answer;
use crate::auth::throttle;
use crate::http::extract::PublicCall;
use crate::oauth::client::clean_name;
use crate::oauth::{MOST_CLIENTS, UNUSED_CLIENT_LIFE, redirect, scope};
use crate::problem::Refusal;

/// How many redirect addresses one may have.
const MOST_REDIRECTS: usize = 20;
/// The largest document.
const MAX_BYTES: usize = 16 * 1024;

/// What counts of a registration. Everything else is for other servers.
#[derive(Deserialize)]
struct Registration {
    redirect_uris: Vec<String>,
    #[serde(default)]
    client_name: Option<String>,
    #[serde(default)]
    grant_types: Option<Vec<String>>,
    #[serde(default)]
    response_types: Option<Vec<String>>,
}

pub(super) async fn handler(call: PublicCall, body: Bytes) -> Response {
    match register(&call, &body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn register(call: &PublicCall, body: &[u8]) -> Result<Response, Refusal> {
    let state = &call.state;
    throttle::registration(state, call.meta.source_ip).await?;
    let asked = match read(body) {
        Ok(asked) => asked,
        Err((name, description)) => {
            return Ok(answer::error(StatusCode::BAD_REQUEST, name, &description));
        }
    };
    let id: Uuid = state.ambient.new_id();
    let new = NewOauthClient {
        id,
        name: clean_name(asked.client_name.as_deref().unwrap_or_default()),
        redirect_uris: asked.redirect_uris,
        expires_at: state.ambient.now() + UNUSED_CLIENT_LIFE,
    };
    let registered = state
        .store
        .oauth_clients()
        .register(new, MOST_CLIENTS)
        .await?;
    let Some(client) = registered else {
        return Ok(answer::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "too many programs have registered lately; try again tomorrow",
        ));
    };
    Ok(answer::secret(
        StatusCode::CREATED,
        json!({
            "client_id": client.id.to_string(),
            "client_id_issued_at": client.created_at.timestamp(),
            "client_name": client.name,
            "redirect_uris": client.redirect_uris,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": scope::MCP,
        }),
    ))
}

fn read(body: &[u8]) -> Result<Registration, (&'static str, String)> {
    let wrong = |what: &str| ("invalid_client_metadata", what.to_owned());
    if body.len() > MAX_BYTES {
        return Err(wrong("the document is larger than 16384 bytes"));
    }
    let asked: Registration = serde_json::from_slice(body)
        .map_err(|error| wrong(&format!("the document does not fit: {error}")))?;
    let lacks = |list: &Option<Vec<String>>, needed: &str| {
        list.as_ref()
            .is_some_and(|list| !list.iter().any(|one| one == needed))
    };
    if lacks(&asked.grant_types, "authorization_code") {
        return Err(wrong("grant_types must have authorization_code"));
    }
    if lacks(&asked.response_types, "code") {
        return Err(wrong("response_types must have code"));
    }
    let bad = |what: String| ("invalid_redirect_uri", what);
    if asked.redirect_uris.is_empty() || asked.redirect_uris.len() > MOST_REDIRECTS {
        return Err(bad(format!(
            "redirect_uris must have 1 to {MOST_REDIRECTS} addresses"
        )));
    }
    for (n, uri) in asked.redirect_uris.iter().enumerate() {
        redirect::check(uri).map_err(|problem| bad(format!("redirect_uris[{n}]: {problem}")))?;
    }
    Ok(asked)
}
