//! Takes the steps of a change of version.

use std::collections::BTreeSet;
use std::time::Duration;

use agentopia_domain::environment::DesiredEnvironment;
use agentopia_domain::event::{NewEvent, ObjectKind, Outcome};
use agentopia_domain::instance::{DesiredInstance, Instance};
use agentopia_domain::observed::ObservedInstance;
use agentopia_domain::page::{MAX_LIMIT, PageRequest};
use agentopia_domain::spec::InstanceSpec;
use agentopia_domain::versions::{ChangeKind, Release, Stage, VersionChange, Versions};
use agentopia_dtma_api::to_dtma::DtmaError;
use agentopia_store::{Claim, InstancePatch, LinkFilter, StoreError, VersionStep};
use serde_json::{Value, json};

use super::judge;
use super::plan::{Seen as SeenOfChange, Step, plan};
use crate::mcp_gateway::definitions;
use crate::reconcilers::instance::InstanceReconciler;
use crate::reconcilers::instance::apply::Seen;
use crate::reconcilers::instance::plan::Machine;
use crate::reconcilers::instance::render::{Place, removal, render};
use crate::reconcilers::queue::Next;

/// How soon what went wrong on the way is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long one wait for the machine takes at most: what serves is looked at in between.
const LOOK: Duration = Duration::from_secs(2);
/// How long a server may take to say what it offers.
const ASKING: Duration = Duration::from_secs(40);

impl InstanceReconciler {
    /// One step of the change that is under way; `None` to look at everything again at once.
    pub(in crate::reconcilers::instance) async fn step_change(
        &self,
        claim: Claim,
        seen: &Seen,
        change: &VersionChange,
    ) -> anyhow::Result<Option<Next>> {
        let instance = &seen.instance;
        let spare_id = instance.versions.spare().on_machine(instance.id);
        let (spare, observed) = match &seen.client {
            None => (Machine::Absent, None),
            Some(client) => match client.instance(spare_id).await {
                Ok(Some(observed)) => {
                    let (generation, phase) = (observed.generation, observed.phase);
                    (Machine::Reports { generation, phase }, Some(observed))
                }
                Ok(None) => (Machine::Unknown, None),
                Err(_) => (Machine::Unreachable, None),
            },
        };
        let wanted = instance.desired == DesiredInstance::Running
            && seen.environment.desired == DesiredEnvironment::Enabled;
        let step = plan(&SeenOfChange {
            stage: &change.stage,
            how: change.how,
            wanted,
            late: self.store.ambient().now() >= change.deadline,
            generation: instance.generation,
            serving: seen.machine,
            spare,
        });
        tracing::debug!(instance = %instance.id, ?spare, ?step, "step of a change of version");
        match step {
            Step::Put(wish) => self.put_spare(claim, seen, change, wish).await,
            Step::Start => {
                let versions = Versions {
                    change: Some(VersionChange {
                        stage: Stage::Starting,
                        ..change.clone()
                    }),
                    ..instance.versions.clone()
                };
                self.step(claim, instance, versions, None, None, &[])
                    .await?;
                Ok(None)
            }
            Step::Judge => self.judge(claim, seen, change, observed).await,
            Step::Abandon(reason) => {
                let words = observed.and_then(|it| it.message);
                let reason = match words {
                    Some(words) => format!("{reason}: {words}"),
                    None => reason.to_owned(),
                };
                self.abandon(claim, instance, change, reason).await?;
                Ok(None)
            }
            Step::Finish => {
                let versions = Versions {
                    change: None,
                    ..instance.versions.clone()
                };
                self.step(claim, instance, versions, None, None, &[])
                    .await?;
                Ok(None)
            }
            Step::Watch => {
                self.watch_spare(seen, observed).await;
                Ok(None)
            }
            Step::Wait(delay) => Ok(Some(Next::After(delay))),
        }
    }

    /// Hands the machine what is wanted in the place that does not serve.
    async fn put_spare(
        &self,
        claim: Claim,
        seen: &Seen,
        change: &VersionChange,
        wish: DesiredInstance,
    ) -> anyhow::Result<Option<Next>> {
        let (instance, Some(client)) = (&seen.instance, &seen.client) else {
            return Ok(Some(Next::After(AGAIN)));
        };
        let spec = match self.spare_spec(instance, change, wish).await? {
            Ok(spec) => spec,
            Err(reason) => {
                self.abandon(claim, instance, change, reason).await?;
                return Ok(None);
            }
        };
        match client.put(&spec).await {
            Ok(_) => Ok(None),
            Err(DtmaError::Refused(problem))
                if problem.status < 500
                    && problem.status != 409
                    && wish == DesiredInstance::Running =>
            {
                let reason = format!("the machine refused: {}", problem.detail);
                self.abandon(claim, instance, change, reason).await?;
                Ok(None)
            }
            Err(error) => {
                tracing::info!(instance = %instance.id, %error, "a change of version waits for its machine");
                Ok(Some(Next::After(AGAIN)))
            }
        }
    }

