//! Hosts, origins and security headers (SEC-7).

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::problem::{Refusal, kind};
use crate::state::AppState;

/// Styles inline because the UI's component library sets them at run time; scripts only our own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; connect-src 'self'; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY_POLICY),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
];

/// Refuses requests for hosts that are not ours (DNS rebinding) and, at the API, from pages that
/// are not ours. The MCP endpoints check origins themselves: their rules differ.
pub async fn gate(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Load balancers ask by address; nothing can be learnt or done there.
    if matches!(path, "/health" | "/ready") {
        return next.run(request).await;
    }
    if let Some(refusal) = wrong_host(&state, &request) {
        return refusal.into_response();
    }
    let api = path.starts_with("/api/") || path.starts_with("/internal/");
    if api
        && let Some(origin) = request.headers().get(header::ORIGIN)
        && !origin
            .to_str()
            .is_ok_and(|origin| state.config.allows_origin(origin))
    {
        return Refusal::new(
            kind::FOREIGN_ORIGIN,
            "this page's origin may not use the API; the operator can add it to allowed_origins",
        )
        .into_response();
    }
    next.run(request).await
}

fn wrong_host(state: &AppState, request: &Request) -> Option<Refusal> {
    let authority = request
        .uri()
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| request.headers().get(header::HOST)?.to_str().ok());
    match authority {
        Some(authority) if state.config.allows_host(authority) => None,
        _ => Some(Refusal::new(
            kind::UNKNOWN_HOST,
            "use the address in public_url; the operator can add other names to allowed_hosts",
        )),
    }
}

/// Adds the headers to every answer that does not set them itself.
pub async fn headers(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        put(headers, name, value);
    }
    if api {
        put(
            headers,
            &header::CACHE_CONTROL,
            &HeaderValue::from_static("no-store"),
        );
    }
    if state.config.is_https() {
        put(
            headers,
            &header::STRICT_TRANSPORT_SECURITY,
            &HeaderValue::from_static("max-age=31536000"),
        );
    }
    response
}

fn put(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    if !headers.contains_key(name) {
        headers.insert(name.clone(), value.clone());
    }
}
