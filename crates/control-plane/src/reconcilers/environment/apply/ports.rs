//! Keeps the machine's own firewall at what its tools need (TOOL-11); see [`super::super::ports`].
//!
//! That it is being written is written down first. Whoever comes after a crash then knows that what
//! the provider has is one of two things, and writes it again.

use std::collections::BTreeSet;
use std::time::Duration;

use agentopia_domain::direct_access::{FirewallRecord, OpenPort};
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::event::Outcome;
use agentopia_store::{Claim, EnvironmentPatch};

use super::look::Seen;
use super::trouble::without_request;
use super::{EnvironmentReconciler, sought};
use crate::reconcilers::environment::ports::{Act, RETRY, decide, describe, wanted};

impl EnvironmentReconciler {
    /// Writes the firewall if it has to be; when to look again, `idle` unless there is trouble. A
    /// firewall that can't be written is no reason to do anything about the environment.
    pub(super) async fn tend_ports(
        &self,
        claim: Claim,
        seen: &Seen,
        idle: Duration,
    ) -> anyhow::Result<Duration> {
        let environment = &seen.environment;
        let serves = matches!(
            environment.status,
            EnvironmentStatus::Active | EnvironmentStatus::Unresponsive
        );
        if !serves || seen.machine.is_none() {
            return Ok(idle);
        }
        let record = environment.firewall.as_ref();
        let before = record.and_then(FirewallRecord::ports);
        let instances = seen.instances.iter().map(|report| &report.instance);
        let ports = wanted(instances, before);
        let machine = environment.machine_id.as_deref();
        match decide(record, ports, machine, self.ambient.now()) {
            Act::Rest => Ok(idle),
            Act::Write(ports) => self.write_ports(claim, seen, ports, idle).await,
        }
    }

    async fn write_ports(
        &self,
        claim: Claim,
        seen: &Seen,
        ports: BTreeSet<OpenPort>,
        idle: Duration,
    ) -> anyhow::Result<Duration> {
        let environment = &seen.environment;
        let record = environment.firewall.as_ref();
        let problem_before = match record {
            Some(FirewallRecord::Unsure { problem, .. }) => problem.as_deref(),
            _ => None,
        };
        let at = self.ambient.now();
        if !matches!(record, Some(FirewallRecord::Unsure { .. })) {
            let being_written = FirewallRecord::Unsure { problem: None, at };
            self.update(claim, with(being_written), &[]).await?;
        }
        let written = self.provider.open_ports(sought(environment), &ports).await;
        if let Err(error) = written {
            let message = error.to_string();
            tracing::warn!(environment = %environment.id, message, "the firewall could not be written");
            let known = problem_before
                .is_some_and(|before| without_request(before) == without_request(&message));
            let events = (!known).then(|| {
                let text =
                    format!("Who reaches the ports of tools could not be changed: {message}");
                let event = self.event(environment, "environment.ports_failed", &text);
                event.outcome(Outcome::Failed)
            });
            let failed = FirewallRecord::Unsure {
                problem: Some(message),
                at,
            };
            self.update(claim, with(failed), events.as_slice()).await?;
            return Ok(idle.min(RETRY));
        }
        let is_news = record.and_then(FirewallRecord::ports) != Some(&ports);
        let events = is_news
            .then(|| self.event(environment, "environment.ports_changed", &describe(&ports)));
        let record = FirewallRecord::Written {
            machine_id: environment.machine_id.clone(),
            ports,
            at,
        };
        self.update(claim, with(record), events.as_slice()).await?;
        Ok(idle)
    }
}

fn with(record: FirewallRecord) -> EnvironmentPatch {
    EnvironmentPatch {
        firewall: Some(Some(record)),
        ..EnvironmentPatch::default()
    }
}
