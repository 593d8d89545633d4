//! A client's request: whatever it is, the gateway answers within HTTP and JSON-RPC, makes no mistake of
//! its own, lets nobody in without a token and no sealed text through that it did not seal.
//!
//! The input: a byte for method, door and token (see [`Choices`]), lines of headers, an empty line, a body.
//! In both `@S` stands for the id of an open session and `@R` for a server's sealed state.

use agentopia_mcp::{Envelope, Field, Limits};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::rig::{Reply, Rig};

const METHODS: [&str; 4] = ["POST", "GET", "DELETE", "OPTIONS"];
const DOORS: [&str; 4] = ["mcp", "sse", "messages", "mcp/"];
const STATE: &str = "what the server wants to have back";

/// See the module's header.
pub fn request(data: &[u8]) {
    let Some((&choices, rest)) = data.split_first() else {
        return;
    };
    let rig = Rig::new(Box::new(server));
    let choices = Choices::of(choices, &rig);
    let input = filled_in(&rig, rest);
    let Some(request) = choices.request(&input) else {
        return;
    };
    let reply = rig.ask(request);
    assert!(
        reply.status != StatusCode::INTERNAL_SERVER_ERROR,
        "our own mistake"
    );
    if !choices.token_is_good {
        assert!(
            reply.status.is_client_error(),
            "let in without a token: {}",
            reply.status
        );
    }
    for message in reply.messages() {
        if Envelope::scan(&message[..], &Limits::default()).is_err() {
            // A batch is answered by one.
            let batch: Result<Vec<Value>, _> = serde_json::from_slice(&message);
            assert!(
                batch.is_ok(),
                "no message: {:?}",
                String::from_utf8_lossy(&message)
            );
        }
    }
}

/// What the first byte says: two bits each of method, door and token, one for which endpoint.
struct Choices {
    method: &'static str,
    path: String,
    token: Option<String>,
    token_is_good: bool,
}

impl Choices {
    fn of(byte: u8, rig: &Rig) -> Self {
        let bits = |at: u8| usize::from((byte >> at) & 3);
        let endpoint = match byte >> 6 {
            0 | 1 => format!("agents/{}", rig.agent),
            2 => format!("instances/{}", rig.instance),
            _ => format!("instances/{}", rig.agent),
        };
        let mut other = rig.token.clone();
        other.replace_range(4..5, if other[4..5] == *"A" { "B" } else { "A" });
        let (token, token_is_good) = match bits(4) {
            0 | 1 => (Some(rig.token.clone()), true),
            2 => (Some(other), false),
            _ => (None, false),
        };
        Self {
            method: METHODS[bits(0)],
            path: format!("http://localhost/{endpoint}/{}", DOORS[bits(2)]),
            token,
            token_is_good,
        }
    }

    fn request(&self, input: &[u8]) -> Option<Request<Body>> {
        let mut builder = Request::builder().method(self.method).uri(&self.path);
        let headers = builder.headers_mut()?;
        headers.insert("host", HeaderValue::from_static("localhost"));
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
            headers.insert("authorization", value);
        }
        let mut rest = input;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if line.is_empty() {
                break;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            let name = HeaderName::from_bytes(name).ok();
            // What the choices decide is not the headers' to say.
            let name = name.filter(|name| name != "authorization" && headers.len() < 64);
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        builder.body(Body::from(Bytes::copy_from_slice(rest))).ok()
    }
}

/// Puts real sealed texts where the input wants them; they are made only then.
fn filled_in(rig: &Rig, input: &[u8]) -> Vec<u8> {
    let mut filled = input.to_vec();
    for (mark, make) in [(b"@S", session as fn(&Rig) -> String), (b"@R", state)] {
        while let Some(at) = filled.windows(2).position(|two| two == mark) {
            filled.splice(at..at + 2, make(rig).into_bytes());
        }
    }
    filled
}

/// Opens a session, as a client of the session era does.
fn session(rig: &Rig) -> String {
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "f", "version": "1"}}});
    let reply = post(rig, &message, &[]);
    reply.headers["mcp-session-id"].to_str().unwrap().to_owned()
}

/// Has a call answered by a question, as a modern client does, and takes the state that came with it.
fn state(rig: &Rig) -> String {
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {
        "name": "ask", "arguments": {}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "f", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}}});
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "ask"),
    ];
    let reply = post(rig, &message, &headers);
    let answer = reply.messages().pop().expect("an answer");
    let answer = Envelope::scan(&answer[..], &Limits::default()).unwrap();
    let state = answer.text(Field::ResultRequestState);
    let state =
        state.unwrap_or_else(|| panic!("no state in {}", String::from_utf8_lossy(answer.bytes())));
    assert!(!state.contains(STATE), "a state is sealed");
    state.into_owned()
}

fn post(rig: &Rig, message: &Value, headers: &[(&'static str, &str)]) -> Reply {
    let mut builder = Request::post(format!("http://localhost/agents/{}/mcp", rig.agent))
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", rig.token))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    rig.ask(builder.body(Body::from(message.to_string())).unwrap())
}

/// A modern server with two tools: one answers, the other asks back. Any state that it gets is its own.
fn server(request: &Request<Bytes>) -> Response<Bytes> {
    let Ok(message) = serde_json::from_slice::<Value>(request.body()) else {
        return plain(StatusCode::METHOD_NOT_ALLOWED, &Value::Null);
    };
    let state = &message["params"]["requestState"];
    assert!(
        state.is_null() || state == STATE,
        "a forged state reached the server: {state}"
    );
    let result = match message["method"].as_str().unwrap_or_default() {
        "server/discover" => json!({"supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}, "resources": {}, "prompts": {}}, "resultType": "complete",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1"}}}),
        "tools/list" => json!({"resultType": "complete", "ttlMs": 60_000, "tools": [
            {"name": "ask", "inputSchema": {"type": "object"}},
            {"name": "echo", "inputSchema": {"type": "object"}}]}),
        "tools/call" if message["params"]["name"] == "ask" && state.is_null() => json!({
            "resultType": "input_required", "requestState": STATE, "inputRequests": {"q": {
                "method": "elicitation/create", "params": {"mode": "form", "message": "Sure?",
                    "requestedSchema": {"type": "object", "properties": {}}}}}}),
        "tools/call" => json!({"resultType": "complete", "content": []}),
        _ => {
            let error = json!({"code": -32601, "message": "unknown"});
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
            return plain(StatusCode::NOT_FOUND, &answer);
        }
    };
    if message["id"].is_null() {
        return plain(StatusCode::ACCEPTED, &Value::Null);
    }
    plain(
        StatusCode::OK,
        &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}),
    )
}

fn plain(status: StatusCode, message: &Value) -> Response<Bytes> {
    let body = if message.is_null() {
        String::new()
    } else {
        message.to_string()
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    response.body(Bytes::from(body)).unwrap()
}
