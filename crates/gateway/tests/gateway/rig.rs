//! A gateway on loopback with everything that the control plane would provide, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::account::CallCount;
use agentopia_domain::link::LinkPolicy;
use agentopia_domain::token::{TokenHash, TokenKind, mint};
use agentopia_domain::{AgentId, Ambient, InstanceId, LinkId, UserId};
use agentopia_gateway::{
    AgentRoute, AuditRecord, AuditSink, ConnectError, Gateway, GatewayConfig, GatewayParts,
    InstanceRoute, LinkRoute, NameBook, NameMaps, NoSleep, PersonPrincipal, PrincipalAuthoriser,
    Rest, Snapshot, TokenRoute, UpstreamBody, UpstreamConnector, UpstreamLocation, Waker, front,
    read_book_key,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretBox};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::wire::Wire;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Plain HTTP to wherever the route says.
pub(crate) struct Direct(pub(crate) reqwest::Client);

#[async_trait]
impl UpstreamConnector for Direct {
    async fn send(
        &self,
        instance: &InstanceRoute,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<UpstreamBody>, ConnectError> {
        let UpstreamLocation::Url(url) = &instance.location else {
            panic!("no machine here")
        };
        let (parts, body) = request.into_parts();
        let sending = self
            .0
            .request(parts.method, url.clone())
            .headers(parts.headers)
            .body(body);
        let response = sending.send().await.map_err(|error| {
            if error.is_connect() {
                ConnectError::Unreachable(error.to_string())
            } else {
                ConnectError::Broken(error.to_string())
            }
        })?;
        let mut answer = http::Response::builder().status(response.status());
        *answer.headers_mut().unwrap() = response.headers().clone();
        let stream = response
            .bytes_stream()
            .map_ok(http_body::Frame::data)
            .map_err(Into::into);
        Ok(answer.body(StreamBody::new(stream).boxed_unsync()).unwrap())
    }
}

/// What was stored, and every call that stored something.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) stored: Mutex<NameMaps>,
    pub(crate) writes: Mutex<usize>,
    pub(crate) broken: Mutex<bool>,
}

#[async_trait]
impl NameBook for Book {
    async fn assign(&self, _agent: AgentId, new: NameMaps) -> Result<NameMaps, String> {
        if *self.broken.lock() {
            return Err("the book is closed".into());
        }
        *self.writes.lock() += 1;
        let mut stored = self.stored.lock();
        for (link, names) in new {
            for (key, exposed) in names {
                let kind = read_book_key(&key).0;
                let taken = stored
                    .values()
                    .flatten()
                    .any(|(k, e)| *e == exposed && read_book_key(k).0 == kind);
                if !taken {
                    stored
                        .entry(link)
                        .or_default()
                        .entry(key)
                        .or_insert(exposed);
                }
            }
        }
        Ok(stored.clone())
    }
}

#[derive(Default)]
pub(crate) struct Records {
    seen: Mutex<Vec<AuditRecord>>,
    count: watch::Sender<usize>,
}

#[async_trait]
impl AuditSink for Records {
    async fn write(&self, records: Vec<AuditRecord>) -> Vec<CallCount> {
        let count = {
            let mut seen = self.seen.lock();
            seen.extend(records);
            seen.len()
        };
        self.count.send_replace(count);
        Vec::new()
    }
}

impl Records {
    pub(crate) async fn at_least(&self, count: usize) -> Vec<AuditRecord> {
        let mut counts = self.count.subscribe();
        let waiting = counts.wait_for(|n| *n >= count);
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("audit")
            .unwrap();
        self.seen.lock().clone()
    }
}

/// Lets in whoever sends this person's token.
struct Owner(TokenHash, UserId);

#[async_trait]
impl PrincipalAuthoriser for Owner {
    async fn authorise(
        &self,
        headers: &http::HeaderMap,
        _instance: &InstanceRoute,
    ) -> Option<PersonPrincipal> {
        let token = headers
            .get("authorization")?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")?;
        (TokenHash::of(token) == self.0).then_some(PersonPrincipal {
            user_id: self.1,
            credential: self.0,
        })
    }
}

pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    pub(crate) base: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) book: Arc<Book>,
    pub(crate) records: Arc<Records>,
    pub(crate) person: String,
    pub(crate) ambient: Ambient,
    pub(crate) http: reqwest::Client,
    server: tokio::task::JoinHandle<()>,
}

