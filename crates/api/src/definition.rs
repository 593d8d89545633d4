//! What tools say of themselves, and whether that was accepted (TOOL-10).

use agentopia_domain::definitions::Diff;
use serde::{Deserialize, Serialize};

/// What is known of the tools of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ToolDefinitions {
    /// Whether agents see only what was accepted.
    pub hold: bool,
    /// What was accepted: each tool's name, description and schemas. The first list counts as accepted.
    #[schema(value_type = Vec<Object>)]
    pub accepted: Vec<serde_json::Value>,
    /// In what the last list differs.
    pub changes: Diff,
    /// The last list, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub listed: Option<Vec<serde_json::Value>>,
}

/// Whether what changes is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// Whether agents see only what was accepted.
    pub hold: bool,
}
