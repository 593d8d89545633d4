//! How many calls were made in a day, by each agent and by all of an account (AGT-8): what quotas go by.
//!
//! Counted in the transaction that keeps the calls themselves, so that neither is without the other.

use std::collections::BTreeMap;

use agentopia_domain::AccountId;
use agentopia_domain::account::CallCount;
use agentopia_domain::call::{Call, CallOutcome};
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use uuid::Uuid;

use crate::convert::{corrupt, signed, unsigned};
use crate::entity::call_count::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::store::Store;

/// For how long counts are kept, days.
const KEPT_DAYS: i64 = 400;
/// Rows in one statement.
const BATCH: usize = 1_000;

/// Counts. See [`Store::call_counts`].
#[derive(Debug, Clone, Copy)]
pub struct CallCounts<'a>(&'a Store);

impl Store {
    /// How many calls were made in a day.
    #[must_use]
    pub fn call_counts(&self) -> CallCounts<'_> {
        CallCounts(self)
    }
}

impl CallCounts<'_> {
    /// The account's counts since a day, the newest first.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        account: AccountId,
        since: NaiveDate,
    ) -> Result<Vec<CallCount>, StoreError> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .filter(Column::Day.gte(day_row(since)))
            .order_by_desc(Column::Day)
            .order_by_desc(Column::Calls)
            .order_by_asc(Column::AgentId)
            .all(self.0.read())
            .await?;
        rows.into_iter().map(to_count).collect()
    }

    /// Drops counts that are older than anybody looks at; returns how many.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn prune(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let before = day_row(now.date_naive()).saturating_sub(KEPT_DAYS);
        let transaction = self.0.begin().await?;
        let deleted = Entity::delete_many()
            .filter(Column::Day.lt(before))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(deleted.rows_affected)
    }
}

/// Counts `calls`, of those the ones that were made; what their counts are now.
pub(crate) async fn add(
    connection: &impl ConnectionTrait,
    calls: &[Call],
) -> Result<Vec<CallCount>, StoreError> {
    // In one order everywhere: two replicas that write at once wait for each other, not both.
    let mut more: BTreeMap<(Uuid, Uuid, i64), u64> = BTreeMap::new();
    for call in calls.iter().filter(|it| it.outcome != CallOutcome::Limited) {
        let (account, day) = (call.account_id.as_uuid(), day_row(call.at.date_naive()));
        *more.entry((account, account, day)).or_default() += 1;
        if let Some(agent) = call.agent_id {
            *more.entry((account, agent.as_uuid(), day)).or_default() += 1;
        }
    }
    let rows: Vec<ActiveModel> = more
        .into_iter()
        .map(|((account_id, agent_id, day), calls)| {
            let calls = signed(calls);
            ActiveModel::from(Model {
                account_id,
                agent_id,
                day,
                calls,
            })
        })
        .collect();
    let mut counts = Vec::with_capacity(rows.len());
    for batch in rows.chunks(BATCH) {
        let sum = Expr::col((Entity, Column::Calls)).add(Expr::cust("excluded.calls"));
        let mut conflict = OnConflict::columns([Column::AccountId, Column::AgentId, Column::Day]);
        conflict.value(Column::Calls, sum);
        let now = Entity::insert_many(batch.to_vec())
            .on_conflict(conflict)
            .exec_with_returning(connection)
            .await?;
        for row in now {
            counts.push(to_count(row)?);
        }
    }
    Ok(counts)
}

/// All counts of one day.
pub(crate) async fn of_day(
    connection: &impl ConnectionTrait,
    day: NaiveDate,
) -> Result<Vec<CallCount>, StoreError> {
    let rows = Entity::find()
        .filter(Column::Day.eq(day_row(day)))
        .all(connection)
        .await?;
    rows.into_iter().map(to_count).collect()
}

/// Days since 1970.
fn day_row(day: NaiveDate) -> i64 {
    (day - NaiveDate::default()).num_days()
}

fn to_count(row: Model) -> Result<CallCount, StoreError> {
    let days = chrono::TimeDelta::try_days(row.day);
    let day = days.and_then(|days| NaiveDate::default().checked_add_signed(days));
    Ok(CallCount {
        account_id: row.account_id.into(),
        agent_id: (row.agent_id != row.account_id).then(|| row.agent_id.into()),
        day: day.ok_or_else(|| corrupt("call_counts.day", "no day"))?,
        calls: unsigned(row.calls),
    })
}
