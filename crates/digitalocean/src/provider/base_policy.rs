//! The firewall that holds for every droplet of the installation, by tag (SEC-6).
//!
//! It is there before the first droplet, so that none is ever open. Rules of a firewall that holds
//! by tag open all droplets with that tag, so nothing that is for one droplet belongs here.

use std::collections::BTreeSet;

use agentopia_cloud::ProviderError;

use super::settings::ProviderSettings;
use super::trouble::trouble;
use super::{DigitalOceanProvider, naming::Naming};
use crate::firewalls::{FirewallSpec, InboundRule, OutboundRule, Ports, Protocol, Rules, Targets};
use crate::{Error, Reason};

const SSH: u16 = 22;

impl DigitalOceanProvider {
    /// Makes sure that the firewall is there and as it should be.
    pub(super) async fn ensure_base_policy(&self) -> Result<(), ProviderError> {
        // One at a time: two that find it missing would both make it.
        let _alone = self.policy.lock().await;
        let spec = base_policy(&self.settings, &self.naming);
        let all = self.api.firewalls().list().all().await.map_err(trouble)?;
        let found = all.iter().find(|each| each.name == spec.name.as_str());
        if found.is_some_and(|found| spec.is_met_by(found)) {
            return Ok(());
        }
        // A firewall can only name a tag that exists.
        let tag = &self.naming.installation_tag;
        match self.api.tags().create(tag).await {
            Ok(_) => {}
            Err(error) => {
                if self.api.tags().get(tag).await.map_err(trouble)?.is_none() {
                    return Err(trouble(error));
                }
            }
        }
        let firewalls = self.api.firewalls();
        let made = match found {
            Some(found) => firewalls.replace(&found.id, &spec).await,
            None => firewalls.create(&spec).await,
        };
        match made {
            Ok(_) => Ok(()),
            Err(error @ Error::Final(_)) if error.reason() == Some(&Reason::NameInUse) => {
                // Another replica was faster; the next attempt finds what it made.
                Err(ProviderError::Retryable(error.to_string()))
            }
            Err(error) => Err(trouble(error)),
        }
    }
}

pub(super) fn base_policy(settings: &ProviderSettings, naming: &Naming) -> FirewallSpec {
    let tcp = |port, ranges: &[String]| InboundRule {
        protocol: Protocol::Tcp,
        ports: Ports::one(port),
        sources: Targets::addresses(ranges.iter().cloned()),
    };
    let mut inbound = BTreeSet::from([tcp(settings.dtma_port, &settings.control_plane_ranges)]);
    if !settings.admin_ranges.is_empty() {
        inbound.insert(tcp(SSH, &settings.admin_ranges));
    }
    if settings.icmp {
        inbound.insert(InboundRule {
            protocol: Protocol::Icmp,
            ports: Ports::All,
            sources: Targets::anywhere(),
        });
    }
    let out = |protocol| OutboundRule {
        protocol,
        ports: Ports::All,
        destinations: Targets::anywhere(),
    };
    FirewallSpec {
        name: naming.base_firewall.clone(),
        rules: Rules {
            inbound,
            outbound: [Protocol::Tcp, Protocol::Udp, Protocol::Icmp]
                .map(out)
                .into(),
        },
        droplet_ids: BTreeSet::new(),
        tags: BTreeSet::from([naming.installation_tag.clone()]),
    }
}
