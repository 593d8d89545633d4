//! A server's answer: whatever it says, the client's call is answered once, under the client's own id, by
//! messages that can be read.
//!
//! The input: a byte for the server's era and the answer's type and status, then the answer's body, in which
//! `@I` stands for the id of the call.

use agentopia_mcp::{Envelope, Kind, Limits};
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::rig::{Reply, Rig};

const TYPES: [&str; 4] = [
    "application/json",
    "text/event-stream",
    "text/html",
    "application/json; charset=utf-8",
];
const STATUSES: [StatusCode; 4] = [
    StatusCode::OK,
    StatusCode::ACCEPTED,
    StatusCode::NOT_FOUND,
    StatusCode::INTERNAL_SERVER_ERROR,
];

/// See the module's header.
pub fn answer(data: &[u8]) {
    let Some((&choices, body)) = data.split_first() else {
        return;
    };
    let is_modern = choices & 1 == 1;
    let (kind, status) = (
        TYPES[usize::from((choices >> 1) & 3)],
        STATUSES[usize::from((choices >> 3) & 3)],
    );
    let client_is_modern = choices & 0x20 != 0;
    let body = Bytes::copy_from_slice(body);
    let rig = Rig::new(Box::new(move |request| {
        server(request, is_modern, kind, status, &body)
    }));
    let session = (!client_is_modern).then(|| opened(&rig));
    let reply = called(&rig, session.as_deref());
    assert!(
        reply.status != StatusCode::INTERNAL_SERVER_ERROR,
        "our own mistake"
    );
    let mut answers = 0;
    for message in reply.messages() {
        let message = Envelope::scan(&message[..], &Limits::default());
        let message = message.unwrap_or_else(|error| panic!("no message: {error}"));
        if matches!(message.kind(), Kind::Response | Kind::ErrorResponse) {
            let id = message.id().expect("an answer has an id");
            assert_eq!(id.as_text().as_deref(), Some("call"), "not the client's id");
            answers += 1;
        }
    }
    assert_eq!(answers, 1, "one call, one answer");
}

fn opened(rig: &Rig) -> String {
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "f", "version": "1"}}});
    let reply = rig.ask(posting(rig).body(Body::from(message.to_string())).unwrap());
    reply.headers["mcp-session-id"].to_str().unwrap().to_owned()
}

fn called(rig: &Rig, session: Option<&str>) -> Reply {
    let mut message = json!({"jsonrpc": "2.0", "id": "call", "method": "tools/call",
        "params": {"name": "echo", "arguments": {}}});
    let mut request = posting(rig);
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    } else {
        message["params"]["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "f", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}});
        request = request
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "echo");
    }
    rig.ask(request.body(Body::from(message.to_string())).unwrap())
}

/// To the server's own endpoint, where no list has to be asked for.
fn posting(rig: &Rig) -> http::request::Builder {
    Request::post(format!("http://localhost/instances/{}/mcp", rig.instance))
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", rig.token))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
}

/// Shakes hands as its era does, and answers a call as the input says.
fn server(
    request: &Request<Bytes>,
    is_modern: bool,
    kind: &'static str,
    status: StatusCode,
    body: &Bytes,
) -> Response<Bytes> {
    let message: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let id = &message["id"];
    let info = json!({"name": "s", "version": "1"});
    let (status, kind, body) = match message["method"].as_str().unwrap_or_default() {
        "tools/call" => (status, kind, with_id(body, &id.to_string())),
        "server/discover" if is_modern => {
            let result = json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                "resultType": "complete", "_meta": {"io.modelcontextprotocol/serverInfo": info}});
            good(id, &result)
        }
        "initialize" if !is_modern => {
            let result = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": info});
            good(id, &result)
        }
        "ping" => good(id, &json!({})),
        _ if id.is_null() => (StatusCode::ACCEPTED, TYPES[0], Bytes::new()),
        _ => {
            let error = json!({"code": -32601, "message": "unknown"});
            let answer = json!({"jsonrpc": "2.0", "id": id, "error": error});
            (StatusCode::OK, TYPES[0], Bytes::from(answer.to_string()))
        }
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", kind);
    response.body(body).unwrap()
}

fn good(id: &Value, result: &Value) -> (StatusCode, &'static str, Bytes) {
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
    (StatusCode::OK, TYPES[0], Bytes::from(answer.to_string()))
}

fn with_id(body: &Bytes, id: &str) -> Bytes {
    let mut filled = body.to_vec();
    while let Some(at) = filled.windows(2).position(|two| two == b"@I") {
        filled.splice(at..at + 2, id.bytes());
    }
    filled.into()
}
