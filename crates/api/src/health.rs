//! Liveness and readiness (OPS-1).

use serde::{Deserialize, Serialize};

/// The process answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
    /// The version of the control plane.
    pub version: String,
    /// Which installation this is: the same for all its replicas and never another one's. No
    /// secret, and nothing follows from it.
    pub installation: String,
}

/// Whether requests can be served, and if not, what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Readiness {
    /// Whether all dependencies are there.
    pub ready: bool,
    /// Each dependency.
    pub dependencies: Vec<Dependency>,
}

/// Something that requests can't be served without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Dependency {
    /// For example `database`.
    pub name: String,
    /// Whether it is there.
    pub ready: bool,
    /// What is wrong and what to do, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
