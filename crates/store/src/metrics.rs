//! Measurements of machines and instances (DTMA-5).
//!
//! A DTMA that gets no answer sends a sample again, so a sample is named by machine, boot, sequence
//! and subject, and stored once. It carries its age instead of a time: two machines' clocks are
//! never compared.

use std::time::Duration;

use agentopia_domain::metrics::{Sample, StoredUsage, Usage};
use agentopia_domain::{AccountId, EnvironmentId, InstanceId};
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    TryInsertResult,
};
use uuid::Uuid;

use crate::convert::{micros, signed, span, time, unsigned};
use crate::entity::environment;
use crate::entity::metric_sample::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_missing};
use crate::store::Store;

/// Rows in one statement: 10 values each stay below what either engine takes.
const BATCH: usize = 500;

/// Measurements. See [`Store::metrics`].
#[derive(Debug, Clone, Copy)]
pub struct Metrics<'a>(&'a Store);

impl Store {
    /// Measurements.
    #[must_use]
    pub fn metrics(&self) -> Metrics<'_> {
        Metrics(self)
    }
}

impl Metrics<'_> {
    /// Stores what a machine measured since `boot_id` began; what was stored before is passed over.
    /// Returns how many measurements were new.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown environment.
    pub async fn insert_unscoped(
        &self,
        environment: EnvironmentId,
        boot_id: &str,
        samples: &[Sample],
    ) -> Result<u64, StoreError> {
        let now = self.0.now();
        let mut rows = Vec::new();
        for sample in samples {
            let at = now.saturating_sub(span(Duration::from_millis(sample.age_ms)));
            let mut add = |subject: Uuid, usage: &Usage| {
                rows.push(ActiveModel::from(Model {
                    environment_id: environment.as_uuid(),
                    boot_id: boot_id.to_owned(),
                    sequence: signed(sample.sequence),
                    subject_id: subject,
                    at,
                    cpu_millis: i64::from(usage.cpu_millis),
                    memory_bytes: signed(usage.memory_bytes),
                    disk_bytes: signed(usage.disk_bytes),
                    network_rx_bytes: signed(usage.network_rx_bytes),
                    network_tx_bytes: signed(usage.network_tx_bytes),
                }));
            };
            add(environment.as_uuid(), &sample.host);
            for (instance, usage) in &sample.instances {
                add(instance.as_uuid(), usage);
            }
        }
        let mut stored = 0;
        let transaction = self.0.begin().await?;
        for batch in rows.chunks(BATCH) {
            let inserted = Entity::insert_many(batch.iter().cloned())
                .on_conflict_do_nothing()
                .exec_without_returning(&transaction)
                .await
                .map_err(on_missing("environment"))?;
            if let TryInsertResult::Inserted(count) = inserted {
                stored += count;
            }
        }
        self.0.finish(transaction, &[]).await?;
        Ok(stored)
    }

    /// What was measured of the machine (`subject` is `None`) or of one of its instances, from
    /// `from` up to but without `until`, the oldest first; at most `limit` (1 to 10,000).
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the environment is not the account's.
    pub async fn list(
        &self,
        account: AccountId,
        environment: EnvironmentId,
        subject: Option<InstanceId>,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<StoredUsage>, StoreError> {
        environment::Entity::find_by_id(environment.as_uuid())
            .filter(environment::Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?
            .ok_or(StoreError::not_found("environment"))?;
        let subject_id = subject.map_or(environment.as_uuid(), InstanceId::as_uuid);
        let rows = Entity::find()
            .filter(Column::EnvironmentId.eq(environment.as_uuid()))
            .filter(Column::SubjectId.eq(subject_id))
            .filter(Column::At.gte(micros(from)))
            .filter(Column::At.lt(micros(until)))
            .order_by_asc(Column::At)
            .limit(u64::from(limit.clamp(1, 10_000)))
            .all(self.0.read())
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(StoredUsage {
                    at: time("metric_samples.at", row.at)?,
                    instance_id: subject,
                    usage: Usage {
                        cpu_millis: u32::try_from(row.cpu_millis).unwrap_or(u32::MAX),
                        memory_bytes: unsigned(row.memory_bytes),
                        disk_bytes: unsigned(row.disk_bytes),
                        network_rx_bytes: unsigned(row.network_rx_bytes),
                        network_tx_bytes: unsigned(row.network_tx_bytes),
                    },
                })
            })
            .collect()
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
