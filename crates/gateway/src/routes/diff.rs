//! What a new snapshot changed, for those who hold sessions.

use std::collections::HashSet;
use std::sync::Arc;

use agentopia_domain::token::TokenHash;
use agentopia_domain::{AgentId, InstanceId, LinkId};

use super::{LinkRoute, Rest, Routes, TokenRoute};

/// The difference of two snapshots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteChanges {
    /// Anything at all, also what nobody has to act on (a new token, a new agent).
    pub(crate) any: bool,
    /// Agents whose sessions end.
    pub(crate) removed_agents: HashSet<AgentId>,
    /// Agents whose links, or whose instances behind them, changed: their clients list again.
    pub(crate) changed_agents: HashSet<AgentId>,
    /// Instances that are gone or whose server was started anew.
    pub(crate) stale_instances: HashSet<InstanceId>,
    /// Instances that went to sleep. Nothing changes for clients: their lists stay.
    pub(crate) fell_asleep: HashSet<InstanceId>,
    /// Links that carry other secrets than before: sessions over them end.
    pub(crate) other_credentials: HashSet<(AgentId, InstanceId)>,
    /// Tokens and logins that open nothing any more: streams opened with them end.
    pub(crate) removed_tokens: HashSet<TokenHash>,
}

impl RouteChanges {
    pub(crate) fn is_empty(&self) -> bool {
        !self.any
    }
}

/// What became different from `before` to `after`. Relies on equal routes being shared.
pub(super) fn between(before: &Routes, after: &Routes) -> RouteChanges {
    let mut changes = RouteChanges::default();
    for (id, old) in &before.instances {
        match after.instances.get(id) {
            Some(new) if Arc::ptr_eq(old, new) => {}
            Some(new) => {
                changes.any = true;
                if new.rest == Rest::Asleep {
                    if old.rest != Rest::Asleep {
                        changes.fell_asleep.insert(*id);
                    }
                } else if old.epoch != new.epoch || old.location != new.location {
                    changes.stale_instances.insert(*id);
                }
            }
            None => {
                changes.any = true;
                changes.stale_instances.insert(*id);
            }
        }
    }
    let became_available = |id: &InstanceId| {
        let old = before.instances.get(id).map(|i| i.available.is_ok());
        let new = after.instances.get(id).map(|i| i.available.is_ok());
        old != new && new == Some(true)
    };
    // What is held back is another now: lists differ for clients.
    let shows_otherwise = |id: &InstanceId| {
        let held_by = |routes: &Routes| {
            let pins = routes.pins.get(id).filter(|pins| pins.hold);
            pins.map(|pins| pins.accepted.clone())
        };
        held_by(before) != held_by(after)
    };
    for (id, old) in &before.agents {
        let Some(new) = after.agents.get(id) else {
            changes.any = true;
            changes.removed_agents.insert(*id);
            continue;
        };
        for link in &new.links {
            let mut before = old.links.iter();
            let before = before.find(|before| before.instance_id == link.instance_id);
            if before.is_some_and(|before| carried(before) != carried(link)) {
                changes.other_credentials.insert((*id, link.instance_id));
            }
        }
        // Exposed names alone are our own writing coming back: nothing that a client has to know.
        let links_differ = !Arc::ptr_eq(old, new) && !same_links(&old.links, &new.links);
        let instances_differ = new.links.iter().any(|link| {
            changes.stale_instances.contains(&link.instance_id)
                || became_available(&link.instance_id)
                || shows_otherwise(&link.instance_id)
        });
        changes.any |= !Arc::ptr_eq(old, new);
        if links_differ || instances_differ {
            changes.changed_agents.insert(*id);
        }
    }
    let credentials = |routes: &Routes| -> HashSet<TokenHash> {
        routes.tokens.values().map(TokenRoute::credential).collect()
    };
    let left = credentials(after);
    changes.removed_tokens = credentials(before)
        .into_iter()
        .filter(|credential| !left.contains(credential))
        .collect();
    changes.any |= !changes.removed_tokens.is_empty()
        || before.tokens.len() != after.tokens.len()
        || after
            .tokens
            .iter()
            .any(|(hash, token)| before.tokens.get(hash) != Some(token))
        || after.accounts != before.accounts
        || after.pins != before.pins
        || after.agents.len() != before.agents.len()
        || after.instances.len() != before.instances.len();
    changes
}

/// Whose secrets of its own a link carries, if any.
fn carried(link: &LinkRoute) -> Option<(LinkId, &str)> {
    Some((link.id, link.credentials.as_deref()?))
}

