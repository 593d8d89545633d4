//! What the firewall of a machine is to let in for tools that are reached directly, and when to
//! write it (TOOL-11). Pure; `apply/ports.rs` does the I/O.
//!
//! A tool's port is let in as soon as the tool runs, stays so while it comes back after a crash or a
//! change, and goes when it is stopped, removed or fails for good. What was written is kept in the
//! environment's record, so a provider is asked when there is something to change, now and then to
//! see that nobody else changed it, and not otherwise.

use std::collections::BTreeSet;
use std::time::Duration;

use agentopia_domain::direct_access::{FirewallRecord, OpenPort};
use agentopia_domain::instance::{DesiredInstance, Instance, InstanceStatus};
use chrono::{DateTime, Utc};

/// How often a firewall that lets something in is compared with what it should be.
pub const RECHECK: Duration = Duration::from_secs(600);
/// How soon to write again what could not be written.
pub const RETRY: Duration = Duration::from_secs(15);

/// What to do about the firewall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing, as far as we know.
    Rest,
    /// Have the provider let exactly this in.
    Write(BTreeSet<OpenPort>),
}

/// What the machine's firewall is to let in, while `before` is let in.
#[must_use]
pub fn wanted<'a>(
    instances: impl IntoIterator<Item = &'a Instance>,
    before: Option<&BTreeSet<OpenPort>>,
) -> BTreeSet<OpenPort> {
    let is_let_in = |open: &OpenPort| before.is_some_and(|before| before.contains(open));
    let of = |instance: &'a Instance| {
        let comes_back = match (instance.desired, instance.status) {
            (DesiredInstance::Running, InstanceStatus::Running) => false,
            (DesiredInstance::Running, InstanceStatus::PendingStart | InstanceStatus::Starting) => {
                true
            }
            _ => return Vec::new(),
        };
        let (Some(access), Some(port)) = (&instance.direct_access, instance.runtime.port) else {
            return Vec::new();
        };
        let ways = access.on(port);
        ways.filter(|open| !comes_back || is_let_in(open)).collect()
    };
    instances.into_iter().flat_map(of).collect()
}

/// Decides whether the provider has to be asked.
#[must_use]
pub fn decide(
    record: Option<&FirewallRecord>,
    wanted: BTreeSet<OpenPort>,
    machine: Option<&str>,
    now: DateTime<Utc>,
) -> Act {
    // What a clock that was set back says is not believed for longer than is good.
    let is_older = |at: &DateTime<Utc>, limit| (now - *at).to_std().unwrap_or(limit) >= limit;
    let is_due = match record {
        None => !wanted.is_empty(),
        Some(FirewallRecord::Unsure { problem: None, .. }) => true,
        Some(FirewallRecord::Unsure { at, .. }) => is_older(at, RETRY),
        Some(FirewallRecord::Written {
            machine_id,
            ports,
            at,
        }) => {
            let nothing = wanted.is_empty() && ports.is_empty();
            let same = *ports == wanted && machine_id.as_deref() == machine;
            !nothing && (!same || is_older(at, RECHECK))
        }
    };
    if is_due {
        Act::Write(wanted)
    } else {
        Act::Rest
    }
}

/// One line for people about what is let in.
#[must_use]
pub fn describe(ports: &BTreeSet<OpenPort>) -> String {
    if ports.is_empty() {
        return "No port of a tool is reachable from outside any more.".to_owned();
    }
    let each = ports.iter().map(|open| {
        let sources: Vec<String> = open.sources.clone().into();
        let protocol = open.protocol.as_str();
        format!("{}/{protocol} from {}", open.port, sources.join(", "))
    });
    let each: Vec<String> = each.collect();
    format!(
        "Ports of tools that are reachable from outside: {}.",
        each.join("; ")
    )
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
