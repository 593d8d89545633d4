//! Catalog entries: blueprints of tools (TOOL-1).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::direct_access::DirectPort;
use crate::idle;
use crate::ids::CatalogEntryId;
use crate::name::Name;
use crate::remote::{self, RemoteTransport};
use crate::resources::Resources;

pub mod package;
pub mod text;

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

    fn every_version_takes_link_secrets(&self) -> bool {
        let mut versions = self.versions.iter();
        versions.all(|version| self.takes_link_secrets(version))
    }

    /// Checks everything that the types leave open, except the JSON Schema itself.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn check(&self) -> Result<(), Vec<CatalogProblem>> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, problem: &str| {
            problems.push(CatalogProblem {
                field: field.into(),
                problem: problem.into(),
            });
        };
        if !is_slug(&self.slug) {
            wrong(
                "slug",
                "use 1 to 63 lower-case letters, digits and dashes, no dash in front",
            );
        }
        match &self.packaging {
            Packaging::DockerImage { image } if !is_repository(image) => {
                wrong(
                    "packaging.image",
                    "use host/path without tag or digest, lower case",
                );
            }
            Packaging::DockerImage { .. } => {}
            Packaging::Package {
                registry,
                name,
                program,
            } => {
                if !registry.is_name(name) {
                    wrong(
                        "packaging.name",
                        "use the package's name as its registry writes it, without a version",
                    );
                }
                if program
                    .as_deref()
                    .is_some_and(|program| !package::is_program(program))
                {
                    wrong("packaging.program", "use the name of a program, no path");
                }
            }
            Packaging::Remote { url, headers, .. } => {
                if url.as_deref().is_some_and(|url| !is_endpoint(url)) {
                    wrong(
                        "packaging.url",
                        "use https://host/path without user, password and `#`",
                    );
                }
                let secrets: Vec<&str> = self.secrets.iter().map(|it| it.name.as_str()).collect();
                for (name, value) in headers {
                    if let Err(problem) = remote::check_header(name, value, &secrets) {
                        wrong(&format!("packaging.headers.{name}"), &problem);
                    }
                }
                if self.direct_access.is_some() || self.volume.is_some() {
                    wrong(
                        "packaging",
                        "a remote server has no port and no volume here",
                    );
                }
            }
        }
        if self.version(&self.default_version).is_none() {
            wrong("default_version", "name one of `versions`");
        }
        for (index, version) in self.versions.iter().enumerate() {
            if self
                .versions
                .iter()
                .filter(|other| other.version == version.version)
                .count()
                > 1
            {
                wrong(
                    &format!("versions[{index}].version"),
                    "each version appears once",
                );
            }
            let is_image = matches!(self.packaging, Packaging::DockerImage { .. });
            if is_image && version.tag.is_none() && version.digest.is_none() {
                wrong(&format!("versions[{index}]"), "give a tag or a digest");
            }
            let is_package = matches!(self.packaging, Packaging::Package { .. });
            if is_package != version.package.is_some() {
                wrong(
                    &format!("versions[{index}].package"),
                    "give it where the packaging is `package`, and nowhere else",
                );
            }
            let exact = |package: &PackageVersion| package::is_exact_version(&package.version);
            if !version.package.as_ref().is_none_or(exact) {
                wrong(
                    &format!("versions[{index}].package.version"),
                    "use an exact version such as 1.4.0, no range and no `latest`",
                );
            }
            if version
                .digest
                .as_deref()
                .is_some_and(|digest| !is_digest(digest))
            {
                wrong(
                    &format!("versions[{index}].digest"),
                    "use sha256: and 64 hex digits",
                );
            }
            if version.tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
                wrong(
                    &format!("versions[{index}].tag"),
                    "use letters, digits, `_`, `.`, `-`",
                );
            }
            for name in version.env.keys() {
                if !is_env_name(name) {
                    wrong(
                        &format!("versions[{index}].env"),
                        "use names of letters, digits, `_`",
                    );
                }
            }
        }
        for secret in &self.secrets {
            if !is_env_name(&secret.name) {
                wrong("secrets.name", "use a name of letters, digits and `_`");
            }
            if secret.per_link && !self.every_version_takes_link_secrets() {
                wrong(
                    "secrets.per_link",
                    "a container that speaks HTTP gets its secrets when it starts, the same for all who use \
                     it: use the transport stdio, or leave `per_link` out",
                );
            }
        }
        for binding in &self.config.bindings {
            if let ConfigTarget::Env { name } | ConfigTarget::EnvText { name, .. } = &binding.target
                && !is_env_name(name)
            {
                wrong(
                    "config.bindings.name",
                    "use a name of letters, digits and `_`",
                );
            }
            if let ConfigTarget::EnvText { text, .. } | ConfigTarget::ArgText { text, .. } =
                &binding.target
            {
                let known = |name: &&str| self.config.schema["properties"].get(*name).is_some();
                if !text::settings(text).is_ok_and(|names| names.iter().all(known)) {
                    wrong(
                        "config.bindings.text",
                        "write `${config:NAME}` with properties of the schema",
                    );
                }
            }
        }
        if self
            .registry_name
            .as_deref()
            .is_some_and(|name| !is_registry_name(name))
        {
            wrong(
                "registry_name",
                "use `namespace/name`, such as com.example/weather",
            );
        }
        if let Some(volume) = &self.volume
            && !is_mount_path(&volume.mount_path)
        {
            wrong(
                "volume.mount_path",
                "use an absolute path below the root, without `..`",
            );
        }
        if let Some(direct) = &self.direct_access {
            if direct.port == 0 {
                wrong("direct_access.port", "use 1 to 65535");
            }
            if direct.protocols.is_empty() {
                wrong("direct_access.protocols", "name `tcp`, `udp` or both");
            }
        }
        if self
            .idle_seconds
            .is_some_and(|seconds| !idle::is_allowed(seconds, idle::SHORTEST))
        {
            wrong(
                "idle_seconds",
                "use 60 to 2592000 (30 days), or leave it out for a tool that is never stopped",
            );
        }
        if self.idle_seconds.is_some() && self.direct_access.is_some() {
            wrong(
                "idle_seconds",
                "leave it out: a tool with `direct_access` is never stopped, because nobody sees who \
                 uses its port",
            );
        }
        if self.idle_seconds.is_some() && self.packaging.is_remote() {
            wrong(
                "idle_seconds",
                "leave it out: a server that runs elsewhere is not ours to stop",
            );
        }
        if let Transport::StreamableHttp { port, path } | Transport::Sse { port, path } =
            &self.transport
        {
            if *port == 0 {
                wrong("transport.port", "use 1 to 65535");
            }
            if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
                wrong("transport.path", "start with `/`, no query");
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}

