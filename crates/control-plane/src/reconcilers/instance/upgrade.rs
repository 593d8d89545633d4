//! From one version of a tool to another without a lost call (TOOL-4).
//!
//! The new version is started in the instance's other place, beside the old one. [`plan`] says what comes
//! next, purely: from the stage that is written down and from what the machine says of either place.
//! [`judge`] decides, purely, whether the new one has the tools that it must have. [`apply`] does it. Every
//! stage is written before anything is done for it, and everything that is done for a stage can be
//! done again: a control plane or a machine that dies anywhere goes on from there.

mod apply;
pub mod judge;
pub mod plan;
#[cfg(test)]
mod plan_tests;

use std::fmt;

use agentopia_domain::{EnvironmentId, InstanceId};
use async_trait::async_trait;
use serde_json::Value;

/// Asks a server on a machine what it offers.
#[async_trait]
pub trait AskTools: fmt::Debug + Send + Sync {
    /// The tools of what runs under this id on the machine.
    ///
    /// # Errors
    /// Why there is no list, for people.
    async fn tools(
        &self,
        environment: EnvironmentId,
        on_machine: InstanceId,
    ) -> Result<Vec<Value>, String>;
}
