//! Whether the firewall that holds for all machines is as it should be. Pure.

use agentopia_domain::verification::Check;

use super::judge::unread;
use super::read::Read;
use crate::droplets::Droplet;
use crate::firewalls::{Firewall, FirewallSpec, FirewallStatus, InboundRule};
use crate::provider::naming::Naming;

const NAME: &str = "provider.firewall";

pub(super) fn check(
    spec: &FirewallSpec,
    naming: &Naming,
    firewalls: &Read<Vec<Firewall>>,
    droplets: &Read<Vec<Droplet>>,
) -> Check {
    let all = match firewalls {
        Ok(all) => all,
        Err(why) => return unread(NAME, why),
    };
    let name = spec.name.as_str();
    let Some(found) = all.iter().find(|each| each.name == name) else {
        return missing(name, naming, droplets);
    };
    if !spec.is_met_by(found) {
        return Check::failed(
            NAME,
            format!(
                "somebody changed the firewall {name}: it {}; take that back in the control panel \
                 (Networking, Firewalls), and change the settings of the control plane instead",
                differences(spec, found).join(", ")
            ),
        );
    }
    match &found.status {
        Some(FirewallStatus::Failed) => Check::failed(
            NAME,
            format!(
                "DigitalOcean could not put the firewall {name} in force everywhere; look at it in \
                 the control panel (Networking, Firewalls), and ask DigitalOcean's support"
            ),
        ),
        Some(FirewallStatus::Waiting) if !found.pending_changes.is_empty() => Check::warning(
            NAME,
            format!("the firewall {name} is not yet in force everywhere; verify again in a minute"),
        ),
        _ => Check::ok(NAME, format!("the firewall {name} is as it should be")),
    }
}

/// It is made before the first machine; without machines it need not be there.
fn missing(name: &str, naming: &Naming, droplets: &Read<Vec<Droplet>>) -> Check {
    let droplets = match droplets {
        Ok(droplets) => droplets,
        Err(why) => return unread(NAME, why),
    };
    let tag = &naming.installation_tag;
    let ours = |droplet: &&Droplet| droplet.tags.iter().any(|each| tag.is(each));
    let count = droplets.iter().filter(ours).count();
    if count == 0 {
        return Check::ok(
            NAME,
            format!("there is no droplet yet; the firewall {name} is made before the first one"),
        );
    }
    Check::failed(
        NAME,
        format!(
            "the firewall {name} is gone, and {count} droplets are open to everybody: make a \
             firewall of that name for the tag {tag} in the control panel (Networking, Firewalls), \
             or enable another environment, which makes it again"
        ),
    )
}

/// What a firewall lets through or leaves out against what it should, as predicates of it.
fn differences(spec: &FirewallSpec, found: &Firewall) -> Vec<String> {
    let mut said = Vec::new();
    for rule in found.rules.inbound.difference(&spec.rules.inbound) {
        said.push(format!("lets in {}", inbound(rule)));
    }
    for rule in spec.rules.inbound.difference(&found.rules.inbound) {
        said.push(format!("no longer lets in {}", inbound(rule)));
    }
    if found.rules.outbound != spec.rules.outbound {
        said.push("has other rules for what goes out".to_owned());
    }
    let holds = |tag: &str| found.tags.iter().any(|each| each.eq_ignore_ascii_case(tag));
    for tag in spec.tags.iter().filter(|tag| !holds(tag.as_str())) {
        said.push(format!("no longer holds for the tag {tag}"));
    }
    let meant = |tag: &&String| spec.tags.iter().any(|each| each.is(tag));
    for tag in found.tags.iter().filter(|tag| !meant(tag)) {
        said.push(format!("holds for the tag {tag} too"));
    }
    if found.droplet_ids != spec.droplet_ids {
        said.push("holds for single droplets too".to_owned());
    }
    said
}

fn inbound(rule: &InboundRule) -> String {
    let sources = &rule.sources;
    let mut from: Vec<String> = sources.addresses.iter().cloned().collect();
    from.extend(sources.tags.iter().map(|tag| format!("the tag {tag}")));
    let others = [
        (sources.droplet_ids.len(), "droplets"),
        (sources.load_balancer_uids.len(), "load balancers"),
        (sources.kubernetes_ids.len(), "Kubernetes clusters"),
    ];
    let some = others.iter().filter(|(count, _)| *count > 0);
    from.extend(some.map(|(count, what)| format!("{count} {what}")));
    let ports = match rule.ports {
        crate::firewalls::Ports::All => String::new(),
        _ => format!(" {}", rule.ports),
    };
    format!("{}{ports} from {}", rule.protocol, from.join(" and "))
}
