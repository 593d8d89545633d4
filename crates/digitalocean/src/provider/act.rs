//! The parts of a change of size: power and resize actions, each begun once and then watched
//! (ENV-10).
//!
//! DigitalOcean does one thing at a time to a droplet, and a request whose answer was lost may have
//! begun it. So the droplet's actions are looked at first: one of the same kind that is under way
//! is taken for the answer.

use agentopia_cloud::{Begun, MachineAction, OperationState, ProviderError, Sought};

use super::DigitalOceanProvider;
use super::trouble::trouble;
use crate::actions::{Action, ActionStatus};
use crate::droplets::{Droplet, DropletAction, DropletStatus, PowerAction};
use crate::{ActionId, DropletId};

impl DigitalOceanProvider {
    pub(super) async fn begin(
        &self,
        sought: Sought<'_>,
        action: MachineAction<'_>,
    ) -> Result<Begun, ProviderError> {
        self.memo.changes(sought.environment);
        let droplet = self.present(sought).await?;
        let wished = droplet_action(action);
        let mut actions = self.api.droplets().actions(droplet.id);
        let newest = actions.next().await.map_err(trouble)?.unwrap_or_default();
        if let Some(running) = newest.iter().find(|action| is_running(action)) {
            // A droplet that still works on something else refuses what is asked now.
            return if running.kind == wished.word() {
                Ok(Begun::Operation(running.id.to_string()))
            } else {
                Err(ProviderError::Retryable(format!(
                    "the droplet is busy with another action ({})",
                    running.kind
                )))
            };
        }
        if is_so(&droplet, action) {
            return Ok(Begun::AlreadySo);
        }
        let begun = self.api.droplets().act(droplet.id, &wished).await;
        Ok(Begun::Operation(begun.map_err(trouble)?.id.to_string()))
    }

    pub(super) async fn progress(
        &self,
        sought: Sought<'_>,
        operation: &str,
    ) -> Result<OperationState, ProviderError> {
        self.memo.changes(sought.environment);
        // An id that can't be one, or that nobody knows any more, tells nothing: it is asked for
        // anew, and what is under way then is found.
        let droplet = sought.known.and_then(|known| known.parse().ok());
        let (Some(droplet), Ok(id)) = (droplet.map(DropletId), operation.parse().map(ActionId))
        else {
            return Ok(OperationState::Failed);
        };
        let found = self.api.droplets().action(droplet, id).await;
        let found = found.map_err(trouble)?;
        Ok(match found.map(|action| action.status) {
            Some(ActionStatus::Completed) => OperationState::Completed,
            Some(ActionStatus::Errored) | None => OperationState::Failed,
            Some(ActionStatus::InProgress | ActionStatus::Other(_)) => OperationState::InProgress,
        })
    }

    async fn present(&self, sought: Sought<'_>) -> Result<Droplet, ProviderError> {
        let droplet = match self.known(sought).await? {
            Some(droplet) => Some(droplet),
            None => self.tagged(sought.environment).await?.into_iter().next(),
        };
        droplet.ok_or_else(|| {
            ProviderError::Retryable("there is no such droplet (any more)".to_owned())
        })
    }
}

fn is_running(action: &Action) -> bool {
    action.status == ActionStatus::InProgress
}

fn droplet_action(action: MachineAction<'_>) -> DropletAction {
    match action {
        MachineAction::ShutDown => DropletAction::Power(PowerAction::Shutdown),
        MachineAction::PowerOff => DropletAction::Power(PowerAction::PowerOff),
        MachineAction::PowerOn => DropletAction::Power(PowerAction::PowerOn),
        MachineAction::Resize(size) => DropletAction::Resize {
            size: size.to_owned(),
        },
    }
}

fn is_so(droplet: &Droplet, action: MachineAction<'_>) -> bool {
    match action {
        MachineAction::ShutDown | MachineAction::PowerOff => droplet.status == DropletStatus::Off,
        MachineAction::PowerOn => droplet.status == DropletStatus::Active,
        MachineAction::Resize(size) => droplet.size_slug == size,
    }
}
