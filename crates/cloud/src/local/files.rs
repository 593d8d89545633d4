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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use agentopia_domain::Ambient;

    use super::*;
    use crate::Bootstrap;

    fn written(root: &Path, port: u16) -> MachineDir {
        let ambient = Ambient::system();
        let request = MachineRequest {
            environment: ambient.new_id(),
            bootstrap: Bootstrap {
                control_plane_url: "https://127.0.0.1:8443".parse().unwrap(),
                ca_fingerprint: "ab".repeat(32),
                ca_pem: String::new(),
                control_plane_name: String::new(),
                enrolment_token: SecretString::from("enr_canary"),
            },
            region: None,
            size: None,
            image: None,
        };
        let config = LocalConfig {
            root: root.to_owned(),
            dtma: "/bin/false".into(),
            tool_init: None,
            tools_dir: None,
            runtime: "process".to_owned(),
            first_port: port,
        };
        let dir = MachineDir::new(root.join(request.environment.to_string()));
        dir.write(&request, &config, port).unwrap();
        dir
    }

    #[test]
    fn only_the_owner_can_read_what_a_machine_is_given() {
        let root = tempfile::tempdir().unwrap();
        let dir = written(root.path(), 40_000);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path), 0o700);
        assert_eq!(mode(&dir.token_file()), 0o600);
        assert_eq!(mode(&dir.config()), 0o600);
        let config = fs::read_to_string(dir.config()).unwrap();
        assert!(
            !config.contains("enr_canary"),
            "the token stands in its own file only"
        );
    }

    #[test]
    fn a_machine_that_was_not_written_to_the_end_is_none() {
        let root = tempfile::tempdir().unwrap();
        let dir = written(root.path(), 40_000);
        assert!(dir.is_complete());
        fs::remove_file(dir.config()).unwrap();
        assert!(dir.exists() && !dir.is_complete());
        dir.remove().unwrap();
        assert!(!dir.exists());
        dir.remove().unwrap();
    }

    #[test]
    fn ports_of_other_machines_are_known() {
        let root = tempfile::tempdir().unwrap();
        written(root.path(), 40_001);
        written(root.path(), 40_002);
        fs::create_dir(root.path().join("unfinished")).unwrap();
        let mut ports = ports_given(root.path());
        ports.sort_unstable();
        assert_eq!(ports, [40_001, 40_002]);
        assert!(ports_given(&root.path().join("missing")).is_empty());
    }
}
