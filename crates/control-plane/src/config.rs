//! The configuration of the control plane: one TOML file plus environment variables, which win.
//!
//! Every key `x` of the file is `AGENTOPIA_X` in the environment; a few names that operators know
//! from elsewhere work as they are (`DATABASE_URL`, `INTERNAL_API_SECRET`,
//! `DTMA_DOCKER_IMAGE_URL`, `DO_*`); `config/env.rs` has the table. A key that is unknown or wrong
//! is an error that names the key and where it stands; nothing is started then.

mod digitalocean;
mod env;
mod hosts;
mod packages;
mod remote;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentopia_domain::direct_access;
use agentopia_domain::environment::{LostMachine, ProviderKind};
use agentopia_domain::idle;
use agentopia_domain::orphan::OrphanPolicy;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

pub use digitalocean::{Allowed, DigitalOcean};
pub use env::names as environment_names;
pub use packages::Packages;

/// Everything that an operator can set.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the database file, keys and caches are. `$XDG_STATE_HOME/agentopia`, which is
    /// `~/.local/state/agentopia` unless set.
    pub data_dir: PathBuf,
    /// Where the public API, the MCP endpoints and the UI are served.
    pub bind: SocketAddr,
    /// The address under which people and agents reach `bind`; `http://<bind>` unless given.
    pub public_url: Option<Url>,
    /// Where machines are served (mutual TLS).
    pub dtma_listen: SocketAddr,
    /// The address under which machines reach `dtma_listen`; `https://<dtma_listen>` unless given.
    pub dtma_advertise_url: Option<Url>,
    /// Host names besides that of `public_url` and the loopback ones that requests may name.
    pub allowed_hosts: Vec<String>,
    /// Origins besides that of `public_url` whose pages may use the API.
    pub allowed_origins: Vec<String>,
    /// Reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// `sqlite:<path>` or `postgres://…`; `agentopia.db` in `data_dir` unless given.
    pub database_url: Option<SecretString>,
    /// What `/internal` calls have to show; they are all refused while it is not set.
    pub internal_api_secret: Option<SecretString>,
    /// Seconds that a browser session lasts after signing in.
    pub session_lifetime_seconds: u64,
    /// The largest request body, in bytes.
    pub body_limit_bytes: usize,
    /// Seconds after which a request is given up; streams have no limit.
    pub request_timeout_seconds: u64,
    /// Seconds that a tool call by hand may take.
    pub call_timeout_seconds: u64,
    /// The shortest idle time after which people may have their tools stopped, in seconds.
    pub shortest_idle_seconds: u32,
    /// Seconds that a call waits for a tool that was asleep.
    pub wake_timeout_seconds: u32,
    /// Calls a minute that one agent or person may make through the gateway; 0 for no limit.
    pub agent_calls_per_minute: u32,
    /// The same for all agents of an account together.
    pub account_calls_per_minute: u32,
    /// The same to one tool of an instance, by whomever.
    pub tool_calls_per_minute: u32,
    /// Days for which it is kept who called what.
    pub calls_kept_days: u16,
    /// Where machines come from.
    pub provider: ProviderKind,
    /// What becomes of an environment whose machine the provider no longer has: `rebuild` or
    /// `error`.
    pub lost_machine: LostMachine,
    /// What is done with things at the provider that carry our mark and belong to nobody: `report`
    /// or `remove`.
    pub orphans: OrphanPolicy,
    /// From where the ports of tools may be reached directly at most; people choose within these.
    /// Everywhere unless given; an empty list allows nobody.
    #[serde(deserialize_with = "ranges")]
    pub direct_access_ranges: Vec<IpNet>,
    /// Networks besides everybody's internet that addresses which people enter may lead to: remote
    /// MCP servers, metadata documents of OAuth clients. None unless given.
    #[serde(deserialize_with = "ranges")]
    pub remote_allow: Vec<IpNet>,
    /// How the `local` provider's machine runs tools.
    pub local_runtime: LocalRuntime,
    /// The `dtma` program; found beside our own program unless given.
    pub dtma_binary: Option<PathBuf>,
    /// Whether machines that run another `dtma` than ours update themselves to it.
    pub dtma_auto_update: bool,
    /// Programs of tools for the `process` runtime; beside our own program unless given.
    pub tools_dir: Option<PathBuf>,
    /// The static `tool-init` program that the `docker` runtime puts into tool containers; found
    /// beside our own program unless given.
    pub tool_init_binary: Option<PathBuf>,
    /// The first port that a `local` machine's management agent may listen on.
    pub local_first_port: u16,
    /// A JSON file that tells to which registry the images of the built-in catalog were built.
    pub catalog_images: Option<PathBuf>,
    /// The npm registry that is asked which versions a package has. None unless given: imports of packages
    /// have to name their version then.
    pub npm_registry: Option<Url>,
    /// The same for Python: the base of an index with PyPI's JSON API.
    pub pypi_registry: Option<Url>,
    /// How machines make images of packages.
    pub packages: Packages,
    /// The vault's keys, in place of `vault.key` in `data_dir`.
    pub vault_key: Option<SecretString>,
    /// A file with the vault's keys, in place of the one in `data_dir`.
    pub vault_key_file: Option<PathBuf>,
    /// A container image that machines at a provider run the DTMA from, in place of the program.
    pub dtma_docker_image_url: Option<String>,
    /// `text` or `json`.
    pub log_format: LogFormat,
    /// DigitalOcean (ENV-4).
    pub digitalocean: DigitalOcean,
}

