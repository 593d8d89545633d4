//! The firewall that one machine has of its own, for tools that are reached directly (TOOL-11).
//!
//! Firewalls add up, so it has those tools' rules and nothing else, and it holds for that one
//! droplet: a rule on the common firewall would open every machine. What DigitalOcean has is read,
//! compared and replaced as a whole, so whatever somebody changed by hand is put right, and a call
//! that was cut off is repeated without harm. A rule that goes does not end the connections that
//! came through it; the machine itself does (`dtma`, `runtime/docker/firewall`).

use std::collections::BTreeSet;

use agentopia_cloud::{ProviderError, Sought};
use agentopia_domain::direct_access::{OpenPort, PortProtocol, Sources};

use super::DigitalOceanProvider;
use super::trouble::{trouble, unfit};
use crate::firewalls::{
    Firewall, FirewallSpec, FirewallStatus, InboundRule, Ports, Protocol, Rules, Targets,
};
use crate::{DropletId, Error, FirewallName, Reason};

impl DigitalOceanProvider {
    pub(super) async fn let_in(
        &self,
        sought: Sought<'_>,
        ports: &BTreeSet<OpenPort>,
    ) -> Result<(), ProviderError> {
        let environment = sought.environment;
        if ports.is_empty() {
            return self.remove_firewalls(environment).await;
        }
        let Some(droplet) = sought.known.and_then(|known| known.parse().ok()) else {
            return Err(ProviderError::Retryable(
                "there is no droplet yet that a firewall could be for".to_owned(),
            ));
        };
        let name = self.naming.machine_firewall(environment).map_err(unfit)?;
        let spec = firewall(name, DropletId(droplet), ports);
        let firewalls = self.api.firewalls();
        let written = match self.firewall_called(&spec.name).await? {
            Some(found) if is_as_wished(&spec, &found) => return Ok(()),
            Some(found) => firewalls.replace(&found.id, &spec).await,
            None => match firewalls.create(&spec).await {
                // It was made by a call of ours whose answer was lost, or that was another replica's.
                Err(error) if error.reason() == Some(&Reason::NameInUse) => {
                    match self.firewall_called(&spec.name).await? {
                        Some(found) => firewalls.replace(&found.id, &spec).await,
                        None => return Err(ProviderError::Retryable(error.to_string())),
                    }
                }
                made => made,
            },
        };
        match written {
            Ok(_) => Ok(()),
            // Somebody took it away in between; it is made anew.
            Err(error @ Error::Final(_)) if error.is_not_found() => {
                Err(ProviderError::Retryable(error.to_string()))
            }
            Err(error) => Err(trouble(error)),
        }
    }

    async fn firewall_called(
        &self,
        name: &FirewallName,
    ) -> Result<Option<Firewall>, ProviderError> {
        let all = self.api.firewalls().list().all().await.map_err(trouble)?;
        Ok(all.into_iter().find(|each| each.name == name.as_str()))
    }
}

/// One that DigitalOcean could not put in force is sent again.
fn is_as_wished(spec: &FirewallSpec, found: &Firewall) -> bool {
    spec.is_met_by(found) && found.status != Some(FirewallStatus::Failed)
}

fn firewall(name: FirewallName, droplet: DropletId, ports: &BTreeSet<OpenPort>) -> FirewallSpec {
    let rule = |open: &OpenPort| InboundRule {
        protocol: match open.protocol {
            PortProtocol::Tcp => Protocol::Tcp,
            PortProtocol::Udp => Protocol::Udp,
        },
        ports: Ports::one(open.port),
        sources: Targets::addresses(addresses(&open.sources)),
    };
    FirewallSpec {
        name,
        rules: Rules {
            inbound: ports.iter().map(rule).collect(),
            outbound: BTreeSet::new(),
        },
        droplet_ids: BTreeSet::from([droplet]),
        tags: BTreeSet::new(),
    }
}

/// A single address is written as one, as DigitalOcean's own examples do.
fn addresses(sources: &Sources) -> impl Iterator<Item = String> {
    sources.iter().map(|network| {
        if network.prefix_len() == network.max_prefix_len() {
            network.addr().to_string()
        } else {
            network.to_string()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_rule_and_a_single_address_has_no_length() {
        let open = |port, protocol, sources: &[&str]| OpenPort {
            port,
            protocol,
            sources: Sources::parse(sources).unwrap(),
        };
        let ports = BTreeSet::from([
            open(30_100, PortProtocol::Tcp, &["203.0.113.7", "10.0.0.0/8"]),
            open(
                30_100,
                PortProtocol::Udp,
                &["0.0.0.0/0", "::/0", "2001:db8::1"],
            ),
        ]);
        let name = FirewallName::parse("env-1").unwrap();
        let spec = firewall(name, DropletId(7), &ports);
        let sent = serde_json::to_value(&spec).unwrap();
        assert_eq!(
            sent,
            serde_json::json!({
                "name": "env-1", "droplet_ids": [7], "tags": [], "outbound_rules": [],
                "inbound_rules": [
                    {"protocol": "tcp", "ports": "30100",
                     "sources": {"addresses": ["10.0.0.0/8", "203.0.113.7"]}},
                    {"protocol": "udp", "ports": "30100",
                     "sources": {"addresses": ["0.0.0.0/0", "2001:db8::1", "::/0"]}},
                ],
            })
        );
    }
}
