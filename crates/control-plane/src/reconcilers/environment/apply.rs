//! Looks at an environment, asks the plan for a step, and takes it.

mod scaling;

use std::sync::Arc;
use std::time::Duration;

use agentopia_cloud::{
    Bootstrap, Deletion, Machine, MachineProvider, MachineRequest, ProviderError, Sought,
};
use agentopia_domain::Ambient;
use agentopia_domain::environment::{
    Environment, EnvironmentEvent, EnvironmentStatus, LostMachine,
};
use agentopia_domain::event::{NewEvent, ObjectKind, Outcome};
use agentopia_domain::observed::Phase;
use agentopia_domain::token::{self, TokenKind};
use agentopia_store::{Claim, CredentialState, EnvironmentPatch, InstanceReport, LeaseKind, Store};
use agentopia_vault::Vault;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use url::Url;
use uuid::Uuid;

use super::plan::{Enrolment, Observation, Step, UNLISTED_LIMIT, plan};
use crate::machines::credentials::Issuer;
use crate::machines::{Authority, MachineDirectory};
use crate::reconcilers::Bells;
use crate::reconcilers::instance::render::wind_down;
use crate::reconcilers::queue::{Next, Reconcile};
use crate::reconcilers::timeline::Change;

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

/// What was looked at.
struct Seen {
    environment: Environment,
    instances: Vec<InstanceReport>,
    /// What the provider says of the machine.
    machine: Option<Machine>,
    /// Why the machine's credentials are locked, if they are.
    locked: Option<String>,
    observation: Observation,
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
    async fn look(&self, claim: Claim) -> anyhow::Result<Seen> {
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
        let span = |since| self.since(since);
        let observation = Observation {
            desired: environment.desired,
            status: environment.status,
            in_status: span(environment.status_since),
            unlisted: environment.machine_id.is_none()
                && credential.as_ref().is_some_and(|credential| {
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
            has_tools: instances.iter().any(is_on_machine),
            scaling,
            lost_machine: self.lost_machine,
        };
        Ok(Seen {
            locked,
            machine,
            environment,
            instances,
            observation,
        })
    }

    /// How long ago something was that a control plane wrote down.
    fn since(&self, since: DateTime<Utc>) -> Duration {
        let ago = (self.ambient.now() - since).max(TimeDelta::zero());
        ago.to_std().unwrap_or_default()
    }

    /// Writes down what the provider says of the machine, where that is not what is written: after
    /// a crash between making a machine and writing it down, when its address came late, or when
    /// somebody changed its size.
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
        if same && placed && settled {
            return Ok(environment);
        }
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
        self.update(claim, patch, &events).await?;
        Ok(self
            .store
            .environments()
            .get_unscoped(environment.id)
            .await?)
    }

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
            Step::Create => {
                if seen.environment.machine_id.is_some() {
                    // It is gone; the next one must not be refused for having another id.
                    let patch = EnvironmentPatch::without_machine();
                    self.update(claim, patch, &[]).await?;
                }
                let request = self.request(&seen.environment).await?;
                let machine = match self.provider.create(&request).await {
                    Ok(machine) => machine,
                    Err(error) => {
                        // Nothing was made: the next attempt need not wait to see whether it was.
                        self.withdraw(&request).await?;
                        return Err(error.into());
                    }
                };
                let patch = EnvironmentPatch {
                    machine_id: Some(Some(machine.id)),
                    ip_address: Some(machine.address),
                    monthly_price_cents: Some(machine.monthly_price_cents),
                    machine_disk_bytes: Some(machine.disk_bytes),
                    provider_created_at: Some(machine.created_at),
                    error_message: Some(None),
                    last_heartbeat_at: Some(None),
                    ..EnvironmentPatch::default()
                };
                let event = self.event(
                    &seen.environment,
                    "environment.machine_created",
                    "The provider made a machine; its management agent is expected to enrol.",
                );
                self.update(claim, patch, &[event]).await?;
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
            Step::Wait(delay) => Ok(Some(Next::After(delay))),
        }
    }

    async fn rebootstrap(&self, environment: &Environment) -> anyhow::Result<bool> {
        if !self.provider.can_rebootstrap() {
            return Ok(false);
        }
        let request = self.request(environment).await?;
        Ok(self.provider.rebootstrap(&request).await?)
    }

