//! Instances whose servers run elsewhere: no machine has to do with them, so all there is to do is to
//! follow what their owners want, and to look now and then whether the server is there.

use std::time::Duration;

use agentopia_domain::instance::{DesiredInstance, Instance, InstanceEvent, InstanceStatus};
use agentopia_store::{Claim, InstancePatch};

use super::InstanceReconciler;
use crate::reconcilers::queue::Next;

/// How often a server that is there is looked at.
const WELL: Duration = Duration::from_secs(60);
/// How often one that is not.
const ILL: Duration = Duration::from_secs(15);
/// More steps than any life takes without waiting.
const STEPS: usize = 8;

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Write down that something happened.
    Transition(InstanceEvent, &'static str),
    /// See whether the server is there.
    Look,
    /// Nothing until the owner wants something else.
    Rest,
    /// Nothing ever again.
    Done,
}

/// Decides the next step. Pure.
fn plan(desired: DesiredInstance, status: InstanceStatus) -> Step {
    use InstanceEvent as E;
    use InstanceStatus as S;
    match (desired, status) {
        (_, S::Removed) => Step::Done,
        (_, S::PendingRemoval) => Step::Transition(E::RemoveFinished, "it ran elsewhere"),
        (DesiredInstance::Removed { .. }, _) => {
            Step::Transition(E::RemoveRequested, "its owner removed it")
        }
        (DesiredInstance::Stopped, S::Stopped) => Step::Rest,
        (DesiredInstance::Stopped, S::Stopping) => {
            Step::Transition(E::StopFinished, "it is called no more")
        }
        (DesiredInstance::Stopped, _) => Step::Transition(E::StopRequested, "its owner stopped it"),
        (DesiredInstance::Running, S::Stopped | S::Stopping | S::Asleep) => {
            Step::Transition(E::StartRequested, "it is to run")
        }
        (DesiredInstance::Running, _) => Step::Look,
    }
}

/// What a look makes of a status; nothing where it says what was known.
fn after(status: InstanceStatus, is_there: bool) -> Option<(InstanceEvent, &'static str)> {
    match (status, is_there) {
        (InstanceStatus::Running, true) | (InstanceStatus::ErrorRuntime, false) => None,
        (_, true) => Some((InstanceEvent::Healthy, "the server answers")),
        (_, false) => Some((InstanceEvent::Failed, "the server can't be used")),
    }
}

impl InstanceReconciler {
    pub(super) async fn reconcile_remote(
        &self,
        claim: Claim,
        mut instance: Instance,
    ) -> anyhow::Result<Next> {
        for _ in 0..STEPS {
            match plan(instance.desired, instance.status) {
                Step::Transition(event, reason) => {
                    instance = self.take_up(claim, instance).await?;
                    self.transition(claim, &instance, event, reason).await?;
                }
                Step::Look => return self.look_remote(claim, instance).await,
                Step::Rest => {
                    self.remotes.forget_sessions(claim.instance());
                    self.take_up(claim, instance).await?;
                    return Ok(Next::After(WELL));
                }
                Step::Done => {
                    self.remotes.forget_sessions(claim.instance());
                    return Ok(Next::Never);
                }
            }
            let instances = self.store.instances();
            instance = instances.get_unscoped(claim.instance()).await?.instance;
        }
        Ok(Next::After(Duration::ZERO))
    }

    async fn look_remote(&self, claim: Claim, instance: Instance) -> anyhow::Result<Next> {
        let seen = self.remotes.look(&instance).await;
        let instance = self.take_up(claim, instance).await?;
        let problem = seen.as_ref().err();
        if problem.is_some() && instance.error_message.as_ref() != problem {
            let patch = InstancePatch {
                error_message: Some(problem.cloned()),
                ..InstancePatch::default()
            };
            self.patch(claim, &instance, patch).await?;
            self.routes.ring();
        }
        if let Some((event, reason)) = after(instance.status, seen.is_ok()) {
            let noted = Instance {
                error_message: problem.cloned(),
                ..instance
            };
            self.transition(claim, &noted, event, reason).await?;
        }
        Ok(Next::After(if seen.is_ok() { WELL } else { ILL }))
    }

    /// Writes down that the newest wish is known, which for a container its machine says.
    async fn take_up(&self, claim: Claim, instance: Instance) -> anyhow::Result<Instance> {
        if instance.observed_generation == instance.generation {
            return Ok(instance);
        }
        let patch = InstancePatch {
            observed_generation: Some(instance.generation),
            running_version: Some(Some(instance.version.clone())),
            ..InstancePatch::default()
        };
        self.patch(claim, &instance, patch).await
    }

    async fn patch(
        &self,
        claim: Claim,
        instance: &Instance,
        patch: InstancePatch,
    ) -> anyhow::Result<Instance> {
        let instances = self.store.instances();
        Ok(instances
            .update_unscoped(instance.id, Some(claim.token), patch, &[])
            .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISHES: [DesiredInstance; 3] = [
        DesiredInstance::Running,
        DesiredInstance::Stopped,
        DesiredInstance::Removed { purge_data: true },
    ];

    #[test]
    fn every_transition_that_is_planned_is_one_that_exists() {
        for status in InstanceStatus::ALL {
            for desired in WISHES {
                match plan(desired, status) {
                    Step::Transition(event, _) => {
                        assert!(status.on(event).is_ok(), "{desired:?} {status:?} {event:?}");
                    }
                    Step::Look => {
                        for is_there in [true, false] {
                            if let Some((event, _)) = after(status, is_there) {
                                assert!(status.on(event).is_ok(), "{status:?} {event:?}");
                            }
                        }
                    }
                    Step::Rest | Step::Done => {}
                }
            }
        }
    }

    #[test]
    fn every_wish_is_reached_in_a_few_steps() {
        for mut status in InstanceStatus::ALL {
            for _ in 0..STEPS {
                if let Step::Transition(event, _) = plan(DesiredInstance::Stopped, status) {
                    status = status.on(event).unwrap();
                }
            }
            assert!(matches!(
                status,
                InstanceStatus::Stopped | InstanceStatus::Removed
            ));
        }
    }
}
