//! A client that sees every byte: bodies are texts, answers are kept as they came.

use agentopia_mcp::SseParser;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::rig::PATIENCE;

pub(crate) const MODERN: &str = "2026-07-28";

#[derive(Clone)]
pub(crate) struct Wire {
    http: reqwest::Client,
    pub(crate) url: String,
    token: String,
    pub(crate) session: Option<String>,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// Every message in it, verbatim.
    pub(crate) fn messages(&self) -> Vec<String> {
        if self
            .headers
            .get("content-type")
            .is_some_and(|t| t == "text/event-stream")
        {
            let mut events = Vec::new();
            SseParser::default()
                .push(self.body.as_bytes(), &mut events)
                .unwrap();
            let texts = events.iter().filter_map(|e| e.message());
            return texts
                .map(|m| String::from_utf8(m.to_vec()).unwrap())
                .collect();
        }
        vec![self.body.clone()]
    }

    /// The last message.
    pub(crate) fn answer(&self) -> Value {
        let messages = self.messages();
        let last = messages
            .last()
            .unwrap_or_else(|| panic!("no answer: {}", self.status));
        serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {} {last:?}", self.status))
    }

    pub(crate) fn result(&self) -> Value {
        let answer = self.answer();
        assert!(answer.get("result").is_some(), "{answer}");
        answer["result"].clone()
    }

    pub(crate) fn code(&self) -> i64 {
        let answer = self.answer();
        answer["error"]["code"]
            .as_i64()
            .unwrap_or_else(|| panic!("no error: {answer}"))
    }
}

impl Wire {
    pub(crate) fn new(http: reqwest::Client, url: String, token: &str) -> Self {
        Self {
            http,
            url,
            token: token.into(),
            session: None,
        }
    }

    pub(crate) fn use_token(&mut self, token: &str) {
        self.token = token.into();
    }

    pub(crate) fn request(&self, method: http::Method) -> reqwest::RequestBuilder {
        let mut request = self
            .http
            .request(method, &self.url)
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream");
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        request
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        tokio::time::timeout(PATIENCE, async {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Reply {
                status,
                headers,
                body: response.text().await.unwrap(),
            }
        })
        .await
        .expect("an answer in time")
    }

    /// Posts a body as it is.
    pub(crate) async fn post(&self, body: impl Into<String>) -> Reply {
        self.send(self.posting(body)).await
    }

    pub(crate) fn posting(&self, body: impl Into<String>) -> reqwest::RequestBuilder {
        let body: String = body.into();
        self.request(http::Method::POST)
            .header("content-type", "application/json")
            .body(body)
    }

    /// Opens a session of `version` with these capabilities.
    pub(crate) async fn initialize(&mut self, version: &str, capabilities: Value) -> Reply {
        let message = json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": capabilities,
            "clientInfo": {"name": "wire", "version": "1"}}});
        let reply = self.post(message.to_string()).await;
        self.session = reply
            .headers
            .get("mcp-session-id")
            .map(|s| s.to_str().unwrap().to_owned());
        if self.session.is_some() {
            let ready = self
                .post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
                .await;
            assert_eq!((ready.status, ready.body.as_str()), (202, ""));
        }
        reply
    }

    /// A session of the newest revision with sessions, without capabilities.
    pub(crate) async fn opened(mut self) -> Self {
        let reply = self.initialize("2025-11-25", json!({})).await;
        assert!(self.session.is_some(), "{} {}", reply.status, reply.body);
        self
    }

    /// A session-era request.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Reply {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post(message.to_string()).await
    }

    pub(crate) async fn tool(&self, name: &str, arguments: Value) -> Reply {
        self.call("tools/call", json!({"name": name, "arguments": arguments}))
            .await
    }

    /// A modern request with all that belongs to it.
    pub(crate) fn modern(&self, method: &str, params: Value) -> reqwest::RequestBuilder {
        self.modern_as(method, params, json!({}))
    }

    pub(crate) fn modern_as(
        &self,
        method: &str,
        mut params: Value,
        capabilities: Value,
    ) -> reqwest::RequestBuilder {
        let meta = params
            .as_object_mut()
            .unwrap()
            .entry("_meta")
            .or_insert_with(|| json!({}));
        meta["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
        meta["io.modelcontextprotocol/clientCapabilities"] = capabilities;
        meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "wire", "version": "1"});
        let name = match method {
            "tools/call" | "prompts/get" => params["name"].as_str(),
            "resources/read" => params["uri"].as_str(),
            _ => None,
        };
        let name = name.map(str::to_owned);
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = self
            .posting(message.to_string())
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        request
    }

    pub(crate) async fn modern_call(&self, method: &str, params: Value) -> Reply {
        self.send(self.modern(method, params)).await
    }

    /// Names of a session's tools.
    pub(crate) async fn tools(&self) -> Vec<String> {
        names(&self.call("tools/list", json!({})).await.result()["tools"])
    }

    /// Opens a stream that stays.
    pub(crate) async fn stream(&self, request: reqwest::RequestBuilder) -> Stream {
        let response = tokio::time::timeout(PATIENCE, request.send())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream {
            body: response.bytes_stream().boxed(),
            parser: SseParser::default(),
            ready: vec![],
            id: None,
        }
    }

    /// A session's GET stream.
    pub(crate) async fn standing(&self) -> Stream {
        self.stream(self.request(http::Method::GET)).await
    }
}

/// What of a stream was missed after the event with this id.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

pub(crate) fn names(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) struct Stream {
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    parser: SseParser,
    ready: Vec<String>,
    /// The last event's.
    pub(crate) id: Option<String>,
}

impl Stream {
    /// The next message; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(PATIENCE, async {
            while self.ready.is_empty() {
                let chunk = self.body.next().await?.ok()?;
                let text = String::from_utf8(chunk.to_vec()).unwrap();
                // Rule 20: every message has its event's name.
                assert_eq!(
                    text.matches("\ndata: ").count(),
                    text.matches("event: message").count()
                );
                let mut events = Vec::new();
                self.parser.push(&chunk, &mut events).unwrap();
                let id = events.iter().rev().find_map(|e| e.id.as_deref());
                self.id = id.map(str::to_owned).or(self.id.take());
                let texts = events.iter().filter_map(|e| e.message());
                self.ready
                    .extend(texts.map(|m| String::from_utf8(m.to_vec()).unwrap()));
            }
            Some(serde_json::from_str(&self.ready.remove(0)).unwrap())
        })
        .await
        .expect("a message in time")
    }
}
