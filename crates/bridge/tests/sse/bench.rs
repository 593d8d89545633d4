//! A hub in front of one server, and a client of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_bridge::sse::{
    BodyError, Hub, HubConfig, OpenError, Opener, Server, ServerBody, ServerError, StreamLimits,
};
use agentopia_domain::{Ambient, InstanceId};
use agentopia_http1::{Client, Error, Settings, Tcp};
use agentopia_mcp::{Limits, SseParser};
use async_trait::async_trait;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use url::Url;

use crate::far::Far;

pub(crate) const LARGEST: usize = 100 << 10;

pub(crate) fn config() -> HubConfig {
    HubConfig {
        idle: Duration::from_mins(1),
        most_sessions: 8,
        evict_after: Duration::from_secs(30),
        input_patience: Duration::from_secs(5),
        client_patience: Duration::from_secs(5),
        stream: StreamLimits {
            message: Limits {
                max_bytes: LARGEST,
                ..Limits::default()
            },
            patience: Duration::from_millis(500),
        },
    }
}

/// How the hub reaches the server: as it is, without a guard.
#[derive(Debug)]
struct Direct {
    client: Client<Tcp>,
    address: SocketAddr,
    stream: Url,
}

#[async_trait]
impl Server for Direct {
    fn endpoint(&self, reference: &str) -> Option<Url> {
        let endpoint = self.stream.join(reference).ok()?;
        (endpoint.origin() == self.stream.origin()).then_some(endpoint)
    }

    async fn send(
        &self,
        endpoint: Option<&Url>,
        mut request: Request<Bytes>,
    ) -> Result<http::Response<ServerBody>, ServerError> {
        let url = endpoint.unwrap_or(&self.stream);
        *request.uri_mut() = url[url::Position::BeforePath..].parse().unwrap();
        let host = self.address.to_string().parse().unwrap();
        request.headers_mut().insert("host", host);
        match self
            .client
            .send(&self.address, request.map(Full::new))
            .await
        {
            Ok(answer) => Ok(answer.map(|body| {
                body.map_err(|error| Box::new(error) as BodyError)
                    .boxed_unsync()
            })),
            Err(error @ Error::Broken(_)) => Err(ServerError::Broken(error.to_string())),
            Err(error) => Err(ServerError::Unreachable(error.to_string())),
        }
    }
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) session: Option<String>,
    body: Bytes,
}

impl Answer {
    /// All messages, of a stream or the only one.
    pub(crate) fn messages(&self) -> Vec<Value> {
        if let Ok(only) = serde_json::from_slice(&self.body) {
            return vec![only];
        }
        let mut events = Vec::new();
        SseParser::default().push(&self.body, &mut events).unwrap();
        let messages = events.iter().filter_map(|event| event.message());
        messages
            .map(|message| serde_json::from_slice(message).unwrap())
            .collect()
    }

    /// The error that the request was answered with.
    pub(crate) fn error(&self) -> String {
        let messages = self.messages();
        let last = messages.last().unwrap();
        last["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// See the module's header.
#[derive(Debug, Clone)]
pub(crate) struct Bench {
    pub(crate) hub: Arc<Hub>,
    pub(crate) instance: InstanceId,
    pub(crate) epoch: &'static str,
    pub(crate) address: SocketAddr,
}

impl Bench {
    pub(crate) fn of(far: &Far) -> Self {
        Self::with(far, config())
    }

    pub(crate) fn with(far: &Far, config: HubConfig) -> Self {
        let ambient = Ambient::system();
        Self {
            instance: ambient.new_id(),
            hub: Hub::new(config, ambient),
            epoch: "1",
            address: far.address,
        }
    }

    /// One request; its answer's head.
    pub(crate) async fn open(
        &self,
        method: Method,
        session: Option<&str>,
        body: String,
    ) -> Result<Response, OpenError> {
        let mut headers = HeaderMap::new();
        if let Some(session) = session {
            headers.insert("mcp-session-id", session.parse().unwrap());
        }
        let body = Bytes::from(body);
        let known = self
            .hub
            .in_session(self.instance, self.epoch, &method, &headers, &body)
            .await;
        if let Some(answer) = known {
            return Ok(answer);
        }
        let server = Direct {
            client: Client::new(
                Tcp {
                    limit: Duration::from_secs(5),
                },
                Settings {
                    idle: Duration::from_secs(4),
                    most_idle: 8,
                },
            ),
            address: self.address,
            stream: format!("http://{}/sse", self.address).parse().unwrap(),
        };
        let opener = Opener {
            instance: self.instance,
            epoch: self.epoch.to_owned(),
            server: Arc::new(server),
        };
        self.hub.outside(opener, &method, &headers, body).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        session: Option<&str>,
        body: String,
    ) -> Result<Answer, OpenError> {
        let response = self.open(method, session, body).await?;
        let status = response.status();
        let session = response.headers().get("mcp-session-id");
        let session = session.map(|id| id.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Ok(Answer {
            status,
            session,
            body,
        })
    }

    pub(crate) async fn post(
        &self,
        session: Option<&str>,
        message: &Value,
    ) -> Result<Answer, OpenError> {
        self.send(Method::POST, session, message.to_string()).await
    }

    /// Posts in the background, while the test plays the server.
    pub(crate) fn posting(&self, session: &str, message: Value) -> tokio::task::JoinHandle<Answer> {
        let (bench, session) = (self.clone(), session.to_owned());
        tokio::spawn(async move { bench.post(Some(&session), &message).await.unwrap() })
    }

    /// Opens a session with a server that behaves; its id.
    pub(crate) async fn initialized(&self, far: &mut Far) -> String {
        let bench = self.clone();
        let opening = tokio::spawn(async move { bench.post(None, &initialize()).await });
        let asked = far.asked().await;
        assert_eq!(asked["method"], "initialize");
        far.say(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {
            "protocolVersion": "2024-11-05", "capabilities": {"tools": {}},
            "serverInfo": {"name": "far", "version": "1"}}}));
        let answer = opening.await.unwrap().unwrap();
        assert_eq!(answer.messages()[0]["id"], "hello");
        let session = answer.session.expect("a session id");
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let told = self.posting(&session, ready.clone());
        assert_eq!(far.asked().await, ready);
        assert_eq!(told.await.unwrap().status, StatusCode::ACCEPTED);
        session
    }
}

pub(crate) fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}}})
}

pub(crate) fn call(id: impl Into<Value>) -> Value {
    let id = id.into();
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
        "name": "x", "arguments": {}, "_meta": {"progressToken": "mine"}}})
}

pub(crate) fn answer_to(asked: &Value, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"content": [{"type": "text", "text": text}]}})
}
