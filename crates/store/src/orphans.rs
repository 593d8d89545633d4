//! What the search for orphans found (ENV-8), and the row by which one replica searches at a time.

use agentopia_domain::OrphanId;
use agentopia_domain::event::NewEvent;
use agentopia_domain::orphan::Orphan;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use uuid::Uuid;

use crate::convert::{corrupt, from_word, micros, time, time_opt, word};
use crate::entity::installation_job;
use crate::entity::orphan::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::store::Store;

/// The job that looks for orphans: one row, the same on every replica.
const SEARCH: Uuid = Uuid::from_u128(0x0199_c0de_0000_7000_8000_0000_0000_0001);

/// Orphans. See [`Store::orphans`].
#[derive(Debug, Clone, Copy)]
pub struct Orphans<'a>(&'a Store);

impl Store {
    /// Things at the provider that belong to nobody.
    #[must_use]
    pub fn orphans(&self) -> Orphans<'_> {
        Orphans(self)
    }
}

impl Orphans<'_> {
    /// Makes sure that the search has its row in the queue ([`crate::LeaseKind::Job`]).
    ///
    /// # Errors
    /// Only the database's.
    pub async fn begin_searching(&self) -> Result<(), StoreError> {
        use installation_job::{ActiveModel, Entity};
        let transaction = self.0.begin().await?;
        let row = ActiveModel {
            id: Set(SEARCH),
            name: Set("orphans".to_owned()),
            ..ActiveModel::default()
        };
        Entity::insert(row)
            .on_conflict_do_nothing()
            .exec_without_returning(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await
    }

    /// All that were found by the last search, the oldest first.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(&self) -> Result<Vec<Orphan>, StoreError> {
        let rows = Entity::find()
            .order_by_asc(Column::FirstSeenAt)
            .order_by_asc(Column::Id)
            .all(self.0.read())
            .await?;
        rows.into_iter().map(to_orphan).collect()
    }

    /// Writes down what a search found in place of what the one before had found.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn replace(&self, found: &[Orphan], events: &[NewEvent]) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        let kept: Vec<Uuid> = found.iter().map(|orphan| orphan.id.as_uuid()).collect();
        Entity::delete_many()
            .filter(Column::Id.is_not_in(kept))
            .exec(&transaction)
            .await?;
        for orphan in found {
            Entity::delete_many()
                .filter(Column::Id.eq(orphan.id.as_uuid()))
                .exec(&transaction)
                .await?;
            Entity::insert(to_row(orphan))
                .exec_without_returning(&transaction)
                .await?;
        }
        self.0.finish(transaction, events).await
    }

    /// Forgets one that was removed.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn forget(&self, id: OrphanId, events: &[NewEvent]) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        Entity::delete_by_id(id.as_uuid())
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, events).await
    }
}

fn to_row(orphan: &Orphan) -> ActiveModel {
    ActiveModel {
        id: Set(orphan.id.as_uuid()),
        kind: Set(word(&orphan.kind)),
        provider_id: Set(orphan.provider_id.clone()),
        name: Set(orphan.name.clone()),
        environment_id: Set(orphan.environment_id.map(|id| id.as_uuid())),
        reason: Set(word(&orphan.reason)),
        monthly_price_cents: Set(orphan.monthly_price_cents.map(i64::from)),
        provider_created_at: Set(orphan.provider_created_at.map(micros)),
        first_seen_at: Set(micros(orphan.first_seen_at)),
        last_seen_at: Set(micros(orphan.last_seen_at)),
    }
}

fn to_orphan(row: Model) -> Result<Orphan, StoreError> {
    let price = row.monthly_price_cents.map(|cents| {
        u32::try_from(cents).map_err(|error| corrupt("orphans.monthly_price_cents", error))
    });
    Ok(Orphan {
        id: row.id.into(),
        kind: from_word("orphans.kind", &row.kind)?,
        provider_id: row.provider_id,
        name: row.name,
        environment_id: row.environment_id.map(Into::into),
        reason: from_word("orphans.reason", &row.reason)?,
        monthly_price_cents: price.transpose()?,
        provider_created_at: time_opt("orphans.provider_created_at", row.provider_created_at)?,
        first_seen_at: time("orphans.first_seen_at", row.first_seen_at)?,
        last_seen_at: time("orphans.last_seen_at", row.last_seen_at)?,
    })
}
