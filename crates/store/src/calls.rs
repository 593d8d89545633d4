//! Who called what through the gateway (AGT-8).
//!
//! Nobody reads calls as they come, so, other than events, they need no order in which they become
//! visible: whoever reads the newest first can miss one that is being written, and sees it later.

use std::time::Duration;

use agentopia_domain::account::CallCount;
use agentopia_domain::call::{Call, CallOutcome, Payload, RecordedCall};
use agentopia_domain::page::MAX_LIMIT;
use agentopia_domain::{AccountId, AgentId, InstanceId};
use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::call_counts;
use crate::convert::{from_word, micros, signed, span, time, unsigned, word};
use crate::entity::call::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::store::Store;

/// Rows in one statement: 15 values each stay below what either engine takes.
const BATCH: usize = 500;

/// Calls. See [`Store::calls`].
#[derive(Debug, Clone, Copy)]
pub struct Calls<'a>(&'a Store);

impl Store {
    /// Who called what.
    #[must_use]
    pub fn calls(&self) -> Calls<'_> {
        Calls(self)
    }
}

/// Which calls are asked for; the default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Only by this agent.
    pub agent_id: Option<AgentId>,
    /// Only to this instance.
    pub instance_id: Option<InstanceId>,
    /// Only those that ended so.
    pub outcome: Option<CallOutcome>,
}

/// A part of the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPage {
    /// The newest first.
    pub items: Vec<RecordedCall>,
    /// The `before` of the next page; `None` at the end.
    pub next_before: Option<i64>,
}

impl Calls<'_> {
    /// Keeps calls: all of them, or none when this fails. Returns what the counts that they belong to are
    /// now.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn insert_unscoped(&self, calls: &[Call]) -> Result<Vec<CallCount>, StoreError> {
        let transaction = self.0.begin().await?;
        for batch in calls.chunks(BATCH) {
            Entity::insert_many(batch.iter().map(to_row))
                .exec_without_returning(&transaction)
                .await?;
        }
        let counts = call_counts::add(&transaction, calls).await?;
        self.0.finish(transaction, &[]).await?;
        Ok(counts)
    }

    /// One of the account's calls, by its sequence.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, account: AccountId, sequence: i64) -> Result<RecordedCall, StoreError> {
        let row = Entity::find_by_id(sequence)
            .filter(Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?;
        to_call(row.ok_or(StoreError::not_found("call"))?)
    }

    /// The account's newest calls first, below the sequence `before`; at most `limit` (1 to 200).
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        account: AccountId,
        filter: &CallFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<CallPage, StoreError> {
        let limit = limit.clamp(1, MAX_LIMIT) as usize;
        let mut query = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .order_by_desc(Column::Sequence);
        if let Some(agent) = filter.agent_id {
            query = query.filter(Column::AgentId.eq(agent.as_uuid()));
        }
        if let Some(instance) = filter.instance_id {
            query = query.filter(Column::InstanceId.eq(instance.as_uuid()));
        }
        if let Some(outcome) = filter.outcome {
            query = query.filter(Column::Outcome.eq(word(&outcome)));
        }
        if let Some(before) = before {
            query = query.filter(Column::Sequence.lt(before));
        }
        let rows = query.limit(limit as u64 + 1).all(self.0.read()).await?;
        let next_before = (rows.len() > limit).then(|| rows[limit - 1].sequence);
        let items = rows.into_iter().take(limit).map(to_call);
        Ok(CallPage {
            items: items.collect::<Result<_, _>>()?,
            next_before,
        })
    }

    /// Drops what is older than `before`; returns how many.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn prune(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let transaction = self.0.begin().await?;
        let deleted = Entity::delete_many()
            .filter(Column::At.lt(micros(before)))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(deleted.rows_affected)
    }
}

fn to_row(call: &Call) -> ActiveModel {
    ActiveModel {
        sequence: NotSet,
        at: Set(micros(call.at)),
        account_id: Set(call.account_id.as_uuid()),
        agent_id: Set(call.agent_id.map(|id| id.as_uuid())),
        user_id: Set(call.user_id.map(|id| id.as_uuid())),
        instance_id: Set(call.instance_id.as_uuid()),
        method: Set(call.method.clone()),
        target: Set(call.target.clone()),
        trace_id: Set(call.trace_id.clone()),
        duration_us: Set(span(call.duration)),
        request_bytes: Set(signed(call.request_bytes)),
        response_bytes: Set(signed(call.response_bytes)),
        outcome: Set(word(&call.outcome)),
        error_code: Set(call.error_code),
        arguments: Set(call.payload.arguments.clone()),
        result: Set(call.payload.result.clone()),
    }
}

fn to_call(row: Model) -> Result<RecordedCall, StoreError> {
    let call = Call {
        at: time("calls.at", row.at)?,
        account_id: row.account_id.into(),
        agent_id: row.agent_id.map(Into::into),
        user_id: row.user_id.map(Into::into),
        instance_id: row.instance_id.into(),
        method: row.method,
        target: row.target,
        trace_id: row.trace_id,
        duration: Duration::from_micros(unsigned(row.duration_us)),
        request_bytes: unsigned(row.request_bytes),
        response_bytes: unsigned(row.response_bytes),
        outcome: from_word("calls.outcome", &row.outcome)?,
        error_code: row.error_code,
        payload: Payload {
            arguments: row.arguments,
            result: row.result,
        },
    };
    Ok(RecordedCall {
        sequence: row.sequence,
        call,
    })
}