    /// Takes a machine away that can't serve, with its credentials. As long as it has none it is
    /// looked at as one that never enrolled, so this is repeated until it is gone.
    async fn clear_away(&self, environment: &Environment) -> anyhow::Result<Deletion> {
        let credentials = self.store.dtma_credentials();
        credentials.revoke_unscoped(environment.id, &[]).await?;
        Ok(self.provider.delete(sought(environment)).await?)
    }

    /// Ends the token of an attempt that made nothing.
    async fn withdraw(&self, request: &MachineRequest) -> anyhow::Result<()> {
        let token = &request.bootstrap.enrolment_token;
        if let Some(hash) = token::hash_if(TokenKind::Enrolment, token) {
            self.store.dtma_credentials().withdraw(hash).await?;
        }
        Ok(())
    }

    async fn request(&self, environment: &Environment) -> anyhow::Result<MachineRequest> {
        let issuer = Issuer {
            store: &self.store,
            vault: &*self.vault,
            authority: &self.authority,
            ambient: &self.ambient,
        };
        Ok(MachineRequest {
            environment: environment.id,
            bootstrap: Bootstrap {
                control_plane_url: self.control_plane_url.clone(),
                ca_fingerprint: self.authority.ca.fingerprint(),
                ca_pem: self.authority.ca.certificate_pem().to_owned(),
                control_plane_name: agentopia_pki::CONTROL_PLANE_HOST.to_owned(),
                enrolment_token: issuer
                    .invite(environment.account_id, environment.id)
                    .await?,
            },
            region: environment.region.clone(),
            size: environment.size.clone(),
            image: environment.image.clone(),
        })
    }

    /// Hands every tool on the machine its end. What can't be reached is taken away with the
    /// machine all the same, when the time for this is over.
    async fn wind_down(&self, seen: &Seen) {
        let Ok(client) = self.machines.machine(&seen.environment).await else {
            return;
        };
        for report in &seen.instances {
            let Some(spec) = wind_down(report) else {
                continue;
            };
            match client.put(&spec).await {
                Ok(observed) => {
                    let id = seen.environment.id;
                    let instances = self.store.instances();
                    if let Err(error) = instances.record_observed_unscoped(id, &[observed]).await {
                        tracing::warn!(%error, "a machine's report could not be kept");
                    }
                }
                Err(error) => tracing::info!(%error, "a tool could not be wound down"),
            }
        }
    }

    async fn delete(&self, claim: Claim, seen: &Seen) -> anyhow::Result<Option<Next>> {
        let environment = &seen.environment;
        match self.clear_away(environment).await? {
            Deletion::InProgress => Ok(Some(Next::After(DELETION_POLL))),
            Deletion::Gone => {
                let event = EnvironmentEvent::DeleteFinished;
                self.transition(claim, environment, event, "nothing of it is left")
                    .await?;
                Ok(None)
            }
        }
    }

    /// Takes away what is left of a machine that could not be made.
    async fn undo(&self, claim: Claim, seen: &Seen) -> anyhow::Result<Option<Next>> {
        let environment = &seen.environment;
        match self.clear_away(environment).await? {
            Deletion::InProgress => Ok(Some(Next::After(DELETION_POLL))),
            Deletion::Gone => {
                let events = environment.machine_id.is_some().then(|| {
                    let text = "What was made of the machine was taken away again.";
                    self.event(environment, "environment.machine_undone", text)
                });
                let patch = EnvironmentPatch::without_machine();
                self.update(claim, patch, events.as_slice()).await?;
                Ok(None)
            }
        }
    }

