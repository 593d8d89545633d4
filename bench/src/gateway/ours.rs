//! The gateway by itself, with all that it does for a call: the token is checked, the tool found by its name
//! among those of two servers, limits are counted, the call is recorded. What the control plane would
//! provide is in memory; upstreams are reached by plain HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::account::CallCount;
use agentopia_domain::link::LinkPolicy;
use agentopia_domain::token::{TokenKind, mint};
use agentopia_domain::{AgentId, Ambient};
use agentopia_gateway::{
    AgentRoute, AgentsOnly, AuditRecord, AuditSink, CallLimits, ConnectError, Gateway,
    GatewayConfig, GatewayParts, InstanceRoute, LinkRoute, NameBook, NameMaps, NoSleep, Rest,
    Snapshot, TokenRoute, UpstreamBody, UpstreamConnector, UpstreamLocation, front,
};
use agentopia_http1::{Client, Settings, Tcp};
use async_trait::async_trait;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Uri};
use http_body_util::{BodyExt as _, Full};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use url::Host;

use super::role::tell;

/// More than any machine here makes: they are counted, and nothing is refused.
const LIMIT: Option<NonZeroU32> = NonZeroU32::new(u32::MAX);

/// One agent here stands for as many as `sessions` opens sessions for.
const SESSIONS: usize = 20_000;

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) agents: usize,
    /// Of each agent, which are nobody else's.
    pub(super) servers: usize,
}

/// Two servers that have the same tool, so that one of them goes by a longer name.
pub(super) const ONE: Size = Size {
    agents: 1,
    servers: 2,
};

/// What `many` measures.
pub(super) const CROWD: Size = Size {
    agents: 100,
    servers: 20,
};

/// Plain HTTP to wherever the route says.
struct Plain(Client<Tcp>);

#[async_trait]
impl UpstreamConnector for Plain {
    async fn send(
        &self,
        instance: &InstanceRoute,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<UpstreamBody>, ConnectError> {
        let unreachable = |reason: &str| ConnectError::Unreachable(reason.to_owned());
        let UpstreamLocation::Url(url) = &instance.location else {
            return Err(unreachable("there is no machine here"));
        };
        let (Some(Host::Ipv4(ip)), Some(port)) = (url.host(), url.port()) else {
            return Err(unreachable("there is no name resolution here"));
        };
        let address = SocketAddr::from((ip, port));
        let (mut parts, body) = request.into_parts();
        parts.uri = Uri::try_from(url.path()).map_err(|error| unreachable(&error.to_string()))?;
        let host = HeaderValue::try_from(url.authority());
        let host = host.map_err(|error| unreachable(&error.to_string()))?;
        parts.headers.insert(HOST, host);
        let request = http::Request::from_parts(parts, Full::new(body));
        let answer = self.0.send(&address, request).await;
        let answer = answer.map_err(|error| ConnectError::Broken(error.to_string()))?;
        Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}

/// Names, in memory.
#[derive(Default)]
struct Names(Mutex<BTreeMap<AgentId, NameMaps>>);

#[async_trait]
impl NameBook for Names {
    async fn assign(&self, agent: AgentId, new: NameMaps) -> Result<NameMaps, String> {
        let mut all = self.0.lock().await;
        let names = all.entry(agent).or_default();
        for (link, more) in new {
            let of_link = names.entry(link).or_default();
            for (key, name) in more {
                of_link.entry(key).or_insert(name);
            }
        }
        Ok(names.clone())
    }
}

/// Takes records as the store would, and forgets them: writing them is not the gateway's work.
struct Forget;

#[async_trait]
impl AuditSink for Forget {
    async fn write(&self, _records: Vec<AuditRecord>) -> Vec<CallCount> {
        Vec::new()
    }
}

pub(super) async fn serve(upstream: &str, size: Size) -> anyhow::Result<()> {
    let ambient = Ambient::system();
    let limit = Duration::from_secs(5);
    let settings = Settings {
        idle: Duration::from_secs(60),
        most_idle: 256,
    };
    let client = Client::new(Tcp { limit }, settings);
    let gateway = Gateway::start(GatewayParts {
        config: GatewayConfig {
            calls: CallLimits {
                agent: LIMIT,
                account: LIMIT,
                tool: LIMIT,
            },
            max_sessions_per_principal: SESSIONS,
            ..GatewayConfig::default()
        },
        ambient: ambient.clone(),
        seal_key: SecretBox::new(Box::new(ambient.random())),
        connector: Arc::new(Plain(client)),
        name_book: Arc::new(Names::default()),
        authoriser: Arc::new(AgentsOnly),
        audit: Arc::new(Forget),
        waker: Arc::new(NoSleep),
    });
    let (snapshot, agents) = routes(upstream, size, &ambient)?;
    gateway.replace(snapshot);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // As many addresses as tokens, in the same order.
    let urls = agents.iter();
    let urls = urls.map(|(agent, _)| format!("http://{address}/agents/{agent}/mcp"));
    let tokens = agents.iter().map(|(_, token)| token.expose_secret());
    tell(
        &urls.collect::<Vec<_>>().join(" "),
        Some(&tokens.collect::<Vec<_>>().join(" ")),
    );
    let answer = move |request, _peer| {
        let gateway = gateway.clone();
        async move { gateway.handle(request).await }
    };
    front::serve(listener, answer, CancellationToken::new()).await;
    Ok(())
}

/// Agents, each with servers of its own, and their tokens.
fn routes(
    upstream: &str,
    size: Size,
    ambient: &Ambient,
) -> anyhow::Result<(Snapshot, Vec<(AgentId, SecretString)>)> {
    let mut snapshot = Snapshot::default();
    let mut agents = Vec::new();
    for number in 0..size.agents {
        let account_id = ambient.new_id();
        let mut links = Vec::new();
        for server in 0..size.servers {
            let instance_id = ambient.new_id();
            let name = format!("server-{server}");
            snapshot.instances.push(InstanceRoute {
                id: instance_id,
                account_id,
                name: name.clone(),
                slug: name,
                location: UpstreamLocation::Url(upstream.parse()?),
                epoch: "1".into(),
                rest: Rest::Never,
                available: Ok(()),
                credentials: None,
            });
            links.push(LinkRoute {
                id: ambient.new_id(),
                instance_id,
                policy: LinkPolicy::default(),
                exposed_names: BTreeMap::new(),
                credentials: None,
            });
        }
        let agent_id = ambient.new_id();
        snapshot.agents.push(AgentRoute {
            id: agent_id,
            account_id,
            name: format!("bench-{number}"),
            description: String::new(),
            search: false,
            calls_per_day: None,
            links,
        });
        let token = mint(TokenKind::Agent, ambient);
        snapshot.tokens.push(TokenRoute {
            hash: token.hash,
            agent_id,
            expires_at: None,
            login: None,
        });
        agents.push((agent_id, token.secret));
    }
    Ok((snapshot, agents))
}
