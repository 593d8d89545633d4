//! The rules of a firewall, as sets: in which order they come back is not said anywhere.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Ports;
use crate::envelope::nullable;
use crate::ids::DropletId;
use crate::open_enum::open_enum;

/// What may go in and out. What no rule allows is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// To the droplets.
    #[serde(rename = "inbound_rules", default, deserialize_with = "nullable")]
    pub inbound: BTreeSet<InboundRule>,
    /// From the droplets.
    #[serde(rename = "outbound_rules", default, deserialize_with = "nullable")]
    pub outbound: BTreeSet<OutboundRule>,
}

/// A way to the droplets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InboundRule {
    /// Of which kind.
    pub protocol: Protocol,
    /// To which of their ports.
    #[serde(default)]
    pub ports: Ports,
    /// From where.
    #[serde(default)]
    pub sources: Targets,
}

/// A way from the droplets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutboundRule {
    /// Of which kind.
    pub protocol: Protocol,
    /// To which ports there.
    #[serde(default)]
    pub ports: Ports,
    /// Where to.
    #[serde(default)]
    pub destinations: Targets,
}

open_enum! {
    /// What a rule lets through.
    pub enum Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// ICMP, as a whole.
        Icmp = "icmp",
    }
}

/// Where a rule lets in from, or out to: any of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Targets {
    /// Addresses and networks, such as `0.0.0.0/0` and `::/0`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub addresses: BTreeSet<String>,
    /// Droplets.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub droplet_ids: BTreeSet<DropletId>,
    /// Load balancers.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub load_balancer_uids: BTreeSet<String>,
    /// Kubernetes clusters.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub kubernetes_ids: BTreeSet<String>,
    /// Droplets with these tags.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub tags: BTreeSet<String>,
}

impl Targets {
    /// Addresses and networks only.
    pub fn addresses(addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            addresses: addresses.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Everybody, by IPv4 and IPv6.
    #[must_use]
    pub fn anywhere() -> Self {
        Self::addresses(["0.0.0.0/0", "::/0"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_the_same_in_any_order_and_however_all_is_written() {
        let sent = Rules {
            inbound: [
                InboundRule {
                    protocol: Protocol::Tcp,
                    ports: Ports::one(30_000),
                    sources: Targets::addresses(["203.0.113.7"]),
                },
                InboundRule {
                    protocol: Protocol::Icmp,
                    ports: Ports::All,
                    sources: Targets::anywhere(),
                },
            ]
            .into(),
            outbound: [OutboundRule {
                protocol: Protocol::Tcp,
                ports: Ports::All,
                destinations: Targets::anywhere(),
            }]
            .into(),
        };
        let read: Rules = serde_json::from_str(
            r#"{"inbound_rules":[
                  {"protocol":"icmp","sources":{"addresses":["::/0","0.0.0.0/0"],"tags":null}},
                  {"protocol":"tcp","ports":"30000","sources":{"addresses":["203.0.113.7"]}}],
                "outbound_rules":[
                  {"protocol":"tcp","ports":"all","destinations":{"addresses":["0.0.0.0/0","::/0"]}}]}"#,
        )
        .unwrap();
        assert_eq!(read, sent);
        let again: Rules = serde_json::from_str(&serde_json::to_string(&sent).unwrap()).unwrap();
        assert_eq!(again, sent);
    }

    #[test]
    fn a_firewall_that_never_had_rules_has_none() {
        let read: Rules =
            serde_json::from_str(r#"{"inbound_rules":null,"outbound_rules":null}"#).unwrap();
        assert_eq!(read, Rules::default());
    }
}
