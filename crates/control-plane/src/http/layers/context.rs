//! Gives each request an id and finds out where it came from; opens the span under which
//! everything it causes is logged. Neither headers nor query strings are logged: they can hold
//! secrets.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::http::extract::RequestMeta;
use crate::state::AppState;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static REQUEST_ID: HeaderName = HeaderName::from_static(agentopia_api::REQUEST_ID_HEADER);

/// The middleware.
pub async fn context(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let request_id = state.ambient.new_id::<Uuid>().to_string();
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip());
    let source_ip = peer.map(|peer| source(peer, request.headers(), &state.config.trusted_proxies));
    let span = tracing::info_span!(
        "request",
        id = %request_id,
        method = %request.method(),
        path = %request.uri().path(),
    );
    request.extensions_mut().insert(RequestMeta {
        request_id: request_id.clone(),
        source_ip,
    });
    let started = tokio::time::Instant::now();
    async move {
        let mut response = next.run(request).await;
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID.clone(), id);
        }
        tracing::debug!(
            status = response.status().as_u16(),
            elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "answered"
        );
        response
    }
    .instrument(span)
    .await
}

/// The address that a request came from: the peer's, or, behind proxies that we trust, the last
/// address in `X-Forwarded-For` that is not one of theirs. What stands further left was written
/// by the sender and proves nothing.
fn source(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.contains(&ip.to_canonical());
    if !is_trusted(&peer) {
        return peer.to_canonical();
    }
    let named: Vec<&str> = headers
        .get_all(&FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let mut last = peer;
    for text in named.into_iter().rev() {
        let Ok(ip) = text.parse::<IpAddr>() else {
            break;
        };
        last = ip;
        if !is_trusted(&ip) {
            break;
        }
    }
    last.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(
            &FORWARDED_FOR,
            HeaderValue::from_static("6.6.6.6, 9.9.9.9, 10.0.0.2"),
        );
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        assert_eq!(source(ip("8.8.8.8"), &headers, &proxies), ip("8.8.8.8"));
        assert_eq!(source(ip("10.0.0.1"), &headers, &proxies), ip("9.9.9.9"));
        assert_eq!(source(ip("10.0.0.1"), &headers, &[]), ip("10.0.0.1"));
        assert_eq!(
            source(ip("::ffff:10.0.0.1"), &HeaderMap::new(), &proxies),
            ip("10.0.0.1")
        );
    }
}
