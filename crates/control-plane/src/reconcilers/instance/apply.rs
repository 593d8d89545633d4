//! Looks at an instance, asks the plan for a step, and takes it.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::environment::{DesiredEnvironment, Environment};
use agentopia_domain::event::ObjectKind;
use agentopia_domain::instance::{
    DesiredInstance, Instance, InstanceEvent, InstanceStatus, RuntimeDetails,
};
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_dtma_api::to_dtma::DtmaError;
use agentopia_store::{Claim, Idleness, InstancePatch, InstanceReport, LeaseKind, Store};
use async_trait::async_trait;

use super::plan::{Machine, Observation, Step, plan};
use super::render::{Place, UnknownVersion, render};
use super::sleep;
use super::upgrade::AskTools;
use crate::machines::{MachineCommands, MachineDirectory};
use crate::mcp_gateway::remote::RemoteServers;
use crate::packages::PackageSettings;
use crate::reconcilers::Bells;
use crate::reconcilers::queue::{Next, Reconcile};
use crate::reconcilers::routes::RoutesBell;
use crate::reconcilers::timeline::Change;

/// How soon a machine is asked again after it refused.
const REFUSED_RETRY: Duration = Duration::from_secs(5);
/// How often the row is looked at while its machine is watched: intent that another replica wrote
/// rings no bell here.
const INTENT_POLL: Duration = Duration::from_secs(1);
/// How often it is looked whether the second place of one that is removed is empty.
const SECOND_POLL: Duration = Duration::from_millis(500);
/// Steps in one activation: more than any life takes without waiting.
const STEPS: usize = 64;

/// See the module's header.
#[derive(Debug)]
pub struct InstanceReconciler {
    /// Where everything is kept.
    pub store: Store,
    /// Reaches machines.
    pub machines: Arc<dyn MachineDirectory>,
    /// Servers that run elsewhere.
    pub remotes: Arc<RemoteServers>,
    /// Tells of intent that changed while a machine is watched.
    pub bells: Bells,
    /// The gateway's table changes with the status of instances.
    pub routes: RoutesBell,
    /// Asks a new version what it offers.
    pub tools: Arc<dyn AskTools>,
    /// How machines make images of packages.
    pub packages: PackageSettings,
}

/// What was looked at.
pub(super) struct Seen {
    pub(super) instance: Instance,
    pub(super) environment: Environment,
    pub(super) client: Option<Arc<dyn MachineCommands>>,
    observed: Option<ObservedInstance>,
    /// Of one that may sleep or does.
    idleness: Option<Idleness>,
    pub(super) machine: Machine,
}

#[async_trait]
impl Reconcile for InstanceReconciler {
    fn kind(&self) -> LeaseKind {
        LeaseKind::Instance
    }

    async fn reconcile(&self, claim: Claim) -> anyhow::Result<Next> {
        // What the machine answered to the step before; saves asking it again.
        let mut answer: Option<ObservedInstance> = None;
        for _ in 0..STEPS {
            let report = self
                .store
                .instances()
                .get_unscoped(claim.instance())
                .await?;
            if report.instance.remote.is_some() {
                return self.reconcile_remote(claim, report.instance).await;
            }
            let seen = self.look(report, answer.take()).await?;
            let seen = self.keep_report(claim, seen).await?;
            let step = plan(&seen.observation());
            tracing::debug!(instance = %claim.id, machine = ?seen.machine, ?step, "instance step");
            if matches!(step, Step::Watch | Step::Wait(_))
                && let Some(change) = seen.instance.versions.change.clone()
            {
                match self.step_change(claim, &seen, &change).await? {
                    None => continue,
                    Some(next) => return Ok(next),
                }
            }
            match step {
                Step::Transition(InstanceEvent::RemoveFinished, _) | Step::Put
                    if seen.instance.status == InstanceStatus::PendingRemoval
                        && !self.second_is_gone(&seen).await? =>
                {
                    return Ok(Next::After(SECOND_POLL));
                }
                Step::Transition(event, reason) => {
                    self.transition(claim, &seen.instance, event, reason)
                        .await?;
                    answer = seen.observed;
                }
                Step::Put => match self.put(claim, &seen).await? {
                    Ok(observed) => answer = Some(observed),
                    Err(next) => return Ok(next),
                },
                Step::Sleep => {
                    if !self.sleep(claim, &seen).await? {
                        // Somebody used it at this moment.
                        return Ok(Next::After(INTENT_POLL));
                    }
                }
                Step::Wake(reason) => {
                    sleep::wake(&self.store, &seen.instance, reason).await?;
                    self.routes.ring();
                }
                Step::Watch => answer = self.watch(&seen).await?,
                Step::Wait(delay) => return Ok(Next::After(delay)),
                Step::Done => return Ok(Next::Never),
            }
        }
        Ok(Next::After(Duration::ZERO))
    }
}

