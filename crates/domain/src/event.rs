//! One append-only stream is the account's timeline, the audit log, and the source of what the
//! UI shows live (architecture, decision 7).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{AccountId, AgentId, EnvironmentId, EventId, UserId};

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Actor {
    /// A person, in the browser or by a personal token.
    User(UserId),
    /// An AI agent.
    Agent(AgentId),
    /// The DTMA of an environment.
    Dtma(EnvironmentId),
    /// The control plane by itself.
    System,
    /// Another service that holds the internal secret.
    Service,
    /// Nobody that is known, for example a failed sign-in.
    Anonymous,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// It was tried and did not work.
    Failed,
    /// It was not allowed.
    Denied,
}

/// The kind of the object that something happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A user.
    User,
    /// A browser session.
    Session,
    /// A token.
    ApiToken,
    /// An environment.
    Environment,
    /// A catalog entry.
    CatalogEntry,
    /// An instance.
    Instance,
    /// An agent.
    Agent,
    /// A link.
    Link,
    /// A secret.
    Secret,
    /// Something at the provider that belongs to nobody.
    Orphan,
    /// What a person allowed an MCP client.
    Grant,
}

/// Something that is about to be written to the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The account whose timeline shows it; `None` for what concerns the installation.
    pub account_id: Option<AccountId>,
    /// Who did it.
    pub actor: Actor,
    /// A stable name, `<object>.<what happened>`, for example `instance.status_changed`.
    pub kind: &'static str,
    /// What it happened to.
    pub object: (ObjectKind, Uuid),
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence for people: what happened and why. Never a secret.
    pub message: String,
    /// Details for programs. Never a secret.
    pub data: serde_json::Value,
    /// The address the request came from.
    pub source_ip: Option<String>,
    /// The id of the request in the log.
    pub request_id: Option<String>,
}

impl NewEvent {
    /// An event that the control plane caused by itself, and that went well.
    pub fn system(
        account_id: AccountId,
        kind: &'static str,
        object: (ObjectKind, Uuid),
        message: impl Into<String>,
    ) -> Self {
        Self {
            account_id: Some(account_id),
            actor: Actor::System,
            kind,
            object,
            outcome: Outcome::Succeeded,
            message: message.into(),
            data: serde_json::Value::Null,
            source_ip: None,
            request_id: None,
        }
    }

    /// The same, done by `actor`.
    #[must_use]
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// The same, with another outcome.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// The same, with details.
    #[must_use]
    pub fn data(mut self, data: serde_json::Value) -> Self {
        self.data = data;
        self
    }
}

/// An entry of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its place in the stream; grows without end, may have gaps.
    pub sequence: i64,
    /// When, by the control plane's clock.
    pub at: DateTime<Utc>,
    /// The account whose timeline shows it.
    pub account_id: Option<AccountId>,
    /// Who.
    pub actor: Actor,
    /// What.
    pub kind: String,
    /// To what.
    pub object: (ObjectKind, Uuid),
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence for people.
    pub message: String,
    /// Details for programs.
    pub data: serde_json::Value,
    /// From where.
    pub source_ip: Option<String>,
    /// The id of the request in the log.
    pub request_id: Option<String>,
}
