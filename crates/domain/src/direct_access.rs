//! Ports of tools that are reached directly, past the gateway (TOOL-11).
//!
//! A catalog entry *declares* the port ([`DirectPort`]); the owner of an instance *grants* access to
//! it from networks that he names ([`DirectAccess`]); while the instance is active its machine's
//! firewall has a way in for it ([`OpenPort`]). Nobody is let in who was not named: there is no
//! default, and everybody has to be written as `0.0.0.0/0` and `::/0`.

mod sources;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use sources::{MOST_SOURCES, Sources, SourcesProblem, range};

/// The most rules that the firewall of one machine can have (DigitalOcean's documentation,
/// "Firewall Limits": 50 in and out together; ours has none out).
pub const MOST_RULES: usize = 50;

/// What a port speaks.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PortProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl PortProtocol {
    /// As Docker, iptables and DigitalOcean all write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The port of a tool that has to be reached directly, as its catalog entry declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectPort {
    /// The port inside the container.
    #[schema(minimum = 1)]
    pub port: u16,
    /// What it speaks; TCP unless given.
    #[serde(default = "tcp")]
    pub protocols: BTreeSet<PortProtocol>,
    /// What it is for and who needs to reach it, for the people who are asked from where.
    #[serde(default)]
    pub purpose: String,
}

fn tcp() -> BTreeSet<PortProtocol> {
    BTreeSet::from([PortProtocol::Tcp])
}

/// What the owner of an instance granted, with the port as its catalog entry declared it then: an
/// entry that declares another port later opens nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectAccess {
    /// The port inside the container.
    pub port: u16,
    /// What it speaks; never empty.
    pub protocols: BTreeSet<PortProtocol>,
    /// From where it may be reached.
    pub sources: Sources,
}

impl DirectAccess {
    /// Whether a container that publishes `self` publishes `other` as well. From where it may be
    /// reached is the firewall's matter.
    #[must_use]
    pub fn publishes_same(&self, other: &Self) -> bool {
        self.port == other.port && self.protocols == other.protocols
    }

    /// The ways that it needs into a machine where it has the port `port`.
    pub fn on(&self, port: u16) -> impl Iterator<Item = OpenPort> {
        self.protocols.iter().map(move |protocol| OpenPort {
            port,
            protocol: *protocol,
            sources: self.sources.clone(),
        })
    }
}

/// One way into a machine: one rule of its firewall.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpenPort {
    /// The port of the machine.
    pub port: u16,
    /// What it speaks.
    pub protocol: PortProtocol,
    /// From where it may be reached.
    pub sources: Sources,
}

/// What is known of the firewall that a machine has of its own, at its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum FirewallRecord {
    /// It is being written, or that failed: what it lets in may be what was before or what is to be.
    Unsure {
        /// Why it could not be written the last time, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
        /// When that was.
        at: DateTime<Utc>,
    },
    /// It lets exactly this in.
    Written {
        /// The provider's id of the machine that it holds for.
        machine_id: Option<String>,
        /// What it lets in.
        ports: BTreeSet<OpenPort>,
        /// When the provider was last seen to have it so.
        at: DateTime<Utc>,
    },
}

impl FirewallRecord {
    /// What is known to be let in to this machine.
    #[must_use]
    pub fn ports_of(&self, machine: Option<&str>) -> Option<&BTreeSet<OpenPort>> {
        match self {
            Self::Written { machine_id, .. } if machine_id.as_deref() != machine => None,
            _ => self.ports(),
        }
    }

    /// What is known to be let in, be it to the machine that there is now or to the one before.
    #[must_use]
    pub fn ports(&self) -> Option<&BTreeSet<OpenPort>> {
        match self {
            Self::Written { ports, .. } => Some(ports),
            Self::Unsure { .. } => None,
        }
    }
}

/// The firewall of the machine has no room for another tool's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a machine's firewall has room for {MOST_RULES} rules, and its tools with directly reachable \
     ports would need {needed}; remove one of them first"
)]
pub struct TooManyRules {
    /// How many there would be.
    pub needed: usize,
}

/// Whether the firewall of a machine with the grants `present` has room for `new`.
///
/// # Errors
/// [`TooManyRules`].
pub fn admit<'a>(
    present: impl IntoIterator<Item = &'a DirectAccess>,
    new: &DirectAccess,
) -> Result<(), TooManyRules> {
    let rules = |access: &DirectAccess| access.protocols.len();
    let needed = present.into_iter().map(rules).sum::<usize>() + rules(new);
    if needed > MOST_RULES {
        return Err(TooManyRules { needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(protocols: &[PortProtocol]) -> DirectAccess {
        DirectAccess {
            port: 8080,
            protocols: protocols.iter().copied().collect(),
            sources: Sources::parse(["203.0.113.0/24"]).unwrap(),
        }
    }

    #[test]
    fn a_port_speaks_tcp_unless_it_says_otherwise() {
        let port: DirectPort = serde_json::from_str(r#"{"port": 53}"#).unwrap();
        assert_eq!(port.protocols, tcp());
        let both = r#"{"port": 53, "protocols": ["udp", "tcp"], "purpose": "DNS"}"#;
        let port: DirectPort = serde_json::from_str(both).unwrap();
        assert_eq!(port.protocols.len(), 2);
    }

    #[test]
    fn every_protocol_is_a_rule_and_fifty_are_the_most() {
        let both = access(&[PortProtocol::Tcp, PortProtocol::Udp]);
        assert_eq!(both.on(30_100).count(), 2);
        let present = vec![both.clone(); 24];
        assert_eq!(admit(&present, &both), Ok(()));
        let full = vec![both.clone(); 25];
        let refused = admit(&full, &access(&[PortProtocol::Tcp])).unwrap_err();
        assert_eq!(refused.needed, 51);
        assert!(refused.to_string().contains("remove one"), "{refused}");
    }

    #[test]
    fn what_was_open_on_another_machine_is_not_open_on_this_one() {
        let ports: BTreeSet<OpenPort> = access(&[PortProtocol::Tcp]).on(30_100).collect();
        let written = FirewallRecord::Written {
            machine_id: Some("1".to_owned()),
            ports: ports.clone(),
            at: DateTime::UNIX_EPOCH,
        };
        assert_eq!(written.ports_of(Some("1")), Some(&ports));
        assert_eq!(written.ports_of(Some("2")), None);
        assert_eq!(written.ports_of(None), None);
        let unsure = FirewallRecord::Unsure {
            problem: None,
            at: DateTime::UNIX_EPOCH,
        };
        assert_eq!(unsure.ports_of(Some("1")), None);
    }

    #[test]
    fn other_sources_are_no_other_publication() {
        let tcp = access(&[PortProtocol::Tcp]);
        let elsewhere = DirectAccess {
            sources: Sources::parse(["0.0.0.0/0"]).unwrap(),
            ..tcp.clone()
        };
        assert!(tcp.publishes_same(&elsewhere));
        assert!(!tcp.publishes_same(&access(&[PortProtocol::Udp])));
        let port = DirectAccess {
            port: 1,
            ..tcp.clone()
        };
        assert!(!tcp.publishes_same(&port));
    }
}
