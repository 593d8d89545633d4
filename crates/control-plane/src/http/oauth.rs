//! The addresses of the authorization server (AGT-7): documents and endpoints for programs, and two
//! small pages for people. They stand outside the versioned API: their form is that of RFC 6749 and
//! its companions. The rules are in [`crate::oauth`]. The addresses of logins in which we are the client
//! are here too ([`upstream`]).

mod answer;
mod authorize;
mod consent;
mod fields;
mod login;
mod metadata;
mod page;
mod register;
mod revoke;
mod token;
mod upstream;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::state::AppState;
use crate::upstream_login::{CALLBACK_PATH, DOCUMENT_PATH};

/// All of them.
pub(super) fn routes() -> Router<AppState> {
    let programs = Router::new()
        .route(
            "/.well-known/oauth-authorization-server",
            get(metadata::server).options(preflight),
        )
        .route(
            "/.well-known/oauth-protected-resource/{noun}/{id}/{door}",
            get(metadata::resource).options(preflight),
        )
        .route(
            "/oauth/register",
            post(register::handler).options(preflight),
        )
        .route(DOCUMENT_PATH, get(upstream::document).options(preflight))
        .route("/oauth/token", post(token::handler).options(preflight))
        .route("/oauth/revoke", post(revoke::handler).options(preflight))
        .route_layer(from_fn(open_to_pages));
    Router::new()
        .route("/oauth/authorize", get(authorize::handler))
        .route("/oauth/login", post(login::handler))
        .route("/oauth/consent", post(consent::handler))
        .route("/oauth/upstream", get(upstream::start))
        .route("/oauth/upstream/login", post(upstream::login))
        .route(CALLBACK_PATH, get(upstream::callback))
        .merge(programs)
}

async fn preflight() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Lets pages of any origin read the answers, without cookies: clients that are web pages need them,
/// and nothing in them depends on who has the browser.
async fn open_to_pages(request: Request, next: Next) -> Response {
    const OPEN: [(HeaderName, &str); 5] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, mcp-protocol-version",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ),
    ];
    let mut response = next.run(request).await;
    for (name, value) in OPEN {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
