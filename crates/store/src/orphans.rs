//! What the search for orphans found (ENV-8), and the row by which one replica searches at a time.

use agentopia_domain::OrphanId;
use agentopia_domain::event::NewEvent;
use agentopia_domain::orphan::Orphan;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use crate::convert::{corrupt, from_word, micros, time, time_opt, word};
use crate::entity::installation_job;
use crate::entity::orphan::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::leases::{self, LeaseKind};
use crate::store::{Changed, Store};

const WHAT: &str = "orphan";

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

    /// One that the last search found.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, id: OrphanId) -> Result<Orphan, StoreError> {
        let row = Entity::find_by_id(id.as_uuid()).one(self.0.read()).await?;
        to_orphan(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// Writes down that one is to be removed, and wakes the search, which does it. Asking again
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn request_removal(
        &self,
        id: OrphanId,
        events: &[NewEvent],
    ) -> Result<Changed<Orphan>, StoreError> {
        let transaction = self.0.begin().await?;
        let row = Entity::find_by_id(id.as_uuid())
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(StoreError::not_found(WHAT))?;
        if row.removal_requested_at.is_some() {
            return Ok(Changed {
                value: to_orphan(row)?,
                changed: false,
            });
        }
        let row = Model {
            removal_requested_at: Some(self.0.now()),
            ..row
        };
        Entity::update_many()
            .set(ActiveModel {
                removal_requested_at: Set(row.removal_requested_at),
                ..ActiveModel::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await?;
        leases::wake(&transaction, LeaseKind::Job, SEARCH).await?;
        self.0.finish(transaction, events).await?;
        Ok(Changed {
            value: to_orphan(row)?,
            changed: true,
        })
    }

    /// One that was to be removed can't be: it stays, until somebody asks again.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn withdraw_removal(
        &self,
        id: OrphanId,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        Entity::update_many()
            .set(ActiveModel {
                removal_requested_at: Set(None),
                ..ActiveModel::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, events).await
    }

    /// Writes down what a search found in place of what the one before had found. A removal that
    /// somebody asked for meanwhile stays asked for.
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
            let before = Entity::find_by_id(orphan.id.as_uuid())
                .lock_exclusive()
                .one(&transaction)
                .await?;
            let mut row = to_row(orphan);
            if let Some(asked) = before.and_then(|row| row.removal_requested_at) {
                row.removal_requested_at = Set(Some(asked));
            }
            Entity::delete_many()
                .filter(Column::Id.eq(orphan.id.as_uuid()))
                .exec(&transaction)
                .await?;
            Entity::insert(row)
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
        removal_requested_at: Set(orphan.removal_requested_at.map(micros)),
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
        removal_requested_at: time_opt("orphans.removal_requested_at", row.removal_requested_at)?,
    })
}
