//! Running copies of catalog entries (TOOL-3 to TOOL-8).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use agentopia_domain::direct_access::{FirewallRecord, PortProtocol};
use agentopia_domain::egress::Egress;
use agentopia_domain::environment::Environment;
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::{DesiredInstance, InstanceStatus, RuntimeDetails};
use agentopia_domain::name::Name;
use agentopia_domain::resources::Resources;
use agentopia_domain::verification::Check;
use agentopia_domain::versions::Release;
use agentopia_domain::{CatalogEntryId, EnvironmentId, InstanceId, SecretId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::upstream_login::UpstreamLogin;
use crate::version::VersionChange;

/// An instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The friendly name; unique in the account.
    pub name: Name,
    /// The blueprint.
    pub catalog_entry_id: CatalogEntryId,
    /// The machine it runs on.
    pub environment_id: EnvironmentId,
    /// The version to run.
    pub version: String,
    /// The version actually running.
    pub running_version: Option<String>,
    /// The digest that the version's tag was resolved to when it was first run; it stays that one until an
    /// upgrade.
    #[serde(default)]
    pub digest: Option<String>,
    /// The version before, which a roll-back brings back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Release>,
    /// A change of version that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<VersionChange>,
    /// Why the last change of version was given up, until there is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_problem: Option<String>,
    /// What the owner set.
    #[schema(value_type = Object)]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Environment variable to the secret that fills it.
    pub secrets: BTreeMap<String, SecretId>,
    /// Its limits.
    pub resources: Resources,
    /// Who may reach its port directly; not there for tools without such a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_access: Option<DirectAccess>,
    /// Where it may go to.
    #[serde(default)]
    pub egress: Egress,
    /// Where the server is, if it runs elsewhere: then it has no container and no machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How it stands at its server's authorization server, if its server has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<UpstreamLogin>,
    /// What the owner says about stopping it while nobody uses it.
    #[serde(default)]
    pub idle: IdleSetting,
    /// After so many seconds without use it is stopped until the next call; `null` if never.
    #[serde(default)]
    pub idle_seconds: Option<u32>,
    /// When it was last used or started, give or take some seconds.
    #[serde(default)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// Since when it is asleep, if it is.
    #[serde(default)]
    pub asleep_since: Option<DateTime<Utc>>,
    /// What the owner wants.
    pub desired: DesiredInstance,
    /// Grows with every change of what is wanted.
    pub generation: i64,
    /// The generation that its machine last reported as done.
    pub observed_generation: i64,
    /// Where it stands.
    pub status: InstanceStatus,
    /// What the machine is doing right now.
    pub progress: Option<String>,
    /// What went wrong last.
    pub error_message: Option<String>,
    /// Where and as what it runs.
    pub runtime: RuntimeDetails,
    /// The address of its own MCP endpoint.
    pub mcp_url: String,
    /// When it was deployed.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Instance {
    /// From the record; `base_url` is the control plane's public address without a slash at its
    /// end. The environment is needed for tools that are reached directly; a login is put in by
    /// whoever knows it.
    #[must_use]
    pub fn new(
        instance: agentopia_domain::instance::Instance,
        environment: Option<&Environment>,
        base_url: &str,
    ) -> Self {
        let idle_seconds = instance.idle_limit().and(instance.idle.seconds());
        Self {
            direct_access: DirectAccess::of(&instance, environment),
            egress: instance.egress,
            mcp_url: format!("{base_url}/instances/{}/mcp", instance.id),
            url: instance.remote.map(|remote| remote.url.into()),
            login: None,
            id: instance.id,
            name: instance.name,
            catalog_entry_id: instance.catalog_entry_id,
            environment_id: instance.environment_id,
            version: instance.version,
            running_version: instance.running_version,
            digest: instance.versions.digest,
            previous: instance.versions.kept,
            change: instance.versions.change.map(VersionChange::from),
            change_problem: instance.versions.problem,
            config: instance.config,
            secrets: instance.secrets,
            resources: instance.resources,
            idle: instance.idle.setting,
            idle_seconds,
            last_used_at: instance.last_used_at,
            asleep_since: instance.asleep_since,
            desired: instance.desired,
            generation: instance.generation,
            observed_generation: instance.observed_generation,
            status: instance.status,
            progress: instance.progress,
            error_message: instance.error_message,
            runtime: instance.runtime,
            created_at: instance.created_at,
            updated_at: instance.updated_at,
        }
    }
}

/// Who may reach a tool's port directly, past the gateway (TOOL-11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DirectAccess {
    /// The port inside the container.
    pub port: u16,
    /// What it speaks.
    pub protocols: BTreeSet<PortProtocol>,
    /// The networks from which it may be reached.
    pub sources: Vec<String>,
    /// Where it is reached, as `address:port`. Only while the firewall lets it in: not while the tool
    /// is stopped, or on its way.
    #[schema(value_type = Option<String>)]
    pub address: Option<SocketAddr>,
    /// Why the machine's firewall could not be changed, if it could not. It is tried again.
    pub problem: Option<String>,
}

