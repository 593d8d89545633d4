//! The MCP data path of a machine (DTMA-7): `POST/GET/DELETE /v1/instances/{id}/mcp`, and the same at
//! `/v1/instances/{id}/links/{link}/{revision}/mcp` with the secrets of a link ([`own`], AGT-6).
//!
//! Whatever a tool speaks, the gateway sees Streamable HTTP here:
//!
//! * a stdio server's processes ([`process`]) stand behind sessions ([`sessions`]): one process for
//!   each session of the session era; for requests of the modern era one for each session key; or
//!   one for all, where the catalog says that sessions may share;
//! * an HTTP server is passed through, streaming ([`proxy`]);
//! * a server of the 2024-11-05 transport, HTTP+SSE, has a stream for each session ([`sse`]).
//!
//! Nothing is parsed that need not be: a message is scanned once, ids and tokens are spliced, the
//! rest goes through byte for byte. [`http`] holds the handlers. Who gets which message, and the form of
//! answers, is `agentopia-bridge`, which the control plane uses too.
//! Who may call is decided before, by the server that this router is mounted in.

mod http;
mod load;
mod own;
mod process;
mod proxy;
mod refusal;
mod sessions;
pub(crate) mod sse;

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::{Ambient, InstanceId};
use agentopia_mcp::Limits;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use axum::routing::any;

use crate::runtime::Runtime;
pub use own::{OwnSecrets, keep_ended};
use proxy::Proxy;
use sessions::Sessions;
use sse::SseServers;

/// Limits of the data path.
#[derive(Debug, Clone, Copy)]
pub struct DataPathConfig {
    /// Sessions that nobody used for so long are closed.
    pub idle: Duration,
    /// Processes of one stdio instance at a time, or sessions with one HTTP+SSE server.
    pub most_processes: usize,
    /// A process that had nothing to do for so long may be closed when another is wanted and
    /// `most_processes` is reached.
    pub evict_after: Duration,
    /// The same when another is wanted and the tool's memory or threads may not be enough for one more:
    /// sooner, because the kernel would kill one that is at work.
    pub evict_for_room_after: Duration,
    /// The largest message, in bytes, and how deep it may be nested.
    pub limits: Limits,
    /// How long a server may leave its standard input unread before it is called stuck.
    pub stdin_patience: Duration,
    /// How long a client may leave its stream unread before its request is cancelled.
    pub client_patience: Duration,
    /// How long a shared process may take to answer our `initialize`.
    pub initialize: Duration,
}

impl Default for DataPathConfig {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15 * 60),
            most_processes: 64,
            evict_after: Duration::from_secs(30),
            evict_for_room_after: Duration::from_secs(1),
            limits: Limits::default(),
            stdin_patience: Duration::from_secs(30),
            client_patience: Duration::from_secs(30),
            initialize: Duration::from_secs(60),
        }
    }
}

/// The data path's state. One a DTMA.
#[derive(Debug)]
pub struct DataPath {
    runtime: Arc<dyn Runtime>,
    config: DataPathConfig,
    sessions: Sessions,
    sse: SseServers,
    proxy: Proxy,
    loads: load::Loads,
}

impl DataPath {
    /// A data path in front of a runtime; `secrets` is where links' own are fetched. Has to be made inside of a tokio runtime, as a task that
    /// closes idle sessions is started with it; it ends when the data path is dropped.
    #[must_use]
    pub fn new(
        runtime: Arc<dyn Runtime>,
        secrets: Arc<dyn OwnSecrets>,
        config: DataPathConfig,
        ambient: Ambient,
    ) -> Arc<Self> {
        let path = Arc::new(Self {
            runtime,
            config,
            sessions: Sessions::new(config, ambient.clone(), secrets),
            sse: SseServers::new(config, ambient),
            proxy: Proxy::new(),
            loads: load::Loads::default(),
        });
        sessions::sweep_in_background(&path);
        path
    }

    /// The routes of the module's header. The caller adds authentication.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/v1/instances/{id}/mcp", any(http::serve))
            .route(
                "/v1/instances/{id}/links/{link}/{revision}/mcp",
                any(http::serve_link),
            )
            .with_state(Arc::clone(self))
    }

    /// The instance in the path `/v1/instances/{id}/mcp`, as the gateway writes it.
    pub(crate) fn instance_of(path: &str) -> Option<InstanceId> {
        let id = path.strip_prefix("/v1/instances/")?.strip_suffix("/mcp")?;
        id.parse().ok()
    }

    /// What the route of [`Self::instance_of`] does.
    pub(crate) async fn answer(&self, instance: InstanceId, request: Request<Body>) -> Response {
        http::forward(self, instance, None, request).await
    }

    /// Ends every session of an instance that is stopped or removed; a restart gives new ones.
    pub fn forget(&self, instance: InstanceId) {
        self.sessions.forget(instance);
        self.sse.forget(instance);
        self.loads.forget(instance);
    }

    /// Returns when no call of an instance was under way for as long as `settle`. Streams on which
    /// servers tell of changes are no calls.
    pub async fn quiet(&self, instance: InstanceId, settle: Duration) {
        self.loads.quiet(instance, settle).await;
    }

    /// How many stdio processes, or sessions with an HTTP+SSE server, an instance has at the moment.
    #[must_use]
    pub fn processes(&self, instance: InstanceId) -> usize {
        self.sessions.processes(instance) + self.sse.sessions(instance)
    }

    /// Ends everything, in order: servers see the end of their input. Returns when all are gone.
    pub async fn shutdown(&self) {
        self.sse.close_all();
        self.sessions.close_all().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_instances_own_endpoint_needs_no_router() {
        let id: InstanceId = Ambient::system().new_id();
        let of = DataPath::instance_of;
        assert_eq!(of(&format!("/v1/instances/{id}/mcp")), Some(id));
        for other in [
            format!("/v1/instances/{id}"),
            format!("/v1/instances/{id}/mcp/"),
            format!("/v1/instances/{id}/links/{id}/abc/mcp"),
            format!("//v1/instances/{id}/mcp"),
            "/v1/instances/mcp".to_owned(),
            "/v1/instances//mcp".to_owned(),
        ] {
            assert_eq!(of(&other), None, "{other}");
        }
    }
}