/// How tools are run on the `local` machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalRuntime {
    /// Docker where an engine answers, processes otherwise.
    #[default]
    Auto,
    /// Docker only.
    Docker,
    /// Processes only.
    Process,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::new(),
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            dtma_listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            dtma_advertise_url: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            database_url: None,
            internal_api_secret: None,
            session_lifetime_seconds: 7 * 24 * 3600,
            body_limit_bytes: 1 << 20,
            request_timeout_seconds: 30,
            call_timeout_seconds: 300,
            shortest_idle_seconds: idle::SHORTEST,
            wake_timeout_seconds: 60,
            agent_calls_per_minute: 3_000,
            account_calls_per_minute: 12_000,
            tool_calls_per_minute: 6_000,
            calls_kept_days: 30,
            provider: ProviderKind::Local,
            lost_machine: LostMachine::Rebuild,
            orphans: OrphanPolicy::Report,
            direct_access_ranges: vec![Ipv4Net::default().into(), Ipv6Net::default().into()],
            remote_allow: Vec::new(),
            local_runtime: LocalRuntime::Auto,
            dtma_binary: None,
            dtma_auto_update: true,
            tools_dir: None,
            tool_init_binary: None,
            local_first_port: 30_000,
            catalog_images: None,
            npm_registry: None,
            pypi_registry: None,
            packages: Packages::default(),
            vault_key: None,
            vault_key_file: None,
            dtma_docker_image_url: None,
            log_format: LogFormat::Text,
            digitalocean: DigitalOcean::default(),
        }
    }
}

/// Addresses and networks.
fn ranges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let ranges = texts.iter().map(|text| direct_access::range(text));
    ranges.collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named can't be read.
    #[error("the configuration file {path} can't be read: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key is unknown or has a wrong value.
    #[error("{origin}: {problem}")]
    Wrong {
        /// The file or the environment variable.
        origin: String,
        /// The key, what is wrong with it and what would be right.
        problem: String,
    },
}

