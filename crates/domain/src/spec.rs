//! What the control plane asks a machine for: the whole desired state of one instance.
//!
//! A spec has no secrets in it (only their names), so that the DTMA may keep it on disk and come
//! back after a reboot without the control plane (DTMA-3). The DTMA never gets free-form Docker
//! options: everything here is typed and bounded, because whoever can make a container with
//! arbitrary mounts is root on the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Transport;
use crate::direct_access::DirectAccess;
use crate::egress::Egress;
use crate::ids::{AccountId, EnvironmentId, InstanceId};
use crate::instance::DesiredInstance;
use crate::package_build::PackageBuild;
use crate::resources::Resources;

/// The desired state of one instance on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// Which instance.
    pub instance_id: InstanceId,
    /// The machine it is meant for; a DTMA refuses a spec for another.
    pub environment_id: EnvironmentId,
    /// Whose it is, for labels.
    pub account_id: AccountId,
    /// Orders the specs of an instance: a DTMA refuses one older than what it has.
    pub generation: i64,
    /// Run, stop, or take away.
    pub desired: DesiredInstance,
    /// A change of this number alone restarts the tool.
    pub restart_nonce: i64,
    /// The version's name, reported back as the running version.
    pub version: String,
    /// What to run.
    pub program: Program,
    /// The digest that the image's tag was resolved to when this version was first run: it is used in
    /// the tag's place. It decides nothing about a container that runs already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// Whether calls in flight end before it is stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
    /// The package that an image is made of first; `program.image` is what it is made on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageBuild>,
    /// How it speaks MCP.
    pub transport: Transport,
    /// Environment variables that are no secrets.
    pub env: BTreeMap<String, String>,
    /// The names of the environment variables whose values are fetched right before a start.
    pub secret_names: Vec<String>,
    /// Whether the values changed: a new number restarts the tool.
    #[serde(default)]
    pub secrets_revision: i64,
    /// Limits to enforce.
    pub resources: Resources,
    /// A directory that outlives the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeSpec>,
    /// The port that is published on the machine, and from where it may be reached (TOOL-11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_access: Option<DirectAccess>,
    /// Where it may go to (DTMA-4).
    #[serde(default, skip_serializing_if = "Egress::is_open")]
    pub egress: Egress,
}

/// The two forms of one server; which is used is the runtime's matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The image, for the `docker` runtime.
    pub image: ImageRef,
    /// Arguments after the image's entrypoint in place of its command; empty keeps the command.
    pub args: Vec<String>,
    /// The program and all its arguments (`args` is not added) for the `process` runtime; empty
    /// where there is none.
    pub process: Vec<String>,
}

/// An image to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// Repository without tag or digest.
    pub repository: String,
    /// Tag, if it is pulled by tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Digest; wins over the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl ImageRef {
    /// `repository@digest`, or `repository:tag`.
    #[must_use]
    pub fn reference(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.repository),
            (None, Some(tag)) => format!("{}:{tag}", self.repository),
            (None, None) => format!("{}:latest", self.repository),
        }
    }

    /// The registry's host and port, where the repository names one.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        let (first, _) = self.repository.split_once('/')?;
        (first.contains(['.', ':']) || first == "localhost").then_some(first)
    }
}

/// A named volume, made by the runtime from the instance's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Absolute path inside the container.
    pub mount_path: String,
    /// The instance on this machine whose volume it is, where it is not its own: the two places of an
    /// instance share one ([`crate::versions::Slot`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<InstanceId>,
}

fn publishes_same(one: Option<&DirectAccess>, other: Option<&DirectAccess>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.publishes_same(other),
        _ => false,
    }
}

impl InstanceSpec {
    /// The image, by digest as soon as that is known.
    #[must_use]
    pub fn image(&self) -> ImageRef {
        let image = self.program.image.clone();
        ImageRef {
            digest: image.digest.or_else(|| self.pinned.clone()),
            ..image
        }
    }

    /// Whose volume it has, if it has one.
    #[must_use]
    pub fn volume_of(&self) -> Option<InstanceId> {
        let volume = self.volume.as_ref()?;
        Some(volume.of.unwrap_or(self.instance_id))
    }

    /// Whether `other` needs another container than this spec does (its desired state aside).
    #[must_use]
    pub fn needs_recreate(&self, other: &Self) -> bool {
        self.restart_nonce != other.restart_nonce
            || self.program != other.program
            || self.package.as_ref().map(PackageBuild::content)
                != other.package.as_ref().map(PackageBuild::content)
            || self.transport != other.transport
            || self.env != other.env
            || self.secret_names != other.secret_names
            || self.secrets_revision != other.secrets_revision
            || self.resources != other.resources
            || self.volume != other.volume
            // One that may not go everywhere asks a resolver of ours; where it may go is that one's matter.
            || self.egress.is_open() != other.egress.is_open()
            || !publishes_same(self.direct_access.as_ref(), other.direct_access.as_ref())
    }
}
