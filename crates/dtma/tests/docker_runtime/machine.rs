//! A machine under test: a runtime with an environment of its own on the real engine, and images
//! made on the spot. Dropping it removes everything that carries its environment's label.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use agentopia_domain::spec::{ImageRef, InstanceSpec};
use agentopia_domain::{Ambient, EnvironmentId, InstanceId};
use agentopia_dtma::runtime::docker::{DEFAULT_SOCKET, DockerRuntime};
use agentopia_dtma::runtime::{
    Progress, Runtime, RuntimeContext, StdioSession, ToolChannel, ToolHandle,
};
use bollard::Docker;
use bollard::query_parameters::{
    BuildImageOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions,
    RemoveContainerOptions, RemoveVolumeOptions,
};
use futures::StreamExt as _;
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::support;

pub(crate) struct Machine {
    pub(crate) docker: Docker,
    pub(crate) environment: EnvironmentId,
    pub(crate) runtime: Arc<DockerRuntime>,
    pub(crate) directory: tempfile::TempDir,
    dns_servers: Vec<SocketAddr>,
    /// What was started, for the rules that the kernel has of it.
    started: Mutex<BTreeSet<InstanceId>>,
}

impl Machine {
    pub(crate) async fn new() -> Self {
        Self::with_dns(Vec::new()).await
    }

    /// One that looks up names at these servers.
    pub(crate) async fn with_dns(dns_servers: Vec<SocketAddr>) -> Self {
        let environment = Ambient::system().new_id();
        let directory = tempfile::Builder::new()
            .prefix("dtma-test-")
            .tempdir_in("/tmp")
            .unwrap();
        let socket = Path::new(DEFAULT_SOCKET);
        let runtime = connect(environment, directory.path(), socket, &dns_servers).await;
        Self {
            docker: engine(),
            environment,
            runtime,
            directory,
            dns_servers,
            started: Mutex::default(),
        }
    }

    /// The DTMA is killed and comes back.
    pub(crate) async fn restart(&mut self) {
        self.reconnect(Path::new(DEFAULT_SOCKET)).await;
    }

    /// The same, with another way to the engine.
    pub(crate) async fn reconnect(&mut self, socket: &Path) {
        self.runtime.shutdown(std::time::Duration::ZERO).await;
        let directory = self.directory.path();
        self.runtime = connect(self.environment, directory, socket, &self.dns_servers).await;
    }

    /// A spec of the echo server in an image from scratch.
    pub(crate) async fn echo(&self) -> InstanceSpec {
        let binary = support::static_binaries().join("agentopia-echo");
        let files = [("agentopia-echo", std::fs::read(binary).unwrap(), 0o755)];
        let image = self.image("FROM scratch\nCOPY agentopia-echo /agentopia-echo\nENV FROM_IMAGE=yes\nENTRYPOINT [\"/agentopia-echo\"]\n", &files).await;
        support::spec(self.environment, image)
    }

    /// An image, built by the engine unless it has it.
    pub(crate) async fn image(&self, dockerfile: &str, files: &[(&str, Vec<u8>, u32)]) -> ImageRef {
        let mut tar = Vec::new();
        tar_entry(&mut tar, "Dockerfile", dockerfile.as_bytes(), 0o644);
        for (name, content, mode) in files {
            tar_entry(&mut tar, name, content, *mode);
        }
        tar.extend_from_slice(&[0; 1024]);
        let tag = hex::encode(&Sha256::digest(&tar)[..8]);
        let image = ImageRef {
            repository: "agentopia-test/made-here".into(),
            tag: Some(tag),
            digest: None,
        };
        if self.docker.inspect_image(&image.reference()).await.is_ok() {
            return image;
        }
        let options = BuildImageOptions {
            t: Some(image.reference()),
            dockerfile: "Dockerfile".into(),
            rm: true,
            forcerm: true,
            ..BuildImageOptions::default()
        };
        let mut output = std::pin::pin!(self.docker.build_image(
            options,
            None,
            Some(bollard::body_full(tar.into()))
        ));
        while let Some(message) = output.next().await {
            let message = message.unwrap();
            assert!(
                message.error_detail.is_none(),
                "the image can't be built: {message:?}"
            );
        }
        image
    }

    /// Prepares and starts.
    pub(crate) async fn start(&self, spec: &InstanceSpec) {
        self.start_with(spec, &[]).await;
    }

    pub(crate) async fn start_with(&self, spec: &InstanceSpec, secrets: &[(&str, &str)]) {
        self.started.lock().insert(spec.instance_id);
        let prepared = self
            .runtime
            .prepare(spec, None, &Progress::none())
            .await
            .unwrap();
        self.runtime
            .start(spec, &prepared, self::secrets(secrets))
            .await
            .unwrap();
    }

    pub(crate) async fn tool(&self, spec: &InstanceSpec) -> ToolHandle {
        self.runtime
            .tool(spec.instance_id)
            .await
            .expect("the tool is not reachable")
    }

    pub(crate) async fn session(&self, spec: &InstanceSpec) -> Talk {
        let ToolChannel::Stdio { spawner, .. } = self.tool(spec).await.channel else {
            panic!("not a stdio tool")
        };
        let mut talk = Talk::new(spawner.open().await.unwrap());
        talk.initialize().await;
        talk
    }

    /// The container as the engine shows it.
    pub(crate) async fn inspect(
        &self,
        spec: &InstanceSpec,
    ) -> bollard::models::ContainerInspectResponse {
        let name = format!("agentopia-{}", spec.instance_id);
        self.docker.inspect_container(&name, None).await.unwrap()
    }

