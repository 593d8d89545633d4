//! Who may ask, and whether a locked machine answers.

use agentopia_dtma_api::{MIN_PROTOCOL, PROTOCOL, PROTOCOL_HEADER};
use agentopia_pki::CONTROL_PLANE_HOST;
use agentopia_pki::listener::Peer;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, header};
use secrecy::SecretString;

use super::Api;
use super::problem::Refusal;

/// The check as a layer.
pub(super) async fn check(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    allow(&api, &request)?;
    Ok(next.run(request).await)
}

/// Whether a request may be answered.
pub(super) fn allow(api: &Api, request: &Request) -> Result<(), Refusal> {
    let link = &api.reconciler.shared().link;
    let is_control_plane = request
        .extensions()
        .get::<Peer>()
        .and_then(|peer| peer.certificate.as_ref())
        .is_some_and(|shown| {
            shown
                .dns_names
                .iter()
                .any(|name| name == CONTROL_PLANE_HOST)
        });
    let is_known = bearer(request.headers()).is_some_and(|bearer| link.is_control_plane(&bearer));
    if !is_control_plane || !is_known {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "only the control plane of this machine may ask, with its certificate and its token",
        ));
    }
    protocol(request.headers())?;
    let is_info = request.method() == Method::GET && request.uri().path() == "/v1/info";
    if link.is_locked() && !is_info {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "machine_locked",
            "a copy of this machine was seen: remove it, then disable the environment and enable it again",
        ));
    }
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| SecretString::from(token.trim()))
}

/// A caller that names no version speaks the oldest one.
fn protocol(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(named) = headers.get(PROTOCOL_HEADER) else {
        return Ok(());
    };
    let version = named
        .to_str()
        .ok()
        .and_then(|text| text.parse::<u16>().ok());
    if version.is_some_and(|version| version >= MIN_PROTOCOL) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UPGRADE_REQUIRED,
        "protocol_unsupported",
        format!("this agent speaks versions {MIN_PROTOCOL} to {PROTOCOL} of the machine contract"),
    ))
}
