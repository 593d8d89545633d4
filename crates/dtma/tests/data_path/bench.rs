//! A data path with tools behind it, and what a client needs to talk to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use agentopia_domain::catalog::{StdioProcesses, Transport};
use agentopia_domain::spec::{ImageRef, InstanceSpec};
use agentopia_domain::{Ambient, EnvironmentId, InstanceId};
use agentopia_dtma::mcp::{DataPath, DataPathConfig, OwnSecrets};
use agentopia_dtma::runtime::process::ProcessRuntime;
use agentopia_dtma::runtime::{Progress, Runtime, RuntimeContext};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::own::Safe;
use crate::support;

pub(crate) struct Bench {
    pub(crate) path: Arc<DataPath>,
    /// What links carry.
    pub(crate) secrets: Arc<Safe>,
    pub(crate) runtime: Arc<dyn Runtime>,
    router: Router,
    environment: EnvironmentId,
    pub(crate) directory: tempfile::TempDir,
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) session: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The messages of an event stream.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.content_type, "text/event-stream", "{self:?}");
        let data = self
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        data.map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(DataPathConfig::default()).await
    }

    pub(crate) async fn with(config: DataPathConfig) -> Self {
        let environment = Ambient::system().new_id();
        let directory = tempfile::tempdir().unwrap();
        let context = RuntimeContext {
            environment_id: environment,
            data_dir: directory.path().join("data"),
            run_dir: directory.path().join("run"),
            tool_init: "/nonexistent".into(),
            tools_dir: None,
            dns_servers: Vec::new(),
            ambient: Ambient::system(),
        };
        std::fs::create_dir(directory.path().join("data")).unwrap();
        let runtime: Arc<dyn Runtime> = ProcessRuntime::new(context).await.unwrap();
        let secrets = Arc::new(Safe::default());
        let path = DataPath::new(
            Arc::clone(&runtime),
            Arc::clone(&secrets) as Arc<dyn OwnSecrets>,
            config,
            Ambient::system(),
        );
        let router = path.router();
        Self {
            path,
            secrets,
            runtime,
            router,
            environment,
            directory,
        }
    }

    /// A tool that runs: a program with arguments, in place of `agentopia-echo` if there is one.
    pub(crate) async fn tool(&self, change: impl FnOnce(&mut InstanceSpec)) -> InstanceId {
        let image = ImageRef {
            repository: "unused".into(),
            tag: None,
            digest: None,
        };
        let mut spec = support::spec(self.environment, image);
        let echo = support::static_binaries().join("agentopia-echo");
        spec.program.process = vec![echo.to_string_lossy().into_owned()];
        spec.resources.memory_bytes = 512 << 20;
        spec.resources.pids = 256;
        change(&mut spec);
        let prepared = self
            .runtime
            .prepare(&spec, None, &Progress::none())
            .await
            .unwrap();
        self.runtime
            .start(&spec, &prepared, BTreeMap::new())
            .await
            .unwrap();
        spec.instance_id
    }

    pub(crate) async fn echo(&self) -> InstanceId {
        self.tool(|_| ()).await
    }

    pub(crate) async fn faulty(&self, fault: &str) -> InstanceId {
        self.tool(|spec| {
            spec.program
                .process
                .extend(["--fault".into(), fault.into()])
        })
        .await
    }

    /// A server that writes down what it is told and says nothing.
    pub(crate) async fn silent(&self, file: &Path) -> InstanceId {
        let script = format!("cat > {}; exit", file.display());
        self.tool(|spec| spec.program.process = vec!["/bin/sh".into(), "-c".into(), script])
            .await
    }

    pub(crate) async fn shared(&self) -> InstanceId {
        self.tool(|spec| {
            spec.transport = Transport::Stdio {
                processes: StdioProcesses::Shared,
            }
        })
        .await
    }

    /// Sends a request; the response's head.
    pub(crate) async fn open(
        &self,
        method: &str,
        id: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1/instances/{id}/mcp"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router
            .clone()
            .oneshot(request.body(body.into()).unwrap())
            .await
            .unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        id: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let response = self.open(method, id, headers, body).await;
        let head = |name: &str| {
            response
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let (status, content_type, session) = (
            response.status(),
            head("content-type").unwrap_or_default(),
            head("mcp-session-id"),
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer {
            status,
            content_type,
            session,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn post(
        &self,
        id: InstanceId,
        headers: &[(&str, &str)],
        message: &Value,
    ) -> Answer {
        self.send("POST", &id.to_string(), headers, message.to_string())
            .await
    }

    /// Opens a session; its id.
    pub(crate) async fn initialize(&self, id: InstanceId) -> String {
        let answer = self.post(id, &[], &initialize()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(
            answer.json()["result"]["serverInfo"]["name"],
            "agentopia-echo",
            "{answer:?}"
        );
        let session = answer.session.expect("no session id");
        let headers = [("mcp-session-id", session.as_str())];
        let done = self
            .post(
                id,
                &headers,
                &json!({"jsonrpc":"2.0","method":"notifications/initialized"}),
            )
            .await;
        assert_eq!(
            (done.status, done.body.as_str()),
            (StatusCode::ACCEPTED, "")
        );
        session
    }
}

pub(crate) fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}
    }})
}

pub(crate) fn call(id: impl Into<Value>, name: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": "tools/call", "params": {"name": name, "arguments": arguments}})
}

/// The same, stateless.
pub(crate) fn modern(id: impl Into<Value>, name: &str, arguments: &Value) -> Value {
    let mut call = call(id, name, arguments);
    call["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    call
}