    async fn transition(
        &self,
        claim: Claim,
        environment: &Environment,
        event: EnvironmentEvent,
        reason: &str,
    ) -> anyhow::Result<()> {
        let to = environment.status.on(event)?;
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
        let failed = matches!(
            event,
            EnvironmentEvent::CreateFailed | EnvironmentEvent::DeleteFailed
        );
        let change = Change {
            account: environment.account_id,
            kind: "environment.status_changed",
            object: object(environment),
            name: "The tool environment",
            from: environment.status,
            to,
            reason,
            error: failed
                .then_some(environment.error_message.as_deref())
                .flatten(),
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
        self.wake_instances(environment).await?;
        Ok(())
    }

    async fn wake_instances(&self, environment: &Environment) -> anyhow::Result<()> {
        for report in self
            .store
            .instances()
            .on_environment_unscoped(environment.id)
            .await?
        {
            let id = report.instance.id.as_uuid();
            self.store.leases().wake(LeaseKind::Instance, id).await?;
            self.bells.instances.ring(id);
        }
        Ok(())
    }

    async fn update(
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

    fn event(&self, environment: &Environment, kind: &'static str, text: &str) -> NewEvent {
        NewEvent::system(environment.account_id, kind, object(environment), text)
    }

    /// Writes down what the provider said. What may work later is tried again; the rest ends the
    /// attempt, and the account can try again when it was changed.
    async fn provider_trouble(&self, claim: Claim, error: &anyhow::Error) -> anyhow::Result<Next> {
        let Some(trouble) = error.downcast_ref::<ProviderError>() else {
            anyhow::bail!("{error:#}");
        };
        let environment = self
            .store
            .environments()
            .get_unscoped(claim.environment())
            .await?;
        let message = trouble.to_string();
        let told =
            environment.status.serves() || environment.status == EnvironmentStatus::ErrorCreation;
        if matches!(trouble, ProviderError::Retryable(_)) && told {
            // Its tools may well answer all the while, or its owner was told what to do: that stays.
            tracing::warn!(environment = %environment.id, %message, "the provider is asked again");
            return Ok(Next::After(PROVIDER_RETRY));
        }
        let before = environment.error_message.as_deref();
        let known =
            before.is_some_and(|before| without_request(before) == without_request(&message));
        let events = if known {
            Vec::new()
        } else {
            let event = self.event(&environment, "environment.provider_failed", &message);
            vec![event.outcome(Outcome::Failed)]
        };
        let patch = EnvironmentPatch {
            error_message: Some(Some(message.clone())),
            ..EnvironmentPatch::default()
        };
        self.update(claim, patch, &events).await?;
        if let ProviderError::Final(_) = trouble {
            let event = match environment.status {
                status if status.on(EnvironmentEvent::CreateFailed).is_ok() => {
                    Some(EnvironmentEvent::CreateFailed)
                }
                status if status.on(EnvironmentEvent::DeleteFailed).is_ok() => {
                    Some(EnvironmentEvent::DeleteFailed)
                }
                _ => None,
            };
            if let Some(event) = event {
                self.transition(claim, &environment, event, &message)
                    .await?;
            }
        }
        Ok(Next::After(PROVIDER_RETRY))
    }
}

/// A provider's sentence without the id of the one request that it is about: two that differ in
/// nothing else tell the same.
fn without_request(sentence: &str) -> String {
    let Some((before, rest)) = sentence.split_once("request ") else {
        return sentence.to_owned();
    };
    let end = rest.find([',', ')']).unwrap_or(rest.len());
    format!("{before}{}", &rest[end..])
}

/// What events of an environment are about.
fn object(environment: &Environment) -> (ObjectKind, Uuid) {
    (ObjectKind::Environment, environment.id.as_uuid())
}

/// The environment's machine, by what is written down of it.
fn sought(environment: &Environment) -> Sought<'_> {
    Sought {
        environment: environment.id,
        known: environment.machine_id.as_deref(),
    }
}

/// Whether, as far as we know, something of the instance is on the machine.
fn is_on_machine(report: &InstanceReport) -> bool {
    report
        .observed
        .as_ref()
        .is_some_and(|observed| observed.phase != Phase::Removed)
}

#[cfg(test)]
mod tests {
    use super::without_request;

    #[test]
    fn sentences_that_differ_in_the_request_only_are_the_same() {
        let said = |id: &str| {
            format!("can't read a droplet: no (HTTP 500, server_error, request {id}); try again")
        };
        assert_eq!(
            without_request(&said("a-1")),
            without_request(&said("b-22"))
        );
        let other = said("a-1").replace("500", "503");
        assert_ne!(without_request(&said("a-1")), without_request(&other));
        assert_eq!(without_request("no request"), "no request");
    }
}
