//! The MCP gateway: one endpoint per agent, one per instance, every protocol revision.
//!
//! It owns the envelope and the HTTP layer and never parses a message into types (why: see
//! [`agentopia_mcp`]). It has no database and no clock of its own: the control plane hands in a
//! [`Snapshot`] of who may call what, and gets told what to remember through traits.
//!
//! | seam | what the control plane provides |
//! |---|---|
//! | [`Snapshot`] → [`Gateway::replace`] | agents, tokens, links, instances, whenever they change |
//! | [`UpstreamConnector`] | HTTP to an instance (mutual TLS to its machine's DTMA) |
//! | [`NameBook`] | keeps exposed names (rule 7) |
//! | [`PrincipalAuthoriser`] | lets people (not agents) use an instance's endpoint |
//! | [`AuditSink`] | keeps a record of every call |
//! | [`Waker`] | stops servers that nobody uses, and starts them for a call |
//!
//! Where to look next, in the order in which a call passes: [`front`] (connections), `edge` (guards, authentication, body),
//! `downstream` (the two eras as clients speak them), `aggregate` (an agent's many servers as
//! one), `search` (or as two tools that find and call them), `clients` (what is kept for each client), `upstream` (sessions with servers, exchanges,
//! listening), `sleepers` (servers that are asleep), `limits` (how many calls), `relay` (one call there and back).

mod aggregate;
pub mod audit;
mod clients;
mod config;
mod core;
mod downstream;
mod edge;
pub mod front;
mod limits;
pub mod names;
mod pins;
pub mod principal;
mod quotas;
mod relay;
pub mod routes;
mod search;
mod sleepers;
mod upstream;

use std::collections::BTreeMap;
use std::sync::Arc;

use agentopia_domain::{AgentId, Ambient, InstanceId, LinkId};
use secrecy::SecretBox;

pub use audit::{AuditRecord, AuditSink, CallOutcome, RawPayload, TracingAudit};
pub use config::GatewayConfig;
pub use limits::CallLimits;
pub use names::{NameBook, NameKind, NameMaps, book_key, read_book_key};
pub use pins::Pins;
pub use principal::{AgentsOnly, PersonPrincipal, PrincipalAuthoriser};
pub use routes::{
    AccountRoute, AgentRoute, InstanceRoute, LinkCredentials, LinkRoute, Rest, Snapshot,
    TokenRoute, UpstreamLocation,
};
pub use sleepers::{NoSleep, Waker};
pub use upstream::connector::{
    BodyError, ConnectError, LINK_HEADER, SESSION_KEY_HEADER, UpstreamBody, UpstreamConnector,
};

use crate::core::Core;

/// What a gateway is made of.
pub struct GatewayParts {
    /// Limits and deadlines.
    pub config: GatewayConfig,
    /// Clock and randomness.
    pub ambient: Ambient,
    /// Seals session ids. Any 32 random bytes; the same on every replica, kept in the vault.
    pub seal_key: SecretBox<[u8; 32]>,
    /// HTTP to instances.
    pub connector: Arc<dyn UpstreamConnector>,
    /// Keeps exposed names.
    pub name_book: Arc<dyn NameBook>,
    /// Lets people in; [`AgentsOnly`] if none.
    pub authoriser: Arc<dyn PrincipalAuthoriser>,
    /// Keeps records of calls; [`TracingAudit`] if nothing better.
    pub audit: Arc<dyn AuditSink>,
    /// Stops and starts servers; [`NoSleep`] if none ever sleeps.
    pub waker: Arc<dyn Waker>,
}

impl std::fmt::Debug for GatewayParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayParts")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The gateway; cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    core: Arc<Core>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// Keeps an instance awake, see [`Gateway::using`].
#[derive(Debug)]
pub struct InUse(#[expect(dead_code, reason = "counts while it lives")] sleepers::uses::Using);

/// What the gateway holds at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Session-era clients.
    pub sessions: usize,
    /// Contexts kept for modern clients (one for each credential and set of capabilities).
    pub modern_clients: usize,
    /// Sessions and modern connections with upstreams.
    pub upstreams: usize,
}

impl Gateway {
    /// Starts a gateway that knows nobody yet. Must be called inside a tokio runtime: it runs a
    /// task that ends idle sessions and one that writes the audit.
    #[must_use]
    pub fn start(parts: GatewayParts) -> Self {
        let core = Core::new(parts);
        clients::reaper::start(&core);
        core.tell_uses();
        Self { core }
    }

    /// Whether a path is one of ours: `/agents/{id}/mcp`, `/instances/{id}/mcp`, each with `/sse` and
    /// `/messages` beside it.
    #[must_use]
    pub fn takes(path: &str) -> bool {
        edge::place(path).is_some()
    }

    /// Answers a request for such a path; others get 404. The server should have `TCP_NODELAY` set and
    /// must not buffer or time out responses: [`front::serve`] is one.
    pub async fn handle<B>(&self, request: http::Request<B>) -> http::Response<axum::body::Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send,
        B::Error: Into<BodyError>,
    {
        edge::handle(&self.core, request).await
    }

    /// Replaces the routes. Cheap when nothing changed. Sessions of agents, tokens and links that
    /// are gone end; clients of agents whose links changed are told to list again.
    pub fn replace(&self, snapshot: Snapshot) {
        self.core.replace(snapshot);
    }

    /// The names under which `agent` sees tools, given by link and the server's own name. Names
    /// that are new are assigned for good, as if the agent had listed them now. Tools of links that
    /// the route table does not have are left out.
    pub async fn tool_names(
        &self,
        agent: AgentId,
        tools: &[(LinkId, String)],
    ) -> BTreeMap<(LinkId, String), String> {
        aggregate::names::tool_names(&self.core, agent, tools).await
    }

    /// Returns once an instance runs; wakes it if it is asleep, together with all calls that wait for
    /// it. For what speaks with the instance besides the gateway.
    ///
    /// # Errors
    /// Why it does not run, for people.
    pub async fn wake(&self, instance: InstanceId) -> Result<(), String> {
        let Some(route) = self.core.routes.get(instance) else {
            return Ok(());
        };
        let up = sleepers::wakes::up(&self.core, &route).await;
        up.map(drop).map_err(|error| error.to_string())
    }

    /// An instance is in use, and is kept awake, until what this gives is dropped.
    #[must_use]
    pub fn using(&self, instance: InstanceId) -> InUse {
        InUse(self.core.uses.begin(instance))
    }

    /// What is held at the moment.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.core.clients.counts()
    }

    /// Ends sessions that nobody used for [`GatewayConfig::session_idle`]. Happens by itself;
    /// public for tests that steer the clock.
    pub fn expire_idle(&self) {
        self.core.expire_idle();
    }

    /// Ends every session and standing stream, tells upstreams, and returns when the audit is
    /// written. Calls in flight go on; stop accepting connections first.
    pub async fn shutdown(&self) {
        self.core.shutdown().await;
    }
}
