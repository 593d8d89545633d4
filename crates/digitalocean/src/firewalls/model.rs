//! A firewall, as it is wished for and as it is.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Rules;
use crate::envelope::{Resource, nullable};
use crate::ids::{DropletId, FirewallId};
use crate::input::{FirewallName, InputError, TagName};
use crate::open_enum::open_enum;

/// The most that one firewall can hold (DigitalOcean's documentation, "Firewall Limits").
const MAX_RULES: usize = 50;
const MAX_DROPLETS: usize = 10;
const MAX_TAGS: usize = 5;

/// The wish for a firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirewallSpec {
    /// Its name, unique in the account.
    pub name: FirewallName,
    /// What may go in and out.
    #[serde(flatten)]
    pub rules: Rules,
    /// The droplets that it holds for, besides those with its tags.
    pub droplet_ids: BTreeSet<DropletId>,
    /// The tags of the droplets that it holds for.
    pub tags: BTreeSet<TagName>,
}

impl FirewallSpec {
    /// Whether a firewall can hold so much. The create and replace calls ask this.
    ///
    /// # Errors
    /// [`InputError::FirewallTooLarge`] for more than 50 rules, 10 droplets or 5 tags.
    pub fn check(&self) -> Result<(), InputError> {
        let rules = self.rules.inbound.len() + self.rules.outbound.len();
        for (what, given, limit) in [
            ("rules", rules, MAX_RULES),
            ("droplets", self.droplet_ids.len(), MAX_DROPLETS),
            ("tags", self.tags.len(), MAX_TAGS),
        ] {
            if given > limit {
                return Err(InputError::FirewallTooLarge { what, given, limit });
            }
        }
        Ok(())
    }

    /// Whether a firewall is as wished for. Order, the ways to write "all ports", and the case of
    /// tags make no difference.
    #[must_use]
    pub fn is_met_by(&self, firewall: &Firewall) -> bool {
        let wished = self
            .tags
            .iter()
            .map(|tag| tag.as_str().to_ascii_lowercase());
        let found = firewall.tags.iter().map(|tag| tag.to_ascii_lowercase());
        firewall.name == self.name.as_str()
            && firewall.rules == self.rules
            && firewall.droplet_ids == self.droplet_ids
            && wished.collect::<BTreeSet<_>>() == found.collect()
    }
}

/// A firewall.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Firewall {
    /// Its id.
    pub id: FirewallId,
    /// Its name.
    pub name: String,
    /// Whether it holds everywhere by now.
    #[serde(default)]
    pub status: Option<FirewallStatus>,
    /// Where it does not hold yet.
    #[serde(default, deserialize_with = "nullable")]
    pub pending_changes: Vec<PendingChange>,
    /// What may go in and out.
    #[serde(flatten)]
    pub rules: Rules,
    /// The droplets that it holds for, besides those with its tags.
    #[serde(default, deserialize_with = "nullable")]
    pub droplet_ids: BTreeSet<DropletId>,
    /// The tags of the droplets that it holds for.
    #[serde(default, deserialize_with = "nullable")]
    pub tags: BTreeSet<String>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
}

impl Firewall {
    /// Whether it holds for a droplet that it was given, as far as that droplet is concerned.
    #[must_use]
    pub fn is_in_force_for(&self, droplet: DropletId) -> bool {
        let pending = |change: &PendingChange| change.droplet_id == Some(droplet);
        !self.pending_changes.iter().any(pending) && self.status != Some(FirewallStatus::Failed)
    }
}

open_enum! {
    /// Whether a firewall holds.
    pub enum FirewallStatus {
        /// Not everywhere yet.
        Waiting = "waiting",
        /// Everywhere.
        Succeeded = "succeeded",
        /// It could not be put in force.
        Failed = "failed",
    }
}

/// A droplet where a firewall does not hold yet, or still holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PendingChange {
    /// Which.
    #[serde(default)]
    pub droplet_id: Option<DropletId>,
    /// Whether it is to hold no longer.
    #[serde(default)]
    pub removing: bool,
    /// How far that is.
    #[serde(default)]
    pub status: Option<FirewallStatus>,
}

impl Resource for Firewall {
    const ONE: &'static str = "firewall";
    const MANY: &'static str = "firewalls";
}

#[cfg(test)]
mod tests {
    use super::super::{InboundRule, Ports, Protocol, Targets};
    use super::*;

    fn spec() -> FirewallSpec {
        FirewallSpec {
            name: FirewallName::parse("env-1").unwrap(),
            rules: Rules {
                inbound: (1..=3)
                    .map(|port| InboundRule {
                        protocol: Protocol::Tcp,
                        ports: Ports::one(port),
                        sources: Targets::anywhere(),
                    })
                    .collect(),
                outbound: BTreeSet::new(),
            },
            droplet_ids: [DropletId(1)].into(),
            tags: [TagName::parse("Base").unwrap()].into(),
        }
    }

    fn read_back() -> Firewall {
        serde_json::from_str(
            r#"{"id":"f","name":"env-1","status":"waiting","tags":["base"],"droplet_ids":[1],
                "pending_changes":[{"droplet_id":1,"removing":false,"status":"waiting"}],
                "inbound_rules":[
                  {"protocol":"tcp","ports":"3","sources":{"addresses":["0.0.0.0/0","::/0"]}},
                  {"protocol":"tcp","ports":"1","sources":{"addresses":["::/0","0.0.0.0/0"]}},
                  {"protocol":"tcp","ports":"2","sources":{"addresses":["0.0.0.0/0","::/0"]}}],
                "outbound_rules":null,"created_at":"2026-01-02T03:04:05Z"}"#,
        )
        .unwrap()
    }

    #[test]
    fn what_was_sent_is_met_by_what_is_read_back() {
        assert!(spec().is_met_by(&read_back()));
        let mut opened = read_back();
        opened.rules.inbound.pop_first();
        assert!(!spec().is_met_by(&opened));
        let mut untagged = read_back();
        untagged.tags.clear();
        assert!(!spec().is_met_by(&untagged));
        let mut emptied = read_back();
        emptied.droplet_ids.clear();
        assert!(!spec().is_met_by(&emptied));
    }

    #[test]
    fn a_pending_change_is_not_in_force() {
        let firewall = read_back();
        assert!(!firewall.is_in_force_for(DropletId(1)));
        assert!(firewall.is_in_force_for(DropletId(2)));
    }

    #[test]
    fn more_than_a_firewall_holds_is_refused() {
        let mut large = spec();
        assert_eq!(large.check(), Ok(()));
        large.droplet_ids = (1..=11).map(DropletId).collect();
        assert!(matches!(
            large.check(),
            Err(InputError::FirewallTooLarge {
                what: "droplets",
                given: 11,
                limit: 10
            })
        ));
        let mut large = spec();
        large.tags = (1..=6)
            .map(|n| TagName::parse(format!("t{n}")).unwrap())
            .collect();
        assert!(matches!(
            large.check(),
            Err(InputError::FirewallTooLarge { what: "tags", .. })
        ));
        let mut large = spec();
        large.rules.inbound = (1..=51)
            .map(|port| InboundRule {
                protocol: Protocol::Udp,
                ports: Ports::one(port),
                sources: Targets::anywhere(),
            })
            .collect();
        assert!(matches!(
            large.check(),
            Err(InputError::FirewallTooLarge { what: "rules", .. })
        ));
    }
}
