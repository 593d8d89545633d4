//! What reconcilers ask of machines, and how they get at them.
//!
//! Traits, because the simulation of machines that must not be lost (`crates/simulation`) puts its
//! own machines behind them. In production they are [`Connections`] and [`DtmaClient`]. The gateway's
//! way to tools does not go through here.

use std::fmt;
use std::sync::Arc;

use agentopia_domain::InstanceId;
use agentopia_domain::environment::Environment;
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_dtma_api::to_dtma::{DtmaClient, DtmaError, InstanceSpec};
use async_trait::async_trait;

use super::connections::{Connections, NoConnection};

/// The ways to machines.
#[async_trait]
pub trait MachineDirectory: fmt::Debug + Send + Sync {
    /// The way to the machine of an environment whose record was just read.
    ///
    /// # Errors
    /// See [`NoConnection`].
    async fn machine(
        &self,
        environment: &Environment,
    ) -> Result<Arc<dyn MachineCommands>, NoConnection>;
}

/// What one machine is asked for; see [`DtmaClient`] for the meaning of each.
#[async_trait]
pub trait MachineCommands: fmt::Debug + Send + Sync {
    /// One instance; `None` if the machine does not know it.
    ///
    /// # Errors
    /// See [`DtmaError`].
    async fn instance(&self, id: InstanceId) -> Result<Option<ObservedInstance>, DtmaError>;

    /// Hands over the whole desired state of an instance.
    ///
    /// # Errors
    /// [`DtmaError::Refused`] with `stale_generation` when the machine has a newer one.
    async fn put(&self, spec: &InstanceSpec) -> Result<ObservedInstance, DtmaError>;

    /// Waits, for up to 30 seconds, until the instance is no longer in `generation` and `phase`.
    ///
    /// # Errors
    /// See [`DtmaError`].
    async fn watch(
        &self,
        id: InstanceId,
        generation: i64,
        phase: Phase,
    ) -> Result<ObservedInstance, DtmaError>;
}

#[async_trait]
impl MachineDirectory for Connections {
    async fn machine(
        &self,
        environment: &Environment,
    ) -> Result<Arc<dyn MachineCommands>, NoConnection> {
        Ok(Arc::new(self.of(environment).await?))
    }
}

#[async_trait]
impl MachineCommands for DtmaClient {
    async fn instance(&self, id: InstanceId) -> Result<Option<ObservedInstance>, DtmaError> {
        Self::instance(self, id).await
    }

    async fn put(&self, spec: &InstanceSpec) -> Result<ObservedInstance, DtmaError> {
        Self::put(self, spec).await
    }

    async fn watch(
        &self,
        id: InstanceId,
        generation: i64,
        phase: Phase,
    ) -> Result<ObservedInstance, DtmaError> {
        Self::watch(self, id, generation, phase).await
    }
}
