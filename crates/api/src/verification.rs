//! What the control plane found when it looked at its installation from the inside (TOOL-12).

use agentopia_domain::verification::Check;
use serde::{Deserialize, Serialize};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Verification {
    /// The address under which people and agents are to reach it; whether they do has to be looked
    /// at from outside.
    pub public_url: String,
    /// Which installation this is, as `/health` tells too.
    pub installation: String,
    /// One item for each thing that was looked at.
    pub checks: Vec<Check>,
}
