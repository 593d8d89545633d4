//! What reconcilers and machines write about instances. Nothing here is scoped by account: the
//! callers work by id, and machines are checked against their environment.

use agentopia_domain::event::NewEvent;
use agentopia_domain::instance::{Instance, InstanceEvent, InstanceStatus, RuntimeDetails};
use agentopia_domain::observed::ObservedInstance;
use agentopia_domain::{EnvironmentId, InstanceId};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    QueryOrder as _,
};

use super::{Instances, WHAT, row, to_instances};
use crate::convert::{from_json, json, word};
use crate::entity::instance::{ActiveModel, Column, Entity, Model};
use crate::entity::{instance_secret, link, tool_definition};
use crate::error::StoreError;
use crate::leases::{self, LeaseKind, LeaseToken};
use crate::upstream_logins;

/// Facts to write; `None` keeps what is there, `Some(None)` empties it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InstancePatch {
    /// The version actually running.
    pub running_version: Option<Option<String>>,
    /// The generation that the machine reported as done.
    pub observed_generation: Option<i64>,
    /// What the machine is doing right now.
    pub progress: Option<Option<String>>,
    /// What went wrong last.
    pub error_message: Option<Option<String>>,
    /// Where and as what it runs.
    pub runtime: Option<RuntimeDetails>,
}

/// An instance and its machine's last report: what a reconciler plans from.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceReport {
    /// The record.
    pub instance: Instance,
    /// The last report; `None` until there is one.
    pub observed: Option<ObservedInstance>,
}

