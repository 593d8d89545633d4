//! Secrets that links carry in place of their instances' own (AGT-6): fetched when a process is started
//! with them, and looked after for as long as one runs.

use std::collections::BTreeMap;

use agentopia_domain::InstanceId;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::expose_map;
use crate::to_dtma::OwnCredentials;

/// A process runs, or is about to, with the secrets of a link.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnSecretsUse {
    /// The instance that it is a process of.
    pub instance_id: InstanceId,
    /// Whose, and which they are.
    #[serde(flatten)]
    pub own: OwnCredentials,
}

/// Asked right before a process is started.
pub type OwnSecretsRequest = OwnSecretsUse;

/// The values, for the memory of that process only.
#[derive(Debug, Serialize, Deserialize)]
pub struct OwnSecretsReply {
    /// Environment variable to value.
    #[serde(serialize_with = "expose_map")]
    pub env: BTreeMap<String, SecretString>,
}
