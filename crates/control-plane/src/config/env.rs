//! Environment variables as a source of configuration. Each has a declared form, so that a secret
//! that looks like a number stays the text it is.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::ConfigError;

/// The name that figment gives this source in errors.
pub(super) const PROVIDER: &str = "environment variables";

enum Form {
    Text,
    Number,
    List,
    Switch,
}
use Form::{List, Number, Switch, Text};

/// Variable, key of the file, form. The first name of a key is the one that errors use.
const VARIABLES: &[(&str, &str, Form)] = &[
    ("AGENTOPIA_DATA_DIR", "data_dir", Text),
    ("AGENTOPIA_BIND", "bind", Text),
    ("AGENTOPIA_PUBLIC_URL", "public_url", Text),
    ("AGENTOPIA_DTMA_LISTEN", "dtma_listen", Text),
    ("AGENTOPIA_DTMA_ADVERTISE_URL", "dtma_advertise_url", Text),
    ("AGENTOPIA_ALLOWED_HOSTS", "allowed_hosts", List),
    ("AGENTOPIA_ALLOWED_ORIGINS", "allowed_origins", List),
    ("AGENTOPIA_TRUSTED_PROXIES", "trusted_proxies", List),
    ("DATABASE_URL", "database_url", Text),
    ("AGENTOPIA_DATABASE_URL", "database_url", Text),
    ("INTERNAL_API_SECRET", "internal_api_secret", Text),
    ("AGENTOPIA_INTERNAL_API_SECRET", "internal_api_secret", Text),
    (
        "AGENTOPIA_SESSION_LIFETIME_SECONDS",
        "session_lifetime_seconds",
        Number,
    ),
    ("AGENTOPIA_BODY_LIMIT_BYTES", "body_limit_bytes", Number),
    (
        "AGENTOPIA_REQUEST_TIMEOUT_SECONDS",
        "request_timeout_seconds",
        Number,
    ),
    (
        "AGENTOPIA_CALL_TIMEOUT_SECONDS",
        "call_timeout_seconds",
        Number,
    ),
    (
        "AGENTOPIA_AGENT_CALLS_PER_MINUTE",
        "agent_calls_per_minute",
        Number,
    ),
    (
        "AGENTOPIA_ACCOUNT_CALLS_PER_MINUTE",
        "account_calls_per_minute",
        Number,
    ),
    (
        "AGENTOPIA_TOOL_CALLS_PER_MINUTE",
        "tool_calls_per_minute",
        Number,
    ),
    (
        "AGENTOPIA_SHORTEST_IDLE_SECONDS",
        "shortest_idle_seconds",
        Number,
    ),
    (
        "AGENTOPIA_WAKE_TIMEOUT_SECONDS",
        "wake_timeout_seconds",
        Number,
    ),
    ("AGENTOPIA_CALLS_KEPT_DAYS", "calls_kept_days", Number),
    ("AGENTOPIA_PROVIDER", "provider", Text),
    ("AGENTOPIA_LOST_MACHINE", "lost_machine", Text),
    ("AGENTOPIA_ORPHANS", "orphans", Text),
    (
        "AGENTOPIA_DIRECT_ACCESS_RANGES",
        "direct_access_ranges",
        List,
    ),
    ("AGENTOPIA_REMOTE_ALLOW", "remote_allow", List),
    ("AGENTOPIA_LOCAL_RUNTIME", "local_runtime", Text),
    ("AGENTOPIA_DTMA_BINARY", "dtma_binary", Text),
    ("AGENTOPIA_DTMA_AUTO_UPDATE", "dtma_auto_update", Switch),
    ("AGENTOPIA_TOOLS_DIR", "tools_dir", Text),
    ("AGENTOPIA_TOOL_INIT_BINARY", "tool_init_binary", Text),
    ("AGENTOPIA_LOCAL_FIRST_PORT", "local_first_port", Number),
    ("AGENTOPIA_CATALOG_IMAGES", "catalog_images", Text),
    ("AGENTOPIA_NPM_REGISTRY", "npm_registry", Text),
    ("AGENTOPIA_PYPI_REGISTRY", "pypi_registry", Text),
    ("AGENTOPIA_NPM_BASE_IMAGE", "packages.npm_base_image", Text),
    (
        "AGENTOPIA_PYPI_BASE_IMAGE",
        "packages.pypi_base_image",
        Text,
    ),
    ("AGENTOPIA_PACKAGE_CA_FILE", "packages.ca_file", Text),
    (
        "AGENTOPIA_BUILD_MEMORY_MIB",
        "packages.build_memory_mib",
        Number,
    ),
    (
        "AGENTOPIA_BUILD_CPU_MILLIS",
        "packages.build_cpu_millis",
        Number,
    ),
    ("AGENTOPIA_BUILD_SECONDS", "packages.build_seconds", Number),
    (
        "AGENTOPIA_BUILD_SIZE_MIB",
        "packages.build_size_mib",
        Number,
    ),
    ("AGENTOPIA_VAULT_KEY", "vault_key", Text),
    ("AGENTOPIA_VAULT_KEY_FILE", "vault_key_file", Text),
    ("DTMA_DOCKER_IMAGE_URL", "dtma_docker_image_url", Text),
    ("AGENTOPIA_LOG_FORMAT", "log_format", Text),
    ("DO_API_TOKEN", "digitalocean.api_token", Text),
    ("DO_API_URL", "digitalocean.api_url", Text),
    ("DO_INSTALLATION", "digitalocean.installation", Text),
    ("DO_DEFAULT_REGION", "digitalocean.default_region", Text),
    ("DO_DEFAULT_SIZE", "digitalocean.default_size", Text),
    ("DO_DEFAULT_IMAGE", "digitalocean.default_image", Text),
    ("DO_ALLOWED_REGIONS", "digitalocean.allowed_regions", List),
    ("DO_ALLOWED_SIZES", "digitalocean.allowed_sizes", List),
    ("DO_ALLOWED_IMAGES", "digitalocean.allowed_images", List),
    (
        "DO_SSH_KEY_FINGERPRINTS",
        "digitalocean.ssh_key_fingerprints",
        List,
    ),
    (
        "DO_CONTROL_PLANE_RANGES",
        "digitalocean.control_plane_ranges",
        List,
    ),
    ("DO_ADMIN_SSH_RANGES", "digitalocean.admin_ssh_ranges", List),
    ("DO_PROJECT_ID", "digitalocean.project_id", Text),
];

