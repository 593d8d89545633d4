//! The control plane as `agentopia serve` runs it, in this process, and a person who uses it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use agentopia_control_plane::config::Config;
use agentopia_control_plane::serve;
use agentopia_domain::Ambient;
use reqwest::{Client, Method};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// See the module's header.
pub(crate) struct Installation {
    base: String,
    http: Client,
    csrf: String,
    cookie: String,
    shutdown: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
    _dir: TempDir,
}

/// An agent that is linked to one instance.
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) endpoint: String,
}

impl Installation {
    pub(crate) async fn start() -> Self {
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let bind = free().await;
        let config = Config {
            data_dir: dir.path().to_owned(),
            bind,
            dtma_listen: free().await,
            // Any program: no machine is ever made.
            dtma_binary: Some(std::env::current_exe().unwrap()),
            tool_init_binary: Some(std::env::current_exe().unwrap()),
            remote_allow: vec!["127.0.0.1/32".parse().unwrap()],
            ..Config::default()
        };
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve::run(config, Ambient::system(), shutdown.clone()));
        let mut at = Self {
            base: format!("http://{bind}"),
            http: Client::builder().no_proxy().build().unwrap(),
            csrf: String::new(),
            cookie: String::new(),
            shutdown,
            serving,
            _dir: dir,
        };
        at.sign_in().await;
        at
    }

    async fn sign_in(&mut self) {
        let file = self._dir.path().join("setup-token");
        let token = eventually(async || read(&file)).await;
        let body =
            json!({"token": token, "email": "a@example.com", "password": "correct horse battery"});
        let url = format!("{}/api/v1/setup", self.base);
        let answer = eventually(async || self.http.post(&url).json(&body).send().await.ok()).await;
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        self.cookie = cookie.split(';').next().unwrap().to_owned();
        let said: Value = answer.json().await.unwrap();
        said["csrf_token"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.csrf);
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, text) = self.answer(method.clone(), path, body).await;
        let good = (200..300).contains(&status);
        assert!(good, "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn answer(&self, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        let url = format!("{}/api/v1{path}", self.base);
        let mut request = self.http.request(method, url);
        request = request
            .header("cookie", &self.cookie)
            .header("x-csrf-token", &self.csrf);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Value {
        self.send(Method::DELETE, path, None).await
    }

    /// The status and whatever is answered.
    pub(crate) async fn try_post(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, text) = self.answer(Method::POST, path, Some(body)).await;
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Where its data is.
    pub(crate) fn dir(&self) -> &Path {
        self._dir.path()
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) async fn until(&self, holds: impl AsyncFn() -> bool) {
        eventually(async || holds().await.then_some(())).await;
    }

    pub(crate) async fn status_becomes(&self, instance: &str, status: &str) {
        let path = format!("/instances/{instance}");
        eventually(async || (self.get(&path).await["status"] == status).then_some(())).await;
    }

    pub(crate) async fn agent_for(&self, instance: &str) -> Agent {
        self.agent_called("caller", instance).await
    }

    pub(crate) async fn agent_called(&self, name: &str, instance: &str) -> Agent {
        let agent = self.post("/agents", json!({"name": name})).await;
        let id = agent["id"].as_str().unwrap().to_owned();
        self.put(&format!("/agents/{id}/links/{instance}"), json!({}))
            .await;
        let token = self
            .post(&format!("/agents/{id}/tokens"), json!({"name": "t"}))
            .await;
        Agent {
            endpoint: format!("{}/agents/{id}/mcp", self.base),
            token: token["token"].as_str().unwrap().to_owned(),
            id,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

impl Agent {
    /// What is said of the failure, once there is one.
    pub(crate) async fn call_until_refused(&self, tool: &'static str) -> String {
        eventually(async || self.call(tool).await.err()).await
    }

    /// What the tool says, or what is said of the failure.
    pub(crate) async fn call(&self, tool: &'static str) -> Result<String, String> {
        let config = StreamableHttpClientTransportConfig::with_uri(self.endpoint.clone())
            .auth_header(self.token.clone());
        let http = Client::builder().no_proxy().build().unwrap();
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let info = ClientConfig::new(ClientCapabilities::default(), Implementation::new("t", "1"));
        let session = info.serve(transport).await.unwrap();
        let arguments = json!({"text": "hi"}).as_object().unwrap().clone();
        let params = CallToolRequestParams::new(tool).with_arguments(arguments);
        let answer = session.call_tool(params).await;
        session.cancel().await.unwrap();
        let answer = answer.map_err(|error| error.to_string())?;
        let answer = serde_json::to_value(answer).unwrap();
        let text = answer["content"][0]["text"].as_str();
        text.map(str::to_owned).ok_or_else(|| answer.to_string())
    }
}

/// Asks again until there is an answer.
async fn eventually<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

fn read(file: &Path) -> Option<String> {
    std::fs::read_to_string(file)
        .ok()
        .filter(|text| !text.is_empty())
}

async fn free() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
