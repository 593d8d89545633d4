//! An MCP server of both eras that does as little as it can: it costs the same whoever stands before it.

use std::convert::Infallible;

use agentopia_mcp::{Envelope, Limits};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::role::tell;
use super::wire::TOOL;

pub(super) async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tell(&format!("http://{}/mcp", listener.local_addr()?), None);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service =
                service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
            // A client that goes away ends its connection.
            let _gone = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::POST {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Ok(body) = request.into_body().collect().await else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let Ok(message) = Envelope::scan(body.to_bytes(), &Limits::default()) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let Some(id) = message.id() else {
        return empty(StatusCode::ACCEPTED);
    };
    let id = id.to_string();
    let tools = json!([{"name": TOOL, "inputSchema": {"type": "object"}}]);
    let body = match &*message.method() {
        "initialize" => result(
            &id,
            &json!({
            "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "bench", "version": "1"}}),
        ),
        "server/discover" => result(
            &id,
            &json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28", "2025-11-25"],
            "capabilities": {"tools": {}}, "ttlMs": 60_000, "cacheScope": "private"}),
        ),
        "tools/list" => result(
            &id,
            &json!({
            "resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private"}),
        ),
        "tools/call" => said_again(&id, message.bytes()),
        _ => return empty(StatusCode::NOT_FOUND),
    };
    let mut response = Response::new(Full::new(body.into()));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    if message.method() == "initialize" {
        headers.insert("mcp-session-id", http::HeaderValue::from_static("bench"));
    }
    response
}

fn result(id: &str, result: &Value) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into_bytes()
}

/// The argument is what stands between the first quotes after its name: the bench sends no others.
fn said_again(id: &str, message: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = br#""text":""#;
    let start = memchr::memmem::find(message, NAME).map_or(0, |at| at + NAME.len());
    let text = &message[start..];
    let text = &text[..memchr::memchr(b'"', text).unwrap_or(0)];
    let mut out = Vec::with_capacity(text.len() + 128);
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(
        br#","result":{"resultType":"complete","content":[{"type":"text","text":""#,
    );
    out.extend_from_slice(text);
    out.extend_from_slice(br#""}]}}"#);
    out
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
