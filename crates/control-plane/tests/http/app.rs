//! A control plane without a network: its router, its store, a clock that tests move, and a world
//! of machines that tests script.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use agentopia_cloud::{MachineSize, ProviderError};
use agentopia_control_plane::auth::setup::SetupGate;
use agentopia_control_plane::config::Config;
use agentopia_control_plane::http::router;
use agentopia_control_plane::oauth::document::Documents;
use agentopia_control_plane::state::{
    AppState, Inspect, MachineError, Machines, Offers, Seams, ServedInstance, ServedTool,
    ToolGateway, ToolGatewayError, Wake,
};
use agentopia_domain::agent::Agent;
use agentopia_domain::instance::Instance;
use agentopia_domain::verification::Check;
use agentopia_domain::{Ambient, Clock, EnvironmentId, InstanceId, SystemClock, SystemEntropy};
use agentopia_dtma_api::to_dtma::{LogLine, LogQuery, LogStream};
use agentopia_store::{DatabaseConfig, SqliteSync, Store};
use agentopia_vault::{BuiltIn, Keyring, Vault};
use async_trait::async_trait;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const SETUP_TOKEN: &str = "setup_token_of_the_tests_0123456789abcdef";
pub(crate) const INTERNAL_SECRET: &str = "internal-secret-of-the-tests";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The real time plus what a test added.
#[derive(Debug, Default)]
pub(crate) struct MovableClock(AtomicU64);

impl Clock for MovableClock {
    fn now(&self) -> DateTime<Utc> {
        let added = i64::try_from(self.0.load(Ordering::SeqCst)).unwrap();
        SystemClock.now() + Duration::seconds(added)
    }
}

/// Plays the machines and the gateway; remembers who was woken.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) woken: Mutex<Vec<String>>,
    pub(crate) unreachable: Mutex<bool>,
    pub(crate) sizes: Mutex<Vec<MachineSize>>,
    /// What MCP clients publish, by address; and how often it was read.
    pub(crate) published: Mutex<HashMap<String, Value>>,
    pub(crate) reads: AtomicU64,
}

impl World {
    fn woke(&self, what: impl Into<String>) {
        self.woken.lock().unwrap().push(what.into());
    }

    pub(crate) fn take_woken(&self) -> Vec<String> {
        std::mem::take(&mut *self.woken.lock().unwrap())
    }
}

impl Wake for World {
    fn environment(&self, id: EnvironmentId) {
        self.woke(format!("environment {id}"));
    }
    fn instance(&self, id: InstanceId) {
        self.woke(format!("instance {id}"));
    }
    fn routes(&self) {
        self.woke("routes");
    }
}

#[async_trait]
impl Offers for World {
    async fn sizes(&self) -> Result<Vec<MachineSize>, ProviderError> {
        if *self.unreachable.lock().unwrap() {
            return Err(ProviderError::Retryable("the provider is away".into()));
        }
        Ok(self.sizes.lock().unwrap().clone())
    }
}

#[async_trait]
impl Documents for World {
    async fn get(&self, url: &str) -> Result<Bytes, String> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let published = self.published.lock().unwrap();
        let document = published.get(url).ok_or("nobody answers there")?;
        Ok(document.to_string().into())
    }
}

#[async_trait]
impl Inspect for World {
    fn installation(&self) -> String {
        "0123456789abcdef".to_owned()
    }
    async fn verify(&self) -> Vec<Check> {
        vec![Check::failed("provider.token", "make a new one")]
    }
}

#[async_trait]
impl Machines for World {
    async fn logs(
        &self,
        _instance: &Instance,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, MachineError>>, MachineError> {
        if *self.unreachable.lock().unwrap() {
            return Err(MachineError::Unreachable("connection refused".into()));
        }
        let lines = (0..query.tail).map(|n| {
            Ok(LogLine {
                at: None,
                stream: LogStream::Stderr,
                line: format!("line {n}"),
            })
        });
        let lines = futures::stream::iter(lines);
        if query.follow {
            let cut = futures::stream::iter([Err(MachineError::Unreachable("cut off".into()))]);
            return Ok(lines.chain(cut).boxed());
        }
        Ok(lines.boxed())
    }
}

#[async_trait]
impl ToolGateway for World {
    async fn tools(&self, _instance: &Instance) -> Result<Vec<Value>, ToolGatewayError> {
        Ok(vec![
            json!({"name": "echo", "inputSchema": {"type": "object"}}),
        ])
    }

    async fn call(
        &self,
        _instance: &Instance,
        tool: &str,
        arguments: serde_json::Map<String, Value>,
    ) -> Result<Value, ToolGatewayError> {
        match tool {
            "echo" => Ok(json!({"content": [{"type": "text", "text": arguments["text"]}]})),
            "fail" => Ok(json!({"content": [], "isError": true})),
            "hang" => std::future::pending().await,
            _ => Err(ToolGatewayError::Rpc {
                code: -32602,
                message: format!("unknown tool {tool}"),
            }),
        }
    }

