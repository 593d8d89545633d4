//! A server on a loopback port, and the program pointed at it with a home directory of its own.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::sync::Arc;

use agentopia_cloud::{GB, MachineSize, ProviderError};
use agentopia_control_plane::auth::setup::SetupGate;
use agentopia_control_plane::config::Config;
use agentopia_control_plane::http::router;
use agentopia_control_plane::oauth::guarded::Published;
use agentopia_control_plane::state::{
    AppState, Inspect, MachineError, Machines, Offers, Seams, ServedInstance, ToolGateway,
    ToolGatewayError, Wake,
};
use agentopia_domain::agent::Agent;
use agentopia_domain::instance::Instance;
use agentopia_domain::verification::Check;
use agentopia_domain::{Ambient, EnvironmentId, InstanceId};
use agentopia_dtma_api::to_dtma::{LogLine, LogQuery, LogStream};
use agentopia_store::{DatabaseConfig, SqliteSync, Store};
use agentopia_vault::{BuiltIn, Keyring};
use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

pub(crate) const SETUP_TOKEN: &str = "setup_token_of_the_tests_0123456789abcdef";
pub(crate) const EMAIL: &str = "admin@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Plays machines and tools: every log has two lines and, when followed, no end.
#[derive(Debug)]
struct World;

impl Wake for World {
    fn environment(&self, _: EnvironmentId) {}
    fn instance(&self, _: InstanceId) {}
    fn routes(&self) {}
}

#[async_trait]
impl Offers for World {
    async fn sizes(&self) -> Result<Vec<MachineSize>, ProviderError> {
        let size = |name: &str, memory: u64, cents| MachineSize {
            name: name.to_owned(),
            vcpus: 2,
            memory_bytes: memory << 30,
            disk_bytes: 50 * GB,
            monthly_price_cents: cents,
            regions: vec!["here".to_owned()],
        };
        Ok(vec![size("small", 2, 1200), size("large", 4, 2400)])
    }
}

/// The installation that answers.
pub(crate) const INSTALLATION: &str = "0123456789abcdef";

#[async_trait]
impl Inspect for World {
    fn installation(&self) -> String {
        INSTALLATION.to_owned()
    }

    async fn verify(&self) -> Vec<Check> {
        vec![
            Check::ok("control_plane.database", "it answers"),
            Check::skipped("machine", "there is none"),
        ]
    }
}

#[async_trait]
impl Machines for World {
    async fn logs(
        &self,
        _instance: &Instance,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, MachineError>>, MachineError> {
        let line = |stream, line: &str| {
            Ok(LogLine {
                at: None,
                stream,
                line: line.into(),
            })
        };
        let lines = futures::stream::iter([
            line(LogStream::Stdout, "ready"),
            line(LogStream::Stderr, "no such file: /data"),
        ]);
        if query.follow {
            return Ok(lines.chain(futures::stream::pending()).boxed());
        }
        Ok(lines.boxed())
    }
}

#[async_trait]
impl ToolGateway for World {
    async fn tools(&self, _: &Instance) -> Result<Vec<Value>, ToolGatewayError> {
        let schema = json!({"type": "object", "properties": {
            "text": {"type": "string", "description": "what to say"},
            "times": {"type": "integer"},
        }});
        Ok(vec![
            json!({"name": "say", "description": "Says it.", "inputSchema": schema}),
        ])
    }

    async fn call(
        &self,
        _: &Instance,
        tool: &str,
        arguments: Map<String, Value>,
    ) -> Result<Value, ToolGatewayError> {
        match tool {
            "say" => Ok(json!({"content": [
                {"type": "text", "text": Value::Object(arguments).to_string()},
            ]})),
            "fail" => Ok(json!({"content": [{"type": "text", "text": "no"}], "isError": true})),
            _ => Err(ToolGatewayError::Rpc {
                code: -32602,
                message: format!("unknown tool {tool}"),
            }),
        }
    }