/// Whether clients see no difference.
fn same_links(old: &[LinkRoute], new: &[LinkRoute]) -> bool {
    let same = |(a, b): (&LinkRoute, &LinkRoute)| {
        a.id == b.id
            && a.instance_id == b.instance_id
            && a.policy == b.policy
            && a.credentials == b.credentials
    };
    old.len() == new.len() && old.iter().zip(new).all(same)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agentopia_domain::link::LinkPolicy;
    use agentopia_domain::{Ambient, EnvironmentId};

    use super::super::{
        AgentRoute, InstanceRoute, RouteTable, Snapshot, TokenRoute, UpstreamLocation,
    };
    use super::*;

    fn snapshot() -> Snapshot {
        let ambient = Ambient::system();
        let instance = InstanceRoute {
            id: ambient.new_id(),
            account_id: ambient.new_id(),
            name: "Echo".into(),
            slug: "echo".into(),
            location: UpstreamLocation::Machine(ambient.new_id::<EnvironmentId>()),
            epoch: "1".into(),
            rest: Rest::Never,
            available: Ok(()),
            credentials: None,
        };
        let agent = AgentRoute {
            id: ambient.new_id(),
            account_id: instance.account_id,
            name: "Helper".into(),
            description: String::new(),
            search: false,
            calls_per_day: None,
            links: vec![LinkRoute {
                id: ambient.new_id(),
                instance_id: instance.id,
                policy: LinkPolicy::default(),
                exposed_names: BTreeMap::new(),
                credentials: None,
            }],
        };
        let token = TokenRoute {
            hash: TokenHash::of("agt_x"),
            agent_id: agent.id,
            expires_at: None,
            login: None,
        };
        Snapshot {
            agents: vec![agent],
            tokens: vec![token],
            instances: vec![instance],
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_same_snapshot_again_changes_nothing() {
        let table = RouteTable::default();
        let first = snapshot();
        assert!(table.replace(first.clone()).any);
        let before = table.current.load_full();
        assert!(table.replace(first).is_empty());
        assert!(Arc::ptr_eq(&before, &table.current.load_full()));
    }

    #[test]
    fn names_that_come_back_from_the_store_disturb_no_client() {
        let table = RouteTable::default();
        let mut next = snapshot();
        table.replace(next.clone());
        next.agents[0].links[0]
            .exposed_names
            .insert("a".into(), "a".into());
        let changes = table.replace(next.clone());
        assert!(changes.any && changes.changed_agents.is_empty());
        next.agents[0].links[0].credentials = Some("c1".into());
        let changes = table.replace(next.clone());
        let link = (next.agents[0].id, next.instances[0].id);
        assert_eq!(changes.other_credentials, [link].into());
        assert_eq!(changes.changed_agents, [link.0].into());
        next.agents[0].links[0].policy.always_prefix = true;
        assert_eq!(
            table.replace(next.clone()).changed_agents,
            [next.agents[0].id].into()
        );
    }

    #[test]
    fn a_restarted_instance_concerns_the_agents_linked_to_it() {
        let table = RouteTable::default();
        let mut next = snapshot();
        table.replace(next.clone());
        next.instances[0].epoch = "2".into();
        let changes = table.replace(next.clone());
        assert_eq!(changes.stale_instances, [next.instances[0].id].into());
        assert_eq!(changes.changed_agents, [next.agents[0].id].into());
    }

    #[test]
    fn falling_asleep_concerns_no_client_and_waking_is_a_new_start() {
        let table = RouteTable::default();
        let mut next = snapshot();
        next.instances[0].rest = Rest::Awake;
        table.replace(next.clone());
        let id = next.instances[0].id;
        next.instances[0].rest = Rest::Asleep;
        next.instances[0].epoch = "2".into();
        let asleep = table.replace(next.clone());
        assert_eq!(asleep.fell_asleep, [id].into());
        assert!(asleep.stale_instances.is_empty() && asleep.changed_agents.is_empty());
        next.instances[0].rest = Rest::Starting;
        next.instances[0].epoch = "3".into();
        let woken = table.replace(next.clone());
        assert_eq!(woken.stale_instances, [id].into());
        assert!(woken.fell_asleep.is_empty());
    }

    #[test]
    fn what_is_gone_is_named() {
        let table = RouteTable::default();
        let all = snapshot();
        table.replace(all.clone());
        let changes = table.replace(Snapshot::default());
        assert_eq!(changes.removed_agents, [all.agents[0].id].into());
        assert_eq!(changes.removed_tokens, [all.tokens[0].hash].into());
        assert_eq!(changes.stale_instances, [all.instances[0].id].into());
    }

    #[test]
    fn the_next_token_of_a_login_keeps_what_was_opened_with_the_one_before() {
        let table = RouteTable::default();
        let login = TokenHash::of("login");
        let mut next = snapshot();
        next.tokens[0].login = Some(login);
        table.replace(next.clone());
        next.tokens[0].hash = TokenHash::of("oat_next");
        let changes = table.replace(next.clone());
        assert!(changes.any && changes.removed_tokens.is_empty());
        next.tokens.clear();
        assert_eq!(table.replace(next).removed_tokens, [login].into());
    }
}