/// An agent of a rig.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) token: String,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(GatewayConfig::default(), Ambient::system()).await
    }

    pub(crate) async fn with(config: GatewayConfig, ambient: Ambient) -> Self {
        Self::woken_by(config, ambient, Arc::new(NoSleep)).await
    }

    pub(crate) async fn woken_by(
        config: GatewayConfig,
        ambient: Ambient,
        waker: Arc<dyn Waker>,
    ) -> Self {
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::new();
        let book = Arc::new(Book::default());
        let records = Arc::new(Records::default());
        let person = mint(TokenKind::Personal, &ambient);
        let gateway = Gateway::start(GatewayParts {
            config,
            ambient: ambient.clone(),
            seal_key: SecretBox::new(Box::new(ambient.random())),
            connector: Arc::new(Direct(reqwest::Client::new())),
            name_book: book.clone(),
            authoriser: Arc::new(Owner(person.hash, ambient.new_id())),
            audit: records.clone(),
            waker,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answering = gateway.clone();
        let answer = move |request, _peer| {
            let gateway = answering.clone();
            async move { gateway.handle(request).await }
        };
        let server = tokio::spawn(front::serve(listener, answer, CancellationToken::new()));
        let person = person.secret.expose_secret().to_owned();
        let snapshot = Snapshot::default();
        Self {
            gateway,
            base,
            snapshot,
            book,
            records,
            person,
            ambient,
            http,
            server,
        }
    }

    pub(crate) fn apply(&self) {
        self.gateway.replace(self.snapshot.clone());
    }

    /// An instance at a URL; call [`Self::apply`] afterwards.
    pub(crate) fn instance(&mut self, name: &str, url: &str) -> InstanceId {
        let id = self.ambient.new_id();
        self.snapshot.instances.push(InstanceRoute {
            id,
            account_id: self.ambient.new_id(),
            name: name.into(),
            slug: name.into(),
            location: UpstreamLocation::Url(url.parse().unwrap()),
            epoch: "1".into(),
            rest: Rest::Never,
            available: Ok(()),
            credentials: None,
        });
        id
    }

    pub(crate) fn agent(&mut self, instances: &[InstanceId]) -> Agent {
        let id = self.ambient.new_id();
        let links = instances
            .iter()
            .map(|i| link(self.ambient.new_id(), *i))
            .collect();
        self.snapshot.agents.push(AgentRoute {
            id,
            account_id: self.ambient.new_id(),
            name: "Test agent".into(),
            description: "Be kind.".into(),
            search: false,
            calls_per_day: None,
            links,
        });
        let token = mint(TokenKind::Agent, &self.ambient);
        self.snapshot.tokens.push(TokenRoute {
            hash: token.hash,
            agent_id: id,
            expires_at: None,
            login: None,
        });
        Agent {
            id,
            token: token.secret.expose_secret().to_owned(),
        }
    }

    /// One agent linked to servers by name and URL, in this order.
    pub(crate) async fn linked(servers: &[(&str, &str)]) -> (Self, Agent) {
        let mut rig = Self::start().await;
        let instances: Vec<_> = servers
            .iter()
            .map(|(name, url)| rig.instance(name, url))
            .collect();
        let agent = rig.agent(&instances);
        rig.apply();
        (rig, agent)
    }

    pub(crate) fn policy(&mut self, link: usize) -> &mut LinkPolicy {
        &mut self.snapshot.agents[0].links[link].policy
    }

    pub(crate) fn agent_url(&self, agent: &Agent) -> String {
        format!("{}/agents/{}/mcp", self.base, agent.id)
    }

    pub(crate) fn instance_url(&self, instance: InstanceId) -> String {
        format!("{}/instances/{instance}/mcp", self.base)
    }

    /// A client of an agent's endpoint.
    pub(crate) fn wire(&self, agent: &Agent) -> Wire {
        Wire::new(self.http.clone(), self.agent_url(agent), &agent.token)
    }

    pub(crate) fn wire_to(&self, instance: InstanceId, token: &str) -> Wire {
        Wire::new(self.http.clone(), self.instance_url(instance), token)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.server.abort();
        let gateway = self.gateway.clone();
        // Standing streams and idle sessions end with the rig.
        tokio::spawn(async move { gateway.shutdown().await });
    }
}

pub(crate) fn link(id: LinkId, instance_id: InstanceId) -> LinkRoute {
    LinkRoute {
        id,
        instance_id,
        policy: LinkPolicy::default(),
        exposed_names: BTreeMap::new(),
        credentials: None,
    }
}
