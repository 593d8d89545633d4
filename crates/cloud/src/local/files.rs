//! The directory of one machine. Written so that a crash at any point leaves either no machine
//! (no `dtma.toml`) or a complete one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::LocalConfig;
use crate::{MachineRequest, ProviderError};

/// What is written to `dtma.toml`: the DTMA's own configuration file.
#[derive(Debug, Serialize, Deserialize)]
struct DtmaToml {
    control_plane_url: String,
    control_plane_ca_fingerprint: String,
    enrolment_token_file: PathBuf,
    data_dir: PathBuf,
    run_dir: PathBuf,
    listen: String,
    runtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_init: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools_dir: Option<PathBuf>,
}

#[derive(Debug)]
pub(super) struct MachineDir {
    path: PathBuf,
}

impl MachineDir {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Whether it was written to the end: `dtma.toml` is the last file.
    pub(super) fn is_complete(&self) -> bool {
        self.config().exists()
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path.join("dtma.toml")
    }

    /// Locked by the running DTMA, which writes `<process id> <start time>` into it.
    pub(super) fn lock_file(&self) -> PathBuf {
        self.path.join("data").join("lock")
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.path.join("dtma.log")
    }

    fn token_file(&self) -> PathBuf {
        self.path.join("token")
    }

    pub(super) fn write(
        &self,
        request: &MachineRequest,
        config: &LocalConfig,
        port: u16,
    ) -> Result<(), ProviderError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|error| cannot("create", &self.path, &error))?;
        self.write_token(&request.bootstrap.enrolment_token)?;
        let toml = DtmaToml {
            control_plane_url: request.bootstrap.control_plane_url.to_string(),
            control_plane_ca_fingerprint: request.bootstrap.ca_fingerprint.clone(),
            enrolment_token_file: self.token_file(),
            data_dir: self.path.join("data"),
            run_dir: run_dir(&request.environment.to_string(), &self.path),
            listen: format!("127.0.0.1:{port}"),
            runtime: config.runtime.clone(),
            tool_init: config.tool_init.clone(),
            tools_dir: config.tools_dir.clone(),
        };
        let text = toml::to_string(&toml).map_err(|error| {
            ProviderError::Final(format!(
                "the DTMA's configuration can't be written: {error}"
            ))
        })?;
        write_private(&self.config(), text.as_bytes())
    }

    pub(super) fn write_token(&self, token: &SecretString) -> Result<(), ProviderError> {
        write_private(&self.token_file(), token.expose_secret().as_bytes())
    }

    pub(super) fn remove(&self) -> Result<(), ProviderError> {
        // The configuration goes last in effect: once it is gone the machine counts as gone.
        match fs::read_to_string(self.config()).map(|text| toml::from_str::<DtmaToml>(&text)) {
            Ok(Ok(config)) if !config.run_dir.starts_with(&self.path) => {
                remove_tree(&config.run_dir)?;
            }
            _ => {}
        }
        remove_tree(&self.path)
    }
}

/// Sockets live under a short path: their names may have 107 bytes only.
fn run_dir(environment: &str, dir: &Path) -> PathBuf {
    let system = Path::new("/run");
    if nix::unistd::geteuid().is_root() && system.is_dir() {
        system.join("agentopia").join(environment)
    } else {
        dir.join("run")
    }
}

/// The ports in the configurations of all machines under `root`.
pub(super) fn ports_given(root: &Path) -> Vec<u16> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("dtma.toml")).ok())
        .filter_map(|text| toml::from_str::<DtmaToml>(&text).ok())
        .filter_map(|config| config.listen.rsplit_once(':')?.1.parse().ok())
        .collect()
}

/// Writes a file that only its owner can read, as a whole or not at all.
fn write_private(path: &Path, content: &[u8]) -> Result<(), ProviderError> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| cannot("write", path, &error))
}

fn remove_tree(path: &Path) -> Result<(), ProviderError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(cannot("remove", path, &error))
        }
        _ => Ok(()),
    }
}

pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> ProviderError {
    ProviderError::Retryable(format!("can't {what} {}: {error}", path.display()))
}
