//! What every request handler is given: the store, the vault, time and randomness, the
//! configuration, and six seams to the parts of the control plane that live outside HTTP.
//!
//! The seams are traits so that handlers can be tested without a machine, and so that nothing in
//! `http` reaches into reconcilers or the gateway: [`Wake`] tells a reconciler to look at a row,
//! [`Machines`] reads from an account's machine, [`ToolGateway`] speaks MCP with an instance,
//! [`Offers`] tells what machines there are to choose from, [`Inspect`] looks whether all of it
//! works, and [`Documents`] reads what MCP clients publish. `serve` wires the real ones in.

use std::fmt;
use std::sync::Arc;

use agentopia_cloud::{MachineProvider, MachineSize, ProviderError};
use agentopia_domain::agent::Agent;
use agentopia_domain::instance::{Instance, InstanceStatus};
use agentopia_domain::verification::Check;
use agentopia_domain::{Ambient, EnvironmentId, InstanceId};
use agentopia_dtma_api::to_dtma::{LogLine, LogQuery};
use agentopia_remote::RemoteClient;
use agentopia_store::Store;
use agentopia_vault::Vault;
use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use crate::auth::password::Passwords;
use crate::auth::setup::SetupGate;
use crate::config::Config;
use crate::http::live::EventBell;
use crate::oauth::document::{DocumentCache, Documents};

/// Everything a handler may use. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// Where everything is kept.
    pub store: Store,
    /// Seals and opens secrets.
    pub vault: Arc<dyn Vault>,
    /// Time and randomness.
    pub ambient: Ambient,
    /// What the operator set.
    pub config: Arc<Config>,
    /// Tells reconcilers that intent changed.
    pub wake: Arc<dyn Wake>,
    /// Reads from machines.
    pub machines: Arc<dyn Machines>,
    /// Speaks MCP with instances.
    pub gateway: Arc<dyn ToolGateway>,
    /// What machines there are to choose from.
    pub offers: Arc<dyn Offers>,
    /// Looks whether the installation works.
    pub inspect: Arc<dyn Inspect>,
    /// Looks at addresses that people enter before they are kept.
    pub remote: RemoteClient,
    /// What MCP clients say of themselves at addresses of their own.
    pub documents: DocumentCache,
    /// Hashes passwords, a few at a time.
    pub passwords: Passwords,
    /// Whether and with which token the first admin may be made.
    pub setup: SetupGate,
    /// Rung when events were written, so that live streams look at once.
    pub events: EventBell,
    /// Cancelled when the server stops: streams end then.
    pub shutdown: CancellationToken,
}

/// The six seams, handed over together.
#[derive(Clone, Debug)]
pub struct Seams {
    /// Tells reconcilers that intent changed.
    pub wake: Arc<dyn Wake>,
    /// Reads from machines.
    pub machines: Arc<dyn Machines>,
    /// Speaks MCP with instances.
    pub gateway: Arc<dyn ToolGateway>,
    /// What machines there are to choose from.
    pub offers: Arc<dyn Offers>,
    /// Looks whether the installation works.
    pub inspect: Arc<dyn Inspect>,
    /// Reads what MCP clients say of themselves.
    pub documents: Arc<dyn Documents>,
}

impl AppState {
    /// Puts a state together. Nothing is read or started; see [`SetupGate::open`] for the one
    /// thing that `serve` has to do besides.
    #[must_use]
    pub fn new(
        store: Store,
        vault: Arc<dyn Vault>,
        ambient: Ambient,
        config: Arc<Config>,
        setup: SetupGate,
        seams: Seams,
    ) -> Self {
        Self {
            store,
            vault,
            documents: DocumentCache::new(seams.documents, ambient.clone()),
            passwords: Passwords::new(ambient.clone()),
            ambient,
            remote: RemoteClient::new(config.remote_policy()),
            config,
            wake: seams.wake,
            machines: seams.machines,
            gateway: seams.gateway,
            offers: seams.offers,
            inspect: seams.inspect,
            setup,
            events: EventBell::default(),
            shutdown: CancellationToken::new(),
        }
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").finish_non_exhaustive()
    }
}

/// Tells reconcilers that a row's intent changed. Only a hint: they also look by themselves, so a
/// lost call costs time, never correctness. Must return at once.
pub trait Wake: fmt::Debug + Send + Sync {
    /// An environment is wanted differently.
    fn environment(&self, id: EnvironmentId);
    /// An instance is wanted differently.
    fn instance(&self, id: InstanceId);
    /// Agents, links or tokens changed: the gateway's route table is stale.
    fn routes(&self);
}

