//! What is sent: a call of a tool that says its argument again.

use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

/// The tool that is called.
pub(super) const TOOL: &str = "echo";
/// The id of every request: answers go back on the connection that they were asked on.
const ID: u32 = 7;

/// How the client talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    Session,
    Modern,
}

/// One kind of load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) era: Era,
    /// Bytes of the argument, and of the answer's text.
    pub(super) payload: usize,
    /// Connections, each with one call at a time.
    pub(super) concurrency: usize,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let era = match self.era {
            Era::Session => "session",
            Era::Modern => "modern",
        };
        let (payload, concurrency) = (self.payload, self.concurrency);
        write!(f, "{era}, {payload} B, c={concurrency}")
    }
}

/// The argument.
pub(super) fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// What every answer has in it.
pub(super) fn expected(payload: usize) -> String {
    format!("\"{}\"", text(payload))
}

/// Fails unless it is the right answer.
pub(super) fn check(body: &[u8], expected: &str) -> anyhow::Result<()> {
    let is_right = memchr::memmem::find(body, expected.as_bytes()).is_some();
    anyhow::ensure!(is_right, "a wrong answer: {}", shown(body));
    Ok(())
}

/// The message in a body that is one, or that is a stream of events with one message.
pub(super) fn message_in(body: &[u8]) -> &[u8] {
    const DATA: &[u8] = b"data:";
    let mut lines = body.split(|byte| *byte == b'\n');
    let data = lines.rfind(|line| line.len() > DATA.len() && line.starts_with(DATA));
    data.map_or(body, |line| &line[DATA.len()..])
}

/// The beginning of a body, for an error.
pub(super) fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned()
}

/// Opens a session.
pub(super) fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"}}})
}

/// Lists the tools: a name has to be known before it can be called.
pub(super) fn list(era: Era) -> Value {
    message(era, "tools/list", json!({}))
}

/// Calls the tool by the name that the list has for it.
pub(super) fn call(work: Work, name: &str) -> Value {
    let arguments = json!({"text": text(work.payload)});
    message(
        work.era,
        "tools/call",
        json!({"name": name, "arguments": arguments}),
    )
}

/// A request with what its era wants.
fn message(era: Era, method: &str, mut params: Value) -> Value {
    if era == Era::Modern {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        });
    }
    json!({"jsonrpc": "2.0", "id": ID, "method": method, "params": params})
}

/// A request with a message. `token` is the gateway's; the others look at none.
pub(super) fn request(
    (authority, path): (&str, &str),
    era: Era,
    token: Option<&str>,
    session: Option<&str>,
    message: &Value,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, authority)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream");
    if let Some(token) = token {
        request = request.header(
            AUTHORIZATION,
            HeaderValue::try_from(format!("Bearer {token}"))?,
        );
    }
    request = match era {
        Era::Modern => {
            let method = message["method"].as_str().unwrap_or_default();
            let request = request
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", method);
            match message["params"]["name"].as_str() {
                Some(name) => request.header("mcp-name", name),
                None => request,
            }
        }
        Era::Session => match session {
            Some(session) => request
                .header("mcp-protocol-version", "2025-11-25")
                .header("mcp-session-id", session),
            None => request,
        },
    };
    Ok(request.body(Full::new(Bytes::from(message.to_string())))?)
}

/// A request that ends a session.
pub(super) fn goodbye(
    place: (&str, &str),
    token: Option<&str>,
    session: &str,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut request = request(place, Era::Session, token, Some(session), &Value::Null)?;
    *request.method_mut() = Method::DELETE;
    *request.body_mut() = Full::default();
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_json_and_in_streams() {
        assert_eq!(message_in(b"{\"a\":1}"), b"{\"a\":1}");
        let stream = b"id: 1\ndata: \n\nevent: message\ndata: {\"a\":1}\n\n";
        assert_eq!(message_in(stream).trim_ascii(), b"{\"a\":1}");
    }

    #[test]
    fn an_answer_with_another_text_is_wrong() {
        let expected = expected(3);
        assert!(check(br#"{"text":"xxx"}"#, &expected).is_ok());
        assert!(check(br#"{"text":"xx"}"#, &expected).is_err());
        assert!(check(br#"{"text":"xxxx"}"#, &expected).is_err());
    }
}