    /// Names of everything that carries the environment's label.
    pub(crate) async fn everything(&self) -> Vec<String> {
        everything(&self.docker, self.environment).await
    }
}

pub(crate) fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
        .collect()
}

fn engine() -> Docker {
    Docker::connect_with_unix(DEFAULT_SOCKET, 60, bollard::API_DEFAULT_VERSION)
        .expect("no Docker Engine here: start one with script/services, or `dockerd --host=unix:///var/run/docker.sock`")
}

async fn connect(
    environment_id: EnvironmentId,
    directory: &Path,
    socket: &Path,
    dns_servers: &[SocketAddr],
) -> Arc<DockerRuntime> {
    let context = RuntimeContext {
        environment_id,
        data_dir: directory.to_owned(),
        run_dir: directory.join("run"),
        tool_init: tool_init(),
        tools_dir: None,
        dns_servers: dns_servers.to_vec(),
        ambient: Ambient::system(),
    };
    DockerRuntime::connect(socket, context)
        .await
        .expect("no Docker Engine answers: start one with script/services, or `dockerd --host=unix:///var/run/docker.sock`")
}

fn tool_init() -> PathBuf {
    support::static_binaries().join("tool-init")
}

async fn everything(docker: &Docker, environment: EnvironmentId) -> Vec<String> {
    let filters = || {
        Some(HashMap::from([(
            "label".to_owned(),
            vec![format!("agentopia.environment={environment}")],
        )]))
    };
    let containers = ListContainersOptions {
        all: true,
        filters: filters(),
        ..ListContainersOptions::default()
    };
    let containers = docker.list_containers(Some(containers)).await.unwrap();
    let networks = docker
        .list_networks(Some(ListNetworksOptions { filters: filters() }))
        .await
        .unwrap();
    let volumes = docker
        .list_volumes(Some(ListVolumesOptions { filters: filters() }))
        .await
        .unwrap();
    let containers = containers
        .into_iter()
        .map(|it| format!("container {}", it.id.unwrap()));
    let networks = networks
        .into_iter()
        .map(|it| format!("network {}", it.id.unwrap()));
    let volumes = volumes
        .volumes
        .unwrap_or_default()
        .into_iter()
        .map(|it| format!("volume {}", it.name));
    containers.chain(networks).chain(volumes).collect()
}

/// Takes away the rules of an instance that nobody removed.
fn forget_rules(id: InstanceId) {
    let chain = format!("AGOUT-{:016X}", id.as_uuid().as_u64_pair().1);
    for program in ["iptables", "ip6tables"] {
        let mangle = |arguments: &str| {
            let mut command = Command::new(program);
            command.args(["-w", "5", "-t", "mangle"]);
            command.args(arguments.split(' ')).output()
        };
        let Ok(listing) = mangle("-S") else { continue };
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        let hooks = listing
            .lines()
            .filter(|line| line.ends_with(&format!("-j {chain}")));
        for hook in hooks.filter_map(|line| line.strip_prefix("-A ")) {
            let _ = mangle(&format!("-D {hook}"));
        }
        if listing.contains(&chain) {
            let _ = mangle(&format!("-F {chain}"));
            let _ = mangle(&format!("-X {chain}"));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let started = std::mem::take(&mut *self.started.lock());
        let environment = self.environment;
        let clean = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let docker = engine();
                for thing in everything(&docker, environment).await {
                    let (kind, id) = thing.split_once(' ').unwrap();
                    let options = RemoveContainerOptions {
                        force: true,
                        v: true,
                        link: false,
                    };
                    // What is gone already is as good.
                    let _ = match kind {
                        "container" => docker.remove_container(id, Some(options)).await,
                        "network" => docker.remove_network(id).await,
                        _ => docker.remove_volume(id, None::<RemoveVolumeOptions>).await,
                    };
                }
            });
        };
        let _ = std::thread::spawn(clean).join();
        started.into_iter().for_each(forget_rules);
    }
}

/// Talks MCP to a process.
pub(crate) struct Talk {
    stdin: tokio::net::unix::pipe::Sender,
    stdout: BufReader<tokio::net::unix::pipe::Receiver>,
    pub(crate) process: Box<dyn agentopia_dtma::runtime::SessionProcess>,
    next: u64,
}

impl Talk {
    pub(crate) fn new(session: StdioSession) -> Self {
        Self {
            stdin: session.stdin,
            stdout: BufReader::new(session.stdout),
            process: session.process,
            next: 1,
        }
    }

    async fn initialize(&mut self) {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let answer = self.ask("initialize", params).await;
        assert_eq!(
            answer["result"]["serverInfo"]["name"], "agentopia-echo",
            "{answer}"
        );
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
    }

    async fn say(&mut self, message: &Value) {
        self.stdin
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }

    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        let mut line = String::new();
        self.stdout.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Calls a tool; gives the text of its answer.
    pub(crate) async fn call(&mut self, name: &str, arguments: Value) -> String {
        let answer = self
            .ask("tools/call", json!({"name": name, "arguments": arguments}))
            .await;
        answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    /// Closes in order; how it ended.
    pub(crate) async fn close(self) -> agentopia_dtma::runtime::ExitInfo {
        drop((self.stdin, self.stdout));
        self.process.close().await
    }
}

/// One file of a ustar archive.
pub(crate) fn tar_entry(tar: &mut Vec<u8>, name: &str, content: &[u8], mode: u32) {
    let mut header = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", content.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\u{0}00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}
