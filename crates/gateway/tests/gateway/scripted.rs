//! Hand-written upstreams: what they answer is a function of the request, and every request that
//! reaches them is kept.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::rig::PATIENCE;

/// What came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) http: Method,
    pub(crate) headers: HeaderMap,
    /// The body as text, verbatim.
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &Value {
        &self.body["id"]
    }

    pub(crate) fn session(&self) -> Option<&str> {
        self.headers
            .get("mcp-session-id")
            .map(|s| s.to_str().unwrap())
    }
}

type Script = dyn Fn(Seen) -> BoxFuture<'static, Response> + Send + Sync;

pub(crate) struct Scripted {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    count: Arc<watch::Sender<usize>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Scripted {
    pub(crate) async fn start<F, R>(script: F) -> Self
    where
        F: Fn(Seen) -> R + Send + Sync + 'static,
        R: Future<Output = Response> + Send + 'static,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let count = Arc::new(watch::Sender::new(0));
        let script: Arc<Script> = Arc::new(move |seen| Box::pin(script(seen)));
        let (kept, counter) = (seen.clone(), count.clone());
        let handler = move |http: Method, headers: HeaderMap, body: Bytes| {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let body = serde_json::from_str(&text).unwrap_or(Value::Null);
            let request = Seen {
                http,
                headers,
                text,
                body,
            };
            let total = {
                let mut kept = kept.lock();
                kept.push(request.clone());
                kept.len()
            };
            counter.send_replace(total);
            script(request)
        };
        let router = axum::Router::new().fallback(handler);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            seen,
            count,
            server,
        }
    }

    /// A session-era server with these tools, each of which answers with its arguments.
    pub(crate) async fn with_tools(tools: &'static [&'static str]) -> Self {
        Self::start(move |seen| async move { session_server(&seen, tools) }).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Requests of one method.
    pub(crate) fn of(&self, method: &str) -> Vec<Seen> {
        self.seen()
            .into_iter()
            .filter(|s| s.method() == method)
            .collect()
    }

    /// Waits until `condition` holds of what was seen.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&[Seen]) -> bool) {
        let mut counts = self.count.subscribe();
        let waiting = counts.wait_for(|_| condition(&self.seen.lock()));
        let waited = tokio::time::timeout(PATIENCE, waiting)
            .await
            .map(|r| r.map(drop));
        assert!(
            waited.is_ok(),
            "waited in vain for {what}; seen: {:?}",
            self.methods()
        );
    }

    fn methods(&self) -> Vec<String> {
        self.seen()
            .iter()
            .map(|s| format!("{} {}", s.http, s.method()))
            .collect()
    }
}

pub(crate) fn json_text(text: impl Into<String>) -> Response {
    let mut response = Response::new(Body::from(text.into()));
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    response
}

pub(crate) fn result(seen: &Seen, result: Value) -> Response {
    json_text(json!({"jsonrpc": "2.0", "id": seen.id(), "result": result}).to_string())
}

pub(crate) fn error(seen: &Seen, code: i64, message: &str) -> Response {
    let error = json!({"code": code, "message": message});
    json_text(json!({"jsonrpc": "2.0", "id": seen.id(), "error": error}).to_string())
}

pub(crate) fn status(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

pub(crate) fn events(messages: &[Value]) -> Response {
    let text: String = messages.iter().map(|m| format!("data: {m}\n\n")).collect();
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert("content-type", "text/event-stream".parse().unwrap());
    response
}

/// The answer to `initialize`, with a session.
pub(crate) fn initialized(seen: &Seen, capabilities: Value) -> Response {
    let mut response = result(
        seen,
        json!({"protocolVersion": seen.body["params"]["protocolVersion"],
            "capabilities": capabilities, "serverInfo": {"name": "scripted", "version": "1"}}),
    );
    response
        .headers_mut()
        .insert("mcp-session-id", "scripted-session".parse().unwrap());
    response
}

pub(crate) fn session_server(seen: &Seen, tools: &[&str]) -> Response {
    match (&seen.http, seen.method()) {
        (&Method::GET, _) => status(405),
        (&Method::DELETE, _) => status(200),
        (_, "initialize") => initialized(seen, json!({"tools": {}})),
        (_, "server/discover") => error(seen, -32601, "what?"),
        (_, "tools/list") => result(seen, json!({"tools": tool_list(tools)})),
        (_, "tools/call") => {
            let params = &seen.body["params"];
            let text = format!(
                "{} {}",
                params["name"].as_str().unwrap(),
                params["arguments"]
            );
            result(seen, json!({"content": [{"type": "text", "text": text}]}))
        }
        (_, method) if seen.id().is_null() || method.is_empty() => status(202),
        (_, method) => error(seen, -32601, &format!("no {method}")),
    }
}

pub(crate) fn tool_list(tools: &[&str]) -> Vec<Value> {
    tools
        .iter()
        .map(|t| json!({"name": t, "inputSchema": {"type": "object"}}))
        .collect()
}

/// A server that knows the modern era only.
pub(crate) fn modern_server(seen: &Seen, tools: &[&str]) -> Response {
    let complete = |mut fields: Value| {
        fields["resultType"] = "complete".into();
        fields["_meta"] =
            json!({"io.modelcontextprotocol/serverInfo": {"name": "modern", "version": "1"}});
        result(seen, fields)
    };
    if seen.http != Method::POST {
        return status(405);
    }
    match seen.method() {
        "server/discover" => complete(json!({"supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"})),
        "tools/list" => {
            complete(json!({"tools": tool_list(tools), "ttlMs": 60_000, "cacheScope": "public"}))
        }
        "tools/call" => complete(json!({"content": [{"type": "text",
            "text": seen.body["params"]["arguments"].to_string()}]})),
        _ => {
            let mut refused = error(seen, -32601, "unknown");
            *refused.status_mut() = StatusCode::NOT_FOUND;
            refused
        }
    }
}
