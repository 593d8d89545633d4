//! The I/O of a change of size; what is done when is decided in [`super::super::scaling`].

use agentopia_cloud::{Begun, Machine, MachineAction, MachineState, ProviderError};
use agentopia_domain::environment::{Environment, EnvironmentEvent, Scaling, ScalingPhase};
use agentopia_domain::event::Outcome;
use agentopia_domain::instance::{DesiredInstance, InstanceStatus};
use agentopia_domain::observed::Phase;
use agentopia_store::{Claim, EnvironmentPatch, InstanceReport};
use serde_json::json;

use super::super::scaling::{ScalingAct, ScalingSeen};
use super::look::Seen;
use super::{EnvironmentReconciler, Next, PROVIDER_RETRY, sought};

impl EnvironmentReconciler {
    /// What is seen of the change of size that is under way.
    pub(super) async fn look_at_scaling(
        &self,
        environment: &Environment,
        machine: Option<&Machine>,
        instances: &[InstanceReport],
    ) -> Result<Option<ScalingSeen>, ProviderError> {
        let (Some(scaling), Some(machine)) = (&environment.scaling, machine) else {
            return Ok(None);
        };
        let operation = match &scaling.operation {
            Some(id) => Some(self.provider.operation(sought(environment), id).await?),
            None => None,
        };
        Ok(Some(ScalingSeen {
            phase: scaling.phase,
            in_phase: self.since(scaling.phase_since),
            operation,
            is_resized: machine.size.as_ref() == Some(&scaling.to),
            tools_are_back: instances.iter().all(is_back),
        }))
    }

    /// Asks the provider for one part of it, and writes down under which id it is done.
    pub(super) async fn scale(
        &self,
        claim: Claim,
        seen: &Seen,
        act: ScalingAct,
    ) -> anyhow::Result<Option<Next>> {
        let Some(scaling) = seen.environment.scaling.clone() else {
            return Ok(None);
        };
        let action = match act {
            ScalingAct::ShutDown => MachineAction::ShutDown,
            ScalingAct::PowerOff => MachineAction::PowerOff,
            ScalingAct::Resize => MachineAction::Resize(&scaling.to),
            ScalingAct::PowerOn => MachineAction::PowerOn,
        };
        match self.provider.act(sought(&seen.environment), action).await {
            Ok(Begun::Operation(id)) => {
                let scaling = Scaling {
                    operation: Some(id),
                    ..scaling
                };
                self.keep_scaling(claim, scaling, EnvironmentPatch::default())
                    .await?;
                Ok(None)
            }
            Ok(Begun::AlreadySo) if act == ScalingAct::Resize => {
                self.scaling_phase(claim, seen, ScalingPhase::Starting)
                    .await?;
                Ok(None)
            }
            // The next look shows it.
            Ok(Begun::AlreadySo) => Ok(Some(Next::After(PROVIDER_RETRY))),
            // Turning it on is tried as long as its phase lasts, whatever is said.
            Err(ProviderError::Final(why)) if act != ScalingAct::PowerOn => {
                self.scaling_failed(claim, seen, &why).await?;
                Ok(None)
            }
            // The phase has a limit, and the machine is turned on in the end.
            Err(error) => {
                tracing::info!(environment = %claim.id, %error, ?act, "not now");
                Ok(Some(Next::After(PROVIDER_RETRY)))
            }
        }
    }

    /// Goes on to a phase, and says so in the timeline.
    pub(super) async fn scaling_phase(
        &self,
        claim: Claim,
        seen: &Seen,
        phase: ScalingPhase,
    ) -> anyhow::Result<()> {
        let Some(scaling) = seen.environment.scaling.clone() else {
            return Ok(());
        };
        self.enter(claim, seen, scaling, phase).await
    }

    /// Gives the new size up, and goes on to turning the machine on.
    pub(super) async fn scaling_failed(
        &self,
        claim: Claim,
        seen: &Seen,
        why: &str,
    ) -> anyhow::Result<()> {
        let Some(scaling) = seen.environment.scaling.clone() else {
            return Ok(());
        };
        tracing::warn!(environment = %claim.id, why, "the size can't be changed");
        let scaling = Scaling {
            failure: Some(why.to_owned()),
            ..scaling
        };
        self.enter(claim, seen, scaling, ScalingPhase::Starting)
            .await
    }

