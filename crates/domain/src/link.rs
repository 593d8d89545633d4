//! The permission of an agent to use an instance (AGT-2), and the secrets of its own that go with it
//! (AGT-6).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ids::{AccountId, AgentId, InstanceId, LinkId, SecretId};

/// What a link lets through and under which names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPolicy {
    /// The tools that the agent may see, by the server's own names; `None` means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_tools: Option<Vec<String>>,
    /// Other names for tools: the server's own name to the name shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renamed_tools: BTreeMap<String, String>,
    /// Other descriptions of tools, for this agent: the server's own name to the text shown. Models choose
    /// by it, so that an agent can be told what a tool is for where it works.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub described_tools: BTreeMap<String, String>,
    /// Whether every name is prefixed with the instance's, not only on collision.
    #[serde(default)]
    pub always_prefix: bool,
}

/// A secret that a link carries in place of the instance's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSecret {
    /// Which one of the account's.
    pub id: SecretId,
    /// Which value it has now.
    pub revision: i64,
}

/// The record of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// Whose agent it is.
    pub account_id: AccountId,
    /// The agent.
    pub agent_id: AgentId,
    /// The instance; unique together with the agent.
    pub instance_id: InstanceId,
    /// Whether the agent can use it now.
    pub enabled: bool,
    /// When it was last switched on.
    pub activated_at: Option<DateTime<Utc>>,
    /// When it was last switched off.
    pub deactivated_at: Option<DateTime<Utc>>,
    /// What it lets through.
    pub policy: LinkPolicy,
    /// The names under which tools were first shown, so that they stay: the server's own name to
    /// the name exposed.
    pub exposed_names: BTreeMap<String, String>,
    /// For names of the catalog entry's secrets, those of the agent's account whose values the server
    /// sees with this agent's calls. Empty: it sees the instance's own, as for everybody.
    pub secrets: BTreeMap<String, LinkSecret>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Link {
    /// Which credentials it carries: another text whenever a secret is another or has another value;
    /// `None` where it carries none. It says nothing about the values.
    #[must_use]
    pub fn credentials(&self) -> Option<String> {
        if self.secrets.is_empty() {
            return None;
        }
        let mut hash = Sha256::new();
        for (name, secret) in &self.secrets {
            hash.update(name);
            hash.update([0]);
            hash.update(secret.id.as_uuid());
            hash.update(secret.revision.to_be_bytes());
        }
        Some(hex::encode(&hash.finalize()[..16]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ambient;

    #[test]
    fn credentials_change_with_every_name_secret_and_value() {
        let ambient = Ambient::system();
        let mut link = Link {
            id: ambient.new_id(),
            account_id: ambient.new_id(),
            agent_id: ambient.new_id(),
            instance_id: ambient.new_id(),
            enabled: true,
            activated_at: None,
            deactivated_at: None,
            policy: LinkPolicy::default(),
            exposed_names: BTreeMap::new(),
            secrets: BTreeMap::new(),
            created_at: ambient.now(),
            updated_at: ambient.now(),
        };
        assert_eq!(link.credentials(), None);
        let (one, two) = (ambient.new_id(), ambient.new_id());
        let mut seen = std::collections::BTreeSet::new();
        for (name, id, revision) in [("A", one, 1), ("A", one, 2), ("A", two, 1), ("B", one, 1)] {
            link.secrets = [(name.to_owned(), LinkSecret { id, revision })].into();
            assert_eq!(link.credentials(), link.clone().credentials());
            assert!(seen.insert(link.credentials()));
        }
    }
}
