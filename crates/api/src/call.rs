//! Who called what through the gateway (AGT-8).

use agentopia_domain::account;
use agentopia_domain::call::{CallOutcome, RecordedCall};
use agentopia_domain::{AgentId, InstanceId, UserId};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Call {
    /// Its place among all calls.
    pub sequence: i64,
    /// When it came in.
    pub at: DateTime<Utc>,
    /// The agent that called, unless a person did. It may be gone by now.
    pub agent_id: Option<AgentId>,
    /// The person who called, unless an agent did.
    pub user_id: Option<UserId>,
    /// The tool instance that was called. It may be gone by now.
    pub instance_id: InstanceId,
    /// The MCP method: `tools/call`, `prompts/get` or `resources/read`.
    pub method: String,
    /// The server's own name of the tool or prompt, or the resource's URI; cut at 256 bytes.
    pub target: String,
    /// The trace that it belongs to (W3C Trace Context), which its server was told. None for a call
    /// by hand.
    pub trace_id: Option<String>,
    /// Microseconds from the request's arrival to the answer's last byte.
    pub duration_us: u64,
    /// Length of the request's body; of a call by hand, of its arguments.
    pub request_bytes: u64,
    /// Length of everything answered.
    pub response_bytes: u64,
    /// How it ended.
    pub outcome: CallOutcome,
    /// The code of the JSON-RPC error that the server answered with.
    pub error_code: Option<i32>,
}

impl From<RecordedCall> for Call {
    fn from(RecordedCall { sequence, call }: RecordedCall) -> Self {
        Self {
            sequence,
            at: call.at,
            agent_id: call.agent_id,
            user_id: call.user_id,
            instance_id: call.instance_id,
            method: call.method,
            target: call.target,
            trace_id: call.trace_id,
            duration_us: u64::try_from(call.duration.as_micros()).unwrap_or(u64::MAX),
            request_bytes: call.request_bytes,
            response_bytes: call.response_bytes,
            outcome: call.outcome,
            error_code: call.error_code,
        }
    }
}

/// Which calls are asked for, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallQuery {
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items, 1 to 200; 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Only by this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Only to this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,
    /// Only those that ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CallOutcome>,
}

/// A call with what was said in it, as far as that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallDetail {
    /// The call.
    #[serde(flatten)]
    pub call: Call,
    /// Its arguments without what looks like a secret: JSON, or how it begins if it was longer than 8 KiB. Null
    /// where none were kept.
    pub arguments: Option<String>,
    /// Its result, or the error's object, likewise.
    pub result: Option<String>,
}

impl From<RecordedCall> for CallDetail {
    fn from(mut recorded: RecordedCall) -> Self {
        let payload = std::mem::take(&mut recorded.call.payload);
        Self {
            call: recorded.into(),
            arguments: payload.arguments,
            result: payload.result,
        }
    }
}

/// How many calls were made in a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallCount {
    /// The day, UTC.
    pub day: NaiveDate,
    /// By this agent, which may be gone by now; null counts everybody of the account.
    pub agent_id: Option<AgentId>,
    /// How many, without those that were refused by a limit.
    pub calls: u64,
}

impl From<account::CallCount> for CallCount {
    fn from(count: account::CallCount) -> Self {
        Self {
            day: count.day,
            agent_id: count.agent_id,
            calls: count.calls,
        }
    }
}

/// Calls by day, the newest day first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallCounts {
    /// By day, and within one by how many.
    pub items: Vec<CallCount>,
}

/// Which days are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallCountQuery {
    /// So many days, today (UTC) among them: 1 to 400; 7 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 400)]
    pub days: Option<u32>,
}