    async fn enter(
        &self,
        claim: Claim,
        seen: &Seen,
        scaling: Scaling,
        phase: ScalingPhase,
    ) -> anyhow::Result<()> {
        let mut patch = EnvironmentPatch::default();
        if phase == ScalingPhase::Starting && seen.observation.machine == Some(MachineState::Off) {
            // Whatever is heard from now on comes from the machine after it was turned on.
            patch.last_heartbeat_at = Some(None);
        }
        let scaling = scaling.in_phase(phase, self.ambient.now());
        let mut text = format!("Changing the size to {}: {}.", scaling.to, phase.progress());
        let outcome = match &scaling.failure {
            Some(why) if phase == ScalingPhase::Starting => {
                text = format!("The size could not be changed to {}: {why}.", scaling.to);
                Outcome::Failed
            }
            _ => Outcome::Succeeded,
        };
        let event = self
            .event(&seen.environment, "environment.scaling_progress", &text)
            .outcome(outcome)
            .data(json!({"phase": phase, "from": scaling.from, "to": scaling.to}));
        patch.scaling = Some(Some(scaling));
        self.update(claim, patch, &[event]).await
    }

    async fn keep_scaling(
        &self,
        claim: Claim,
        scaling: Scaling,
        patch: EnvironmentPatch,
    ) -> anyhow::Result<()> {
        let patch = EnvironmentPatch {
            scaling: Some(Some(scaling)),
            ..patch
        };
        self.update(claim, patch, &[]).await
    }

    /// Writes down how it ended: what counts is the size that the machine has.
    pub(super) async fn scaling_ends(
        &self,
        claim: Claim,
        seen: &Seen,
        problem: Option<&str>,
    ) -> anyhow::Result<()> {
        let environment = &seen.environment;
        let event = EnvironmentEvent::ScaleFinished;
        let has = seen
            .machine
            .as_ref()
            .and_then(|machine| machine.size.clone());
        let (reason, error) = ending(environment.scaling.as_ref(), has.as_deref(), problem);
        let price = seen
            .machine
            .as_ref()
            .map(|machine| machine.monthly_price_cents);
        let patch = EnvironmentPatch {
            size: has.map(Some),
            monthly_price_cents: price,
            error_message: Some(error.clone()),
            ..EnvironmentPatch::default()
        };
        let told = (reason.as_str(), error.as_deref());
        self.write_transition(claim, environment, event, told, patch)
            .await
    }
}

/// How a change of size ended: the reason for the timeline, and what went wrong.
fn ending(
    scaling: Option<&Scaling>,
    has: Option<&str>,
    problem: Option<&str>,
) -> (String, Option<String>) {
    let Some(scaling) = scaling else {
        return ("no change of size is under way".to_owned(), None);
    };
    let now = has.or(scaling.from.as_deref()).unwrap_or("its old size");
    if has == Some(scaling.to.as_str()) {
        let reason = format!("its machine has the size {now} now");
        return (reason, problem.map(str::to_owned));
    }
    let why: Vec<&str> = scaling
        .failure
        .as_deref()
        .into_iter()
        .chain(problem)
        .collect();
    let error = format!(
        "The size could not be changed to {}: {}. The machine goes on with {now}; try again, or \
         choose another size.",
        scaling.to,
        why.join("; ")
    );
    (format!("its machine still has the size {now}"), Some(error))
}

/// Whether a tool that is to run does so, or can't for a reason that its own status tells.
fn is_back(report: &InstanceReport) -> bool {
    let wanted = report.instance.desired == DesiredInstance::Running
        && !matches!(
            report.instance.status,
            InstanceStatus::ErrorRuntime | InstanceStatus::Asleep
        );
    let phase = report.observed.as_ref().map(|observed| observed.phase);
    // One that was never on the machine has nowhere to come back to.
    !wanted
        || matches!(
            phase,
            None | Some(Phase::Running | Phase::Failed | Phase::Removed)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_in_the_end_is_the_size_that_the_machine_has() {
        let now = chrono::DateTime::UNIX_EPOCH;
        let scaling = Scaling {
            failure: Some("it took too long".to_owned()),
            ..Scaling::begin(Some("small".to_owned()), "large".to_owned(), now)
        };
        let (reason, error) = ending(Some(&scaling), Some("large"), None);
        assert_eq!((reason.contains("large now"), error), (true, None));
        let (reason, error) = ending(Some(&scaling), Some("small"), Some("it is off"));
        let error = error.unwrap();
        assert!(reason.contains("still has the size small"), "{reason}");
        for part in [
            "to large",
            "it took too long; it is off",
            "goes on with small",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
