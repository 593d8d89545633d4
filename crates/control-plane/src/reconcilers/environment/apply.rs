//! Looks at an environment, asks the plan for a step, and takes it.
//!
//! One file for each part: looking (`look.rs`), a machine's making and end (`machine.rs`), a change
//! of size (`scaling.rs`), the machine's firewall (`ports.rs`), a provider's refusal (`trouble.rs`),
//! and writing down (`record.rs`).

mod look;
mod machine;
mod ports;
mod record;
mod scaling;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use agentopia_cloud::{MachineProvider, ProviderError, Sought};
use agentopia_domain::Ambient;
use agentopia_domain::environment::{Environment, EnvironmentEvent, LostMachine};
use agentopia_store::{Claim, EnvironmentPatch, LeaseKind, Store};
use agentopia_vault::Vault;
use async_trait::async_trait;
use url::Url;

use self::look::Seen;
use super::plan::{Step, plan};
use crate::machines::{Authority, MachineDirectory};
use crate::reconcilers::Bells;
use crate::reconcilers::queue::{Next, Reconcile};

/// How soon a provider is asked again after it could not do something that may work later.
const PROVIDER_RETRY: Duration = Duration::from_secs(5);
/// How soon a deletion under way is looked at again.
const DELETION_POLL: Duration = Duration::from_secs(2);
/// How soon to look whether tools have stopped.
const WIND_DOWN_POLL: Duration = Duration::from_millis(250);
/// Steps in one activation: more than any life takes without waiting.
const STEPS: usize = 16;

/// See the module's header.
#[derive(Debug)]
pub struct EnvironmentReconciler {
    /// Where everything is kept.
    pub store: Store,
    /// Seals what machines are shown.
    pub vault: Arc<dyn Vault>,
    /// Invites machines.
    pub authority: Arc<Authority>,
    /// Reaches machines.
    pub machines: Arc<dyn MachineDirectory>,
    /// Makes machines.
    pub provider: Arc<dyn MachineProvider>,
    /// Where machines reach us.
    pub control_plane_url: Url,
    /// Time and randomness.
    pub ambient: Ambient,
    /// What becomes of an environment whose machine is lost.
    pub lost_machine: LostMachine,
    /// Instances are looked at again when their environment changes.
    pub bells: Bells,
}

#[async_trait]
impl Reconcile for EnvironmentReconciler {
    fn kind(&self) -> LeaseKind {
        LeaseKind::Environment
    }

    async fn reconcile(&self, claim: Claim) -> anyhow::Result<Next> {
        for _ in 0..STEPS {
            let seen = match self.look(claim).await {
                Ok(seen) => seen,
                Err(error) => return self.provider_trouble(claim, &error).await,
            };
            let step = plan(&seen.observation);
            tracing::debug!(environment = %claim.id, ?step, "environment step");
            match self.take(claim, &seen, step).await {
                Ok(None) => {}
                Ok(Some(next)) => return Ok(next),
                Err(error) => match error.downcast::<ProviderError>() {
                    Ok(error) => return self.provider_trouble(claim, &error.into()).await,
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(Next::After(Duration::ZERO))
    }
}

impl EnvironmentReconciler {
    /// Takes one step; `None` means to look again at once.
    async fn take(&self, claim: Claim, seen: &Seen, step: Step) -> anyhow::Result<Option<Next>> {
        match step {
            Step::Transition(event, reason) => {
                if let Some(locked) = &seen.locked
                    && event == EnvironmentEvent::HeartbeatLost
                {
                    let patch = EnvironmentPatch {
                        error_message: Some(Some(locked.clone())),
                        ..EnvironmentPatch::default()
                    };
                    self.update(claim, patch, &[]).await?;
                }
                self.transition(claim, &seen.environment, event, reason)
                    .await?;
                Ok(None)
            }
            Step::Create => self.create(claim, seen).await,
            Step::BootstrapFailed => {
                let why = seen.bootstrap_failure.clone().unwrap_or_default();
                let patch = EnvironmentPatch {
                    error_message: Some(Some(why)),
                    ..EnvironmentPatch::default()
                };
                self.transition_with(
                    claim,
                    &seen.environment,
                    EnvironmentEvent::CreateFailed,
                    "the machine's first start failed",
                    patch,
                )
                .await?;
                Ok(None)
            }
            Step::File => {
                let environment = &seen.environment;
                self.file(claim, environment, sought(environment)).await?;
                Ok(None)
            }
            Step::Rebootstrap => {
                if !self.rebootstrap(&seen.environment).await? {
                    self.clear_away(&seen.environment).await?;
                }
                Ok(Some(Next::After(DELETION_POLL)))
            }
            Step::Start(reason) => {
                self.provider.start(sought(&seen.environment)).await?;
                let text = format!("The machine was turned on: {reason}.");
                let event = self.event(&seen.environment, "environment.machine_started", &text);
                self.store.events().append(&[event]).await?;
                Ok(Some(Next::After(DELETION_POLL)))
            }
            Step::WindDown => {
                self.wind_down(seen).await;
                Ok(Some(Next::After(WIND_DOWN_POLL)))
            }
            Step::Delete => self.delete(claim, seen).await,
            Step::Undo => self.undo(claim, seen).await,
            Step::Scale(act) => self.scale(claim, seen, act).await,
            Step::ScalingPhase(phase) => {
                self.scaling_phase(claim, seen, phase).await?;
                Ok(None)
            }
            Step::ScalingFailed(why) => {
                self.scaling_failed(claim, seen, why).await?;
                Ok(None)
            }
            Step::ScalingEnds(problem) => {
                self.scaling_ends(claim, seen, problem).await?;
                Ok(None)
            }
            Step::Wait(delay) => {
                let delay = self.tend_ports(claim, seen, delay).await?;
                Ok(Some(Next::After(delay)))
            }
        }
    }
}

/// The environment's machine, by what is written down of it.
fn sought(environment: &Environment) -> Sought<'_> {
    Sought {
        environment: environment.id,
        known: environment.machine_id.as_deref(),
    }
}
