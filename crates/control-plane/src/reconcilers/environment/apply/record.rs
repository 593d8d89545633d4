//! What the reconciler writes down: changes of status, of the record, and what the timeline tells.

use agentopia_domain::environment::{Environment, EnvironmentEvent};
use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_store::{Claim, EnvironmentPatch};
use uuid::Uuid;

use super::EnvironmentReconciler;
use crate::reconcilers::timeline::Change;

impl EnvironmentReconciler {
    pub(super) async fn transition(
        &self,
        claim: Claim,
        environment: &Environment,
        event: EnvironmentEvent,
        reason: &str,
    ) -> anyhow::Result<()> {
        let mut patch = match event {
            EnvironmentEvent::DeleteFinished
            | EnvironmentEvent::MachineLost
            | EnvironmentEvent::MachineGivenUp => EnvironmentPatch::without_machine(),
            _ => EnvironmentPatch::default(),
        };
        match event {
            EnvironmentEvent::CreateFailed | EnvironmentEvent::MachineGivenUp => {
                patch.error_message = Some(Some(reason.to_owned()));
            }
            EnvironmentEvent::Ready | EnvironmentEvent::DeleteFinished => {
                patch.error_message = Some(None);
            }
            _ => {}
        }
        self.transition_with(claim, environment, event, reason, patch)
            .await
    }

    /// The same, with what is to be written besides.
    pub(super) async fn transition_with(
        &self,
        claim: Claim,
        environment: &Environment,
        event: EnvironmentEvent,
        reason: &str,
        patch: EnvironmentPatch,
    ) -> anyhow::Result<()> {
        let failed = matches!(
            event,
            EnvironmentEvent::CreateFailed | EnvironmentEvent::DeleteFailed
        );
        let error = failed
            .then_some(environment.error_message.as_deref())
            .flatten();
        self.write_transition(claim, environment, event, (reason, error), patch)
            .await
    }

    /// The same, with what the timeline tells: the reason, and what went wrong.
    pub(super) async fn write_transition(
        &self,
        claim: Claim,
        environment: &Environment,
        event: EnvironmentEvent,
        (reason, error): (&str, Option<&str>),
        patch: EnvironmentPatch,
    ) -> anyhow::Result<()> {
        let change = Change {
            account: environment.account_id,
            kind: "environment.status_changed",
            object: object(environment),
            name: "The tool environment",
            from: environment.status,
            to: environment.status.on(event)?,
            reason,
            error,
        };
        self.store
            .environments()
            .transition_unscoped(
                environment.id,
                Some(claim.token),
                environment.status,
                event,
                patch,
                &[change.into_event()],
            )
            .await?;
        self.ring_for_instances(environment).await
    }

    /// Its tools are due with every change of its status; here nobody has to wait for the next poll.
    async fn ring_for_instances(&self, environment: &Environment) -> anyhow::Result<()> {
        for report in self
            .store
            .instances()
            .on_environment_unscoped(environment.id)
            .await?
        {
            self.bells.instances.ring(report.instance.id.as_uuid());
        }
        Ok(())
    }

    pub(super) async fn update(
        &self,
        claim: Claim,
        patch: EnvironmentPatch,
        events: &[NewEvent],
    ) -> anyhow::Result<()> {
        let environments = self.store.environments();
        environments
            .update_unscoped(claim.environment(), Some(claim.token), patch, events)
            .await?;
        Ok(())
    }

    pub(super) fn event(
        &self,
        environment: &Environment,
        kind: &'static str,
        text: &str,
    ) -> NewEvent {
        NewEvent::system(environment.account_id, kind, object(environment), text)
    }
}

/// What events of an environment are about.
pub(super) fn object(environment: &Environment) -> (ObjectKind, Uuid) {
    (ObjectKind::Environment, environment.id.as_uuid())
}
