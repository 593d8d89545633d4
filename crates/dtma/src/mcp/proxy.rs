//! HTTP servers: passed through, bodies streaming both ways. A client that goes away takes its
//! connection to the server with it.

use std::net::SocketAddr;
use std::time::Duration;

use agentopia_dtma_api::to_dtma::{NOT_DELIVERED_HEADER, SESSION_KEY_HEADER};
use agentopia_http1::{Client, Error, Settings, Tcp};
use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Request, StatusCode, Uri, Version};
use axum::response::Response;

use super::refusal;

/// To a container on this machine.
const CONNECT: Tcp = Tcp {
    limit: Duration::from_secs(5),
};
const CONNECTIONS: Settings = Settings {
    // Servers close idle connections after some five seconds (Node) or more; ours go first.
    idle: Duration::from_secs(4),
    most_idle: 64,
};

/// Connections to the HTTP servers of this machine.
#[derive(Debug)]
pub(super) struct Proxy {
    client: Client<Tcp>,
}

impl Proxy {
    pub(super) fn new() -> Self {
        let client = Client::new(CONNECT, CONNECTIONS);
        Self { client }
    }

    /// Passes a request on and its answer back.
    pub(super) async fn forward(
        &self,
        address: SocketAddr,
        path: &str,
        request: Request<Body>,
    ) -> Response {
        let Some(request) = rewrite(address, path, request) else {
            return refusal::problem(
                StatusCode::BAD_GATEWAY,
                "invalid_endpoint",
                format!(
                    "{path:?} can't be requested: correct the transport's path in the catalog entry"
                ),
            );
        };
        match self.client.send(&address, request).await {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                drop_headers(&mut parts.headers);
                parts.version = Version::default();
                parts.extensions = axum::http::Extensions::new();
                Response::from_parts(parts, Body::new(body))
            }
            Err(Error::Connect(_)) => refusal::not_delivered(
                StatusCode::BAD_GATEWAY,
                "tool_unreachable",
                format!(
                    "the tool does not listen on port {} of its container: it must listen on all addresses, not on 127.0.0.1",
                    address.port()
                ),
            ),
            // It may well take the next one: a server that is just being restarted.
            Err(Error::NotSent(error)) => {
                tracing::debug!(%address, %error, "a tool's HTTP server closed a connection unused");
                refusal::not_delivered(
                    StatusCode::BAD_GATEWAY,
                    "tool_unreachable",
                    "the tool closed the connection before it took the request",
                )
            }
            Err(error) => {
                tracing::debug!(%address, %error, "a tool's HTTP server failed a request");
                refusal::problem(
                    StatusCode::BAD_GATEWAY,
                    "tool_failed",
                    "the tool closed the connection without an answer",
                )
            }
        }
    }
}

/// The request as the server gets it: its own path (with the client's query), and a `Host` that
/// servers with protection against DNS rebinding take.
fn rewrite(address: SocketAddr, path: &str, request: Request<Body>) -> Option<Request<Body>> {
    let (mut parts, body) = request.into_parts();
    let path_and_query = match parts.uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")).ok()?,
        None => PathAndQuery::try_from(path).ok()?,
    };
    parts.uri = Uri::from(path_and_query);
    parts.version = Version::HTTP_11;
    parts.extensions = axum::http::Extensions::new();
    drop_headers(&mut parts.headers);
    let host = HeaderValue::try_from(format!("localhost:{}", address.port())).ok()?;
    parts.headers.insert(header::HOST, host);
    Some(Request::from_parts(parts, body))
}

fn drop_headers(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION);
    let named = named.iter().filter_map(|value| value.to_str().ok());
    let named = named.flat_map(|value| value.split(','));
    let mut dropped: Vec<HeaderName> = named.filter_map(|name| name.trim().parse().ok()).collect();
    dropped.extend(headers.keys().filter(|name| is_dropped(name)).cloned());
    for name in dropped {
        headers.remove(name);
    }
}

/// Of this hop only (RFC 9110, 7.6.1), or of no business to the tool: what authenticates the
/// gateway here, and what a browser's page would have sent.
fn is_dropped(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "authorization"
            | "cookie"
            | "set-cookie"
            | "origin"
            | "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-proto"
            | SESSION_KEY_HEADER
            | NOT_DELIVERED_HEADER
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_sees_its_own_path_a_local_host_and_no_credentials() {
        let request = Request::post("https://machine:30000/v1/instances/x/mcp?a=1")
            .header("authorization", "Bearer secret")
            .header("cookie", "secret")
            .header(SESSION_KEY_HEADER, "agent-1")
            .header("connection", "x-odd, keep-alive")
            .header("x-odd", "1")
            .header("origin", "https://evil.test")
            .header("mcp-session-id", "s1")
            .header("content-length", "2")
            .body(Body::from("{}"))
            .unwrap();
        let request = rewrite("10.201.0.2:3001".parse().unwrap(), "/mcp", request).unwrap();
        assert_eq!(request.uri().to_string(), "/mcp?a=1");
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "host", "mcp-session-id"]);
        assert_eq!(request.headers()["host"], "localhost:3001");
    }
}
