//! Catalog entries: blueprints of tools (TOOL-1).
//!
//! `check` says what is wrong with one, `names` is how its parts may be called; [`package`] and [`text`] are
//! packages of npm and PyPI, and settings that are texts of several values.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::direct_access::DirectPort;
use crate::egress::Egress;
use crate::ids::CatalogEntryId;
use crate::name::Name;
use crate::remote::RemoteTransport;
use crate::resources::Resources;

mod check;
mod names;
pub mod package;
pub mod text;

pub use names::{is_digest, is_env_name, is_registry_name, is_repository, is_slug, is_tag};
use package::{PackageRegistry, PackageVersion};

/// How far a catalog entry is trusted to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatalogStatus {
    /// For everybody.
    Available,
    /// Works, may change.
    Beta,
    /// May not work.
    Experimental,
    /// Existing instances go on; new ones are warned.
    Deprecated,
    /// Existing instances go on; no new ones.
    Archived,
}

/// In what form the tool comes (TOOL-2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Packaging {
    /// A Docker image, pulled by tag or digest.
    DockerImage {
        /// The repository without tag or digest, for example `127.0.0.1:5000/agentopia/echo`.
        image: String,
    },
    /// A server that runs elsewhere, reached by its address: an instance without a container and without a
    /// machine. The entry's `transport`, `resources` and `volume` mean nothing for it.
    Remote {
        /// Its endpoint; without one whoever deploys it names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// Headers that go with every request. `${secret:NAME}` stands for the value of one of
        /// `secrets`; a header that refers to a secret nobody set is left out.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// How it speaks; Streamable HTTP unless given.
        #[serde(default, skip_serializing_if = "RemoteTransport::is_default")]
        transport: RemoteTransport,
    },
    /// A package of a language's registry. Each version says in `package` which one exactly.
    Package {
        /// Which kind of registry.
        registry: PackageRegistry,
        /// The package's name, for example `@modelcontextprotocol/server-filesystem`.
        name: String,
        /// Which of its programs is run; without it the one that is named like the package.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
    },
}

impl Packaging {
    /// Whether it is a server that runs elsewhere.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::Remote { .. })
    }
}

/// How the server speaks MCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Transport {
    /// Over standard input and output, newline-delimited.
    Stdio {
        /// Whether sessions share one process.
        #[serde(default)]
        processes: StdioProcesses,
    },
    /// Streamable HTTP on a port of the container.
    StreamableHttp {
        /// The port inside the container.
        port: u16,
        /// The path of the endpoint, for example `/mcp`.
        path: String,
    },
    /// HTTP+SSE, the transport of 2024-11-05, on a port of the container.
    Sse {
        /// The port inside the container.
        port: u16,
        /// The path of the event stream, for example `/sse`; where to post messages it says itself.
        path: String,
    },
}

impl Default for Transport {
    /// Stdio with a process for each session.
    fn default() -> Self {
        Self::Stdio {
            processes: StdioProcesses::default(),
        }
    }
}

/// How many processes a stdio server gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StdioProcesses {
    /// One for each session: what stdio servers are written for.
    #[default]
    PerSession,
    /// One for all sessions, where the server says it keeps no state of a client.
    Shared,
}

/// Where a configuration value goes when the server starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
pub enum ConfigTarget {
    /// An environment variable.
    Env {
        /// The variable's name.
        name: String,
    },
    /// An argument: `flag value`, or the bare value where there is no flag. An array gives one
    /// argument an item; `true` gives the bare flag, `false` nothing.
    Arg {
        /// For example `--timezone`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flag: Option<String>,
    },
    /// An environment variable made of several values.
    EnvText {
        /// The variable's name.
        name: String,
        /// `${config:NAME}` stands for the value of a property. Without one of them it is left out.
        text: String,
    },
    /// An argument made of several values.
    ArgText {
        /// For example `--database`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flag: Option<String>,
        /// `${config:NAME}` stands for the value of a property. Without one of them it is left out.
        text: String,
    },
}

/// What a tool can be told: a JSON Schema, defaults, and where each value goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigTemplate {
    /// A JSON Schema (draft 2020-12) of an object. `null` means that nothing can be set.
    #[serde(default)]
    pub schema: serde_json::Value,
    /// Values used where the instance gives none.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub defaults: serde_json::Map<String, serde_json::Value>,
    /// For each property, where its value goes, in the order of the arguments.
    #[serde(default)]
    pub bindings: Vec<ConfigBinding>,
}