impl Instances<'_> {
    /// For reconcilers: the instance of this id and what its machine said.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get_unscoped(&self, id: InstanceId) -> Result<InstanceReport, StoreError> {
        let row = Entity::find_by_id(id.as_uuid()).one(self.0.read()).await?;
        let found = self.reports(row.into_iter().collect()).await?.pop();
        found.ok_or(StoreError::not_found(WHAT))
    }

    /// For reconcilers: everything on a machine that is not removed, in the order it was made.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn on_environment_unscoped(
        &self,
        environment: EnvironmentId,
    ) -> Result<Vec<InstanceReport>, StoreError> {
        let rows = Entity::find()
            .filter(Column::EnvironmentId.eq(environment.as_uuid()))
            .filter(Column::Status.ne(word(&InstanceStatus::Removed)))
            .order_by_asc(Column::Id)
            .all(self.0.read())
            .await?;
        self.reports(rows).await
    }

    /// For reconcilers: moves the status from `from` by `event` and writes `patch` along. Of two
    /// callers that saw the same status one succeeds. Removal takes the links, the mapping of
    /// secrets and the login with it.
    ///
    /// # Errors
    /// [`StoreError::InstanceTransition`] when the event has no meaning in `from`,
    /// [`StoreError::Stale`] when the status is another by now, [`StoreError::LeaseLost`] when
    /// `lease` is no longer the row's, [`StoreError::NotFound`].
    pub async fn transition_unscoped(
        &self,
        id: InstanceId,
        lease: Option<LeaseToken>,
        from: InstanceStatus,
        event: InstanceEvent,
        patch: InstancePatch,
        events: &[NewEvent],
    ) -> Result<Instance, StoreError> {
        let next = from.on(event)?;
        let mut change = to_change(patch)?;
        change.status = Set(word(&next));
        self.write(id, lease, Some((from, next)), change, events)
            .await
    }

    /// For reconcilers: writes `patch` without moving the status.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`].
    pub async fn update_unscoped(
        &self,
        id: InstanceId,
        lease: Option<LeaseToken>,
        patch: InstancePatch,
        events: &[NewEvent],
    ) -> Result<Instance, StoreError> {
        self.write(id, lease, None, to_change(patch)?, events).await
    }

    /// Keeps what a machine reports of its instances, and wakes the reconcilers of those whose
    /// report differs from the one before; returns these. Reports of instances that are not this
    /// environment's are passed over.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn record_observed_unscoped(
        &self,
        environment: EnvironmentId,
        reports: &[ObservedInstance],
    ) -> Result<Vec<InstanceId>, StoreError> {
        let mut reports: Vec<&ObservedInstance> = reports.iter().collect();
        // Everybody locks in the same order, so nobody waits in a circle.
        reports.sort_by_key(|report| report.instance_id);
        let mut changed = Vec::new();
        let transaction = self.0.begin().await?;
        for report in reports {
            let text = json("account_tool_instances.observed", report)?;
            let done = Entity::update_many()
                .set(ActiveModel {
                    observed: Set(Some(text.clone())),
                    ..ActiveModel::default()
                })
                .filter(Column::Id.eq(report.instance_id.as_uuid()))
                .filter(Column::EnvironmentId.eq(environment.as_uuid()))
                .filter(Column::Status.ne(word(&InstanceStatus::Removed)))
                .filter(Column::Observed.is_null().or(Column::Observed.ne(text)))
                .exec(&transaction)
                .await?;
            if done.rows_affected > 0 {
                let id = report.instance_id;
                leases::wake(&transaction, LeaseKind::Instance, id.as_uuid()).await?;
                changed.push(id);
            }
        }
        self.0.finish(transaction, &[]).await?;
        Ok(changed)
    }

    async fn write(
        &self,
        id: InstanceId,
        lease: Option<LeaseToken>,
        step: Option<(InstanceStatus, InstanceStatus)>,
        change: ActiveModel,
        events: &[NewEvent],
    ) -> Result<Instance, StoreError> {
        let transaction = self.0.begin().await?;
        let mut update = Entity::update_many()
            .set(ActiveModel {
                updated_at: Set(self.0.now()),
                ..change
            })
            .filter(Column::Id.eq(id.as_uuid()));
        if let Some((from, next)) = step {
            update = update.filter(Column::Status.eq(word(&from)));
            if next == InstanceStatus::Running {
                // Whoever started it is about to use it: its idle time begins now.
                let now = Expr::cust(transaction.now_sql());
                update = update.col_expr(Column::LastUsedAt, now);
            }
            if from == InstanceStatus::Asleep {
                update = update.col_expr(Column::AsleepSince, Expr::value(None::<i64>));
            }
        }
        if let Some(LeaseToken(token)) = lease {
            update = update
                .filter(Column::LeaseToken.eq(token))
                .filter(Column::LeaseOwner.is_not_null());
        }
        let rows = update.exec_with_returning(&transaction).await?;
        let Some(written) = rows.into_iter().next() else {
            let row = Entity::find_by_id(id.as_uuid()).one(&transaction).await?;
            return Err(why_not(row, lease));
        };
        if step.is_some_and(|(_, next)| next == InstanceStatus::Removed) {
            instance_secret::Entity::delete_many()
                .filter(instance_secret::Column::InstanceId.eq(id.as_uuid()))
                .exec(&transaction)
                .await?;
            link::Entity::delete_many()
                .filter(link::Column::InstanceId.eq(id.as_uuid()))
                .exec(&transaction)
                .await?;
            tool_definition::Entity::delete_by_id(id.as_uuid())
                .exec(&transaction)
                .await?;
            upstream_logins::forget(&transaction, id).await?;
        }
        let instance = row::one(&transaction, Some(written)).await?;
        self.0.finish(transaction, events).await?;
        Ok(instance)
    }

    async fn reports(&self, mut rows: Vec<Model>) -> Result<Vec<InstanceReport>, StoreError> {
        let observed = rows
            .iter_mut()
            .map(|row| row.observed.take())
            .map(|text| text.map(|text| from_json("account_tool_instances.observed", &text)))
            .map(Option::transpose)
            .collect::<Result<Vec<_>, _>>()?;
        let instances = to_instances(self.0.read(), rows).await?;
        let pairs = instances.into_iter().zip(observed);
        Ok(pairs
            .map(|(instance, observed)| InstanceReport { instance, observed })
            .collect())
    }
}

/// Why a conditional update changed nothing.
pub(super) fn why_not(row: Option<Model>, lease: Option<LeaseToken>) -> StoreError {
    match (row, lease) {
        (None, _) => StoreError::not_found(WHAT),
        (Some(row), Some(LeaseToken(token)))
            if row.lease_token != token || row.lease_owner.is_none() =>
        {
            StoreError::LeaseLost { what: WHAT }
        }
        _ => StoreError::Stale { what: WHAT },
    }
}

pub(super) fn to_change(patch: InstancePatch) -> Result<ActiveModel, StoreError> {
    let mut change = ActiveModel::default();
    if let Some(version) = patch.running_version {
        change.running_version = Set(version);
    }
    if let Some(generation) = patch.observed_generation {
        change.observed_generation = Set(generation);
    }
    if let Some(progress) = patch.progress {
        change.progress = Set(progress);
    }
    if let Some(message) = patch.error_message {
        change.error_message = Set(message);
    }
    if let Some(runtime) = patch.runtime {
        change.runtime = Set(json("account_tool_instances.runtime", &runtime)?);
    }
    Ok(change)
}