    async fn discover(&self, _agent: &Agent) -> Result<Vec<ServedInstance>, ToolGatewayError> {
        let instance_id = self
            .woken
            .lock()
            .unwrap()
            .iter()
            .find_map(|woken| woken.strip_prefix("instance ")?.parse().ok());
        Ok(instance_id
            .map(|instance_id| ServedInstance {
                instance_id,
                error: None,
                capabilities: json!({"tools": {}}),
                tools: vec![ServedTool {
                    name: "echo__echo".into(),
                    upstream_name: "echo".into(),
                    description: None,
                    input_schema: json!({"type": "object"}),
                }],
            })
            .into_iter()
            .collect())
    }
}

/// The whole of it.
pub(crate) struct App {
    pub(crate) state: AppState,
    pub(crate) world: Arc<World>,
    pub(crate) dir: tempfile::TempDir,
    clock: Arc<MovableClock>,
    router: axum::Router,
}

/// Somebody who sends requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    pub(crate) cookie: Option<String>,
    pub(crate) csrf: Option<String>,
    pub(crate) bearer: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body, after making sure of the status.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// Makes sure that it is a complete problem document with this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{}",
            self.text
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        assert_eq!(
            problem["request_id"].as_str().unwrap(),
            self.headers["x-request-id"]
        );
        problem
    }
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(MovableClock::default());
        let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy));
        let database = DatabaseConfig::Sqlite {
            path: dir.path().join("test.db"),
            sync: SqliteSync::Normal,
        };
        let store = Store::connect(&database, ambient.clone()).await.unwrap();
        store.migrate().await.unwrap();
        let mut config = Config {
            data_dir: dir.path().to_owned(),
            internal_api_secret: Some(INTERNAL_SECRET.into()),
            call_timeout_seconds: 1,
            ..Config::default()
        };
        change(&mut config);
        let world = Arc::new(World::default());
        let state = AppState::new(
            store,
            vault(&ambient),
            ambient,
            Arc::new(config),
            SetupGate::with_token(&SecretString::from(SETUP_TOKEN)),
            Seams {
                wake: Arc::clone(&world) as _,
                machines: Arc::clone(&world) as _,
                gateway: Arc::clone(&world) as _,
                offers: Arc::clone(&world) as _,
                inspect: Arc::clone(&world) as _,
                documents: Arc::clone(&world) as _,
            },
        );
        Self {
            router: router(state.clone()),
            state,
            world,
            dir,
            clock,
        }
    }

    /// With the first admin, who is signed in.
    pub(crate) async fn with_admin() -> (Self, Client) {
        let app = Self::start().await;
        let admin = app.set_up().await;
        (app, admin)
    }

    pub(crate) async fn set_up(&self) -> Client {
        let body = json!({
            "token": SETUP_TOKEN, "email": "admin@example.com", "password": PASSWORD,
        });
        let answered = self.post(&Client::default(), "/api/v1/setup", body).await;
        assert_eq!(answered.status, 201, "{}", answered.text);
        client_of(&answered)
    }

    /// Another user, made by the admin and signed in.
    pub(crate) async fn user(&self, admin: &Client, name: &str) -> Client {
        let email = format!("{name}@example.com");
        let body = json!({"email": email, "password": PASSWORD, "role": "user"});
        self.post(admin, "/api/v1/users", body).await.ok(201);
        self.sign_in(&email, PASSWORD).await
    }

    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Client {
        let answered = self.try_sign_in(email, password).await;
        assert_eq!(answered.status, 201, "{}", answered.text);
        client_of(&answered)
    }

    pub(crate) async fn try_sign_in(&self, email: &str, password: &str) -> Answered {
        let body = json!({"email": email, "password": password});
        self.post(&Client::default(), "/api/v1/session", body).await
    }

    /// Puts a tool into the catalog that reads a zone and two secrets.
    pub(crate) async fn catalog_entry(&self, admin: &Client, slug: &str) -> Value {
        self.post(admin, "/api/v1/catalog", definition(slug))
            .await
            .ok(201)
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) async fn get(&self, client: &Client, path: &str) -> Answered {
        self.send(client, "GET", path, None).await
    }

    pub(crate) async fn post(&self, client: &Client, path: &str, body: Value) -> Answered {
        self.send(client, "POST", path, Some(body)).await
    }

    pub(crate) async fn send(
        &self,
        client: &Client,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answered {
        let mut request = client.request(method, path);
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.raw(request.body(body).unwrap()).await
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> Answered {
        read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// Serves on a loopback port until the end of the test.
    pub(crate) async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = self
            .router
            .clone()
            .into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        address
    }
}

impl Client {
    pub(crate) fn bearer(token: &str) -> Self {
        Self {
            bearer: Some(token.to_owned()),
            ..Self::default()
        }
    }

    /// A request with everything that this client shows.
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1:8080")
            .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 4711))));
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(csrf) = &self.csrf {
            request = request.header("x-csrf-token", csrf);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        request
    }
}

/// What a browser keeps of the answer to signing in.
pub(crate) fn client_of(answered: &Answered) -> Client {
    let cookie = answered.headers[header::SET_COOKIE].to_str().unwrap();
    Client {
        cookie: Some(cookie.split(';').next().unwrap().to_owned()),
        csrf: answered.json()["csrf_token"].as_str().map(str::to_owned),
        bearer: None,
    }
}

pub(crate) fn definition(slug: &str) -> Value {
    json!({
        "slug": slug,
        "name": "A tool",
        "categories": ["Testing"],
        "packaging": {"type": "docker_image", "image": "127.0.0.1:5000/tools/tool"},
        "transport": {"type": "stdio"},
        "versions": [{"version": "1.0.0", "tag": "1"}, {"version": "2.0.0", "tag": "2"}],
        "default_version": "2.0.0",
        "config": {
            "schema": {
                "type": "object",
                "properties": {"zone": {"type": "string"}},
                "additionalProperties": false,
            },
            "bindings": [{"property": "zone", "to": "env", "name": "TZ"}],
        },
        "secrets": [
            {"name": "API_KEY", "description": "from the provider's page"},
            {"name": "EXTRA", "required": false},
        ],
        "status": "available",
    })
}

async fn read(response: Response<Body>) -> Answered {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answered {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

fn vault(ambient: &Ambient) -> Arc<dyn Vault> {
    let keyring = Keyring::generate(ambient);
    Arc::new(BuiltIn::new(keyring, ambient.clone()))
}
