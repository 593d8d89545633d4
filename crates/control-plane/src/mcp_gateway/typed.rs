//! MCP calls that the product makes itself, typed: listing and calling tools of an instance by
//! hand, and telling what an agent's endpoint offers. Not the agents' way: that is the gateway.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::agent::Agent;
use agentopia_domain::instance::{Instance, InstanceStatus};
use agentopia_domain::link::Link;
use agentopia_domain::observed::Phase;
use agentopia_domain::page::PageRequest;
use agentopia_domain::{InstanceId, LinkId};
use agentopia_dtma_api::to_dtma::{DtmaClient, OwnCredentials};
use agentopia_gateway::Gateway;
use agentopia_store::{LinkFilter, Store};
use async_trait::async_trait;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, Tool};
use rmcp::service::{ClientInitializeError, RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ServiceExt as _, serde_json};
use secrecy::ExposeSecret as _;

use super::last_lists::{LastLists, Told, rests};
use super::remote::RemoteServers;
use super::remote_typed::RemoteCaller;
use super::restarts::Restarts;
use crate::reconcilers::routes::RoutesBell;
use crate::state::{ServedInstance, ServedTool, ToolGateway, ToolGatewayError};

/// How long opening a session may take: Python servers took 6.4 s.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How long discovery waits for one instance.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(10);
/// JSON-RPC's word for what a server does not have.
const METHOD_NOT_FOUND: i32 = -32601;

/// See the module's header.
#[derive(Debug)]
pub struct TypedCalls {
    /// Where links and instances are kept.
    pub store: Store,
    /// The clients of all machines, and patience with them.
    pub restarts: Restarts,
    /// Knows what agents see tools as.
    pub gateway: Gateway,
    /// The gateway has to know a link before it can name its tools.
    pub routes: RoutesBell,
    /// Servers that run elsewhere.
    pub remotes: Arc<RemoteServers>,
    /// How long a call may take.
    pub call_limit: Duration,
    /// What instances that may sleep listed last.
    pub last: LastLists,
}

type Session = RunningService<RoleClient, ClientConfig>;