    /// The spec of the place that does not serve, or why there is none for a version that is to be started.
    async fn spare_spec(
        &self,
        instance: &Instance,
        change: &VersionChange,
        wish: DesiredInstance,
    ) -> anyhow::Result<Result<InstanceSpec, String>> {
        let slot = instance.versions.spare();
        let runs = match wish {
            DesiredInstance::Removed { .. } => return Ok(Ok(removal(instance, slot, false))),
            DesiredInstance::Running => Some(&change.to),
            DesiredInstance::Stopped => instance.versions.kept.as_ref(),
        };
        let Some(release) = runs else {
            return Ok(Ok(removal(instance, slot, false)));
        };
        let entry = self.store.catalog().get(instance.catalog_entry_id).await?;
        let revision = self.secrets_revision(instance).await?;
        let place = Place {
            slot,
            version: &release.version,
            digest: release.digest.as_deref(),
            desired: wish,
            drain: wish == DesiredInstance::Stopped,
        };
        Ok(
            match render(
                instance,
                &entry.definition,
                revision,
                &place,
                &self.packages,
            ) {
                Ok(spec) => Ok(spec),
                Err(error) if wish == DesiredInstance::Running => Err(error.to_string()),
                // Nobody can go back to it: nothing is kept of it.
                Err(_) => Ok(removal(instance, slot, false)),
            },
        )
    }