impl DirectAccess {
    fn of(
        instance: &agentopia_domain::instance::Instance,
        environment: Option<&Environment>,
    ) -> Option<Self> {
        let access = instance.direct_access.as_ref()?;
        let firewall = environment.and_then(|environment| environment.firewall.as_ref());
        let address = || {
            let port = instance.runtime.port?;
            let let_in = firewall?.ports_of(environment?.machine_id.as_deref())?;
            let runs = instance.status == InstanceStatus::Running;
            let open = runs && access.on(port).all(|way| let_in.contains(&way));
            let ip = environment?.ip_address?;
            open.then(|| SocketAddr::new(ip, port))
        };
        let problem = match firewall {
            Some(FirewallRecord::Unsure { problem, .. }) => problem.clone(),
            _ => None,
        };
        Some(Self {
            port: access.port,
            protocols: access.protocols.clone(),
            sources: access.sources.clone().into(),
            address: address(),
            problem,
        })
    }
}

/// Deploys a tool. The environment is enabled by itself where it is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// Slug or id of the catalog entry.
    pub catalog: String,
    /// The friendly name; the slug (with a number where that is taken) unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// One of the entry's versions; its default unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Configuration, checked against the entry's schema.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object)]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Environment variable to name or id of the secret that fills it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// For a tool with a port that is reached directly, which the catalog says: the addresses and
    /// networks that may reach it, such as `203.0.113.0/24`. Nobody else is let in; everybody is
    /// `0.0.0.0/0` and `::/0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub allow_from: Vec<String>,
    /// Where it may go to: what the catalog says unless given. More than the catalog says takes an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// Where the server is, for an entry of a remote server without an address of its own:
    /// `https://host/path`. It can't be changed later, because secrets that were given for one address
    /// must not go to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// After how long without use it is stopped until the next call; what the catalog says unless
    /// given, which is never for most tools.
    #[serde(default, skip_serializing_if = "inherits")]
    pub idle: IdleSetting,
}

fn inherits(setting: &IdleSetting) -> bool {
    *setting == IdleSetting::Inherit
}

/// Changes an instance; what is absent stays. A changed configuration restarts the tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateInstanceRequest {
    /// The friendly name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The whole configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<serde_json::Map<String, serde_json::Value>>,
    /// The whole mapping of environment variables to names or ids of secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, String>>,
    /// All addresses and networks that may reach the tool's port directly. Other networks alone do
    /// not restart the tool; who is no longer among them is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 50)]
    pub allow_from: Option<Vec<String>>,
    /// Where it may go to. More than the catalog says takes an admin. From or to `open` restarts the tool;
    /// otherwise it holds at once, and connections to other places are cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// After how long without use it is stopped until the next call. Does not restart the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleSetting>,
}

/// How an instance is removed.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams,
)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveQuery {
    /// Whether its data goes too; it stays unless this is `true`.
    #[serde(default)]
    pub purge_data: bool,
}

/// Which instances are asked for. Removed ones are left out unless asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InstanceQuery {
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items, 1 to 200; 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Whether removed ones are listed too.
    #[serde(default)]
    pub include_removed: bool,
}

/// How much of a log is asked for.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams,
)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// The last so many lines, at most 10,000; 200 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(maximum = 10000)]
    pub tail: Option<u32>,
    /// Whether to go on as lines come.
    #[serde(default)]
    pub follow: bool,
}

/// One line of a log; the answer has one such object a line (`application/x-ndjson`).
///
/// A line with `error` in place of `line` says why the log ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogLine {
    /// When, by the machine's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// `stdout`, `stderr`, or `error` for what the control plane has to say.
    pub stream: LogStream,
    /// The line, without its end.
    pub line: String,
}

/// Where a log line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The control plane: the log ended early, and why.
    Error,
}

/// What a look at everything about an instance found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Diagnosis {
    /// One item for each thing that was looked at, in the order in which things depend on each other.
    pub checks: Vec<Check>,
    /// The last lines that the tool wrote, oldest first; at most ten.
    pub last_words: Vec<String>,
}

/// Calls a tool by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRequest {
    /// The server's own name of the tool.
    #[schema(min_length = 1, max_length = 256)]
    pub tool: String,
    /// Its arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub arguments: serde_json::Map<String, serde_json::Value>,
}

/// What the tool answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallResponse {
    /// Whether the tool says that it failed.
    pub is_error: bool,
    /// The protocol's `CallToolResult`, as the server sent it.
    pub result: serde_json::Value,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// The tools that an instance offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ToolList {
    /// Each as in the protocol's answer to `tools/list`.
    pub tools: Vec<serde_json::Value>,
}
