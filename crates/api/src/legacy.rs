//! Import of the earlier model, which had a droplet for each agent (ENV-13).

use std::collections::BTreeMap;

use agentopia_domain::{AccountId, AgentId, InstanceId};
use serde::{Deserialize, Deserializer, Serialize};

/// A row of `agent_droplets`. Columns that are not here don't matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LegacyDroplet {
    /// The row.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// The agent whose droplet it is.
    #[serde(deserialize_with = "text")]
    pub agent_id: String,
    /// The agent's owner.
    #[serde(deserialize_with = "text")]
    pub user_id: String,
    /// DigitalOcean's id of it.
    #[serde(default, deserialize_with = "optional")]
    pub droplet_id: Option<String>,
    /// Its address.
    #[serde(default)]
    pub ip_address: Option<String>,
    /// How it was doing.
    #[serde(default)]
    pub status: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub region: Option<String>,
    /// What it is.
    #[serde(default)]
    pub size: Option<String>,
}

/// A row of `agent_droplet_tools`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LegacyTool {
    /// The row.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// The row of `agent_droplets` that it runs on.
    #[serde(deserialize_with = "text")]
    pub agent_droplet_id: String,
    /// Which tool it is.
    #[serde(deserialize_with = "text")]
    pub tool_catalog_id: String,
    /// How it was doing.
    #[serde(default)]
    pub status: Option<String>,
    /// Its version.
    #[serde(default, deserialize_with = "optional")]
    pub version: Option<String>,
    /// Its settings.
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Object)]
    pub config_details: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What to import. Says what it would do unless `apply` is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LegacyImportRequest {
    /// The table `agent_droplets`.
    pub agent_droplets: Vec<LegacyDroplet>,
    /// The table `agent_droplet_tools`.
    #[serde(default)]
    pub agent_droplet_tools: Vec<LegacyTool>,
    /// For users whose `user_id` is neither the id nor the e-mail of a user here: the e-mail.
    #[serde(default)]
    pub users: BTreeMap<String, String>,
    /// For tools whose `tool_catalog_id` is neither the id nor the slug of an entry here: the slug.
    #[serde(default)]
    pub tools: BTreeMap<String, String>,
    /// Whether to do it.
    #[serde(default)]
    pub apply: bool,
}

/// What an import does, or did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LegacyImport {
    /// Whether it was done; otherwise this is what would be.
    pub applied: bool,
    /// For each user: one environment in place of their droplets.
    pub accounts: Vec<ImportedAccount>,
    /// What is left out, and what to do about it.
    pub problems: Vec<ImportProblem>,
    /// The droplets that are in nobody's hands any more. They go on, and cost, until somebody
    /// deletes them.
    pub old_droplets: Vec<LegacyDroplet>,
}

/// Whether something is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStep {
    /// It is.
    Create,
    /// It is there already, and left as it is.
    Exists,
    /// It could not be made; `problems` says why.
    Failed,
}

/// What one user gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportedAccount {
    /// Whose.
    pub account_id: AccountId,
    /// What they sign in with.
    pub email: String,
    /// The environment.
    pub environment: ImportStep,
    /// Its region, where all old droplets were in one; the operator's default otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Their agents.
    pub agents: Vec<ImportedAgent>,
    /// Their tools.
    pub instances: Vec<ImportedInstance>,
    /// Which agent may use which tool.
    pub links: Vec<ImportedLink>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportedAgent {
    /// Its id: the old one, where that is a UUID.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// The rows of `agent_droplets` that it stands for.
    pub rows: Vec<String>,
    /// What is done.
    pub step: ImportStep,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportedInstance {
    /// Its id: that of the first old row, where that is a UUID.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// Which tool, by its slug.
    pub tool: String,
    /// The version to run.
    pub version: String,
    /// Whether it is to run.
    pub running: bool,
    /// The rows of `agent_droplet_tools` that it stands for.
    pub rows: Vec<String>,
    /// What is done.
    pub step: ImportStep,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportedLink {
    /// The agent.
    pub agent_id: AgentId,
    /// The instance.
    pub instance_id: InstanceId,
    /// What is done.
    pub step: ImportStep,
}

/// A row that is left out, or not taken over as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportProblem {
    /// `agent_droplets` or `agent_droplet_tools`.
    pub table: String,
    /// The row.
    pub id: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// An id: exports write numbers as numbers.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    optional(from)?.ok_or_else(|| serde::de::Error::custom("an id is missing"))
}

/// Settings: an object, or the text of one, which is what columns of the type `text` give.
fn object<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<serde_json::Map<String, serde_json::Value>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Settings {
        Object(serde_json::Map<String, serde_json::Value>),
        Text(String),
    }
    match Option::<Settings>::deserialize(from)? {
        None => Ok(None),
        Some(Settings::Object(object)) => Ok(Some(object)),
        Some(Settings::Text(text)) if text.trim().is_empty() => Ok(None),
        // The error of serde_json would quote the text, in which there may be secrets.
        Some(Settings::Text(text)) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|_| serde::de::Error::custom("`config_details` is no JSON object")),
    }
}

fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(i64),
        Text(String),
    }
    Ok(Option::<Id>::deserialize(from)?.map(|id| match id {
        Id::Number(number) => number.to_string(),
        Id::Text(text) => text,
    }))
}
