//! The DTMA's configuration: one TOML file, overridden by `AGENTOPIA_DTMA_…` variables.
//!
//! The enrolment token is never in it, only the name of the file that has it: a command line and
//! an environment can be read by others.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use serde::Deserialize;
use url::Url;

/// How a machine is set up. Every field is also `AGENTOPIA_DTMA_<FIELD>`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the control plane serves machines, `https://host:port`.
    pub control_plane_url: Url,
    /// SHA-256 (hex) of the control plane's CA: needed for the first contact only.
    #[serde(default)]
    pub control_plane_ca_fingerprint: Option<String>,
    /// The file with the one-time enrolment token; deleted once it was used.
    #[serde(default)]
    pub enrolment_token_file: Option<PathBuf>,
    /// State that outlives a reboot.
    #[serde(default = "data_dir")]
    pub data_dir: PathBuf,
    /// Sockets; may be gone after a reboot.
    #[serde(default = "run_dir")]
    pub run_dir: PathBuf,
    /// Where to listen. Port 0 takes any; the one taken is in `data_dir/port`.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// What to run tools with.
    #[serde(default)]
    pub runtime: RuntimeChoice,
    /// The `tool-init` binary.
    #[serde(default = "tool_init")]
    pub tool_init: PathBuf,
    /// Programs of the process runtime, looked up before `PATH`.
    #[serde(default)]
    pub tools_dir: Option<PathBuf>,
    /// Name servers (`address:port`) for tools that may reach some names only; the machine's own unless
    /// given.
    #[serde(default)]
    pub dns_servers: Vec<SocketAddr>,
    /// The provider's id of this machine, where it has one.
    #[serde(default)]
    pub machine_id: Option<String>,
    /// How long a tool may take until it answers MCP.
    #[serde(default = "health_timeout")]
    pub health_timeout_seconds: u64,
    /// What has to stay free on the disk; by default 1 GiB or a twentieth, whichever is less.
    #[serde(default)]
    pub disk_floor_bytes: Option<u64>,
    /// Whether the DTMA takes the versions of itself that the control plane offers. Not where it was
    /// put on the machine as an image.
    #[serde(default = "self_update")]
    pub self_update: bool,
    /// How long a new version of the DTMA may take until the control plane has heard it.
    #[serde(default = "update_trial")]
    pub update_trial_seconds: u64,
    /// How long a version stays at least before another takes its place.
    #[serde(default = "update_pause")]
    pub update_pause_seconds: u32,
    /// The form of the log.
    #[serde(default)]
    pub log_format: LogFormat,
}

/// What to run tools with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeChoice {
    /// Docker where an engine answers, child processes otherwise.
    #[default]
    Auto,
    /// Docker, or nothing.
    Docker,
    /// Child processes.
    Process,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

const FIELDS: [&str; 16] = [
    "control_plane_url",
    "control_plane_ca_fingerprint",
    "enrolment_token_file",
    "data_dir",
    "run_dir",
    "listen",
    "runtime",
    "tool_init",
    "tools_dir",
    "machine_id",
    "health_timeout_seconds",
    "disk_floor_bytes",
    "self_update",
    "update_trial_seconds",
    "update_pause_seconds",
    "log_format",
];

impl Config {
    /// Reads `file` (if given) and the environment, and checks what the types leave open.
    ///
    /// # Errors
    /// A sentence that names the field and what would be right.
    pub fn load(file: Option<&Path>) -> Result<Self, String> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            if !file.is_file() {
                return Err(format!(
                    "the configuration file {} is not there",
                    file.display()
                ));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self = figment
            .merge(Env::prefixed("AGENTOPIA_DTMA_").only(&FIELDS))
            .extract()
            .map_err(|error| format!("the configuration can't be used: {error}"))?;
        config.check()?;
        Ok(config)
    }

    /// Where versions of the DTMA are, and which of them counts.
    #[must_use]
    pub fn update_dir(&self) -> PathBuf {
        self.data_dir.join("update")
    }

    fn check(&self) -> Result<(), String> {
        if self.control_plane_url.scheme() != "https" || self.control_plane_url.host().is_none() {
            return Err("control_plane_url: use https://host:port".to_owned());
        }
        if let Some(fingerprint) = &self.control_plane_ca_fingerprint
            && (fingerprint.len() != 64 || !fingerprint.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(
                "control_plane_ca_fingerprint: use the 64 hex digits of SHA-256".to_owned(),
            );
        }
        for (name, path) in [("data_dir", &self.data_dir), ("run_dir", &self.run_dir)] {
            if !path.is_absolute() {
                return Err(format!("{name}: use an absolute path"));
            }
        }
        Ok(())
    }
}

fn data_dir() -> PathBuf {
    "/var/lib/agentopia-dtma".into()
}

fn run_dir() -> PathBuf {
    "/run/dtma".into()
}

fn listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], agentopia_dtma_api::DEFAULT_PORT))
}

fn tool_init() -> PathBuf {
    "/usr/local/lib/agentopia/tool-init".into()
}

const fn health_timeout() -> u64 {
    60
}

const fn self_update() -> bool {
    true
}

const fn update_trial() -> u64 {
    180
}

const fn update_pause() -> u32 {
    600
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(content: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        Config::load(Some(file.path()))
    }

    #[test]
    fn the_address_of_the_control_plane_is_all_that_is_needed() {
        let config = load("control_plane_url = 'https://10.0.0.1:8443'").unwrap();
        assert_eq!(config.runtime, RuntimeChoice::Auto);
        assert_eq!(config.listen.port(), 30000);
    }

    #[test]
    fn mistakes_are_named() {
        for (content, named) in [
            ("", "control_plane_url"),
            ("control_plane_url = 'http://10.0.0.1'", "https"),
            ("control_plane_url = 'https://h'\ntokn = 'x'", "tokn"),
            (
                "control_plane_url = 'https://h'\ndata_dir = 'here'",
                "data_dir",
            ),
            (
                "control_plane_url = 'https://h'\ncontrol_plane_ca_fingerprint = 'abc'",
                "64 hex",
            ),
        ] {
            let problem = load(content).unwrap_err();
            assert!(problem.contains(named), "{problem}");
        }
        assert!(Config::load(Some(Path::new("/nowhere.toml"))).is_err());
    }
}