impl Seen {
    fn observation(&self) -> Observation {
        let unused = self.idleness.map_or(Duration::ZERO, |idle| idle.unused);
        let asleep = self.idleness.and_then(|idle| idle.asleep);
        let limit = self.instance.idle_limit();
        Observation {
            sleeps_in: limit.map(|limit| limit.saturating_sub(unused)),
            asleep_for: asleep.unwrap_or_default(),
            desired: self.instance.desired,
            generation: self.instance.generation,
            status: self.instance.status,
            environment: self.environment.status,
            environment_wanted: self.environment.desired == DesiredEnvironment::Enabled,
            machine: self.machine,
        }
    }
}

impl InstanceReconciler {
    async fn look(
        &self,
        report: InstanceReport,
        answer: Option<ObservedInstance>,
    ) -> anyhow::Result<Seen> {
        let instance = report.instance;
        let environments = self.store.environments();
        let environment = environments.get_unscoped(instance.environment_id).await?;
        let idleness = match instance.status {
            InstanceStatus::Asleep => true,
            InstanceStatus::Running => instance.idle_limit().is_some(),
            _ => false,
        };
        let idleness = match idleness {
            true => Some(
                self.store
                    .instances()
                    .idleness_unscoped(instance.id)
                    .await?,
            ),
            false => None,
        };
        let mut seen = Seen {
            idleness,
            instance,
            environment,
            client: None,
            observed: None,
            machine: Machine::Absent,
        };
        if !seen.environment.status.serves()
            || seen.environment.desired == DesiredEnvironment::Disabled
        {
            return Ok(seen);
        }
        let Ok(client) = self.machines.machine(&seen.environment).await else {
            return Ok(seen);
        };
        let observed = match answer {
            Some(observed) => Ok(Some(observed)),
            None => client.instance(place_of(&seen.instance)).await,
        };
        seen.machine = match observed {
            Ok(Some(observed)) => {
                let (generation, phase) = (observed.generation, observed.phase);
                seen.observed = Some(observed);
                Machine::Reports { generation, phase }
            }
            Ok(None) => Machine::Unknown,
            Err(error) => {
                tracing::debug!(instance = %seen.instance.id, %error, "the machine can't be asked");
                Machine::Unreachable
            }
        };
        seen.client = Some(client);
        Ok(seen)
    }

    /// Writes what the machine reports into the record, where it is news.
    async fn keep_report(&self, claim: Claim, mut seen: Seen) -> anyhow::Result<Seen> {
        let Some(observed) = &seen.observed else {
            return Ok(seen);
        };
        if observed.generation < seen.instance.generation {
            return Ok(seen);
        }
        let patch = news(&seen.instance, observed);
        if patch != InstancePatch::default() {
            let instances = self.store.instances();
            let routed = patch.runtime.is_some();
            seen.instance = instances
                .update_unscoped(seen.instance.id, Some(claim.token), patch, &[])
                .await?;
            if routed {
                self.routes.ring();
                self.wake_firewall(&seen.instance).await?;
            }
        }
        seen.instance = self.pin(claim, seen.instance).await?;
        Ok(seen)
    }

    pub(super) async fn transition(
        &self,
        claim: Claim,
        instance: &Instance,
        event: InstanceEvent,
        reason: &str,
    ) -> anyhow::Result<()> {
        let to = instance.status.on(event)?;
        let mut patch = InstancePatch::default();
        match event {
            InstanceEvent::Healthy | InstanceEvent::StartRequested => {
                patch.error_message = Some(None);
            }
            InstanceEvent::StopFinished | InstanceEvent::RemoveFinished => {
                patch.running_version = Some(None);
                patch.progress = Some(None);
                patch.error_message = Some(None);
                patch.runtime = Some(RuntimeDetails::default());
            }
            _ => {}
        }
        let bad = matches!(event, InstanceEvent::Failed | InstanceEvent::Crashed);
        let change = Change {
            account: instance.account_id,
            kind: "instance.status_changed",
            object: (ObjectKind::Instance, instance.id.as_uuid()),
            name: instance.name.as_str(),
            from: instance.status,
            to,
            reason,
            error: bad.then_some(instance.error_message.as_deref()).flatten(),
        };
        let instances = self.store.instances();
        instances
            .transition_unscoped(
                instance.id,
                Some(claim.token),
                instance.status,
                event,
                patch,
                &[change.into_event()],
            )
            .await?;
        self.routes.ring();
        self.wake_firewall(instance).await
    }

    /// Puts one to sleep that nobody uses; `false` if somebody did in between.
    async fn sleep(&self, claim: Claim, seen: &Seen) -> anyhow::Result<bool> {
        let Some(idle) = seen.instance.idle_limit() else {
            return Ok(false);
        };
        let event = sleep::fell_asleep(&seen.instance, idle);
        let instances = self.store.instances();
        let asleep = instances
            .fall_asleep_unscoped(seen.instance.id, claim.token, idle, &[event])
            .await?;
        if asleep.is_some() {
            self.routes.ring();
        }
        Ok(asleep.is_some())
    }

    /// Whether a tool that is reached directly runs decides what its machine's firewall lets in,
    /// which is the environment's matter.
    async fn wake_firewall(&self, instance: &Instance) -> anyhow::Result<()> {
        if instance.direct_access.is_some() {
            let id = instance.environment_id.as_uuid();
            self.store.leases().wake(LeaseKind::Environment, id).await?;
            self.bells.environments.ring(id);
        }
        Ok(())
    }

