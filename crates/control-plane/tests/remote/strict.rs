//! A small authorization server that is strict and can be told to misbehave, with a real MCP server
//! behind it. Refresh tokens are good for one use, and a second use is counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use crate::elsewhere;

type Fields = HashMap<String, String>;

/// What it does, and what it saw.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    /// Seconds that access tokens are good for.
    pub(crate) life: u64,
    /// Put over the server's metadata.
    pub(crate) resource: Value,
    /// Put over the authorization server's metadata.
    pub(crate) issuer: Value,
    /// Where the challenge says the metadata is; nowhere if empty.
    pub(crate) challenge: Option<String>,
    /// Refuse refresh tokens.
    pub(crate) refuses: bool,
    /// Answer the next renewals with this status.
    pub(crate) is_ill: Option<u16>,
    /// Refuse calls for want of a scope.
    pub(crate) wants_more: bool,
    /// How long a renewal takes.
    pub(crate) takes: Duration,
    /// The access token that opens the server.
    pub(crate) access: String,
    /// The refresh token that may be used next.
    pub(crate) refresh: String,
    /// How often tokens were renewed.
    pub(crate) renewals: u32,
    /// How often a refresh token came a second time.
    pub(crate) reuses: u32,
    /// What browsers asked for.
    pub(crate) asked: Vec<Fields>,
    /// What was given back.
    pub(crate) revoked: Vec<String>,
    /// What was told without the right form.
    pub(crate) wrong: Vec<String>,
    made: u32,
}

/// See the module's header.
#[derive(Debug, Clone)]
pub(crate) struct Strict {
    /// Where the MCP server is.
    pub(crate) url: String,
    base: String,
    pub(crate) ways: Arc<Mutex<Ways>>,
}

impl Strict {
    pub(crate) async fn start(life: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let ways = Ways {
            life,
            challenge: Some(format!("{base}/about")),
            ..Ways::default()
        };
        let strict = Self {
            url: format!("{base}/mcp"),
            base,
            ways: Arc::new(Mutex::new(ways)),
        };
        let guarded = Router::new()
            .nest_service("/mcp", elsewhere::service())
            .layer(from_fn_with_state(strict.clone(), guard));
        let router = Router::new()
            .route("/about", get(about))
            .route("/.well-known/oauth-protected-resource/mcp", get(about))
            .route("/.well-known/oauth-authorization-server/as", get(metadata))
            .route("/as/authorize", get(authorize))
            .route("/as/register", post(register))
            .route("/as/token", post(token))
            .route("/as/revoke", post(revoke))
            .with_state(strict.clone())
            .merge(guarded);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        strict
    }

    pub(crate) fn issuer(&self) -> String {
        format!("{}/as", self.base)
    }
}

async fn guard(State(strict): State<Strict>, request: Request, next: Next) -> Response {
    let shown = request.headers().get("authorization");
    let shown = shown.map(|value| value.to_str().unwrap().to_owned());
    let refusal = {
        let ways = strict.ways.lock();
        let expected = format!("Bearer {}", ways.access);
        if ways.access.is_empty() || shown != Some(expected) {
            let metadata = ways.challenge.as_ref();
            let metadata = metadata.map(|at| format!(", resource_metadata=\"{at}\""));
            let text = format!("Bearer scope=\"read\"{}", metadata.unwrap_or_default());
            Some((StatusCode::UNAUTHORIZED, text))
        } else if ways.wants_more {
            let text = "Bearer error=\"insufficient_scope\", scope=\"write\"".to_owned();
            Some((StatusCode::FORBIDDEN, text))
        } else {
            None
        }
    };
    match refusal {
        Some((status, challenge)) => (status, [("www-authenticate", challenge)]).into_response(),
        None => next.run(request).await,
    }
}

fn over(mut document: Value, change: &Value) -> Json<Value> {
    for (key, value) in change.as_object().into_iter().flatten() {
        document[key] = value.clone();
    }
    Json(document)
}

async fn about(State(strict): State<Strict>) -> Json<Value> {
    let document = json!({
        "resource": strict.url,
        "authorization_servers": [strict.issuer()],
        "scopes_supported": ["other"],
    });
    over(document, &strict.ways.lock().resource)
}

async fn metadata(State(strict): State<Strict>) -> Json<Value> {
    let issuer = strict.issuer();
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "scopes_supported": ["read", "write", "offline_access"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    });
    over(document, &strict.ways.lock().issuer)
}

async fn register(Json(body): Json<Value>) -> Response {
    let good = body["token_endpoint_auth_method"] == "client_secret_basic"
        && body["redirect_uris"][0]
            .as_str()
            .is_some_and(|uri| uri.ends_with("/oauth/callback"));
    if !good {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let client = json!({"client_id": "made:1", "client_secret": "s+cret&1"});
    (StatusCode::CREATED, Json(client)).into_response()
}

async fn authorize(State(strict): State<Strict>, Query(asked): Query<Fields>) -> Redirect {
    let mut back: url::Url = asked["redirect_uri"].parse().unwrap();
    back.query_pairs_mut()
        .append_pair("code", "the-code")
        .append_pair("state", &asked["state"]);
    strict.ways.lock().asked.push(asked);
    Redirect::to(back.as_str())
}

async fn token(State(strict): State<Strict>, headers: http::HeaderMap, body: String) -> Response {
    let form = fields(&body);
    let takes = strict.ways.lock().takes;
    tokio::time::sleep(takes).await;
    let mut ways = strict.ways.lock();
    let shown = headers.get("authorization");
    let shown = shown.map(|value| value.to_str().unwrap().to_owned());
    // The form of RFC 6749: both parts encoded before they are joined.
    let made = base64::engine::general_purpose::STANDARD.encode("made%3A1:s%2Bcret%261");
    let is_client = shown == Some(format!("Basic {made}"));
    let is_ours = form.get("resource") == Some(&strict.url);
    if !is_client || !is_ours {
        ways.wrong.push(format!("{shown:?} {form:?}"));
        return refusal("invalid_client");
    }
    match form["grant_type"].as_str() {
        "authorization_code" => {
            let asked = ways.asked.last().unwrap();
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
            let fits = form["code"] == "the-code"
                && challenge == asked["code_challenge"]
                && form["redirect_uri"] == asked["redirect_uri"];
            if !fits {
                return refusal("invalid_grant");
            }
        }
        "refresh_token" => {
            if let Some(status) = ways.is_ill.take() {
                return StatusCode::from_u16(status).unwrap().into_response();
            }
            if ways.refuses {
                return refusal("invalid_grant");
            }
            if form["refresh_token"] != ways.refresh {
                ways.reuses += 1;
                return refusal("invalid_grant");
            }
            ways.renewals += 1;
        }
        _ => return refusal("unsupported_grant_type"),
    }
    ways.made += 1;
    ways.access = format!("access-{}", ways.made);
    ways.refresh = format!("refresh-{}", ways.made);
    Json(json!({
        "access_token": ways.access,
        "token_type": "Bearer",
        "expires_in": ways.life,
        "refresh_token": ways.refresh,
    }))
    .into_response()
}

async fn revoke(State(strict): State<Strict>, body: String) -> StatusCode {
    let form = fields(&body);
    strict.ways.lock().revoked.push(form["token"].clone());
    StatusCode::OK
}

fn fields(body: &str) -> Fields {
    let pairs = url::form_urlencoded::parse(body.as_bytes());
    pairs.into_owned().collect()
}

fn refusal(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}