impl Config {
    /// Reads the configuration of this process. `file` is what the command line named; without it
    /// `AGENTOPIA_CONFIG`, `$XDG_CONFIG_HOME/agentopia/agentopia.toml` and
    /// `/etc/agentopia/agentopia.toml` are tried in turn.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_with(file, |name| std::env::var(name).ok())
    }

    /// The same with another environment, for tests.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load_with(
        file: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let named = file
            .map(Path::to_owned)
            .or_else(|| env("AGENTOPIA_CONFIG").map(PathBuf::from));
        let found = match named {
            Some(path) => Some(path),
            None => usual_files(&env).into_iter().find(|path| path.is_file()),
        };
        let mut figment = Figment::new();
        if let Some(path) = &found {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                path: path.clone(),
                source,
            })?;
            figment = figment.merge(Toml::string(&text));
        }
        let values = env::read(&env)?;
        let mut config: Self =
            figment
                .merge(values)
                .extract()
                .map_err(|error| ConfigError::Wrong {
                    origin: origin_of(&error, found.as_deref()),
                    problem: describe(&error),
                })?;
        if config.data_dir.as_os_str().is_empty() {
            config.data_dir = default_data_dir(&env)?;
        }
        config.check(found.as_deref())?;
        Ok(config)
    }

    fn check(&self, file: Option<&Path>) -> Result<(), ConfigError> {
        let wrong = |key: &str, problem: &str| {
            Err(ConfigError::Wrong {
                origin: file.map_or_else(
                    || env::name_of(key).unwrap_or("the configuration").to_owned(),
                    |file| format!("{} or {}", file.display(), env::name_of(key).unwrap_or(key)),
                ),
                problem: format!("`{key}` {problem}"),
            })
        };
        if let Some(url) = &self.public_url
            && (!matches!(url.scheme(), "http" | "https")
                || url.host_str().is_none()
                || url.path() != "/"
                || url.query().is_some())
        {
            return wrong(
                "public_url",
                "must be http:// or https://, a host and perhaps a port, without a path",
            );
        }
        if let Some(url) = &self.dtma_advertise_url
            && (url.scheme() != "https" || url.host_str().is_none())
        {
            return wrong("dtma_advertise_url", "must begin with https:// and a host");
        }
        if self
            .allowed_origins
            .iter()
            .any(|origin| hosts::origin(origin).is_none())
        {
            return wrong(
                "allowed_origins",
                "must be origins like https://app.example.com, without a path",
            );
        }
        if self.session_lifetime_seconds < 60 {
            return wrong("session_lifetime_seconds", "must be 60 or more");
        }
        if self.body_limit_bytes < 1024 {
            return wrong("body_limit_bytes", "must be 1024 or more");
        }
        for (key, seconds) in [
            ("request_timeout_seconds", self.request_timeout_seconds),
            ("call_timeout_seconds", self.call_timeout_seconds),
        ] {
            if seconds == 0 {
                return wrong(key, "must be 1 or more");
            }
        }
        if !idle::is_allowed(self.shortest_idle_seconds, 3) {
            return wrong("shortest_idle_seconds", "must be 3 to 2592000 (30 days)");
        }
        if self.wake_timeout_seconds == 0 {
            return wrong("wake_timeout_seconds", "must be 1 or more");
        }
        if self
            .internal_api_secret
            .as_ref()
            .is_some_and(|secret| secrecy::ExposeSecret::expose_secret(secret).len() < 16)
        {
            return wrong("internal_api_secret", "must have 16 characters or more");
        }
        if let Some((key, problem)) = self.packages.problem() {
            return wrong(key, problem);
        }
        Ok(())
    }

    /// The public address without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.public_url.as_ref().map_or_else(
            || format!("http://{}", self.bind),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        )
    }

    /// The address that machines are told to call, without a slash at its end.
    #[must_use]
    pub fn dtma_url(&self) -> String {
        self.dtma_advertise_url.as_ref().map_or_else(
            || format!("https://{}", self.dtma_listen),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        )
    }

    /// Whether people reach us by HTTPS, so that cookies may be `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url
            .as_ref()
            .is_some_and(|url| url.scheme() == "https")
    }

    /// How long a browser session lasts.
    #[must_use]
    pub const fn session_lifetime(&self) -> Duration {
        Duration::from_secs(self.session_lifetime_seconds)
    }
}

/// Where the data is unless the operator says otherwise.
fn default_data_dir(env: &impl Fn(&str) -> Option<String>) -> Result<PathBuf, ConfigError> {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("agentopia"))
        .ok_or_else(|| ConfigError::Wrong {
            origin: "AGENTOPIA_DATA_DIR".into(),
            problem: "`data_dir` is needed, because neither XDG_STATE_HOME nor HOME is set".into(),
        })
}

