//! The account's timeline and audit log, and the live stream of the same (OPS-7, SEC-5).

use agentopia_domain::EventId;
use agentopia_domain::event::{Actor, ObjectKind, Outcome};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its place in the stream; the `id` of the live stream's messages.
    pub sequence: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// What, as `<object>.<what happened>`, for example `instance.status_changed`.
    pub kind: String,
    /// The kind of the object.
    pub object_kind: ObjectKind,
    /// The object's id.
    pub object_id: uuid::Uuid,
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence for people.
    pub message: String,
    /// Details for programs.
    pub data: Value,
    /// From where.
    pub source_ip: Option<String>,
    /// The id of the request in the log.
    pub request_id: Option<String>,
}

impl From<agentopia_domain::event::Event> for Event {
    fn from(event: agentopia_domain::event::Event) -> Self {
        Self {
            id: event.id,
            sequence: event.sequence,
            at: event.at,
            actor: event.actor,
            kind: event.kind,
            object_kind: event.object.0,
            object_id: event.object.1,
            outcome: event.outcome,
            message: event.message,
            data: event.data,
            source_ip: event.source_ip,
            request_id: event.request_id,
        }
    }
}

/// Which events are asked for, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items, 1 to 200; 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Only of objects of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_kind: Option<ObjectKind>,
    /// Only of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_id: Option<uuid::Uuid>,
}