/// Where one property of the configuration goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConfigBinding {
    /// The property of the schema.
    pub property: String,
    /// Where its value goes.
    #[serde(flatten)]
    pub target: ConfigTarget,
}

/// A secret that the server reads from an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRequirement {
    /// The environment variable.
    pub name: String,
    /// What it is and where to get it.
    #[serde(default)]
    pub description: String,
    /// Whether the tool can't start without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// Whether everybody who uses an instance gives their own, with the link of their agent: instances
    /// are deployed without it and have to start without it. Not for containers that speak HTTP.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub per_link: bool,
}

const fn yes() -> bool {
    true
}

/// A directory of the container that outlives it (TOOL-7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeTemplate {
    /// Absolute path inside the container.
    pub mount_path: String,
}

/// One version of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolVersion {
    /// What people call it, for example `1.4.0`.
    pub version: String,
    /// The image's tag. One of tag and digest is needed; with both, the digest is what is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The image's digest, `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Arguments in place of the image's command; empty keeps the image's own.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables that are always set.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The same server as a program for machines without Docker: name or path, then arguments.
    /// A bare name is looked up in the DTMA's tools directory, then in `PATH`.
    #[serde(default)]
    pub process: Vec<String>,
    /// Limits in place of the entry's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Transport in place of the entry's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// The exact package, where the tool comes as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageVersion>,
}

/// Everything about a catalog entry that a person writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogDefinition {
    /// Stable, unique, `^[a-z0-9][a-z0-9-]{0,62}$`: what the CLI takes.
    pub slug: String,
    /// The name shown.
    pub name: Name,
    /// What MCP registries call it, `namespace/name`, where it comes from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_name: Option<String>,
    /// A few sentences.
    #[serde(default)]
    pub description: String,
    /// Who makes it.
    #[serde(default)]
    pub developer_organisation: String,
    /// For browsing.
    #[serde(default)]
    pub categories: Vec<String>,
    /// A URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// A URL of its documentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation_url: Option<String>,
    /// In what form it comes.
    pub packaging: Packaging,
    /// How it speaks; stdio unless given.
    #[serde(default)]
    pub transport: Transport,
    /// At least one.
    pub versions: Vec<ToolVersion>,
    /// One of `versions`.
    pub default_version: String,
    /// What it can be told.
    #[serde(default)]
    pub config: ConfigTemplate,
    /// Secrets it reads.
    #[serde(default)]
    pub secrets: Vec<SecretRequirement>,
    /// Its limits.
    #[serde(default)]
    pub resources: Resources,
    /// A directory that outlives the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeTemplate>,
    /// A port that has to be reached directly, past the gateway; most tools have none. Whoever
    /// deploys the tool says from where. Where it is the port of `transport`, those who are let in
    /// speak MCP without the gateway's checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_access: Option<DirectPort>,
    /// Where the tool may go to: everywhere unless said otherwise. Whoever deploys it may give it less.
    #[serde(default, skip_serializing_if = "Egress::is_open")]
    pub egress: Egress,
    /// After so many seconds without use an instance is stopped until the next call, unless its owner
    /// says otherwise: 60 to 2,592,000 (30 days). Not there: never (TOOL-9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u32>,
    /// How far to trust it.
    pub status: CatalogStatus,
}

/// A catalog entry as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogEntry {
    /// Its id.
    pub id: CatalogEntryId,
    /// What a person wrote.
    pub definition: CatalogDefinition,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Why a definition can't be used; each names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct CatalogProblem {
    /// Path of the field.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl CatalogDefinition {
    /// The version called `version`.
    #[must_use]
    pub fn version(&self, version: &str) -> Option<&ToolVersion> {
        self.versions
            .iter()
            .find(|candidate| candidate.version == version)
    }

    /// Whether a link may carry secrets of its own to `version`: a remote server gets them in the headers
    /// of each request, a stdio server with a process of the link's own. A container that speaks HTTP is
    /// one process for everybody.
    #[must_use]
    pub fn takes_link_secrets(&self, version: &ToolVersion) -> bool {
        let transport = version.transport.as_ref().unwrap_or(&self.transport);
        self.packaging.is_remote() || matches!(transport, Transport::Stdio { .. })
    }
}

#[cfg(test)]
mod tests;
