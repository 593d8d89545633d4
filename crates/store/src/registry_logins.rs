//! Passwords of image registries, sealed. An account's own login for a host comes before the
//! installation's.

use agentopia_domain::AccountId;
use agentopia_domain::event::NewEvent;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::convert::time;
use crate::entity::registry_login::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_duplicate};
use crate::store::Store;

const WHAT: &str = "registry login";

/// Registry logins. See [`Store::registry_logins`].
#[derive(Debug, Clone, Copy)]
pub struct RegistryLogins<'a>(&'a Store);

impl Store {
    /// Passwords of image registries.
    #[must_use]
    pub fn registry_logins(&self) -> RegistryLogins<'_> {
        RegistryLogins(self)
    }
}

/// A login, with its sealed password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// Made anew with every password, so that a ciphertext is bound to one value.
    pub id: Uuid,
    /// Whose it is; `None` serves the whole installation.
    pub account_id: Option<AccountId>,
    /// Host and port as image names have them, for example `127.0.0.1:5000`.
    pub host: String,
    /// The name to log in with.
    pub username: String,
    /// The sealed password.
    pub ciphertext: Vec<u8>,
}

impl RegistryLogins<'_> {
    /// Stores a login in place of the one that the same account (or the installation) had for the
    /// host.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when another caller stores one at the same moment: try again.
    pub async fn put(&self, new: RegistryLogin, events: &[NewEvent]) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        Entity::delete_many()
            .filter(scope(new.account_id))
            .filter(Column::Host.eq(&new.host))
            .exec(&transaction)
            .await?;
        Entity::insert(ActiveModel::from(Model {
            id: new.id,
            account_id: new.account_id.map(AccountId::as_uuid),
            host: new.host,
            username: new.username,
            ciphertext: new.ciphertext,
            created_at: self.0.now(),
        }))
        .exec_without_returning(&transaction)
        .await
        .map_err(on_duplicate(WHAT, "host"))?;
        self.0.finish(transaction, events).await
    }

    /// The login to pull with for an account: its own, else the installation's.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn for_pull(
        &self,
        account: AccountId,
        host: &str,
    ) -> Result<Option<RegistryLogin>, StoreError> {
        let rows = Entity::find()
            .filter(Column::Host.eq(host))
            .filter(
                Condition::any()
                    .add(Column::AccountId.eq(account.as_uuid()))
                    .add(Column::AccountId.is_null()),
            )
            .all(self.0.read())
            .await?;
        let best = rows.into_iter().max_by_key(|row| row.account_id.is_some());
        Ok(best.map(to_login))
    }

    /// The logins of an account, or with `None` of the installation, with when each was stored.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        account: Option<AccountId>,
    ) -> Result<Vec<(RegistryLogin, DateTime<Utc>)>, StoreError> {
        let rows = Entity::find()
            .filter(scope(account))
            .order_by_asc(Column::Host)
            .all(self.0.read())
            .await?;
        rows.into_iter()
            .map(|row| {
                let at = time("registry_logins.created_at", row.created_at)?;
                Ok((to_login(row), at))
            })
            .collect()
    }

    /// Takes a login away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete(
        &self,
        account: Option<AccountId>,
        host: &str,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        let deleted = Entity::delete_many()
            .filter(scope(account))
            .filter(Column::Host.eq(host))
            .exec(&transaction)
            .await?;
        if deleted.rows_affected == 0 {
            return Err(StoreError::not_found(WHAT));
        }
        self.0.finish(transaction, events).await
    }
}

fn scope(account: Option<AccountId>) -> Condition {
    Condition::all().add(match account {
        Some(account) => Column::AccountId.eq(account.as_uuid()),
        None => Column::AccountId.is_null(),
    })
}

fn to_login(row: Model) -> RegistryLogin {
    RegistryLogin {
        id: row.id,
        account_id: row.account_id.map(AccountId::from),
        host: row.host,
        username: row.username,
        ciphertext: row.ciphertext,
    }
}
