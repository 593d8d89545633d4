//! Which runtime this machine has: Docker where an engine answers, child processes otherwise.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};

use super::docker::DEFAULT_SOCKET;
use super::{RuntimeFacts, RuntimeKind};
use crate::config::RuntimeChoice;
use crate::files;

/// How long an engine may take to say hello.
const HELLO_SECONDS: u64 = 2;
/// Between two looks at an engine that should be there.
const PAUSE: Duration = Duration::from_secs(2);

/// What was chosen.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Which runtime.
    pub kind: RuntimeKind,
    /// Where the engine listens, for Docker.
    pub socket: PathBuf,
    /// What the runtime told of itself.
    pub facts: RuntimeFacts,
}

/// Chooses. A machine that ever ran containers waits for its engine: it may come up after us, and
/// tools must not come back as bare processes meanwhile.
///
/// # Errors
/// When `docker` is demanded and `DOCKER_HOST` is of a kind we don't speak, or the data directory
/// can't be used.
pub async fn choose(choice: RuntimeChoice, data_dir: &Path) -> Result<Chosen, String> {
    let memory = data_dir.join("runtime");
    let before = files::read(&memory).map_err(|error| format!("{}: {error}", memory.display()))?;
    let had_docker = before.as_deref() == Some(b"docker");
    let process = Chosen {
        kind: RuntimeKind::Process,
        socket: PathBuf::new(),
        facts: RuntimeFacts::default(),
    };
    if choice == RuntimeChoice::Process {
        return remember(&memory, process);
    }
    let socket = socket()?;
    let must = choice == RuntimeChoice::Docker || had_docker;
    loop {
        if let Some(facts) = hello(&socket).await {
            let docker = Chosen {
                kind: RuntimeKind::Docker,
                socket,
                facts,
            };
            return remember(&memory, docker);
        }
        if !must {
            return remember(&memory, process);
        }
        tracing::warn!(
            socket = %socket.display(),
            "waiting for the container engine; start it (`systemctl start docker`), or set \
             `runtime = \"process\"` to run tools without isolation"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

fn remember(path: &Path, chosen: Chosen) -> Result<Chosen, String> {
    files::replace(path, chosen.kind.as_str().as_bytes())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(chosen)
}

fn socket() -> Result<PathBuf, String> {
    let Some(host) = std::env::var_os("DOCKER_HOST").filter(|host| !host.is_empty()) else {
        return Ok(DEFAULT_SOCKET.into());
    };
    let host = host.to_string_lossy();
    host.strip_prefix("unix://")
        .map(PathBuf::from)
        .ok_or_else(|| format!("DOCKER_HOST is {host}: only unix:// sockets are supported"))
}

async fn hello(socket: &Path) -> Option<RuntimeFacts> {
    if !socket.exists() {
        return None;
    }
    let docker = Docker::connect_with_unix(
        &socket.to_string_lossy(),
        HELLO_SECONDS,
        API_DEFAULT_VERSION,
    )
    .ok()?
    .negotiate_version()
    .await
    .ok()?;
    let version = docker.version().await.ok()?;
    let info = docker.info().await.ok();
    let components = version.components.unwrap_or_default();
    Some(RuntimeFacts {
        versions: components
            .into_iter()
            .map(|component| match component.name.as_str() {
                "Engine" => ("docker".to_owned(), component.version),
                _ => (component.name, component.version),
            })
            .collect(),
        store: info.and_then(|info| info.docker_root_dir).map(Into::into),
        capacity: None,
    })
}