/// An address of the kind that is called; whether it may be called is the operator's policy.
fn is_endpoint(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}

/// What an MCP registry takes as a server's name.
#[must_use]
pub fn is_registry_name(text: &str) -> bool {
    let plain = |part: &str, more: &[u8]| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    (3..=200).contains(&text.len())
        && text
            .split_once('/')
            .is_some_and(|(space, name)| plain(space, b".-") && plain(name, b"._-"))
}

/// Whether an entry can have this slug.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first
        && text.len() <= 63
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The part of the OCI reference grammar that we accept: an optional host with port, then
/// lower-case path parts. Tags and digests stand in fields of their own.
#[must_use]
pub fn is_repository(text: &str) -> bool {
    let (host, path) = match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), rest)
        }
        _ => (None, text),
    };
    let host_ok = host.is_none_or(|host| {
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        let label_ok = |label: &str| {
            !(label.is_empty() || label.starts_with('-') || label.ends_with('-'))
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        name.split('.').all(label_ok) && port.parse::<u16>().is_ok()
    });
    let part_ok = |part: &str| {
        part.bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && part.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
            })
    };
    host_ok && text.len() <= 255 && path.split('/').all(part_ok)
}

/// `sha256:` and 64 lower-case hex digits.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// A tag of an image.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// A POSIX environment variable name.
#[must_use]
pub fn is_env_name(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.len() <= 128
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_mount_path(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..")
            && !text.contains([':', ',', '\0'])
    }) && !["/proc", "/sys", "/dev", "/run/dtma"].iter().any(|taken| {
        text == *taken
            || text
                .strip_prefix(taken)
                .is_some_and(|rest| rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests;
