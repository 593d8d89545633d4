//! What passes between the reconciler, the data path and a runtime.
//!
//! Nothing here does I/O. [`super::Runtime`] is the trait that speaks these types.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::catalog::StdioProcesses;
use agentopia_domain::observed::Phase;
use agentopia_domain::resources::Capacity;
use agentopia_domain::spec::InstanceSpec;
use agentopia_domain::{Ambient, EnvironmentId, InstanceId};
use sha2::{Digest as _, Sha256};
use tokio::net::unix::pipe;
use tokio::sync::watch;

/// Label or field that carries the instance's id.
pub const LABEL_INSTANCE: &str = "agentopia.instance";
/// Label or field that carries the environment's id: what does not carry ours is not ours.
pub const LABEL_ENVIRONMENT: &str = "agentopia.environment";
/// Label or field that carries the generation that was started.
pub const LABEL_GENERATION: &str = "agentopia.generation";
/// Label or field that carries [`spec_hash`].
pub const LABEL_SPEC: &str = "agentopia.spec";

/// What a runtime is built with, the same for both.
#[derive(Debug, Clone)]
pub struct RuntimeContext {
    /// The environment that this machine is; everything made is labelled with it.
    pub environment_id: EnvironmentId,
    /// Where state outlives a restart (`/var/lib/agentopia-dtma`).
    pub data_dir: PathBuf,
    /// Where sockets live (`/run/dtma`); gone after a reboot.
    pub run_dir: PathBuf,
    /// The `tool-init` binary on the host, mounted read-only into every container.
    pub tool_init: PathBuf,
    /// Where programs of the process runtime are looked up before `PATH`.
    pub tools_dir: Option<PathBuf>,
    /// Where names are looked up for tools that may not go everywhere; the machine's own name servers if
    /// there are none here.
    pub dns_servers: Vec<std::net::SocketAddr>,
    /// Time and randomness.
    pub ambient: Ambient,
}

/// Which runtime it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// Containers.
    Docker,
    /// Child processes: for development, where no engine answers.
    Process,
}

impl RuntimeKind {
    /// As reported in the machine's facts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Process => "process",
        }
    }
}

/// What a runtime tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeFacts {
    /// For example `docker`, `containerd`, `runc`.
    pub versions: BTreeMap<String, String>,
    /// The directory whose disk fills up (images, volumes); the disk guard watches it.
    pub store: Option<PathBuf>,
    /// Processors, memory and disk, where the runtime knows better than `/proc`.
    pub capacity: Option<Capacity>,
}

/// Where a runtime says what it is doing, for people who watch a deployment.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Phase, String) + Send + Sync>);

impl Progress {
    /// Sends every report to `sink`.
    pub fn new(sink: impl Fn(Phase, String) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Sends every report nowhere.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_, _| ())
    }

    /// Says that the instance is in `phase`, with a sentence for people.
    pub fn report(&self, phase: Phase, message: impl Into<String>) {
        (self.0)(phase, message.into());
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// What `prepare` found out and `start` needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// What to make the container from (an image id), or the resolved path of the program.
    pub target: String,
    /// The digest of the image, where it has one.
    pub image_digest: Option<String>,
    /// What people should know of it if it does not come up.
    pub note: Option<String>,
}

/// One thing that a runtime made for one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeInstance {
    /// Which instance it is for.
    pub instance_id: InstanceId,
    /// The generation that was started.
    pub generation: i64,
    /// [`spec_hash`] of the spec that was started; empty for leftovers of a half-made start.
    pub spec_hash: String,
    /// The container's id, or `process:<pid>`.
    pub container_id: Option<String>,
    /// The digest of the image that runs.
    pub image_digest: Option<String>,
    /// The port on the machine that was allocated to it.
    pub port: Option<u16>,
    /// Whether it runs.
    pub state: RunState,
}

/// Whether a thing that a runtime made runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Sessions or requests can be opened.
    Running,
    /// Made and never started, or only its network or directory is left: a start that was cut off.
    Partial,
    /// It ran and ended.
    Exited(ExitInfo),
}

/// How a process or container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExitInfo {
    /// Exit status.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether its memory limit was hit.
    pub out_of_memory: bool,
}

impl fmt::Display for ExitInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.out_of_memory, self.signal, self.code) {
            (true, ..) => f.write_str("it hit its memory limit and was ended"),
            (_, Some(signal), _) => write!(f, "it was ended by signal {signal}"),
            (_, _, Some(code)) => write!(f, "it ended with exit status {code}"),
            _ => f.write_str("it went away"),
        }
    }
}

/// How to reach a running tool. Cheap to clone. A new start of the instance gives a new handle
/// with another `epoch`; state of an older epoch (shared processes, pooled connections) is dead.
#[derive(Debug, Clone)]
pub struct ToolHandle {
    /// Which instance.
    pub instance_id: InstanceId,
    /// Differs from start to start of this instance within this process.
    pub epoch: u64,
    /// How it speaks.
    pub channel: ToolChannel,
}

/// How a running tool speaks.
#[derive(Debug, Clone)]
pub enum ToolChannel {
    /// Processes on pipes.
    Stdio {
        /// Starts one.
        spawner: Arc<dyn super::StdioSpawner>,
        /// Whether sessions share one.
        processes: StdioProcesses,
    },
    /// An HTTP server.
    Http {
        /// Where it listens.
        address: std::net::SocketAddr,
        /// The path of its endpoint.
        path: String,
    },
    /// A server of the 2024-11-05 transport, HTTP+SSE.
    Sse {
        /// Where it listens.
        address: std::net::SocketAddr,
        /// The path of its event stream.
        path: String,
    },
}

/// One process of a stdio server. Dropping it ends the process in the background.
#[derive(Debug)]
pub struct StdioSession {
    /// The server's standard input.
    pub stdin: pipe::Sender,
    /// The server's standard output.
    pub stdout: pipe::Receiver,
    /// Ends and watches it.
    pub process: Box<dyn super::SessionProcess>,
}

/// How a session's process ended; `None` while it runs.
pub type ExitWatch = watch::Receiver<Option<ExitInfo>>;

/// How long a session's process gets between its stdin being closed and TERM, and again between
/// TERM and KILL.
pub const SESSION_GRACE: Duration = Duration::from_secs(2);

/// Identifies what of a spec decides about the container: two specs of one hash need no recreate
/// (the same fields as [`InstanceSpec::needs_recreate`]).
#[must_use]
pub fn spec_hash(spec: &InstanceSpec) -> String {
    let mut key = serde_json::json!([
        spec.restart_nonce,
        spec.program,
        spec.transport,
        spec.env,
        spec.secret_names,
        spec.secrets_revision,
        spec.resources,
        spec.volume,
    ]);
    // Left out where there is none, so that containers of DTMAs that knew no such ports stay.
    if let (Some(access), Some(fields)) = (&spec.direct_access, key.as_array_mut()) {
        fields.push(serde_json::json!([access.port, access.protocols]));
    }
    if let (Some(package), Some(fields)) = (&spec.package, key.as_array_mut()) {
        fields.push(serde_json::json!(package.content()));
    }
    // Likewise: a container that may not go everywhere has another resolver.
    if let (false, Some(fields)) = (spec.egress.is_open(), key.as_array_mut()) {
        fields.push("held".into());
    }
    hex::encode(&Sha256::digest(key.to_string().as_bytes())[..16])
}