fn usual_files(env: &impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let home = env("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|home| Path::new(&home).join(".config")))
        .filter(|path| path.is_absolute());
    home.into_iter()
        .map(|dir| dir.join("agentopia/agentopia.toml"))
        .chain([PathBuf::from("/etc/agentopia/agentopia.toml")])
        .collect()
}

/// The file or the environment variable that an error is about.
fn origin_of(error: &figment::Error, file: Option<&Path>) -> String {
    let from_env = error
        .metadata
        .as_ref()
        .is_some_and(|metadata| metadata.name == env::PROVIDER);
    if from_env {
        return env::name_of(&error.path.join("."))
            .unwrap_or("the environment")
            .to_owned();
    }
    file.map_or_else(
        || "the configuration".to_owned(),
        |file| format!("the configuration file {}", file.display()),
    )
}

/// The key and the problem, without the value: it may be a secret.
fn describe(error: &figment::Error) -> String {
    use figment::error::Kind;
    let key = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(name, expected) => {
            format!("unknown key `{name}`; known are {}", expected.join(", "))
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("`{key}` must be {expected}")
        }
        Kind::UnknownVariant(_, expected) => {
            format!("`{key}` must be one of {}", expected.join(", "))
        }
        other => {
            let said = other.to_string();
            if key.is_empty() {
                said
            } else {
                format!("`{key}`: {said}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        std::fs::write(&file, toml).unwrap();
        Config::load_with(Some(&file), |name| {
            env.iter()
                .chain(&[("HOME", "/home/me")])
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn everything_has_a_default() {
        let config = load("", &[]).unwrap();
        assert_eq!(
            config.data_dir,
            Path::new("/home/me/.local/state/agentopia")
        );
        assert_eq!(config.base_url(), "http://127.0.0.1:8080");
        assert_eq!(config.dtma_url(), "https://127.0.0.1:8443");
        assert!(!config.is_https());
    }

    #[test]
    fn the_environment_wins_and_known_names_work_as_they_are() {
        let config = load(
            "bind = '127.0.0.1:1'\npublic_url = 'https://a.example'\n[digitalocean]\ndefault_region = 'ams3'",
            &[
                ("AGENTOPIA_BIND", "127.0.0.1:2"),
                ("AGENTOPIA_ALLOWED_HOSTS", "a.example, b.example"),
                ("DATABASE_URL", "postgres://u:p@h/d"),
                ("INTERNAL_API_SECRET", "00000000000000001"),
                ("DO_SSH_KEY_FINGERPRINTS", "aa:bb,cc:dd"),
            ],
        )
        .unwrap();
        assert_eq!(config.bind.port(), 2);
        assert_eq!(config.allowed_hosts, ["a.example", "b.example"]);
        assert_eq!(config.base_url(), "https://a.example");
        assert!(config.is_https());
        assert!(config.database_url.is_some());
        assert_eq!(config.digitalocean.ssh_key_fingerprints, ["aa:bb", "cc:dd"]);
        assert_eq!(config.digitalocean.default_region.as_deref(), Some("ams3"));
        let secret = config.internal_api_secret.as_ref().unwrap();
        assert_eq!(
            secrecy::ExposeSecret::expose_secret(secret),
            "00000000000000001"
        );
        assert!(!format!("{config:?}").contains("00000000000000001"));
    }

    #[test]
    fn errors_name_the_key_and_where_it_stands_but_never_the_value() {
        for (toml, env, parts) in [
            ("bnid = 1", &[][..], &["a.toml", "bnid", "bind"][..]),
            ("bind = 'nowhere'", &[], &["a.toml", "bind"]),
            (
                "body_limit_bytes = 'x'",
                &[],
                &["a.toml", "body_limit_bytes"],
            ),
            ("bind = [", &[], &["a.toml"]),
            ("", &[("AGENTOPIA_BIND", "x")], &["AGENTOPIA_BIND", "bind"]),
            (
                "",
                &[("AGENTOPIA_BODY_LIMIT_BYTES", "many")],
                &["AGENTOPIA_BODY_LIMIT_BYTES"],
            ),
            (
                "",
                &[("INTERNAL_API_SECRET", "short-pw")],
                &["internal_api_secret"],
            ),
            (
                "",
                &[("AGENTOPIA_DTMA_AUTO_UPDATE", "perhaps")],
                &["AGENTOPIA_DTMA_AUTO_UPDATE", "`true` or `false`"],
            ),
            ("calls_kept_days = -1", &[], &["calls_kept_days"]),
            ("shortest_idle_seconds = 2", &[], &["shortest_idle_seconds"]),
            ("wake_timeout_seconds = 0", &[], &["wake_timeout_seconds"]),
            ("calls_kept_days = 70000", &[], &["calls_kept_days"]),
            ("public_url = 'http://a/b'", &[], &["public_url"]),
            ("allowed_origins = ['a.example']", &[], &["allowed_origins"]),
            ("provider = 'aws'", &[], &["provider", "local"]),
        ] {
            let error = load(toml, env).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{toml:?} {env:?}: {error}");
            }
            assert!(!error.contains("short-pw"), "{error}");
        }
    }

    #[test]
    fn direct_access_is_from_everywhere_or_from_what_the_operator_says() {
        let text = |config: Config| {
            let ranges = config.direct_access_ranges.iter();
            ranges.map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(text(load("", &[]).unwrap()), ["0.0.0.0/0", "::/0"]);
        let none = load("direct_access_ranges = []", &[]).unwrap();
        assert!(none.direct_access_ranges.is_empty());
        let some = [("AGENTOPIA_DIRECT_ACCESS_RANGES", "10.0.0.0/8, 192.0.2.1")];
        assert_eq!(
            text(load("", &some).unwrap()),
            ["10.0.0.0/8", "192.0.2.1/32"]
        );
        let error = load("direct_access_ranges = ['lan']", &[]).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("direct_access_ranges") && error.contains("203.0.113.0/24"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let error = Config::load_with(Some(Path::new("/nowhere/a.toml")), |_| None).unwrap_err();
        assert!(error.to_string().contains("/nowhere/a.toml"));
    }
}