    async fn discover(&self, _: &Agent) -> Result<Vec<ServedInstance>, ToolGatewayError> {
        Ok(Vec::new())
    }
}

/// A server, and a home directory for whoever uses it.
pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) url: String,
    home: tempfile::TempDir,
    _data: tempfile::TempDir,
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Server {
    /// With nobody in it.
    pub(crate) async fn start() -> Self {
        Self::start_at(None).await
    }

    /// The same; people are told that it is at `public_url`.
    async fn start_at(public_url: Option<&str>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let ambient = Ambient::system();
        let database = DatabaseConfig::Sqlite {
            path: data.path().join("test.db"),
            sync: SqliteSync::Normal,
        };
        let store = Store::connect(&database, ambient.clone()).await.unwrap();
        store.migrate().await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            data_dir: data.path().to_owned(),
            bind: address,
            public_url: public_url.map(|url| url.parse().unwrap()),
            ..Config::default()
        };
        let documents = Published::within(&config);
        let world = Arc::new(World);
        let keyring = Keyring::generate(&ambient);
        let state = AppState::new(
            store.clone(),
            Arc::new(BuiltIn::new(keyring, ambient.clone())),
            ambient,
            Arc::new(config),
            SetupGate::with_token(&SecretString::from(SETUP_TOKEN)),
            Seams {
                wake: Arc::clone(&world) as _,
                machines: Arc::clone(&world) as _,
                gateway: Arc::clone(&world) as _,
                offers: Arc::clone(&world) as _,
                inspect: world as _,
                documents: Arc::new(documents),
            },
        );
        let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self {
            store,
            url: format!("http://{address}"),
            home: tempfile::tempdir().unwrap(),
            _data: data,
        }
    }

    /// With the first admin, who is signed in here.
    pub(crate) async fn with_admin() -> Self {
        Self::with_admin_at(None).await
    }

    /// The same; people are told that it is at `public_url`.
    pub(crate) async fn with_admin_at(public_url: Option<&str>) -> Self {
        let server = Self::start_at(public_url).await;
        let input = format!("{SETUP_TOKEN}\n{PASSWORD}\n");
        let arguments = format!("setup --url {} --email {EMAIL}", server.url);
        server.run_with(&arguments, &input).await.ok();
        server
    }

    /// With a tool called `clock` in the catalog, and the secret that it needs.
    pub(crate) async fn with_catalog() -> Self {
        let server = Self::with_admin().await;
        let definition = definition("clock").to_string();
        server.run_with("catalog import -", &definition).await.ok();
        server.run_with("secrets set key", "hush-hush\n").await.ok();
        server
    }

    /// The program with these words as arguments, ready to start.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentopia"));
        command
            .args(arguments.split_whitespace())
            .env_clear()
            .env("HOME", self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs it with nothing on standard input.
    pub(crate) async fn run(&self, arguments: &str) -> Ran {
        self.run_with(arguments, "").await
    }

    /// Runs it with `input` on standard input.
    pub(crate) async fn run_with(&self, arguments: &str, input: &str) -> Ran {
        finish(self.command(arguments), input).await
    }

    /// The result of a command that succeeds, as JSON.
    pub(crate) async fn json(&self, arguments: &str) -> Value {
        self.run(&format!("{arguments} -o json")).await.ok().json()
    }

    /// The file that sign-ins are kept in.
    pub(crate) fn contexts(&self) -> std::path::PathBuf {
        self.home.path().join(".config/agentopia/contexts.toml")
    }
}

/// Runs a command to its end.
pub(crate) async fn finish(mut command: Command, input: &str) -> Ran {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that reads nothing may be gone before we wrote.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap().into()
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Makes sure that it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Makes sure that it ended with this status, saying nothing on standard output.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The error object, which is all that stands on standard error.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let document: Value =
            serde_json::from_str(&self.err).unwrap_or_else(|_| panic!("no JSON: {self:?}"));
        assert_eq!(document.as_object().unwrap().len(), 1, "{document}");
        document["error"].clone()
    }
}

pub(crate) fn definition(slug: &str) -> Value {
    json!({
        "slug": slug,
        "name": "A tool",
        "packaging": {"type": "docker_image", "image": "127.0.0.1:5000/tools/tool"},
        "transport": {"type": "stdio"},
        "versions": [{"version": "1.0.0", "tag": "1"}],
        "default_version": "1.0.0",
        "config": {
            "schema": {
                "type": "object",
                "properties": {"zone": {"type": "string"}, "level": {"type": "integer"}},
                "additionalProperties": false,
            },
            "bindings": [
                {"property": "zone", "to": "env", "name": "TZ"},
                {"property": "level", "to": "arg", "flag": "--level"},
            ],
        },
        "secrets": [{"name": "API_KEY", "description": "from the provider's page"}],
        "status": "available",
    })
}