impl TypedCalls {
    /// Opens a session. What is just being restarted is waited for: opening one does nothing in the
    /// tool, so it can be tried as often as need be.
    async fn open(
        &self,
        instance: &Instance,
        own: Option<&OwnCredentials>,
    ) -> Result<Session, ToolGatewayError> {
        use InstanceStatus as S;
        match instance.status {
            S::Running => {}
            // It sleeps, or somebody else's call is waking it.
            S::Asleep | S::PendingStart | S::Starting if instance.idle_limit().is_some() => {
                self.routes.settled().await;
                if let Err(error) = self.gateway.wake(instance.id).await {
                    tracing::info!(instance = %instance.id, %error, "a tool could not be woken");
                    return Err(ToolGatewayError::NotRunning(instance.status));
                }
            }
            status => return Err(ToolGatewayError::NotRunning(status)),
        }
        if instance.remote.is_some() {
            return self.open_remote(instance, own).await;
        }
        let mut pauses = Restarts::pauses();
        loop {
            let client = self.reached(instance).await?;
            let opening = open_once(&client, instance.on_machine(), own);
            let opening = tokio::time::timeout(OPEN_LIMIT, opening).await;
            let error = match opening {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) => error,
                Err(_) => return Err(ToolGatewayError::TimedOut),
            };
            tracing::info!(instance = %instance.id, %error, "no session with a tool");
            let pause = pauses.next().filter(|_| is_of_the_way(&error));
            let Some(pause) = pause else {
                return Err(ToolGatewayError::Unreachable(
                    "it did not open a session; its log may say why",
                ));
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Opens a session with a server that runs elsewhere.
    async fn open_remote(
        &self,
        instance: &Instance,
        own: Option<&OwnCredentials>,
    ) -> Result<Session, ToolGatewayError> {
        let Some(caller) = RemoteCaller::of(Arc::clone(&self.remotes), instance, own) else {
            return Err(ToolGatewayError::NotRunning(instance.status));
        };
        let opening = tokio::time::timeout(OPEN_LIMIT, info().serve(caller.transport()));
        match opening.await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => {
                tracing::info!(instance = %instance.id, %error, "no session with a remote server");
                Err(ToolGatewayError::Unreachable(
                    "it did not open a session; the instance's error message may say why",
                ))
            }
            Err(_) => Err(ToolGatewayError::TimedOut),
        }
    }

    /// The client of the instance's machine, once that says that the instance runs.
    async fn reached(&self, instance: &Instance) -> Result<DtmaClient, ToolGatewayError> {
        let environment = instance.environment_id;
        let mut pauses = Restarts::pauses();
        loop {
            let client = self.restarts.connections.by_id(environment).await;
            let client = client.map_err(|error| {
                tracing::info!(%environment, %error, "no connection with a machine");
                ToolGatewayError::Unreachable("its machine can't be reached; look at its status")
            })?;
            let trouble = match client.instance(instance.on_machine()).await {
                Ok(Some(observed)) if observed.phase == Phase::Running => return Ok(client),
                Ok(_) => ToolGatewayError::NotRunning(InstanceStatus::Starting),
                Err(error) => {
                    tracing::info!(%environment, %error, "a machine does not answer");
                    self.restarts.look_after(environment).await;
                    ToolGatewayError::Unreachable(
                        "its machine does not answer; it may be back in a moment",
                    )
                }
            };
            let Some(pause) = pauses.next() else {
                return Err(trouble);
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn list(
        &self,
        instance: &Instance,
        own: Option<&OwnCredentials>,
    ) -> Result<Arc<Told>, ToolGatewayError> {
        let session = self.open(instance, own).await?;
        let tools = session.list_all_tools().await.map_err(refusal);
        let capabilities = session
            .peer_info()
            .and_then(|info| serde_json::to_value(&info.capabilities).ok())
            .unwrap_or_else(|| serde_json::json!({}));
        close(session).await;
        let told = Arc::new(Told {
            tools: tools?,
            capabilities,
        });
        self.last.keep(instance, own, told.clone());
        Ok(told)
    }

    /// What an instance offers by way of a link. One that sleeps is not woken for it, if it is known what it
    /// listed last; otherwise it is, and goes on starting also when nobody waits any more.
    async fn offered(&self, link: &Link) -> Result<Arc<Told>, String> {
        let report = self.store.instances().get_unscoped(link.instance_id).await;
        let instance = report.map_err(|error| error.to_string())?.instance;
        let own = own_credentials(link);
        if rests(&instance)
            && let Some(told) = self.last.get(&instance, own.as_ref())
        {
            return Ok(told);
        }
        let listing = self.list(&instance, own.as_ref());
        match tokio::time::timeout(DISCOVERY_LIMIT, listing).await {
            Ok(listed) => listed.map_err(|error| error.to_string()),
            Err(_) if rests(&instance) => {
                Err("it was asleep and is being started; ask again in a moment".to_owned())
            }
            Err(_) => Err("it gave no answer in time".to_owned()),
        }
    }

    async fn serve(&self, link: &Link) -> (LinkId, ServedInstance) {
        let mut served = ServedInstance {
            instance_id: link.instance_id,
            error: None,
            capabilities: serde_json::json!({}),
            tools: Vec::new(),
        };
        match self.offered(link).await {
            Ok(told) => {
                served.capabilities = told.capabilities.clone();
                let tools = told.tools.iter();
                served.tools = tools.filter_map(|tool| served_tool(link, tool)).collect();
            }
            Err(error) => served.error = Some(error),
        }
        (link.id, served)
    }

    /// Puts the names that the agent sees in the place of the servers' own.
    async fn name(&self, agent: &Agent, served: &mut [(LinkId, ServedInstance)]) {
        self.routes.settled().await;
        let tools: Vec<(LinkId, String)> = served
            .iter()
            .flat_map(|(link, instance)| {
                instance
                    .tools
                    .iter()
                    .map(|tool| (*link, tool.upstream_name.clone()))
            })
            .collect();
        let mut names = self.gateway.tool_names(agent.id, &tools).await;
        for (link, instance) in served {
            for tool in &mut instance.tools {
                if let Some(name) = names.remove(&(*link, tool.upstream_name.clone())) {
                    tool.name = name;
                }
            }
        }
    }
}

#[async_trait]
impl ToolGateway for TypedCalls {
    async fn tools(&self, instance: &Instance) -> Result<Vec<serde_json::Value>, ToolGatewayError> {
        let _in_use = self.gateway.using(instance.id);
        let told = self.list(instance, None).await?;
        Ok(told
            .tools
            .iter()
            .filter_map(|tool| serde_json::to_value(tool).ok())
            .collect())
    }

    async fn call(
        &self,
        instance: &Instance,
        tool: &str,
        arguments: serde_json::Map<String, serde_json::Value>,
    ) -> Result<serde_json::Value, ToolGatewayError> {
        let _in_use = self.gateway.using(instance.id);
        let session = self.open(instance, None).await?;
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let answer = tokio::time::timeout(self.call_limit, session.call_tool(params)).await;
        close(session).await;
        let result = answer
            .map_err(|_| ToolGatewayError::TimedOut)?
            .map_err(refusal)?;
        serde_json::to_value(result)
            .map_err(|_| ToolGatewayError::Unreachable("its answer can't be read"))
    }

    async fn discover(&self, agent: &Agent) -> Result<Vec<ServedInstance>, ToolGatewayError> {
        let filter = LinkFilter {
            agent_id: Some(agent.id),
            ..LinkFilter::default()
        };
        let page = PageRequest {
            limit: agentopia_domain::page::MAX_LIMIT,
            ..PageRequest::default()
        };
        let links = self
            .store
            .links()
            .list(agent.account_id, filter, page)
            .await;
        let links = links.map_err(|error| {
            tracing::warn!(%error, "an agent's links can't be read");
            ToolGatewayError::Unreachable("the database does not answer")
        })?;
        let active: Vec<_> = links.items.iter().filter(|link| link.enabled).collect();
        let mut served =
            futures::future::join_all(active.into_iter().map(|link| self.serve(link))).await;
        self.name(agent, &mut served).await;
        Ok(served.into_iter().map(|(_, served)| served).collect())
    }
}

fn served_tool(link: &Link, tool: &Tool) -> Option<ServedTool> {
    let allowed = &link.policy.allowed_tools;
    if allowed
        .as_ref()
        .is_some_and(|allowed| allowed.iter().all(|name| *name != tool.name))
    {
        return None;
    }
    Some(ServedTool {
        name: tool.name.to_string(),
        upstream_name: tool.name.to_string(),
        description: tool.description.as_ref().map(ToString::to_string),
        input_schema: serde_json::Value::Object(tool.input_schema.as_ref().clone()),
    })
}

/// Asks what runs under this id on a machine for its tools.
pub(super) async fn tools_at(
    client: &DtmaClient,
    on_machine: InstanceId,
) -> Result<Vec<serde_json::Value>, String> {
    let session = tokio::time::timeout(OPEN_LIMIT, open_once(client, on_machine, None))
        .await
        .map_err(|_| "it opened no session in time".to_owned())?
        .map_err(|error| format!("it opened no session: {error}"))?;
    let tools = session.list_all_tools().await;
    close(session).await;
    match tools {
        Ok(tools) => Ok(tools
            .iter()
            .filter_map(|tool| serde_json::to_value(tool).ok())
            .collect()),
        // A server without tools need not know of them.
        Err(ServiceError::McpError(error)) if error.code.0 == METHOD_NOT_FOUND => Ok(Vec::new()),
        Err(error) => Err(format!("it gave no list of tools: {error}")),
    }
}

async fn open_once(
    client: &DtmaClient,
    instance: InstanceId,
    own: Option<&OwnCredentials>,
) -> Result<Session, Box<ClientInitializeError>> {
    let (http, address, bearer) = client.mcp_endpoint(instance, own);
    let config =
        StreamableHttpClientTransportConfig::with_uri(address).auth_header(bearer.expose_secret());
    let transport = StreamableHttpClientTransport::with_client(http, config);
    info().serve(transport).await.map_err(Box::new)
}

/// What the link carries in place of the instance's own secrets.
fn own_credentials(link: &Link) -> Option<OwnCredentials> {
    Some(OwnCredentials {
        link: link.id,
        revision: link.credentials()?,
    })
}

/// What we say of ourselves.
fn info() -> ClientConfig {
    ClientConfig::new(
        ClientCapabilities::default(),
        Implementation::new("agentopia", env!("CARGO_PKG_VERSION")),
    )
}

/// Whether the message or its answer got lost on the way, other than an answer that says no.
const fn is_of_the_way(error: &ClientInitializeError) -> bool {
    matches!(
        error,
        ClientInitializeError::TransportError { .. } | ClientInitializeError::ConnectionClosed(_)
    )
}

async fn close(session: Session) {
    if let Err(error) = session.cancel().await {
        tracing::debug!(%error, "a session did not close well");
    }
}

fn refusal(error: ServiceError) -> ToolGatewayError {
    match error {
        ServiceError::McpError(error) => ToolGatewayError::Rpc {
            code: i64::from(error.code.0),
            message: error.message.into_owned(),
        },
        ServiceError::Timeout { .. } => ToolGatewayError::TimedOut,
        other => {
            tracing::info!(error = %other, "a call by hand broke off");
            ToolGatewayError::Unreachable("the connection broke before it answered")
        }
    }
}
