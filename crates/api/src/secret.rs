//! Values in the vault (SEC-3). They are written, never read back.

use agentopia_domain::name::Name;
use agentopia_domain::{AgentId, InstanceId, SecretId};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::expose::expose;

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// Unique in the account.
    pub name: Name,
    /// Grows with every new value.
    pub revision: i64,
    /// The instances that read it.
    pub used_by: Vec<SecretUse>,
    /// The agents whose links carry it.
    #[serde(default)]
    pub carried_by: Vec<SecretCarrier>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its value last changed.
    pub updated_at: DateTime<Utc>,
}

/// An instance that reads a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretUse {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its friendly name.
    pub instance_name: Name,
}

/// An agent whose link to an instance carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretCarrier {
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: Name,
    /// Where the link leads.
    pub instance_id: InstanceId,
}

/// Sets a secret's value. The instances that read it are restarted with the new
/// one, and sessions over links that carry it begin anew.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecretRequest {
    /// 1 to 65,536 bytes.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 65_536)]
    pub value: SecretString,
}