    /// Hands the machine the whole desired state; its answer, or when to try again.
    async fn put(
        &self,
        claim: Claim,
        seen: &Seen,
    ) -> anyhow::Result<Result<ObservedInstance, Next>> {
        let Some(client) = &seen.client else {
            return Ok(Err(Next::After(INTENT_POLL)));
        };
        let instance = &seen.instance;
        let entry = self.store.catalog().get(instance.catalog_entry_id).await?;
        let revision = self.secrets_revision(instance).await?;
        let place = Place::serving(instance);
        let definition = &entry.definition;
        let spec = match render(instance, definition, revision, &place, &self.packages) {
            Ok(spec) => spec,
            Err(error) => return self.unusable(claim, instance, &error).await.map(Err),
        };
        match client.put(&spec).await {
            Ok(observed) => Ok(Ok(observed)),
            Err(DtmaError::Refused(problem)) if problem.status < 500 && problem.status != 409 => {
                let message = format!("the machine refused: {}", problem.detail);
                self.note(claim, instance, message).await?;
                Ok(Err(Next::After(REFUSED_RETRY)))
            }
            Err(error) => {
                tracing::info!(instance = %instance.id, %error, "the spec could not be handed over");
                Ok(Err(Next::After(INTENT_POLL)))
            }
        }
    }

    /// The sum of the revisions: it grows whenever any of the values changes.
    pub(super) async fn secrets_revision(&self, instance: &Instance) -> anyhow::Result<i64> {
        let ids: Vec<_> = instance.secrets.values().copied().collect();
        let sealed = self
            .store
            .secrets()
            .sealed(instance.account_id, &ids)
            .await?;
        Ok(sealed.iter().map(|secret| secret.record.revision).sum())
    }

    async fn unusable(
        &self,
        claim: Claim,
        instance: &Instance,
        error: &UnknownVersion,
    ) -> anyhow::Result<Next> {
        self.note(claim, instance, error.to_string()).await?;
        Ok(Next::After(Duration::from_secs(60)))
    }

    async fn note(&self, claim: Claim, instance: &Instance, message: String) -> anyhow::Result<()> {
        let patch = InstancePatch {
            error_message: Some(Some(message)),
            ..InstancePatch::default()
        };
        let instances = self.store.instances();
        instances
            .update_unscoped(instance.id, Some(claim.token), patch, &[])
            .await?;
        Ok(())
    }

    /// Waits for the machine's news of the instance, or for new intent.
    async fn watch(&self, seen: &Seen) -> anyhow::Result<Option<ObservedInstance>> {
        let (Some(client), Some(known)) = (&seen.client, &seen.observed) else {
            return Ok(None);
        };
        let id = place_of(&seen.instance);
        tokio::select! {
            biased;
            observed = client.watch(id, known.generation, known.phase) => match observed {
                Ok(observed) => Ok(Some(observed)),
                Err(error) => {
                    tracing::debug!(instance = %id, %error, "the machine can't be watched");
                    tokio::time::sleep(INTENT_POLL).await;
                    Ok(None)
                }
            },
            () = self.intent_changed(&seen.instance) => Ok(None),
        }
    }

    pub(super) async fn intent_changed(&self, instance: &Instance) {
        loop {
            tokio::select! {
                biased;
                () = self.bells.instances.rung_for(instance.id.as_uuid()) => {}
                () = tokio::time::sleep(INTENT_POLL) => {}
            }
            match self.store.instances().get_unscoped(instance.id).await {
                Ok(now) if now.instance.generation == instance.generation => {}
                // Changed, or can't be known: look at everything again.
                _ => return,
            }
        }
    }
}

/// The id under which its machine is asked for it. What is removed ends in its first place, whose id its
/// volume has; the second is emptied before.
fn place_of(instance: &Instance) -> InstanceId {
    match instance.desired {
        DesiredInstance::Removed { .. } => instance.id,
        _ => instance.on_machine(),
    }
}

/// What of the report is not in the record yet.
fn news(instance: &Instance, observed: &ObservedInstance) -> InstancePatch {
    let message = observed.message.clone();
    let (progress, error) = match observed.phase {
        Phase::Running | Phase::Stopped | Phase::Removed => (None, None),
        Phase::Failed | Phase::Backoff => (None, message.or(instance.error_message.clone())),
        _ => (message, instance.error_message.clone()),
    };
    let mut patch = InstancePatch::default();
    if instance.observed_generation != observed.generation {
        patch.observed_generation = Some(observed.generation);
    }
    if instance.progress != progress {
        patch.progress = Some(progress);
    }
    if instance.error_message != error {
        patch.error_message = Some(error);
    }
    if instance.running_version != observed.running_version {
        patch.running_version = Some(observed.running_version.clone());
    }
    if instance.runtime != observed.runtime {
        patch.runtime = Some(observed.runtime.clone());
    }
    patch
}
