//! Tools that are stopped while nobody uses them (TOOL-9): the notes of use, falling asleep and
//! waking. That an instance is asleep is its status; what is written here goes by compare-and-set, so
//! that of a call and a reconciler that decide at the same moment one sees the other.
//!
//! `last_used_at` and `asleep_since` are by the database's clock: replicas never compare theirs.

use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::event::NewEvent;
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::{DesiredInstance, Instance, InstanceEvent, InstanceStatus};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement,
};
use uuid::Uuid;

use super::{Instances, WHAT, row};
use crate::convert::{span, unsigned, word};
use crate::dialect;
use crate::entity::instance::{ActiveModel, Column, Entity};
use crate::error::StoreError;
use crate::leases::{self, LeaseKind, LeaseToken};

/// Ids in one statement; well below the number of bound values that either engine takes.
const BATCH: usize = 1000;

/// How long nothing happened, by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idleness {
    /// Since it was last used, started, or given another idle time.
    pub unused: Duration,
    /// Since it fell asleep, if it is asleep.
    pub asleep: Option<Duration>,
}

impl Instances<'_> {
    /// For the gateway: notes that these are used right now. Returns those of them that are asleep,
    /// which is for the caller to change: a reconciler decided before it could know.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn note_used_unscoped(
        &self,
        used: &[InstanceId],
    ) -> Result<Vec<InstanceId>, StoreError> {
        let used: Vec<Uuid> = used.iter().map(|id| id.as_uuid()).collect();
        let mut asleep = Vec::new();
        for some in used.chunks(BATCH) {
            let which = Column::Id.is_in(some.iter().copied());
            let transaction = self.0.begin().await?;
            // Everybody locks instances in the order of their ids, so nobody waits in a circle.
            let found: Vec<(Uuid, String)> = Entity::find()
                .select_only()
                .columns([Column::Id, Column::Status])
                .filter(which.clone())
                .order_by_asc(Column::Id)
                .lock(dialect::ROW)
                .into_tuple()
                .all(&transaction)
                .await?;
            Entity::update_many()
                .col_expr(Column::LastUsedAt, Expr::cust(transaction.now_sql()))
                .filter(which)
                .exec(&transaction)
                .await?;
            self.0.finish(transaction, &[]).await?;
            let sleeping = word(&InstanceStatus::Asleep);
            let sleeping = found.into_iter().filter(|(_, status)| *status == sleeping);
            asleep.extend(sleeping.map(|(id, _)| InstanceId::from(id)));
        }
        Ok(asleep)
    }

    /// For reconcilers: how long it was not used, and how long it is asleep.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn idleness_unscoped(&self, id: InstanceId) -> Result<Idleness, StoreError> {
        let now = self.0.now_sql();
        let sql = format!(
            "SELECT {now} - COALESCE(last_used_at, created_at) AS unused, \
             {now} - asleep_since AS asleep FROM account_tool_instances WHERE id = $1"
        );
        let values = [id.as_uuid().into()];
        let statement = Statement::from_sql_and_values(self.0.backend(), sql, values);
        let found = self.0.read().query_one_raw(statement).await?;
        let found = found.ok_or(StoreError::not_found(WHAT))?;
        let micros = |value: i64| Duration::from_micros(unsigned(value));
        Ok(Idleness {
            unused: micros(found.try_get("", "unused")?),
            asleep: found.try_get::<Option<i64>>("", "asleep")?.map(micros),
        })
    }

    /// For reconcilers: one that runs falls asleep, if it is still unused for `idle`. Its machine is
    /// told by the new generation. `None` if it was used in between, or runs no longer.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn fall_asleep_unscoped(
        &self,
        id: InstanceId,
        lease: LeaseToken,
        idle: Duration,
        events: &[NewEvent],
    ) -> Result<Option<Instance>, StoreError> {
        let now = self.0.now_sql();
        let is_unused = format!(
            "COALESCE(last_used_at, created_at) <= {now} - {}",
            span(idle)
        );
        let (running, _) = row::split_desired(DesiredInstance::Running);
        let still = Condition::all()
            .add(Column::LeaseToken.eq(lease.0))
            .add(Column::LeaseOwner.is_not_null())
            .add(Column::Desired.eq(running))
            .add(Expr::cust(is_unused));
        let (from, event) = (InstanceStatus::Running, InstanceEvent::FellAsleep);
        let change = ActiveModel {
            error_message: Set(None),
            progress: Set(None),
            ..ActiveModel::default()
        };
        let since = (Column::AsleepSince, now);
        self.turn(id, from, event, still, change, since, events)
            .await
    }

    /// Has one that is asleep started. `None` if it is not asleep (any more): of many who wake it one
    /// does.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn wake_unscoped(
        &self,
        id: InstanceId,
        events: &[NewEvent],
    ) -> Result<Option<Instance>, StoreError> {
        let (from, event) = (InstanceStatus::Asleep, InstanceEvent::StartRequested);
        let change = ActiveModel {
            asleep_since: Set(None),
            ..ActiveModel::default()
        };
        let used = (Column::LastUsedAt, self.0.now_sql());
        self.turn(id, from, event, Condition::all(), change, used, events)
            .await
    }

    /// Moves the status, bumps the generation and wakes the reconciler, if `still` holds.
    #[expect(
        clippy::too_many_arguments,
        reason = "two callers, each of which says all of it"
    )]
    async fn turn(
        &self,
        id: InstanceId,
        from: InstanceStatus,
        event: InstanceEvent,
        still: Condition,
        change: ActiveModel,
        (stamp, now): (Column, String),
        events: &[NewEvent],
    ) -> Result<Option<Instance>, StoreError> {
        let transaction = self.0.begin().await?;
        let rows = Entity::update_many()
            .set(ActiveModel {
                status: Set(word(&from.on(event)?)),
                updated_at: Set(self.0.now()),
                ..change
            })
            .col_expr(Column::Generation, Expr::col(Column::Generation).add(1))
            .col_expr(stamp, Expr::cust(now))
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::Status.eq(word(&from)))
            .filter(still)
            .exec_with_returning(&transaction)
            .await?;
        let Some(written) = rows.into_iter().next() else {
            transaction.rollback().await?;
            return Ok(None);
        };
        leases::wake(&transaction, LeaseKind::Instance, id.as_uuid()).await?;
        let instance = row::one(&transaction, Some(written)).await?;
        self.0.finish(transaction, events).await?;
        Ok(Some(instance))
    }
}

/// How a setting stands in its column.
pub(super) const fn column_of(setting: IdleSetting) -> Option<i64> {
    match setting {
        IdleSetting::Inherit => None,
        IdleSetting::Never => Some(0),
        IdleSetting::After { seconds } => Some(seconds as i64),
    }
}

/// The setting that stands in a column.
pub(super) fn setting_of(column: Option<i64>) -> Option<IdleSetting> {
    Some(match column {
        None => IdleSetting::Inherit,
        Some(0) => IdleSetting::Never,
        Some(seconds) => IdleSetting::After {
            seconds: seconds.try_into().ok()?,
        },
    })
}
