//! The wish for another size (ENV-10), and for another place as long as there is no machine
//! (ENV-12). What comes of it, the reconciler writes with [`Environments::update_unscoped`] and
//! [`Environments::transition_unscoped`].

use agentopia_domain::AccountId;
use agentopia_domain::admission::admit;
use agentopia_domain::environment::{EnvironmentEvent, EnvironmentStatus, Scaling};
use agentopia_domain::event::NewEvent;
use agentopia_domain::resources::Capacity;
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use super::row::SCALING;
use super::{Environment, Environments, WHAT, first, to_environment};
use crate::convert::{json, word};
use crate::dialect;
use crate::entity::environment::{ActiveModel, Column, Entity};
use crate::error::StoreError;
use crate::instances::running_resources;
use crate::leases::{self, LeaseKind};

/// Where and what a machine is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// The provider's region.
    pub region: Option<String>,
    /// The provider's size.
    pub size: Option<String>,
    /// The provider's image.
    pub image: Option<String>,
}

impl Environments<'_> {
    /// Writes down where the account's next machine is to be, as long as there is none. `false`
    /// where there is one, or will be, and nothing was written.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn place(
        &self,
        account: AccountId,
        placement: Placement,
    ) -> Result<bool, StoreError> {
        let transaction = self.0.begin().await?;
        let without_machine = [EnvironmentStatus::Deleted, EnvironmentStatus::ErrorCreation];
        let done = Entity::update_many()
            .set(ActiveModel {
                region: Set(placement.region),
                size: Set(placement.size),
                image: Set(placement.image),
                updated_at: Set(self.0.now()),
                ..ActiveModel::default()
            })
            .filter(Column::AccountId.eq(account.as_uuid()))
            .filter(Column::Status.is_in(without_machine.map(|status| word(&status))))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(done.rows_affected > 0)
    }

    /// Writes down that the account's machine is to have another size, moves the status along and
    /// wakes the reconciler. Of several that ask at the same time one is heard. `capacity` is what the
    /// machine will have: everything that is to run there has to fit, which is looked at with the
    /// machine locked, as new tools are admitted.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the account never had one,
    /// [`StoreError::EnvironmentTransition`] unless it is active, [`StoreError::DoesNotFit`].
    pub async fn begin_scaling(
        &self,
        account: AccountId,
        to: &str,
        capacity: Option<Capacity>,
        events: &[NewEvent],
    ) -> Result<Environment, StoreError> {
        let transaction = self.0.begin().await?;
        let row = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .lock(dialect::ROW)
            .one(&transaction)
            .await?
            .ok_or(StoreError::not_found(WHAT))?;
        let current = to_environment(row)?;
        let status = current.status.on(EnvironmentEvent::ScaleStarted)?;
        let now = self.0.ambient().now();
        if let Some(capacity) = capacity {
            let running = running_resources(&transaction, current.id).await?;
            if let Some((last, others)) = running.split_last() {
                admit(capacity, others.iter().copied(), *last)?;
            }
        }
        let scaling = Scaling {
            capacity,
            ..Scaling::begin(current.size, to.to_owned(), now)
        };
        let change = ActiveModel {
            status: Set(word(&status)),
            status_since: Set(self.0.now()),
            generation: Set(current.generation + 1),
            scaling: Set(Some(json(SCALING, &scaling)?)),
            error_message: Set(None),
            updated_at: Set(self.0.now()),
            ..ActiveModel::default()
        };
        let rows = Entity::update_many()
            .set(change)
            .filter(Column::Id.eq(current.id.as_uuid()))
            .exec_with_returning(&transaction)
            .await?;
        leases::wake(&transaction, LeaseKind::Environment, current.id.as_uuid()).await?;
        self.0.finish(transaction, events).await?;
        first(rows)
    }
}