/// What machines the provider has to choose from.
#[async_trait]
pub trait Offers: fmt::Debug + Send + Sync {
    /// The sizes, the cheapest first; none where there is nothing to choose.
    ///
    /// # Errors
    /// What the provider says.
    async fn sizes(&self) -> Result<Vec<MachineSize>, ProviderError>;
}

#[async_trait]
impl Offers for Arc<dyn MachineProvider> {
    async fn sizes(&self) -> Result<Vec<MachineSize>, ProviderError> {
        (**self).sizes().await
    }
}

/// Looks whether the installation works (TOOL-12), and tells which one it is.
#[async_trait]
pub trait Inspect: fmt::Debug + Send + Sync {
    /// Which installation this is: the same for all its replicas and never another one's.
    fn installation(&self) -> String;

    /// Looks at everything that can be seen from the inside, and changes nothing.
    async fn verify(&self) -> Vec<Check>;
}

/// What a person asks of a machine directly, without changing anything on it.
#[async_trait]
pub trait Machines: fmt::Debug + Send + Sync {
    /// The log of an instance, oldest line first; goes on as lines come if the query says so.
    ///
    /// # Errors
    /// See [`MachineError`]; also as an item, when the machine goes away in between.
    async fn logs(
        &self,
        instance: &Instance,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, MachineError>>, MachineError>;
}

/// Why a machine gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MachineError {
    /// There is no machine yet, or no longer.
    #[error("the environment has no machine yet; wait until it is active")]
    NoMachine,
    /// It does not answer.
    #[error("the environment's machine does not answer: {0}")]
    Unreachable(String),
    /// It does not know the instance yet.
    #[error("the machine does not run this instance yet; wait until it is starting")]
    UnknownInstance,
    /// It refused; the text is its own sentence.
    #[error("the machine refused: {0}")]
    Refused(String),
}

/// MCP with single instances, as the product's own client.
#[async_trait]
pub trait ToolGateway: fmt::Debug + Send + Sync {
    /// The tools that an instance offers, as in the answer to `tools/list`.
    ///
    /// # Errors
    /// See [`ToolGatewayError`].
    async fn tools(&self, instance: &Instance) -> Result<Vec<serde_json::Value>, ToolGatewayError>;

    /// Calls a tool of an instance; the result is the protocol's `CallToolResult`.
    ///
    /// # Errors
    /// See [`ToolGatewayError`]. A tool that ran and failed is no error here: its result has
    /// `isError`.
    async fn call(
        &self,
        instance: &Instance,
        tool: &str,
        arguments: serde_json::Map<String, serde_json::Value>,
    ) -> Result<serde_json::Value, ToolGatewayError>;

    /// What the agent's endpoint offers right now, one item for each active link. An instance
    /// that does not answer is an item with an error, never an error of the whole.
    ///
    /// # Errors
    /// Only when nothing can be said at all.
    async fn discover(&self, agent: &Agent) -> Result<Vec<ServedInstance>, ToolGatewayError>;
}

/// What one instance offers to one agent.
#[derive(Debug, Clone)]
pub struct ServedInstance {
    /// Which.
    pub instance_id: InstanceId,
    /// Why it can't be used right now, if it can't.
    pub error: Option<String>,
    /// The server's `capabilities`, as it said at initialisation; an empty object before.
    pub capabilities: serde_json::Value,
    /// Its tools under the names that the agent sees.
    pub tools: Vec<ServedTool>,
}

/// One tool as an agent sees it.
#[derive(Debug, Clone)]
pub struct ServedTool {
    /// The name the agent uses.
    pub name: String,
    /// The server's own name for it.
    pub upstream_name: String,
    /// The server's description.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub input_schema: serde_json::Value,
}

/// Why a tool could not be reached or called.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ToolGatewayError {
    /// The instance does not run.
    #[error("{}", not_running(*.0))]
    NotRunning(InstanceStatus),
    /// It runs, but could not be reached; why, in words for people.
    #[error("the tool could not be reached: {0}")]
    Unreachable(&'static str),
    /// The server answered with a JSON-RPC error.
    #[error("the server answered with error {code}: {message}")]
    Rpc {
        /// The JSON-RPC code.
        code: i64,
        /// The server's message.
        message: String,
    },
    /// It took too long.
    #[error("the tool gave no answer in time")]
    TimedOut,
}

fn not_running(status: InstanceStatus) -> &'static str {
    match status {
        InstanceStatus::PendingStart
        | InstanceStatus::Starting
        | InstanceStatus::Running
        | InstanceStatus::Asleep => "the instance is starting; try again in a moment",
        InstanceStatus::ErrorRuntime => "the instance does not run; its error message says why",
        InstanceStatus::Stopping | InstanceStatus::Stopped => {
            "the instance is stopped; start it first"
        }
        InstanceStatus::PendingRemoval | InstanceStatus::Removed => "the instance was removed",
    }
}