/// Every variable that is read, for documentation and `--help`.
pub fn names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().map(|(name, _, _)| *name)
}

/// The variable that sets `key`.
pub(super) fn name_of(key: &str) -> Option<&'static str> {
    VARIABLES
        .iter()
        .find(|(_, other, _)| *other == key)
        .map(|(name, _, _)| *name)
}

/// What was found in the environment.
pub(super) struct Variables(Dict);

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        Metadata::named(PROVIDER)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

/// Reads every known variable; an empty one counts as not set.
pub(super) fn read(env: &impl Fn(&str) -> Option<String>) -> Result<Variables, ConfigError> {
    let mut dict = Dict::new();
    // From the last to the first, so that the first name of a key wins.
    for (name, key, form) in VARIABLES.iter().rev() {
        let Some(text) = env(name).filter(|text| !text.trim().is_empty()) else {
            continue;
        };
        let value = match form {
            Text => Value::from(text),
            Number => Value::from(text.trim().parse::<u64>().map_err(|_| ConfigError::Wrong {
                origin: (*name).to_owned(),
                problem: format!("`{key}` must be a whole number"),
            })?),
            Switch => Value::from(
                text.trim()
                    .parse::<bool>()
                    .map_err(|_| ConfigError::Wrong {
                        origin: (*name).to_owned(),
                        problem: format!("`{key}` must be `true` or `false`"),
                    })?,
            ),
            List => Value::from(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            ),
        };
        put(&mut dict, key, value);
    }
    Ok(Variables(dict))
}

fn put(dict: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            dict.insert(key.to_owned(), value);
        }
        Some((table, rest)) => {
            let inner = dict
                .entry(table.to_owned())
                .or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}
