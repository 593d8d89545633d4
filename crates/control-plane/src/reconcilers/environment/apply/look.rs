//! What is looked at before a step is decided: the record, the machine at the provider, and its
//! credentials. What the provider knows better than the record is written down at once.

use std::time::Duration;

use agentopia_cloud::{Machine, Sought};
use agentopia_domain::environment::{Environment, EnvironmentStatus};
use agentopia_domain::observed::Phase;
use agentopia_store::{Claim, CredentialState, EnvironmentPatch, InstanceReport};
use chrono::{DateTime, TimeDelta, Utc};

use super::super::plan::{Enrolment, Observation, UNLISTED_LIMIT};
use super::{EnvironmentReconciler, sought};

/// What was looked at.
pub(super) struct Seen {
    pub(super) environment: Environment,
    pub(super) instances: Vec<InstanceReport>,
    /// What the provider says of the machine.
    pub(super) machine: Option<Machine>,
    /// Why the machine's credentials are locked, if they are.
    pub(super) locked: Option<String>,
    /// Why the machine's first start failed, if it did.
    pub(super) bootstrap_failure: Option<String>,
    pub(super) observation: Observation,
}

impl EnvironmentReconciler {
    pub(super) async fn look(&self, claim: Claim) -> anyhow::Result<Seen> {
        let id = claim.environment();
        let environment = self.store.environments().get_unscoped(id).await?;
        let credential = self
            .store
            .dtma_credentials()
            .by_environment_unscoped(id)
            .await?;
        let instances = self.store.instances().on_environment_unscoped(id).await?;
        let machine = self.provider.find(sought(&environment)).await?;
        let environment = self.adopt(claim, environment, machine.as_ref()).await?;
        let locked = match credential.as_ref().map(|credential| &credential.state) {
            Some(CredentialState::Locked { reason }) => Some(reason.clone()),
            _ => None,
        };
        let scaling = self
            .look_at_scaling(&environment, machine.as_ref(), &instances)
            .await?;
        let now = self.ambient.now();
        let enrolment = match credential.as_ref().map(|credential| &credential.state) {
            Some(CredentialState::Active) => Enrolment::Enrolled,
            Some(CredentialState::Locked { .. }) => Enrolment::Locked,
            Some(CredentialState::Enrolling)
                if credential
                    .as_ref()
                    .is_some_and(|c| now < c.enrolment_expires_at) =>
            {
                Enrolment::Waiting
            }
            _ => Enrolment::None,
        };
        let bootstrap_failure = credential
            .as_ref()
            .and_then(|credential| credential.bootstrap_failure.clone());
        let span = |since| self.since(since);
        let observation = Observation {
            desired: environment.desired,
            status: environment.status,
            in_status: span(environment.status_since),
            unlisted: credential.as_ref().is_some_and(|credential| {
                credential.state != CredentialState::Revoked
                    && span(credential.created_at) < UNLISTED_LIMIT
            }),
            is_recorded: environment.machine_id.is_some(),
            machine: machine.as_ref().map(|machine| machine.state),
            enrolment,
            silent_for: environment.last_heartbeat_at.map(span),
            enrolled_for: credential
                .and_then(|credential| credential.redeemed_at)
                .map(span),
            bootstrap_failed: bootstrap_failure.is_some(),
            noticed_for: environment.notice.as_ref().map(|it| span(it.seen_at)),
            has_tools: instances.iter().any(is_on_machine),
            scaling,
            lost_machine: self.lost_machine,
        };
        Ok(Seen {
            locked,
            bootstrap_failure,
            machine,
            environment,
            instances,
            observation,
        })
    }

    /// How long ago something was that a control plane wrote down.
    pub(super) fn since(&self, since: DateTime<Utc>) -> Duration {
        let ago = (self.ambient.now() - since).max(TimeDelta::zero());
        ago.to_std().unwrap_or_default()
    }

    /// Writes down what the provider says of the machine, where that is not what is written: after it
    /// was made (also where we died before that was written down), when it enrolled, when its address
    /// came late, or when somebody changed its size. A new one is filed before, so that a crash in
    /// between leaves nothing undone.
    ///
    /// Another machine may have enrolled meanwhile and stand there now; then this one is too many,
    /// and the provider takes it away when it is next told which one is written down.
    async fn adopt(
        &self,
        claim: Claim,
        environment: Environment,
        machine: Option<&Machine>,
    ) -> anyhow::Result<Environment> {
        let Some(machine) = machine else {
            return Ok(environment);
        };
        // What is still there then is taken away, not over.
        if matches!(
            environment.status,
            EnvironmentStatus::Deleted | EnvironmentStatus::ErrorCreation
        ) {
            return Ok(environment);
        }
        let same = environment.machine_id.as_ref() == Some(&machine.id);
        let placed = machine.address.is_none() || environment.ip_address.is_some();
        let measured = environment.monthly_price_cents == machine.monthly_price_cents
            && environment.machine_disk_bytes == machine.disk_bytes
            && (machine.size.is_none() || environment.size == machine.size);
        // What a change of size does to it is written down when that is over.
        let settled = measured || environment.status == EnvironmentStatus::Scaling;
        let known = same && environment.provider_created_at.is_some();
        if known && placed && settled {
            return Ok(environment);
        }
        let was = environment.machine_id.as_deref();
        let mut patch = EnvironmentPatch {
            machine_id: Some(Some(machine.id.clone())),
            ip_address: machine.address.map(Some),
            provider_created_at: Some(machine.created_at),
            ..EnvironmentPatch::default()
        };
        if !settled {
            patch.size = machine.size.clone().map(Some);
            patch.monthly_price_cents = Some(machine.monthly_price_cents);
            patch.machine_disk_bytes = Some(machine.disk_bytes);
        }
        let events = if same {
            Vec::new()
        } else {
            let text = "A machine that the provider has for this environment was taken over.";
            vec![self.event(&environment, "environment.machine_adopted", text)]
        };
        if !known {
            let found = Sought {
                known: Some(&machine.id),
                ..sought(&environment)
            };
            self.file(claim, &environment, found).await?;
        }
        let environments = self.store.environments();
        let written = environments
            .record_machine_unscoped(environment.id, Some(claim.token), was, patch, &events)
            .await?;
        Ok(written)
    }
}

/// Whether, as far as we know, something of the instance is on the machine.
fn is_on_machine(report: &InstanceReport) -> bool {
    report
        .observed
        .as_ref()
        .is_some_and(|observed| observed.phase != Phase::Removed)
}