    /// Asks the new one for its tools, and moves calls to it if it has what it must have.
    async fn judge(
        &self,
        claim: Claim,
        seen: &Seen,
        change: &VersionChange,
        observed: Option<ObservedInstance>,
    ) -> anyhow::Result<Option<Next>> {
        let instance = &seen.instance;
        let Some(observed) = observed else {
            return Ok(Some(Next::After(AGAIN)));
        };
        let spare = instance.versions.spare().on_machine(instance.id);
        let listed = match self.listed(instance, spare).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::info!(instance = %instance.id, error, "a new version does not say what it offers yet");
                return Ok(Some(Next::After(AGAIN)));
            }
        };
        let offered = names(&listed);
        if !change.accept_missing
            && let Some(reason) = self.missing(instance, &offered).await?
        {
            self.abandon(claim, instance, change, reason).await?;
            return Ok(None);
        }
        self.move_calls(claim, instance, change, observed).await?;
        definitions::record(&self.store, instance, &listed).await?;
        Ok(None)
    }

    async fn listed(
        &self,
        instance: &Instance,
        on_machine: agentopia_domain::InstanceId,
    ) -> Result<Vec<Value>, String> {
        let asking = self.tools.tools(instance.environment_id, on_machine);
        tokio::time::timeout(ASKING, asking)
            .await
            .map_err(|_| "it gave no answer in time".to_owned())?
    }

    /// Which tools the new version lacks that links use. What serves says what there was; where it does not
    /// answer (an upgrade may be its cure), what links name counts.
    async fn missing(
        &self,
        instance: &Instance,
        offered: &BTreeSet<String>,
    ) -> anyhow::Result<Option<String>> {
        let filter = LinkFilter {
            instance_id: Some(instance.id),
            ..LinkFilter::default()
        };
        let page = PageRequest {
            limit: MAX_LIMIT,
            ..PageRequest::default()
        };
        let links = self.store.links();
        let links = links.list(instance.account_id, filter, page).await?.items;
        if links.iter().all(|link| !link.enabled) {
            return Ok(None);
        }
        let before = match self.listed(instance, instance.on_machine()).await {
            Ok(before) => names(&before),
            Err(_) => (links.iter())
                .filter_map(|link| link.policy.allowed_tools.as_ref())
                .flatten()
                .cloned()
                .collect(),
        };
        Ok(judge::refusal(&judge::needed(&links, &before), offered))
    }

    /// Writes down that the new one serves: from here on calls go there.
    async fn move_calls(
        &self,
        claim: Claim,
        instance: &Instance,
        change: &VersionChange,
        observed: ObservedInstance,
    ) -> anyhow::Result<()> {
        let digest = change.to.digest.clone();
        let versions = Versions {
            serving: instance.versions.spare(),
            digest: digest.or_else(|| observed.runtime.image_digest.clone()),
            kept: Some(Release {
                version: instance.version.clone(),
                digest: instance.versions.digest.clone(),
            }),
            change: Some(VersionChange {
                stage: Stage::Moved,
                ..change.clone()
            }),
            problem: None,
            counted: instance.versions.counted,
        };
        let event = told(
            instance,
            match change.kind {
                ChangeKind::Upgrade => "instance.upgraded",
                ChangeKind::Rollback => "instance.rolled_back",
            },
            format!(
                "{} runs {} now; {} is kept, stopped, for a roll-back.",
                instance.name, change.to.version, instance.version
            ),
            json!({
                "from": {"version": instance.version, "digest": instance.versions.digest},
                "to": {"version": change.to.version, "digest": versions.digest},
            }),
        );
        let patch = InstancePatch {
            running_version: Some(observed.running_version),
            runtime: Some(observed.runtime),
            progress: Some(None),
            error_message: Some(None),
            ..InstancePatch::default()
        };
        let version = Some(change.to.version.clone());
        self.step(claim, instance, versions, version, Some(patch), &[event])
            .await?;
        self.routes.ring();
        Ok(())
    }

    /// Writes down that the new one is given up. The old one never stopped serving, or is started again.
    async fn abandon(
        &self,
        claim: Claim,
        instance: &Instance,
        change: &VersionChange,
        reason: String,
    ) -> anyhow::Result<()> {
        let event = told(
            instance,
            match change.kind {
                ChangeKind::Upgrade => "instance.upgrade_failed",
                ChangeKind::Rollback => "instance.rollback_failed",
            },
            format!(
                "The {} of {} to {} was given up, {} serves on: {reason}",
                change.kind.word(),
                instance.name,
                change.to.version,
                instance.version
            ),
            json!({
                "from": {"version": instance.version, "digest": instance.versions.digest},
                "to": {"version": change.to.version, "digest": change.to.digest},
                "reason": reason,
            }),
        )
        .outcome(Outcome::Failed);
        tracing::info!(instance = %instance.id, reason, "a change of version was given up");
        let versions = Versions {
            problem: Some(reason.clone()),
            change: Some(VersionChange {
                stage: Stage::Abandoning { reason },
                ..change.clone()
            }),
            ..instance.versions.clone()
        };
        self.step(claim, instance, versions, None, None, &[event])
            .await
    }

    async fn step(
        &self,
        claim: Claim,
        instance: &Instance,
        versions: Versions,
        version: Option<String>,
        patch: Option<InstancePatch>,
        events: &[NewEvent],
    ) -> anyhow::Result<()> {
        let step = VersionStep {
            versions,
            version,
            told: true,
            patch: patch.unwrap_or_default(),
        };
        let instances = self.store.instances();
        let stepped = instances.step_version_unscoped(instance, Some(claim.token), step, events);
        match stepped.await {
            // The owner wants something else by now: looked at anew.
            Ok(_) | Err(StoreError::Stale { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down which image the version's tag was resolved to, once the machine says so: it stays this one.
    pub(in crate::reconcilers::instance) async fn pin(
        &self,
        claim: Claim,
        instance: Instance,
    ) -> anyhow::Result<Instance> {
        let known = &instance.versions.digest;
        let Some(digest) = &instance.runtime.image_digest else {
            return Ok(instance);
        };
        if known.is_some() || instance.running_version.as_ref() != Some(&instance.version) {
            return Ok(instance);
        }
        let step = VersionStep {
            versions: Versions {
                digest: Some(digest.clone()),
                ..instance.versions.clone()
            },
            version: None,
            told: false,
            patch: InstancePatch::default(),
        };
        let instances = self.store.instances();
        let pinned = instances.step_version_unscoped(&instance, Some(claim.token), step, &[]);
        match pinned.await {
            Ok(pinned) => Ok(pinned),
            Err(StoreError::Stale { .. }) => Ok(instance),
            Err(error) => Err(error.into()),
        }
    }

    async fn watch_spare(&self, seen: &Seen, observed: Option<ObservedInstance>) {
        let (Some(client), Some(known)) = (&seen.client, observed) else {
            return tokio::time::sleep(AGAIN).await;
        };
        let watching = async {
            let watched = client.watch(known.instance_id, known.generation, known.phase);
            if watched.await.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::select! {
            () = watching => {}
            () = tokio::time::sleep(LOOK) => {}
            () = self.intent_changed(&seen.instance) => {}
        }
    }

    /// Whether nothing is left of the second place of an instance that is removed; has it taken away otherwise.
    /// It goes first, as it may hold the volume.
    pub(in crate::reconcilers::instance) async fn second_is_gone(
        &self,
        seen: &Seen,
    ) -> anyhow::Result<bool> {
        use agentopia_domain::observed::Phase;
        use agentopia_domain::versions::Slot;
        let instance = &seen.instance;
        let Some(client) = &seen.client else {
            return Ok(true);
        };
        if instance.versions.counted == 0 {
            return Ok(true);
        }
        match client.put(&removal(instance, Slot::Second, false)).await {
            Ok(observed) => Ok(observed.phase == Phase::Removed),
            Err(error) => {
                tracing::info!(instance = %instance.id, %error, "its second place can't be emptied yet");
                Ok(false)
            }
        }
    }
}

fn names(tools: &[Value]) -> BTreeSet<String> {
    let name = |tool: &Value| tool["name"].as_str().map(str::to_owned);
    tools.iter().filter_map(name).collect()
}

fn told(instance: &Instance, kind: &'static str, message: String, data: Value) -> NewEvent {
    let object = (ObjectKind::Instance, instance.id.as_uuid());
    NewEvent::system(instance.account_id, kind, object, message).data(data)
}
