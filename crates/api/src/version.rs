//! Versions of instances: newer ones, upgrades and roll-backs (TOOL-4).

use agentopia_domain::versions::{ChangeKind, How, Release, Stage};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A change of version that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VersionChange {
    /// Forward or back.
    pub kind: ChangeKind,
    /// To what.
    pub to: Release,
    /// Beside the old one or in its place.
    pub how: How,
    /// How far it is.
    pub progress: Stage,
    /// Until when the new one has to be ready; then it is given up.
    pub deadline: DateTime<Utc>,
}

impl From<agentopia_domain::versions::VersionChange> for VersionChange {
    fn from(change: agentopia_domain::versions::VersionChange) -> Self {
        Self {
            kind: change.kind,
            to: change.to,
            how: change.how,
            progress: change.stage,
            deadline: change.deadline,
        }
    }
}

/// How a change of version is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeOptions {
    /// Stop the old one first, for tools whose data can't be open twice or where there is no room for
    /// both. Calls wait meanwhile.
    #[serde(default)]
    pub recreate: bool,
    /// Go on although the new one lacks tools that agents use.
    #[serde(default)]
    pub accept_missing: bool,
    /// How long the new one may take to be ready, 10 to 3600 seconds; 300 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 10, maximum = 3600)]
    pub within_seconds: Option<u32>,
}

/// Brings an instance to another version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// One of the catalog entry's versions; the entry's default unless given. The version that runs, where
    /// its image is another by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How.
    #[serde(default)]
    pub options: ChangeOptions,
}

/// Brings an instance back to the version before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// How.
    #[serde(default)]
    pub options: ChangeOptions,
}

/// Whether there is something newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Updates {
    /// What the instance is to run.
    pub current: Release,
    /// What `upgrade` would bring it to; not there where that is what it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<Release>,
    /// All versions of its catalog entry.
    pub versions: Vec<String>,
    /// Why it could not be told whether the image of the same version is another by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
