//! HTTP+SSE servers of this machine (2024-11-05): `agentopia-bridge` makes Streamable HTTP of them; here
//! is how their containers are reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_bridge::sse::{
    Hub, HubConfig, OpenError, Opener, Server, ServerBody, ServerError, StreamLimits,
};
use agentopia_bridge::{front, refusal};
use agentopia_domain::{Ambient, InstanceId};
use agentopia_http1::{Client, Error, Settings, Tcp};
use agentopia_mcp::Id;
use async_trait::async_trait;
use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{HeaderValue, Request, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use url::Url;

use super::DataPathConfig;
use crate::runtime::ToolHandle;

/// To a container on this machine.
const CONNECT: Tcp = Tcp {
    limit: Duration::from_secs(5),
};
const CONNECTIONS: Settings = Settings {
    // Servers close idle connections after some five seconds (Node) or more; ours go first.
    idle: Duration::from_secs(4),
    most_idle: 64,
};
/// The longest endpoint that a server may name.
const LONGEST_ENDPOINT: usize = 2048;

type Http = Client<Tcp>;

/// One server.
#[derive(Debug)]
pub(crate) struct ContainerServer {
    client: Http,
    address: SocketAddr,
    /// Its stream as it sees it itself; `None` if its path is none.
    stream: Option<Url>,
}

impl ContainerServer {
    /// The server at `address`, with its stream at `path`.
    pub(crate) fn new(address: SocketAddr, path: &str) -> Arc<Self> {
        Self::with(Client::new(CONNECT, CONNECTIONS), address, path)
    }

    fn with(client: Http, address: SocketAddr, path: &str) -> Arc<Self> {
        let stream = Url::parse(&format!("http://localhost:{}{path}", address.port())).ok();
        Arc::new(Self {
            client,
            address,
            stream,
        })
    }
}

#[async_trait]
impl Server for ContainerServer {
    fn endpoint(&self, reference: &str) -> Option<Url> {
        let stream = self.stream.as_ref()?;
        let endpoint = stream.join(reference).ok()?;
        let is_own = endpoint.origin() == stream.origin()
            && endpoint.username().is_empty()
            && endpoint.password().is_none();
        (is_own && endpoint.as_str().len() <= LONGEST_ENDPOINT).then_some(endpoint)
    }

    async fn send(
        &self,
        endpoint: Option<&Url>,
        mut request: Request<Bytes>,
    ) -> Result<http::Response<ServerBody>, ServerError> {
        let wrong = || {
            ServerError::Refused(
                "the path of its stream can't be requested: correct the transport's path in the \
                 catalog entry"
                    .to_owned(),
            )
        };
        let url = endpoint.or(self.stream.as_ref()).ok_or_else(wrong)?;
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        *request.uri_mut() = target.parse::<Uri>().map_err(|_| wrong())?;
        // What servers with protection against DNS rebinding take.
        let host = HeaderValue::try_from(format!("localhost:{}", self.address.port()));
        request
            .headers_mut()
            .insert(HOST, host.map_err(|_| wrong())?);
        let sent = self
            .client
            .send(&self.address, request.map(Full::new))
            .await;
        match sent {
            Ok(answer) => Ok(answer.map(|body| {
                body.map_err(|error| Box::new(error) as agentopia_bridge::sse::BodyError)
                    .boxed_unsync()
            })),
            Err(Error::Connect(_)) => Err(ServerError::Unreachable(format!(
                "the tool does not listen on port {} of its container: it must listen on all addresses, not on 127.0.0.1",
                self.address.port()
            ))),
            Err(error @ Error::NotSent(_)) => Err(ServerError::Unreachable(error.to_string())),
            Err(error @ Error::Broken(_)) => Err(ServerError::Broken(error.to_string())),
        }
    }
}

/// All HTTP+SSE servers of the machine.
#[derive(Debug)]
pub(super) struct SseServers {
    client: Http,
    limits: agentopia_mcp::Limits,
    hub: Arc<Hub>,
}

impl SseServers {
    pub(super) fn new(config: DataPathConfig, ambient: Ambient) -> Self {
        let stream = StreamLimits {
            message: config.limits,
            ..StreamLimits::default()
        };
        let hub = HubConfig {
            idle: config.idle,
            most_sessions: config.most_processes,
            evict_after: config.evict_after,
            input_patience: config.stdin_patience,
            client_patience: config.client_patience,
            stream,
        };
        Self {
            client: Client::new(CONNECT, CONNECTIONS),
            limits: config.limits,
            hub: Hub::new(hub, ambient),
        }
    }

    /// Answers a request for a tool whose server has its stream at `path` of `address`.
    pub(super) async fn serve(
        &self,
        tool: &ToolHandle,
        address: SocketAddr,
        path: &str,
        request: Request<Body>,
    ) -> Response {
        let (head, body) = request.into_parts();
        let body = match front::collect(&self.limits, body).await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        let (instance, epoch) = (tool.instance_id, tool.epoch.to_string());
        let (method, headers) = (&head.method, &head.headers);
        let answered = self
            .hub
            .in_session(instance, &epoch, method, headers, &body)
            .await;
        if let Some(answer) = answered {
            return answer;
        }
        let opener = Opener {
            instance,
            epoch,
            server: ContainerServer::with(self.client.clone(), address, path),
        };
        let id = front::message(&self.limits, body.clone()).ok();
        let id = id.and_then(|message| message.id());
        let answer = self.hub.outside(opener, method, headers, body).await;
        answer.unwrap_or_else(|error| not_opened(&error, id.as_ref()))
    }

    pub(super) fn forget(&self, instance: InstanceId) {
        self.hub.forget(instance);
    }

    pub(super) fn sessions(&self, instance: InstanceId) -> usize {
        self.hub.sessions(instance)
    }

    pub(super) fn close_all(&self) {
        self.hub.close_all();
    }
}

/// What a client is told that got no session: to wait for a server that does not listen yet, else why.
fn not_opened(error: &OpenError, id: Option<&Id>) -> Response {
    match error {
        OpenError::Server(ServerError::Unreachable(reason)) => {
            refusal::not_delivered(StatusCode::BAD_GATEWAY, "tool_unreachable", reason)
        }
        OpenError::TooMany(_) => refusal::problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_sessions",
            error.to_string(),
        ),
        _ => {
            let error =
                agentopia_mcp::RpcError::new(agentopia_bridge::PROCESS_GONE, error.to_string());
            refusal::rpc(StatusCode::OK, &error, id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_at_the_container_itself() {
        let server = ContainerServer::new("10.201.0.2:3001".parse().unwrap(), "/sse");
        let endpoint = |reference| server.endpoint(reference).map(String::from);
        for (reference, expected) in [
            ("/message?s=1", "http://localhost:3001/message?s=1"),
            ("message", "http://localhost:3001/message"),
            ("http://localhost:3001/m?a=b", "http://localhost:3001/m?a=b"),
        ] {
            assert_eq!(endpoint(reference).as_deref(), Some(expected));
        }
        for foreign in [
            "http://169.254.169.254/latest/meta-data",
            "//evil.example/message",
            "http://localhost:3002/message",
            "https://localhost:3001/message",
            "http://user@localhost:3001/message",
            "file:///etc/passwd",
        ] {
            assert_eq!(endpoint(foreign), None, "{foreign}");
        }
        assert_eq!(endpoint(&format!("/{}", "a".repeat(3000))), None);
    }
}
