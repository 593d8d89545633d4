//! What servers that may sleep last listed, by whom and for whom. A list of an agent takes it from
//! here while the server sleeps.
//!
//! By agent (or person), and by what its client declared that it can do: a server may show another
//! list to another client (rule 13, AGT-6). It is gone when the control plane is restarted; then the
//! first list wakes the server.

use std::sync::Arc;

use agentopia_domain::InstanceId;
use agentopia_mcp::ListKind;
use dashmap::DashMap;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::clients::Client;
use crate::upstream::live::Listed;

/// So many lists are kept at most; beyond that a server is woken for its list.
const MOST: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Whose {
    instance: InstanceId,
    owner: Uuid,
    capabilities: [u8; 32],
}

impl Whose {
    fn of(instance: InstanceId, client: &Client) -> Self {
        Self {
            instance,
            owner: client.principal.owner_key(),
            capabilities: Sha256::digest(&client.hello.capabilities).into(),
        }
    }
}

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct KeptLists(DashMap<Whose, [Option<Arc<Listed>>; 4]>);

impl KeptLists {
    pub(crate) fn keep(
        &self,
        instance: InstanceId,
        client: &Client,
        kind: ListKind,
        list: &Arc<Listed>,
    ) {
        let whose = Whose::of(instance, client);
        if self.0.len() >= MOST && !self.0.contains_key(&whose) {
            return;
        }
        self.0.entry(whose).or_default()[kind as usize] = Some(list.clone());
    }

    pub(crate) fn get(
        &self,
        instance: InstanceId,
        client: &Client,
        kind: ListKind,
    ) -> Option<Arc<Listed>> {
        let kept = self.0.get(&Whose::of(instance, client))?;
        kept[kind as usize].clone()
    }

    /// Forgets those of instances that are gone or will never sleep.
    pub(crate) fn retain(&self, sleeps: impl Fn(InstanceId) -> bool) {
        if !self.0.is_empty() {
            self.0.retain(|whose, _| sleeps(whose.instance));
        }
    }
}
