//! Rules: what is right, and how they are kept. They have no ids: one is found again by its value,
//! after `all`, `0` and the ports of ICMP have all become `0`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::state::ids::DropletId;

/// What stands for every port.
const ALL_PORTS: &str = "0";

/// Of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Icmp,
}

/// A rule as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct RuleDraft {
    pub(crate) protocol: Protocol,
    pub(crate) ports: Option<String>,
    pub(crate) target: TargetDraft,
}

/// From where or to where, as it is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct TargetDraft {
    pub(crate) addresses: Vec<String>,
    pub(crate) droplets: Vec<DropletId>,
    pub(crate) tags: Vec<String>,
    /// Whether it names load balancers or Kubernetes clusters, of which there are none here.
    pub(crate) names_others: bool,
}

/// A rule as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) protocol: Protocol,
    pub(crate) ports: String,
    pub(crate) target: RuleTarget,
}

/// From where or to where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RuleTarget {
    pub(crate) addresses: BTreeSet<String>,
    pub(crate) droplets: BTreeSet<DropletId>,
    pub(crate) tags: BTreeSet<String>,
}

/// Rules of both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) inbound: Vec<Rule>,
    pub(crate) outbound: Vec<Rule>,
}

impl Rules {
    pub(super) fn check(inbound: &[RuleDraft], outbound: &[RuleDraft]) -> Result<Self, Refusal> {
        let check = |drafts: &[RuleDraft]| drafts.iter().map(Rule::check).collect::<Result<_, _>>();
        Ok(Self {
            inbound: check(inbound)?,
            outbound: check(outbound)?,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.inbound.len() + self.outbound.len()
    }

    /// # Errors
    /// 409 for a rule that is there already.
    pub(super) fn add(&mut self, more: Self) -> Result<(), Refusal> {
        for (rules, more) in [
            (&mut self.inbound, more.inbound),
            (&mut self.outbound, more.outbound),
        ] {
            for rule in more {
                if rules.contains(&rule) {
                    return Err(Refusal::conflict("duplicate rule"));
                }
                rules.push(rule);
            }
        }
        Ok(())
    }

    /// # Errors
    /// 422 for a rule that is not there.
    pub(super) fn remove(&mut self, fewer: &Self) -> Result<(), Refusal> {
        for (rules, fewer) in [
            (&mut self.inbound, &fewer.inbound),
            (&mut self.outbound, &fewer.outbound),
        ] {
            for rule in fewer {
                let found = rules.iter().position(|own| own == rule);
                let index = found.ok_or_else(|| Refusal::unprocessable("rule does not exist"))?;
                rules.remove(index);
            }
        }
        Ok(())
    }
}

impl Rule {
    fn check(draft: &RuleDraft) -> Result<Self, Refusal> {
        Ok(Self {
            protocol: draft.protocol,
            ports: ports(draft.protocol, draft.ports.as_deref())?,
            target: RuleTarget::check(&draft.target)?,
        })
    }
}

impl RuleTarget {
    fn check(draft: &TargetDraft) -> Result<Self, Refusal> {
        if !draft.addresses.iter().all(|address| is_address(address)) {
            return Err(Refusal::unprocessable("invalid address"));
        }
        if draft.names_others {
            return Err(Refusal::unprocessable(
                "load balancer or kubernetes cluster does not exist",
            ));
        }
        if draft.addresses.is_empty() && draft.droplets.is_empty() && draft.tags.is_empty() {
            return Err(Refusal::unprocessable(
                "must have at least one source or destination",
            ));
        }
        Ok(Self {
            addresses: draft.addresses.iter().cloned().collect(),
            droplets: draft.droplets.iter().copied().collect(),
            tags: draft.tags.iter().cloned().collect(),
        })
    }
}

/// One port, a range, or all of them.
fn ports(protocol: Protocol, ports: Option<&str>) -> Result<String, Refusal> {
    let invalid = || Refusal::unprocessable("invalid ports");
    let port = |text: &str| {
        let right = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u16>().ok().filter(|number| *number > 0);
        number.filter(|_| right)
    };
    match (protocol, ports) {
        (Protocol::Icmp, _) | (_, Some("all" | "0")) => Ok(ALL_PORTS.to_owned()),
        (_, None) => Err(invalid()),
        (_, Some(text)) => match text.split_once('-') {
            None => port(text).map(|port| port.to_string()).ok_or_else(invalid),
            Some((low, high)) => match (port(low), port(high)) {
                (Some(1), Some(u16::MAX)) => Ok(ALL_PORTS.to_owned()),
                (Some(low), Some(high)) if low <= high => Ok(format!("{low}-{high}")),
                _ => Err(invalid()),
            },
        },
    }
}

/// An address, or a network in CIDR notation.
fn is_address(text: &str) -> bool {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_kept_as_they_are_read_back() {
        let kept = |protocol, text| ports(protocol, text).ok();
        let tcp = |text| kept(Protocol::Tcp, Some(text));
        assert_eq!(tcp("22").as_deref(), Some("22"));
        assert_eq!(tcp("8000-9000").as_deref(), Some("8000-9000"));
        for all in ["all", "0", "1-65535"] {
            assert_eq!(tcp(all).as_deref(), Some("0"));
        }
        assert_eq!(kept(Protocol::Icmp, Some("7")).as_deref(), Some("0"));
        assert_eq!(kept(Protocol::Icmp, None).as_deref(), Some("0"));
        for wrong in ["", "-1", "65536", "9-8", "+80", "http", "1-2-3"] {
            assert_eq!(tcp(wrong), None, "{wrong}");
        }
        assert_eq!(kept(Protocol::Udp, None), None);
    }

    #[test]
    fn addresses_are_told_from_nonsense() {
        for right in ["0.0.0.0/0", "::/0", "192.0.2.7", "2001:db8::/64"] {
            assert!(is_address(right), "{right}");
        }
        for wrong in ["", "0.0.0.0/33", "::/129", "example.org", "10.0.0.0/8/8"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
