//! A change of a machine's size that is under way (ENV-10): what is kept of it, so that whoever
//! goes on with it after a crash knows where it was.
//!
//! ```text
//! shutting_down ─▶ powering_off ─▶ resizing ─▶ starting ─▶ reporting ─▶ returning_tools ─▶ (active)
//!                       └───────── failed ────────▲
//! ```
//!
//! Whatever goes wrong leads to `starting`: a change of size never leaves its machine off. Which
//! step is taken when, and how long each may last, is decided by the control plane's
//! `reconcilers/environment/scaling.rs`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::resources::Capacity;

/// Where a change of size stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScalingPhase {
    /// The machine was asked, or is about to be asked, to turn itself off.
    ShuttingDown,
    /// It took too long for that, and its power is cut.
    PoweringOff,
    /// The provider changes its size.
    Resizing,
    /// It is turned on again, with the new size or the old one.
    Starting,
    /// It is on; its management agent has not been heard yet.
    Reporting,
    /// Its management agent was heard; its tools are starting.
    ReturningTools,
}

impl ScalingPhase {
    /// Every phase, in the order in which they come.
    pub const ALL: [Self; 6] = [
        Self::ShuttingDown,
        Self::PoweringOff,
        Self::Resizing,
        Self::Starting,
        Self::Reporting,
        Self::ReturningTools,
    ];

    /// What is being done, for people who wait.
    #[must_use]
    pub const fn progress(self) -> &'static str {
        match self {
            Self::ShuttingDown => "stopping the tools and shutting the machine down",
            Self::PoweringOff => "the machine did not shut down in time; cutting its power",
            Self::Resizing => "the machine is off; the provider changes its size",
            Self::Starting => "turning the machine on again",
            Self::Reporting => "the machine is on; waiting for its management agent to report",
            Self::ReturningTools => "the management agent reports; waiting for the tools to answer",
        }
    }
}

/// A change of size, from the moment it was asked for until it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// The size that is wanted.
    pub to: String,
    /// The size that it had.
    pub from: Option<String>,
    /// What the machine will have then, as far as the provider's list of sizes tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Where it stands.
    pub phase: ScalingPhase,
    /// Since when it stands there.
    pub phase_since: DateTime<Utc>,
    /// The provider's id of what it was asked to do in this phase, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Why it will end with the old size, once that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Scaling {
    /// A change that nothing was done for yet.
    #[must_use]
    pub fn begin(from: Option<String>, to: String, now: DateTime<Utc>) -> Self {
        Self {
            to,
            from,
            capacity: None,
            phase: ScalingPhase::ShuttingDown,
            phase_since: now,
            operation: None,
            failure: None,
        }
    }

    /// The same, in the next phase.
    #[must_use]
    pub fn in_phase(self, phase: ScalingPhase, now: DateTime<Utc>) -> Self {
        Self {
            phase,
            phase_since: now,
            operation: None,
            ..self
        }
    }
}
