//! A machine's making and its end, asked of the provider.

use agentopia_cloud::{Bootstrap, Deletion, MachineRequest, Sought};
use agentopia_domain::environment::{Environment, EnvironmentEvent, Notice};
use agentopia_domain::event::Outcome;
use agentopia_domain::observed::ObservedInstance;
use agentopia_domain::token::{self, TokenKind};
use agentopia_store::{Claim, EnvironmentPatch};

use super::look::Seen;
use super::trouble::without_request;
use super::{DELETION_POLL, EnvironmentReconciler, sought};
use crate::machines::credentials::Issuer;
use crate::reconcilers::instance::render::wind_down;
use crate::reconcilers::queue::Next;

impl EnvironmentReconciler {
    /// Has a machine made, and writes it down.
    pub(super) async fn create(&self, claim: Claim, seen: &Seen) -> anyhow::Result<Option<Next>> {
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
        // Without the time at which it was made: with that, the next look writes down that all is done
        // that a new machine needs.
        let patch = EnvironmentPatch {
            machine_id: Some(Some(machine.id)),
            ip_address: Some(machine.address),
            monthly_price_cents: Some(machine.monthly_price_cents),
            machine_disk_bytes: Some(machine.disk_bytes),
            error_message: Some(None),
            last_heartbeat_at: Some(None),
            ..EnvironmentPatch::default()
        };
        let event = self.event(
            &seen.environment,
            "environment.machine_created",
            "The provider made a machine; its management agent is expected to enrol.",
        );
        let environments = self.store.environments();
        environments
            .record_machine_unscoped(
                seen.environment.id,
                Some(claim.token),
                None,
                patch,
                &[event],
            )
            .await?;
        Ok(None)
    }

    /// Puts the machine where people look for it, and writes down for them if that can't be done.
    pub(super) async fn file(
        &self,
        claim: Claim,
        environment: &Environment,
        machine: Sought<'_>,
    ) -> anyhow::Result<()> {
        let notice = match self.provider.file(machine).await {
            Ok(()) => None,
            Err(error) => Some(Notice {
                text: error.to_string(),
                seen_at: self.ambient.now(),
            }),
        };
        let text = |notice: &Option<Notice>| notice.as_ref().map(|it| without_request(&it.text));
        let events = match &notice {
            _ if text(&notice) == text(&environment.notice) => Vec::new(),
            Some(notice) => {
                let event = self.event(environment, "environment.notice", &notice.text);
                vec![event.outcome(Outcome::Failed)]
            }
            None => {
                let over = "What was not as it was wanted is put right.";
                vec![self.event(environment, "environment.notice", over)]
            }
        };
        if notice.is_none() && environment.notice.is_none() {
            return Ok(());
        }
        let patch = EnvironmentPatch {
            notice: Some(notice),
            ..EnvironmentPatch::default()
        };
        self.update(claim, patch, &events).await
    }

    pub(super) async fn rebootstrap(&self, environment: &Environment) -> anyhow::Result<bool> {
        if !self.provider.can_rebootstrap() {
            return Ok(false);
        }
        let request = self.request(environment).await?;
        Ok(self.provider.rebootstrap(&request).await?)
    }

    /// Takes a machine away that can't serve, with its credentials. As long as it has none it is
    /// looked at as one that never enrolled, so this is repeated until it is gone.
    pub(super) async fn clear_away(&self, environment: &Environment) -> anyhow::Result<Deletion> {
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
    pub(super) async fn wind_down(&self, seen: &Seen) {
        let Ok(client) = self.machines.machine(&seen.environment).await else {
            return;
        };
        let ends = seen.instances.iter().flat_map(|report| {
            let instance = &report.instance;
            wind_down(report)
                .into_iter()
                .map(move |spec| (instance, spec))
        });
        for (instance, spec) in ends {
            match client.put(&spec).await {
                Ok(_) if spec.instance_id != instance.on_machine() => {}
                Ok(observed) => {
                    let observed = ObservedInstance {
                        instance_id: instance.id,
                        ..observed
                    };
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

    pub(super) async fn delete(&self, claim: Claim, seen: &Seen) -> anyhow::Result<Option<Next>> {
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
    pub(super) async fn undo(&self, claim: Claim, seen: &Seen) -> anyhow::Result<Option<Next>> {
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
}
