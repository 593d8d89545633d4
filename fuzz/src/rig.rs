//! A whole gateway for one input: one agent, linked to one server that answers what the input says. Time
//! is virtual, so that no deadline is waited for, and ids and seals are the same in every run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentopia_domain::ambient::{Clock, Entropy};
use agentopia_domain::link::LinkPolicy;
use agentopia_domain::token::{TokenKind, mint};
use agentopia_domain::{AgentId, Ambient, InstanceId};
use agentopia_gateway::{
    AgentRoute, AgentsOnly, BodyError, ConnectError, Gateway, GatewayConfig, GatewayParts,
    InstanceRoute, LinkRoute, NameBook, NameMaps, NoSleep, Rest, Snapshot, TokenRoute,
    TracingAudit, UpstreamBody, UpstreamConnector, UpstreamLocation,
};
use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use secrecy::{ExposeSecret as _, SecretBox};
use tokio::runtime::{Builder, Runtime};

/// More than any deadline of the gateway; costs nothing.
const PATIENCE: Duration = Duration::from_hours(2);
/// How much of an answer is read: standing streams never end.
const FRAMES: usize = 64;

/// How the server answers: by the method of the message and the message.
pub(crate) type Server = dyn Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync;

pub(crate) struct Rig {
    runtime: Runtime,
    pub(crate) gateway: Gateway,
    pub(crate) agent: AgentId,
    pub(crate) instance: InstanceId,
    pub(crate) token: String,
}

/// An answer, as far as it came.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Rig {
    pub(crate) fn new(server: Box<Server>) -> Self {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let entered = runtime.enter();
        let ambient = Ambient::new(Arc::new(Noon), Arc::new(Counter::default()));
        let gateway = Gateway::start(GatewayParts {
            config: GatewayConfig::default(),
            ambient: ambient.clone(),
            seal_key: SecretBox::new(Box::new([7; 32])),
            connector: Arc::new(InMemory(server)),
            name_book: Arc::new(Obliging),
            authoriser: Arc::new(AgentsOnly),
            audit: Arc::new(TracingAudit),
            waker: Arc::new(NoSleep),
        });
        drop(entered);
        let (agent, instance): (AgentId, InstanceId) = (ambient.new_id(), ambient.new_id());
        let token = mint(TokenKind::Agent, &ambient);
        gateway.replace(Snapshot {
            agents: vec![AgentRoute {
                id: agent,
                account_id: ambient.new_id(),
                name: "Agent".into(),
                description: String::new(),
                search: false,
                calls_per_day: None,
                links: vec![LinkRoute {
                    id: ambient.new_id(),
                    instance_id: instance,
                    policy: LinkPolicy::default(),
                    exposed_names: BTreeMap::new(),
                    credentials: None,
                }],
            }],
            instances: vec![InstanceRoute {
                id: instance,
                account_id: ambient.new_id(),
                name: "server".into(),
                slug: "server".into(),
                location: UpstreamLocation::Url(url::Url::parse("http://server.test/").unwrap()),
                epoch: "1".into(),
                rest: Rest::Never,
                available: Ok(()),
                credentials: None,
            }],
            tokens: vec![TokenRoute {
                hash: token.hash,
                agent_id: agent,
                expires_at: None,
                login: None,
            }],
            ..Snapshot::default()
        });
        Self {
            runtime,
            gateway,
            agent,
            instance,
            token: token.secret.expose_secret().to_owned(),
        }
    }

    /// Has the gateway answer, and takes of the answer what comes.
    pub(crate) fn ask(&self, request: Request<Body>) -> Reply {
        self.runtime.block_on(async {
            let answering = tokio::time::timeout(PATIENCE, self.gateway.handle(request));
            let response = answering.await.expect("an answer within every deadline");
            let (parts, mut body) = response.into_parts();
            let mut read = Vec::new();
            for _ in 0..FRAMES {
                // The end, or a standing stream on which nothing comes.
                let Ok(Some(Ok(frame))) = tokio::time::timeout(PATIENCE, body.frame()).await else {
                    break;
                };
                read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            }
            Reply {
                status: parts.status,
                headers: parts.headers,
                body: read,
            }
        })
    }
}

impl Reply {
    /// The messages in it, whichever way they came.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        let kind = self.headers.get("content-type");
        if kind.is_some_and(|kind| kind == "text/event-stream") {
            let mut events = Vec::new();
            agentopia_mcp::SseParser::default()
                .push(&self.body, &mut events)
                .expect("our own events are within the limit");
            let messages = events.iter().filter_map(|event| event.message());
            return messages.map(|message| message.to_vec()).collect();
        }
        let body = (!self.body.is_empty()).then(|| self.body.clone());
        body.into_iter().collect()
    }
}

struct InMemory(Box<Server>);

#[async_trait]
impl UpstreamConnector for InMemory {
    async fn send(
        &self,
        _instance: &InstanceRoute,
        request: Request<Bytes>,
    ) -> Result<Response<UpstreamBody>, ConnectError> {
        for secret in ["authorization", "cookie", "proxy-authorization"] {
            assert!(
                !request.headers().contains_key(secret),
                "the client's {secret} reached a server"
            );
        }
        let answer = (self.0)(&request);
        Ok(answer.map(|body| {
            let whole = Full::new(body).map_err(|never| -> BodyError { match never {} });
            whole.boxed_unsync()
        }))
    }
}

/// Keeps every name that it is told.
struct Obliging;

#[async_trait]
impl NameBook for Obliging {
    async fn assign(&self, _agent: AgentId, new: NameMaps) -> Result<NameMaps, String> {
        Ok(new)
    }
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        chrono::DateTime::from_timestamp_millis(1_800_000_000_000).unwrap()
    }
}

/// Counts: no two ids and nonces are the same, and every run has the same ones.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let next = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&next[8 - chunk.len()..]);
        }
    }
}
