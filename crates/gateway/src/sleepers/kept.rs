//! What servers that may sleep last listed, by whom and for whom. A list of an agent takes it from
//! here while the server sleeps.
//!
//! By agent (or person), by the secrets of its own that its link carries, and by what its client declared
//! that it can do: a server may show another list to another client (rule 13, AGT-6). It is gone when the control plane is restarted; then the
//! first list wakes the server.

use std::collections::HashSet;
use std::sync::Arc;

use agentopia_domain::{AgentId, InstanceId};
use agentopia_mcp::ListKind;
use dashmap::DashMap;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::clients::Client;
use crate::routes::InstanceRoute;
use crate::upstream::live::Listed;

/// So many lists are kept at most; beyond that a server is woken for its list.
const MOST: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Whose {
    instance: InstanceId,
    owner: Uuid,
    capabilities: [u8; 32],
    /// Which secrets of its own the link carried.
    credentials: Option<String>,
}

impl Whose {
    /// `route` as the client's agent goes there.
    fn of(route: &InstanceRoute, client: &Client) -> Self {
        let own = route.credentials.as_ref();
        Self {
            instance: route.id,
            owner: client.principal.owner_key(),
            capabilities: Sha256::digest(&client.hello.capabilities).into(),
            credentials: own.map(|own| own.revision.clone()),
        }
    }
}

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct KeptLists(DashMap<Whose, [Option<Arc<Listed>>; 4]>);

impl KeptLists {
    pub(crate) fn keep(
        &self,
        route: &InstanceRoute,
        client: &Client,
        kind: ListKind,
        list: &Arc<Listed>,
    ) {
        let whose = Whose::of(route, client);
        if self.0.len() >= MOST && !self.0.contains_key(&whose) {
            return;
        }
        self.0.entry(whose).or_default()[kind as usize] = Some(list.clone());
    }

    pub(crate) fn get(
        &self,
        route: &InstanceRoute,
        client: &Client,
        kind: ListKind,
    ) -> Option<Arc<Listed>> {
        let kept = self.0.get(&Whose::of(route, client))?;
        kept[kind as usize].clone()
    }

    /// Forgets those of agents whose links carry other secrets now.
    pub(crate) fn forget(&self, links: &HashSet<(AgentId, InstanceId)>) {
        if !links.is_empty() {
            let concerned = |whose: &Whose| links.contains(&(whose.owner.into(), whose.instance));
            self.0.retain(|whose, _| !concerned(whose));
        }
    }

    /// Forgets those of instances that are gone or will never sleep.
    pub(crate) fn retain(&self, sleeps: impl Fn(InstanceId) -> bool) {
        if !self.0.is_empty() {
            self.0.retain(|whose, _| sleeps(whose.instance));
        }
    }
}
